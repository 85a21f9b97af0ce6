"""What a tool's export holds, before anything in it is believed."""

from __future__ import annotations

import codecs
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marsad.errors import MarsadError
from marsad.files import open_whole, partial_path, to_json


@dataclass(frozen=True, slots=True)
class RawSpan:
    """A span as the tool wrote it. ``text`` is what the tool says stands there, None where it records nothing."""

    start: Any
    end: Any
    label: Any
    text: Any = None
    score: Any = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawReport:
    """One record as the tool wrote it.

    ``where`` is ``file:line`` or ``file[index]``, ``record`` what stands there (for the list of rejects).
    ``annotated`` is False for a record that nobody has looked at yet. ``ignored`` counts what the format holds and a
    document has no place for (relations, notes). ``repaired`` lists the spans that the reader itself had to mend,
    ``changed`` what else it did.
    """

    where: str
    record: Any
    id: Any
    text: Any
    spans: Sequence[RawSpan] = ()
    published: Any = None
    source: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    annotated: bool = True
    ignored: Mapping[str, int] = field(default_factory=dict)
    repaired: Sequence[str] = ()
    changed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that becomes no document.

    ``kind`` names the reason in a few words that are the same for all such records, ``reason`` says it of this one.
    ``rejected``: it is wrong; otherwise the annotator or the user wants it left out. ``spans``: how many it has.
    """

    where: str
    record: Any
    id: Any
    kind: str
    reason: str
    rejected: bool = True
    spans: int = 0


class Unusable(ValueError):
    """Why a record can't become a document: ``kind`` in a few words, the message in full."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# --- files -----------------------------------------------------------------------------------------------


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what can go wrong with a file that a user named into a MarsadError."""
    try:
        yield
    except FileNotFoundError:
        raise MarsadError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise MarsadError(f"{path}: is a folder, expected a file") from None
    except OSError as error:
        raise MarsadError(f"{path}: can't be read ({error.strerror or error})") from None


def check_encoding(encoding: str) -> str:
    """The name of an encoding. Raises MarsadError for one that Python does not know."""
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)  # of bytes, as hex, is none of text
        return name
    except LookupError:
        raise MarsadError(f"--encoding {encoding}: no such encoding; for instance utf-8, utf-16, cp1256") from None


def refuse_utf16(path: Path, encoding: str) -> None:
    """Raise MarsadError for a file that begins with the mark of UTF-16 and is to be read as UTF-8."""
    with path.open("rb") as file:
        begins = file.read(2)
    if encoding == "utf-8" and begins in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise MarsadError(f"{path}: is UTF-16; save it as UTF-8, or read it with --encoding utf-16")
    if begins == b"PK":
        raise MarsadError(f"{path}: is a zip archive; unpack it, and name the file in it")
    if begins == b"\x1f\x8b":
        raise MarsadError(f"{path}: is packed with gzip; unpack it first")


def decode(raw: bytes, encoding: str, keep_mark: bool = False) -> str:
    """Bytes as text, a byte order mark at its beginning left out unless kept. Raises Unusable in another encoding."""
    try:
        text = raw.decode(encoding)
        return text if keep_mark else text.removeprefix("\ufeff")
    except UnicodeError as error:
        at = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise Unusable(
            f"not {encoding}", f"not {encoding}{at}; save it as UTF-8, or name its encoding (--encoding cp1256, say)"
        ) from None


def read_text(path: Path, encoding: str) -> str:
    """A whole text file, its line ends as they are. Raises MarsadError."""
    with readable(path):
        refuse_utf16(path, encoding)
        raw = path.read_bytes()
    try:
        return decode(raw, encoding)
    except Unusable as error:
        raise MarsadError(f"{path}: {error}") from None


def lines_of(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str | bytes]]:
    """The lines of a text file with their numbers, without their ends: a line feed, or one after a carriage return.

    A byte order mark at the beginning is passed over; a line of a UTF-8 file that is no UTF-8 comes as bytes.
    Raises MarsadError for a file that can't be read or is in another encoding.
    """
    if encoding != "utf-8":  # of which a byte "\n" may be half a character
        yield from enumerate((line.removesuffix("\r") for line in read_text(path, encoding).split("\n")), 1)
        return
    with readable(path):
        refuse_utf16(path, encoding)
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = raw.removesuffix(b"\n").removesuffix(b"\r")
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                try:
                    yield number, line.decode("utf-8")
                except UnicodeDecodeError:
                    yield number, line


def json_records(path: Path, encoding: str = "utf-8") -> Iterator[tuple[str, dict[str, Any] | LeftOut]]:
    """The JSON objects of a file, each with its place: one a line, or all in one list, or one alone.

    A line that is no object is rejected alone; a list that does not end is no JSON at all. Raises MarsadError for
    that, for an empty file, and as :func:`lines_of`.
    """
    first = next((line for _, line in lines_of(path, encoding) if line.strip()), None)
    if first is None:
        raise MarsadError(f"{path}: is empty; expected JSON records")
    if isinstance(first, str) and first.lstrip().startswith("{") and _is_object(first):
        for number, line in lines_of(path, encoding):
            if line.strip():
                yield f"{path}:{number}", _record(line, f"{path}:{number}")
        return
    try:
        values = json.loads(read_text(path, encoding))
    except RecursionError:
        raise MarsadError(f"{path}: not JSON (nested too deep); export it again") from None
    except ValueError as error:
        hint = "is it cut off?" if isinstance(first, str) and first.lstrip()[:1] in ("[", "{") else "is it JSON?"
        raise MarsadError(f"{path}: not JSON ({error}); {hint} Export it again") from None
    if not isinstance(values, list):
        values = [values]
    if not values:
        raise MarsadError(f"{path}: holds an empty list; expected JSON records")
    for index, value in enumerate(values):
        where = f"{path}[{index}]"
        yield where, value if isinstance(value, dict) else _no_object(value, where)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        # A record that is broken rather than the first line of an indented one has more than a bracket.
        return len(line.strip()) > 1


def _record(line: str | bytes, where: str) -> dict[str, Any] | LeftOut:
    if isinstance(line, bytes):
        shown = line.decode("utf-8", "backslashreplace")
        return LeftOut(where, shown, None, "not utf-8", "not UTF-8; save the file as UTF-8, or name its encoding")
    try:
        value = json.loads(line)
    except RecursionError:
        return LeftOut(where, line, None, "not JSON", "not JSON (nested too deep)")
    except ValueError as error:
        return LeftOut(where, line, None, "not JSON", f"not JSON ({error})")
    return value if isinstance(value, dict) else _no_object(value, where)


def _no_object(value: Any, where: str) -> LeftOut:
    return LeftOut(where, value, None, "no JSON object", f"a JSON {type(value).__name__}, expected an object")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes its place at ``path`` when the block ends without an error.

    Raises MarsadError when something stands there already, or it can't be written.
    """
    path = path.resolve()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise MarsadError(f"{path}: exists already; name a folder that is new or empty")
    partial = path.with_name(f".{path.name}.partial")
    try:
        remove_folder(partial)
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            path.rmdir()
        partial.rename(path)
    except OSError as error:
        raise MarsadError(f"{path}: can't be written ({error.strerror or error})") from None
    finally:
        remove_folder(partial)


def remove_folder(path: Path) -> None:
    """Remove a folder of ours if it is there."""
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[Any]:
    """As :func:`~marsad.files.open_whole` for a file that a user named. Raises MarsadError when it can't be written."""
    if not path.name:
        raise MarsadError(f"{path}: is a folder, expected the name of a file to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_whole(path) as file:
            yield file
    except OSError as error:
        raise MarsadError(f"{path}: can't be written ({error.strerror or error})") from None


@contextmanager
def new_path(path: Path) -> Iterator[Path]:
    """A path to write a file at, which takes its place at ``path`` when the block ends without an error.

    Raises MarsadError when it can't be written.
    """
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise MarsadError(f"{path}: can't be written ({error.strerror or error})") from None
    finally:
        partial.unlink(missing_ok=True)


def as_json(value: Any) -> str:
    """Any JSON value as one line; see :func:`~marsad.files.to_json`."""
    return to_json(value)
