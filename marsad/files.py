"""Files written whole or not at all, and fingerprints of files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import platform
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TextIO, cast

from marsad.errors import MarsadError

PACKED = (".gz", ".zst", ".xz")
"""Endings of packed files."""
UNPACK_ERRORS = (gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)
"""What reading an unpacked file raises where it is damaged or cut off."""
_BLOCK = 1 << 20


def partial_path(path: Path) -> Path:
    """Where a file is written until it is whole: hidden beside its place, and of this process alone."""
    return path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.partial")


def is_partial(path: Path, name: str = "") -> bool:
    """Whether a file is such a one (of the file ``name``, where given), as one that was broken off leaves it."""
    return path.name.startswith(f".{name}") and path.name.endswith(".partial")


@contextmanager
def open_whole(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text file to write that takes its place at ``path`` when the block ends without an error.

    A link is followed; a pipe or a device is written to directly, since nothing can take its place.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    partial = partial_path(path)
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def open_together(paths: Sequence[Path]) -> Iterator[Sequence[TextIO]]:
    """UTF-8 text files to write that take their places together when the block ends without an error.

    Where one of them can't take its place, or the process is told to end in between, those before it get their old
    content back.
    """
    paths = [path.resolve() for path in paths]
    partials = [partial_path(path) for path in paths]
    previous = [path.with_name(f".{path.name}.previous") for path in paths]
    replaced: list[tuple[Path, Path]] = []
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(partial.open("w", encoding="utf-8", newline="\n")) for partial in partials]
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for path, old in zip(paths, previous, strict=True):
            old.unlink(missing_ok=True)
            if path.exists():
                shutil.copy2(path, old)
        try:
            for path, partial, old in zip(paths, partials, previous, strict=True):
                replaced.append((path, old))
                partial.replace(path)
        except BaseException:
            for path, old in replaced:
                if old.exists():
                    old.replace(path)
                else:
                    path.unlink(missing_ok=True)
            raise
    finally:
        for path in [*partials, *previous]:
            with suppress(OSError):
                path.unlink()


def check_apart(inputs: Iterable[Path], output: Path) -> None:
    """Raises MarsadError where the output would be written over an input."""
    for path in inputs:
        if path.exists() and output.exists() and path.samefile(output):
            raise MarsadError(f"{output}: is an input too; choose another --output")


def check_writable(folder: Path, output: str | Path) -> None:
    """Raises MarsadError where ``output`` can't be written, since ``folder``, or what of it is there, is not to be."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError:
        raise MarsadError(f"{output}: can't be written ({there} is no folder that may be written to)") from None


def to_json(values: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON with Arabic as it is; lone surrogates stay escapes, since UTF-8 has no form for them."""
    text = json.dumps(values, ensure_ascii=False, indent=indent)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(values, indent=indent)
    return text


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file: it is there whole or not at all."""
    with open_whole(path) as file:
        file.write(to_json(values, indent=2) + "\n")


def write_report(path: Path, values: Mapping[str, Any]) -> Path:
    """As :func:`write_json` for a file that a user named: makes its folder, returns the path.

    Raises MarsadError when it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, values)
    except OSError as error:
        raise MarsadError(f"{path}: can't be written ({error.strerror or error})") from None
    return path


def write_page(path: Path, text: str) -> Path:
    """As :func:`write_report` for text, such as a page."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_whole(path) as file:
            file.write(text)
    except OSError as error:
        raise MarsadError(f"{path}: can't be written ({error.strerror or error})") from None
    return path


def share_files(folder: Path) -> None:
    """Give the files of a folder the permissions of new files; safetensors writes its own for the owner alone."""
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o666 & ~umask)


def unpack(file: BinaryIO, path: str | Path) -> BinaryIO:
    """The content of an open file, unpacked where the ending of its path says so; raises UNPACK_ERRORS when read."""
    match PurePosixPath(path).suffix.lower():
        case ".gz":
            return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=file), _BLOCK))
        case ".xz":
            return cast(BinaryIO, io.BufferedReader(lzma.LZMAFile(file), _BLOCK))
        case ".zst":
            return cast(BinaryIO, io.BufferedReader(_Zstd(file), _BLOCK))
        case _:
            return file


class _Zstd(io.RawIOBase):
    """A zstd file unpacked by Arrow, which, unlike others, says when the end of a file is missing."""

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow as pa

        self._file = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except OSError as error:
            if error.errno is None:  # Arrow's own; one of the disk has a number
                raise EOFError(str(error)) from None
            raise
        buffer[: len(data)] = data
        return len(data)


def fingerprint_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
