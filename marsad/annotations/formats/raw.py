"""What a tool's export holds, before anything in it is believed."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marsad.errors import MarsadError


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
    ``ignored`` counts what the format holds and a document has no place for (relations, notes);
    ``changed`` lists what the reader itself had to mend.
    """

    where: str
    record: Any
    id: Any
    text: Any
    spans: Sequence[RawSpan] = ()
    published: Any = None
    source: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    changed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that becomes no document: ``rejected`` because it is wrong, or not, because the annotator said so."""

    where: str
    record: Any
    id: Any
    reason: str
    rejected: bool = True


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
        return codecs.lookup(encoding).name
    except LookupError:
        raise MarsadError(f"--encoding {encoding}: no such encoding; for instance utf-8, utf-16, cp1256") from None


def lines_of(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, without their ends: a line feed, or one after a carriage return.

    A byte order mark at the beginning is passed over. Raises MarsadError for a file that can't be read or is in another
    encoding.
    """
    with readable(path):
        refuse_utf16(path, encoding)
        with path.open(encoding=encoding, newline="\n") as file:
            number = 0
            try:
                for number, line in enumerate(file, 1):
                    text = line.removesuffix("\n").removesuffix("\r")
                    yield number, text.removeprefix("\ufeff") if number == 1 else text
            except UnicodeError:
                raise MarsadError(
                    f"{path}:{number + 1} or soon after: not {encoding}; "
                    "save the file as UTF-8, or name its encoding (--encoding cp1256, say)"
                ) from None


def refuse_utf16(path: Path, encoding: str) -> None:
    """Raise MarsadError for a file that begins with the mark of UTF-16 and is to be read as UTF-8."""
    with path.open("rb") as file:
        begins = file.read(2)
    if encoding.lower().startswith("utf-8") and begins in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise MarsadError(f"{path}: is UTF-16; save it as UTF-8, or read it with --encoding utf-16")
