"""Reports read from files of many kinds, row by row, with flat memory.

JSON Lines, plain text, CSV and TSV, Parquet; packed with gzip, zstd or xz; folders and globs of them; standard input;
remote paths through ``fsspec``. A row that is no report is a :class:`Reject` with its reason; only what concerns the
whole job (a missing file, a column that a table does not have, a disk that fails) is an error.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, cast

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from marsad.annotations.jsonl import date_from_record
from marsad.errors import MarsadError
from marsad.files import PACKED, UNPACK_ERRORS, unpack

InputFormat = Literal["jsonl", "txt", "csv", "tsv", "parquet"]

STANDARD_INPUT = "-"
FORMATS: dict[str, InputFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".txt": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_BLOCK = 1 << 20
_PARQUET_ROWS = 256


@dataclass(frozen=True, slots=True)
class Reading:
    """How inputs are read.

    ``input_format``: instead of what a file's ending says; needed for standard input alone, where None is JSON Lines.
    ``text_column``, ``id_column``: the keys or columns of JSON Lines, CSV, TSV and Parquet. ``line_ids``: make ids of
    the file's name and the line instead. ``per_line``: a plain text holds a report a line. ``delimiter``: between the
    fields of a CSV file; by the ending where None. ``max_bytes``: the largest row (line, file of plain text, text of
    a Parquet row) that is taken. ``carry``: names of further columns to read; None for all. ``published``: read the
    key or column ``published``, the day of the report (YYYY-MM-DD); ``published_day`` is that of reports without.
    ``encoding``: that of all but Parquet, by Python's name; one in which a line end is a single byte.
    """

    input_format: InputFormat | None = None
    text_column: str = "text"
    id_column: str = "id"
    line_ids: bool = False
    per_line: bool = False
    delimiter: str | None = None
    max_bytes: int = 16 << 20
    carry: tuple[str, ...] | None = ()
    published: bool = False
    published_day: str | None = None
    encoding: str = "utf-8"

    def carries(self, name: str) -> bool:
        """Whether a column is read to be carried along."""
        if self.carry is None:
            return name != self.text_column and (name != self.id_column or self.line_ids)
        return name in self.carry


@dataclass(frozen=True, slots=True)
class Source:
    """One input file: its path or address, how it is read, the name that ids are made of, its size in bytes."""

    path: str
    format: InputFormat
    name: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One report as it was read; ``line`` is the line it begins in (Parquet: the row), counted from 1."""

    file: str
    line: int | None
    id: str
    text: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    published: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row, or the rest of a file, that no report could be made of."""

    file: str
    line: int | None
    reason: str
    id: str | None = None

    def __str__(self) -> str:
        name = "" if self.id is None else f" (id {self.id!r})"
        return f"{place(self.file, self.line)}{name}: {self.reason}"

    def record(self) -> dict[str, Any]:
        """As a line of the file of rejects."""
        return {"file": self.file, "line": self.line, "id": self.id, "reason": self.reason}


def place(file: str, line: int | None) -> str:
    """``file:line``, or the file alone."""
    return file if line is None else f"{file}:{line}"


class Meter:
    """How many bytes of the inputs have been read, to tell how far a job is."""

    def __init__(self) -> None:
        self.bytes = 0


# --- which files -------------------------------------------------------------------------------------------


def list_sources(inputs: Sequence[str], reading: Reading) -> list[Source]:
    """The files that inputs name: files, folders (all files in them that have a known ending), globs, addresses, ``-``.

    In the order given; what a folder or a glob holds in order of the paths. A report in plain text, or a line that
    makes its own id, is named by the file's name without its endings, or by its path where two files share a name.

    Raises MarsadError for what is not there, has an unknown ending or is named twice.
    """
    paths: list[str] = []
    for given in inputs:
        paths += _expand(given)
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise MarsadError(f"{twice[0]}: is an input twice; name each file once")
    names = Counter(_stem(path) for path in paths)
    return [
        Source(
            path,
            _format(path, reading),
            _stem(path) if names[_stem(path)] == 1 else PurePosixPath(path).as_posix(),
            size,
        )
        for path, size in ((path, _size(path)) for path in paths)
    ]


def is_remote(path: str) -> bool:
    """Whether a path is an address (``s3://…``) for ``fsspec``."""
    return "://" in path


def filesystem(path: str) -> tuple[Any, str]:
    """The ``fsspec`` file system of an address, and the path on it. Raises MarsadError when it can't be had."""
    try:
        return cast(tuple[Any, str], fsspec.core.url_to_fs(path))
    except (ImportError, ValueError) as error:  # a protocol that is unknown, or whose package is missing
        raise MarsadError(f"{path}: {error}") from None


def _expand(given: str) -> list[str]:
    if given == STANDARD_INPUT:
        return [given]
    if is_remote(given):
        return _expand_remote(given)
    try:
        return _expand_local(given)
    except OSError as error:
        raise MarsadError(f"{_short(error.filename or given)}: can't be read ({error.strerror or error})") from None


def _expand_local(given: str) -> list[str]:
    path = Path(given)
    if path.is_dir():
        found = sorted(str(file) for file in _walk(path) if _is_report_file(file, path) and file.is_file())
        if not found:
            raise MarsadError(f"{given}: is a folder that holds no report files ({', '.join(FORMATS)})")
        return found
    if not path.exists() and glob.has_magic(given):
        found = sorted(name for name in glob.glob(given, recursive=True) if Path(name).is_file())  # noqa: PTH207
        if not found:
            raise MarsadError(f"{given}: no file fits this pattern")
        return found
    if not path.exists():
        raise MarsadError(f"{given}: no such file")
    return [given]


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder. Raises OSError for a folder in it that can't be looked into."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in names:
            yield Path(place) / name


def _short(path: str) -> str:
    """A path for a message: whoever gives a report's text in place of a file need not read all of it again."""
    return path if len(path) <= 100 else f"{path[:100]}…"


def _expand_remote(given: str) -> list[str]:
    system, path = filesystem(given)
    try:
        if glob.has_magic(path):
            found = sorted(name for name in system.glob(path) if system.isfile(name))
        elif system.isdir(path):
            root = PurePosixPath(path)
            found = sorted(name for name in system.find(path) if _is_report_file(PurePosixPath(name), root))
        elif system.exists(path):
            return [given]
        else:
            raise MarsadError(f"{given}: no such file")
    except OSError as error:
        raise MarsadError(f"{given}: can't be read ({error.strerror or error})") from None
    if not found:
        raise MarsadError(f"{given}: holds no report files ({', '.join(FORMATS)})")
    return [cast(str, system.unstrip_protocol(name)) for name in found]


def _is_report_file(file: PurePosixPath | Path, root: PurePosixPath | Path) -> bool:
    parts = file.relative_to(root).parts
    return not any(map(_is_hidden, parts)) and _suffix(str(file)) in FORMATS


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.endswith(".partial")


def _unpacked(path: str) -> str:
    """The path without the ending of a packed file."""
    return path[: -len(PurePosixPath(path).suffix)] if PurePosixPath(path).suffix.lower() in PACKED else path


def _suffix(path: str) -> str:
    return PurePosixPath(_unpacked(path)).suffix.lower()


def _stem(path: str) -> str:
    return "stdin" if path == STANDARD_INPUT else PurePosixPath(_unpacked(path)).stem


def _format(path: str, reading: Reading) -> InputFormat:
    if reading.input_format is not None:
        return reading.input_format
    if path == STANDARD_INPUT:
        return "jsonl"
    suffix = _suffix(path)
    if suffix in FORMATS:
        return FORMATS[suffix]
    # A pipe or a file without an ending is plain text.
    if suffix == "" or (not is_remote(path) and not Path(path).is_file()):
        return "txt"
    raise MarsadError(
        f"{path}: has an unknown ending; expected {', '.join(FORMATS)}, packed or not ({', '.join(PACKED)}), "
        "or say --input-format"
    )


def _size(path: str) -> int | None:
    if path == STANDARD_INPUT:
        return None
    try:
        if is_remote(path):
            system, inner = filesystem(path)
            return cast("int | None", system.size(inner))
        return Path(path).stat().st_size if Path(path).is_file() else None
    except OSError as error:
        raise MarsadError(f"{path}: can't be read ({error.strerror or error})") from None


# --- bytes -------------------------------------------------------------------------------------------------


class _Metered(io.RawIOBase):
    """A raw file that tells a meter how much was read of it."""

    def __init__(self, file: BinaryIO, meter: Meter) -> None:
        self._file = file
        self._meter = meter

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._meter.bytes += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed and (sys.stdin is None or self._file is not sys.stdin.buffer):
            self._file.close()
        super().close()


class _Broken(Exception):
    """A packed file that can't be unpacked."""


@contextmanager
def _open(path: str, meter: Meter) -> Iterator[BinaryIO]:
    """A file to read from, unpacked. Raises MarsadError when it can't be opened or read, _Broken when not unpacked."""
    try:
        if path == STANDARD_INPUT:
            if sys.stdin is None:
                raise MarsadError("standard input is closed; give a file, or open it")
            given: BinaryIO = sys.stdin.buffer
        elif is_remote(path):
            system, inner = filesystem(path)
            given = system.open(inner, "rb")
        else:
            given = Path(path).open("rb", buffering=0)  # noqa: SIM115
        with io.BufferedReader(_Metered(given, meter), _BLOCK >> 3) as file:
            yield unpack(file, path)
    except FileNotFoundError:
        raise MarsadError(f"{path}: no such file") from None
    except UNPACK_ERRORS as error:
        raise _Broken(str(error)) from None
    except OSError as error:
        raise MarsadError(f"{path}: can't be read ({error.strerror or error})") from None


def _lines(file: BinaryIO, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a file with their numbers; None for one of more than ``limit`` bytes, which is never held whole."""
    number = 0
    while line := file.readline(limit + 2):
        number += 1
        if len(line.rstrip(b"\r\n")) <= limit:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(_BLOCK)
        yield number, None


def _read_up_to(file: BinaryIO, limit: int) -> bytes:
    """A file's content, of a larger one the first ``limit`` bytes; what is read is held, whatever the limit."""
    blocks = []
    while limit > 0 and (block := file.read(min(_BLOCK, limit))):
        blocks.append(block)
        limit -= len(block)
    return b"".join(blocks)


def _too_long(limit: int) -> str:
    return f"is larger than {limit} bytes; raise --max-bytes to take it"


def _decode(line: bytes, number: int | None, encoding: str) -> str:
    """Raises _NoReport when the bytes are none of the encoding."""
    try:
        return line.decode("utf-8-sig" if encoding == "utf-8" and number in (1, None) else encoding)
    except UnicodeDecodeError as error:
        of_line = "" if number is None else " of the line"
        name = "UTF-8" if encoding == "utf-8" else encoding
        others = " (marsad predict reads others by --encoding)"
        raise _NoReport(f"invalid {name} at byte {error.start}{of_line}; save the file as UTF-8{others}") from None


class _NoReport(Exception):
    """Why a row is no report; ``id`` where it has one."""

    def __init__(self, reason: str, name: str | None = None) -> None:
        super().__init__(reason)
        self.id = name


# --- rows --------------------------------------------------------------------------------------------------


def check_tables(sources: Sequence[Source], reading: Reading) -> None:
    """Look at the header of each local table, so that one which lacks a column is named before hours of work.

    Raises MarsadError as :func:`read_rows`.
    """
    for source in sources:
        if source.format in ("csv", "tsv", "parquet") and source.size is not None and not is_remote(source.path):
            with suppress(_Broken):  # a reject, when its turn comes
                next(iter(_read_source(source, reading, Meter())), None)


def read_rows(sources: Sequence[Source], reading: Reading, meter: Meter | None = None) -> Iterator[Row | Reject]:
    """Every row of every file, in order: a report, or what is wrong with it. An id that came before is a reject.

    Raises MarsadError for a file that can't be read, and a table that lacks a column.
    """
    meter = meter or Meter()
    seen = SeenIds()
    for index, source in enumerate(sources):
        count = 0
        last = 0
        try:
            for item in _read_source(source, reading, meter):
                count += 1
                last = item.line or 0
                if isinstance(item, Row):
                    earlier = seen.add(item.id, index, item.line or 0)
                    if earlier is not None:
                        at = place(sources[earlier[0]].path, earlier[1] or None)
                        reason = f"id {item.id!r} already stands at {at}; every report needs its own id"
                        item = Reject(item.file, item.line, reason, item.id)
                yield item
        except _Broken as error:
            reason = f"is broken behind this line ({error}), and its rest not read; fetch or pack the file again"
            yield Reject(source.path, last, reason)
        else:
            if not count:
                yield Reject(source.path, None, "holds no report")


def _read_source(source: Source, reading: Reading, meter: Meter) -> Iterator[Row | Reject]:
    match source.format:
        case "jsonl":
            return _read_jsonl(source, reading, meter)
        case "csv" | "tsv":
            return _read_table(source, reading, meter)
        case "parquet":
            return _read_parquet(source, reading, meter)
        case "txt":
            return (_read_text_lines if reading.per_line else _read_text)(source, reading, meter)


def _read_jsonl(source: Source, reading: Reading, meter: Meter) -> Iterator[Row | Reject]:
    with _open(source.path, meter) as file:
        for number, line in _lines(file, reading.max_bytes):
            try:
                if line is None:
                    raise _NoReport(_too_long(reading.max_bytes))
                text = _decode(line, number, reading.encoding).strip()
                if text:
                    yield _row(source, number, _parse(text), reading)
            except _NoReport as error:
                yield Reject(source.path, number, str(error), error.id)


def _parse(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _NoReport(f"not JSON ({error}); expected one object a line") from None
    if not isinstance(record, dict):
        one_a_line = "; write one object a line (jq -c '.[]' does)" if isinstance(record, list) else ""
        raise _NoReport(f"a JSON {type(record).__name__}, expected an object with id and text{one_a_line}")
    return record


def _row(source: Source, number: int, record: Mapping[str, Any], reading: Reading) -> Row:
    """A report from the keys or columns of its row. Raises _NoReport."""
    name = f"{source.name}:{number}" if reading.line_ids else _id(record, reading)
    if reading.text_column not in record:
        raise _NoReport(f"no {reading.text_column!r}, where the text is looked for", name)
    text = record[reading.text_column]
    if not isinstance(text, str):
        kind = "empty" if text is None else type(text).__name__
        raise _NoReport(f"{reading.text_column} is {kind}, expected a string", name)
    columns = {key: value for key, value in record.items() if reading.carries(key)}
    return Row(source.path, number, name, text, columns, _published(record, name, reading))


def _published(record: Mapping[str, Any], name: str, reading: Reading) -> str | None:
    """The day of a report, where it is wanted. Raises _NoReport for one that is none."""
    given = record.get("published") if reading.published else None
    if given is None or given == "":
        return reading.published_day
    if isinstance(given, date):  # of Parquet, perhaps with a time
        return given.isoformat()[:10]
    try:
        date_from_record(given)
    except ValueError as error:
        raise _NoReport(str(error), name) from None
    return cast(str, given)


def _id(record: Mapping[str, Any], reading: Reading) -> str:
    if reading.id_column not in record:
        raise _NoReport(f"no {reading.id_column!r}; name the id's column with --id-column, or take --line-ids")
    name = record[reading.id_column]
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name:
        raise _NoReport(f"{reading.id_column} is {name!r:.80}, expected a non-empty string or an integer")
    return name


def _read_text(source: Source, reading: Reading, meter: Meter) -> Iterator[Row | Reject]:
    with _open(source.path, meter) as file:
        content = _read_up_to(file, reading.max_bytes + 1)
        try:
            if len(content) > reading.max_bytes:
                raise _NoReport(_too_long(reading.max_bytes), source.name)
            text = _decode(content, None, reading.encoding)
        except _NoReport as error:
            yield Reject(source.path, None, str(error), source.name)
            return
    if text.strip():
        yield Row(source.path, None, source.name, text, published=reading.published_day)


def _read_text_lines(source: Source, reading: Reading, meter: Meter) -> Iterator[Row | Reject]:
    with _open(source.path, meter) as file:
        for number, line in _lines(file, reading.max_bytes):
            name = f"{source.name}:{number}"
            try:
                if line is None:
                    raise _NoReport(_too_long(reading.max_bytes))
                text = _decode(line, number, reading.encoding).rstrip("\r\n")
            except _NoReport as error:
                yield Reject(source.path, number, str(error), name)
                continue
            if text.strip():
                yield Row(source.path, number, name, text, published=reading.published_day)


class _TableLines:
    """The lines of a CSV file for ``csv.reader``. An iterator that goes on after it has raised, unlike a generator."""

    def __init__(self, file: BinaryIO, reading: Reading) -> None:
        self._lines = _lines(file, reading.max_bytes)
        self._reading = reading
        self.number = 0

    def __iter__(self) -> _TableLines:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        if line is None:
            raise _NoReport(_too_long(self._reading.max_bytes))
        return _decode(line, self.number, self._reading.encoding)


def _read_table(source: Source, reading: Reading, meter: Meter) -> Iterator[Row | Reject]:
    with _open(source.path, meter) as file:
        csv.field_size_limit(reading.max_bytes)
        lines = _TableLines(file, reading)
        rows = _fields(lines, source, reading)
        header = _next_fields(rows, source)
        if header is None:
            return
        _check_columns(source, header, reading)
        while True:
            number = lines.number + 1
            try:
                fields = next(rows)
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise _NoReport(
                        f"has {len(fields)} fields, the header {len(header)}; quote fields that hold commas"
                    )
                yield _row(source, number, dict(zip(header, fields, strict=True)), reading)
            except StopIteration:
                return
            except _NoReport as error:
                yield Reject(source.path, number, f"{_span(number, lines)}{error}", error.id)
            except csv.Error as error:
                reason = f"{_span(number, lines)}not CSV ({error}); is a quotation mark not closed?"
                yield Reject(source.path, number, reason)


def _fields(lines: _TableLines, source: Source, reading: Reading) -> Iterator[list[str]]:
    """The rows of a table as lists of fields, the header first."""
    return csv.reader(lines, delimiter=reading.delimiter or ("\t" if source.format == "tsv" else ","), strict=True)


def _span(first: int, lines: _TableLines) -> str:
    """Says which lines a bad row took with it, where it is more than one."""
    return f"lines {first} to {lines.number}: " if lines.number > first else ""


def _next_fields(rows: Iterator[list[str]], source: Source) -> list[str] | None:
    """The header. Raises MarsadError when it can't be read."""
    try:
        return next(rows, None)
    except (_NoReport, csv.Error) as error:
        raise MarsadError(f"{source.path}: the header can't be read ({error})") from None


def _check_columns(source: Source, names: Sequence[str], reading: Reading) -> None:
    # No option for the text: not every command that reads tables has one.
    wanted = {", where the text is looked for": [reading.text_column], "; see --carry": list(reading.carry or ())}
    if not reading.line_ids:
        wanted["; see --id-column or --line-ids"] = [reading.id_column]
    for hint, columns in wanted.items():
        for column in columns:
            if column not in names:
                has = ", ".join(names)
                other = next((mark for mark in ";\t|," if len(names) == 1 and mark in names[0]), None)
                parted = "" if other is None else f" (is it parted by {other!r}? then say --delimiter {other!r})"
                raise MarsadError(f"{source.path}: has no column {column!r}, only {has:.200}{parted}{hint}")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise MarsadError(f"{source.path}: has the column {twice[0]!r} twice; rename one")


def _read_parquet(source: Source, reading: Reading, meter: Meter) -> Iterator[Row | Reject]:
    with _open(source.path, meter) as file:
        table = _open_parquet(source, file)
        names = table.schema_arrow.names
        _check_columns(source, names, reading)
        wanted = {reading.text_column} | ({reading.id_column} - ({reading.id_column} if reading.line_ids else set()))
        wanted |= {"published"} if reading.published else set()
        columns = [name for name in names if name in wanted or reading.carries(name)]
        number = 0
        try:
            for batch in table.iter_batches(batch_size=_PARQUET_ROWS, columns=columns):
                values = [_values(batch.column(name)) for name in columns]
                for fields in zip(*values, strict=True):
                    number += 1
                    record = dict(zip(columns, fields, strict=True))
                    try:
                        yield _row(source, number, _as_text(record, reading), reading)
                    except _NoReport as error:
                        yield Reject(source.path, number, str(error), error.id)
        except pa.ArrowException as error:
            raise _Broken(str(error)) from None
        except OSError as error:
            if error.errno is None:  # Arrow's own; one of the disk has a number
                raise _Broken(str(error)) from None
            raise


def _open_parquet(source: Source, file: BinaryIO) -> pq.ParquetFile:
    if not file.seekable():
        raise MarsadError(f"{source.path}: Parquet can't be read from a pipe or packed; give the file itself")
    try:
        return pq.ParquetFile(file)
    except pa.ArrowException as error:
        raise MarsadError(f"{source.path}: is no Parquet file ({error})") from None


def _values(column: pa.Array) -> list[Any]:
    """Python values; strings stay bytes, since a damaged one would fail the others of its batch with it."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type):
        column = column.cast(pa.binary())
    elif pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())
    elif any(
        is_kind(column.type)
        for is_kind in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    ):
        return [None if value is None else _Bytes(value) for value in column.to_pylist()]
    return cast(list[Any], column.to_pylist())


class _Bytes(bytes):
    """A value of a column of bytes, told from a string that is not decoded yet."""


def _as_text(record: dict[str, Any], reading: Reading) -> dict[str, Any]:
    for name, value in record.items():
        if type(value) is bytes:
            if name == reading.text_column and len(value) > reading.max_bytes:
                raise _NoReport(_too_long(reading.max_bytes))
            try:
                record[name] = value.decode("utf-8")
            except UnicodeDecodeError as error:
                raise _NoReport(f"{name}: invalid UTF-8 at byte {error.start}") from None
    return record


def column_types(sources: Sequence[Source], reading: Reading) -> dict[str, pa.DataType]:
    """The columns that are carried along and their types, for outputs that need to know them before the first row.

    Columns of Parquet keep their type; those of other inputs are text (of JSON where it is no string).

    Raises MarsadError when two files differ in a column's type, or for all columns of JSON Lines, which nobody knows.
    """
    types: dict[str, pa.DataType] = dict.fromkeys(reading.carry or ())
    for source in sources:
        for name, kind in _table_columns(source, reading):
            if reading.carries(name):
                if types.get(name) not in (None, kind):
                    raise MarsadError(
                        f"{source.path}: the column {name!r} is {kind}, before {types[name]}; don't carry it"
                    )
                types[name] = kind
    return {name: pa.string() if kind is None else kind for name, kind in types.items()}


def _table_columns(source: Source, reading: Reading) -> list[tuple[str, pa.DataType]]:
    match source.format:
        case "parquet":
            with _open(source.path, Meter()) as file:
                schema = _open_parquet(source, file).schema_arrow
                return [(field.name, field.type) for field in schema]
        case "csv" | "tsv" if reading.carry is None:
            if source.path == STANDARD_INPUT:
                raise MarsadError(
                    "--carry all needs to look at the header first, which a pipe does not allow; name them"
                )
            with _open(source.path, Meter()) as file:
                header = _next_fields(_fields(_TableLines(file, reading), source, reading), source) or []
            return [(name, pa.string()) for name in header]
        case "jsonl" if reading.carry is None:
            raise MarsadError(
                f"{source.path}: which columns JSON Lines has is not known before its end; name them: --carry"
            )
        case _:
            return [(name, pa.string()) for name in reading.carry or ()]


# --- ids ---------------------------------------------------------------------------------------------------


class SeenIds:
    """Which ids came before and where, in 16 bytes each: years of reports must not fill the memory.

    An id is known by a 64-bit hash of it, so among ten million ids the chance that two are held for one is 3 in a
    million; such a report would be found among the rejects.
    """

    _RECENT = 1 << 14
    _BUCKETS = 16  # by the hash's first bits, so that putting ids in order copies little at a time

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        nothing = np.empty(0, dtype=np.uint64)
        self._hashes = [nothing] * self._BUCKETS
        self._places = [nothing] * self._BUCKETS

    def add(self, name: str, file: int, line: int) -> tuple[int, int] | None:
        """File and line where the id stood before; None where it is new."""
        key = xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"))
        found = self._recent.get(key)
        if found is None:
            hashes = self._hashes[key >> 60]
            at = int(np.searchsorted(hashes, np.uint64(key)))
            if at < len(hashes) and int(hashes[at]) == key:
                found = int(self._places[key >> 60][at])
        if found is not None:
            return found >> 40, found & ((1 << 40) - 1)
        self._recent[key] = file << 40 | line
        if len(self._recent) == self._RECENT:
            self._settle()
        return None

    def _settle(self) -> None:
        hashes, places = (np.fromiter(one, dtype=np.uint64) for one in (self._recent, self._recent.values()))
        order = np.argsort(hashes)
        hashes, places = hashes[order], places[order]
        bounds = [*np.searchsorted(hashes >> np.uint64(60), np.arange(self._BUCKETS, dtype=np.uint64)), len(hashes)]
        for bucket, (start, end) in enumerate(pairwise(bounds)):
            at = np.searchsorted(self._hashes[bucket], hashes[start:end])
            self._hashes[bucket] = np.insert(self._hashes[bucket], at, hashes[start:end])
            self._places[bucket] = np.insert(self._places[bucket], at, places[start:end])
        self._recent = {}
