"""What a job writes: JSON Lines, CSV or Parquet, a row a report or a row an entity.

A shard's rows are encoded on their own, and the encoded shards joined in order, so that the file is the same whichever
process encoded which shard.
"""

from __future__ import annotations

import base64
import csv
import gzip
import json
import lzma
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from marsad.batch.readers import Row
from marsad.batch.recognizer import Prediction
from marsad.errors import MarsadError
from marsad.facts.facts import CASUALTY_COLUMNS, FactFiles
from marsad.files import to_json

OutputFormat = Literal["jsonl", "csv", "parquet"]

ENTITY_COLUMNS = ("start", "end", "label", "text", "score")
FORMATS: dict[str, OutputFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
_ENTITY_TYPES = {
    "start": pa.int64(),
    "end": pa.int64(),
    "label": pa.string(),
    "text": pa.string(),
    "score": pa.float64(),
}
_ARROW = {int: pa.int64(), float: pa.float64(), str: pa.string()}
# Rows of a Parquet row group: enough to compress well, few enough to hold.
_GROUP_ROWS = 32_768
_BLOCK = 1 << 20
# Levels of nested values that are written; Python's own limit is some hundreds.
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Layout:
    """The form of an output.

    ``explode``: a row an entity, beside its report's id; reports without entities then have no row. ``carry``: input
    columns and the names that they bear in the output; None for all, under their own names. ``rename``: other names
    for the output's own columns. ``types``: the carried columns' types, for Parquet and CSV. ``facts``: add the value
    of each entity, read by these tables, and the report's incidents. ``casualties``: explode to a row a casualty number
    with what it is told with, instead of a row an entity.
    """

    format: OutputFormat = "jsonl"
    packed: str = ""
    explode: bool = False
    carry: Mapping[str, str] | None = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    facts: FactFiles | None = None
    casualties: bool = False

    def exploded(self) -> dict[str, pa.DataType]:
        """The columns of a row an entity, or a casualty number, and their types."""
        if self.casualties:
            return {name: _ARROW[kind] for name, kind in CASUALTY_COLUMNS.items()}
        return _ENTITY_TYPES | ({} if self.facts is None else {"value": pa.string()})

    def nested(self) -> dict[str, pa.DataType]:
        """The columns that hold lists, in a row a report."""
        entity = pa.struct([(self.own(name), kind) for name, kind in self.exploded().items()])
        return {"entities": pa.list_(entity)} | ({} if self.facts is None else {"incidents": pa.string()})

    def own(self, name: str) -> str:
        """The name that one of the output's own columns bears."""
        return self.rename.get(name, name)

    def carried(self, name: str) -> str:
        """The name that a carried column bears; ``input.`` is set before one that the output has itself."""
        if self.carry is not None:
            return self.carry[name]
        return f"input.{name}" if name in self.beside() else name

    def beside(self) -> tuple[str, ...]:
        """The output's own columns."""
        return tuple(self.own(name) for name in ("id", *(self.exploded() if self.explode else self.nested())))

    def check(self) -> None:
        """Raises MarsadError for what can't be written: nested rows in CSV, unknown or doubled names of columns."""
        if self.format == "csv" and not self.explode:
            raise MarsadError("CSV has no form for a list of entities; add --explode for a row an entity")
        if self.format == "parquet" and self.packed:
            raise MarsadError("Parquet is packed already; leave the ending of the packed file away")
        known = ("id", *self.exploded(), *(() if self.explode else self.nested()))
        for name in self.rename:
            if name not in known:
                raise MarsadError(f"--rename {name}: the output has no such column, only {', '.join(known)}")
        names = [*self.beside(), *(self.carried(name) for name in self.carry or self.types)]
        groups = [names] if self.explode else [names, [self.own(name) for name in self.exploded()]]
        for group in groups:
            for name in group:
                if group.count(name) > 1:
                    raise MarsadError(
                        f"the output would have the column {name!r} twice; give one another name "
                        "(--carry NAME=OTHER, --rename NAME=OTHER)"
                    )

    def settings(self) -> dict[str, Any]:
        """What decides the output's bytes, for the manifest."""
        carry = None if self.carry is None else dict(self.carry)
        return {"format": self.format, "packed": self.packed, "explode": self.explode, "carry": carry} | {
            "rename": dict(self.rename),
            "facts": None if self.facts is None else self.facts.settings(),
            "casualties": self.casualties,
        }


def output_format(path: str) -> tuple[OutputFormat, str]:
    """Format and packing by a file's ending; JSON Lines where it has none, or one of digits alone.

    Raises MarsadError for another ending.
    """
    pure = PurePosixPath(path)
    packed = pure.suffix.lower() if pure.suffix.lower() in {".gz", ".zst", ".xz"} else ""
    suffix = pure.with_suffix("").suffix.lower() if packed else pure.suffix.lower()
    if suffix not in FORMATS and suffix and not suffix[1:].isdigit() and not path.startswith("/dev/"):
        raise MarsadError(
            f"{path}: has an unknown ending; expected {', '.join(FORMATS)}, packed (.gz, .zst, .xz) or not, or none "
            "for JSON Lines"
        )
    return FORMATS.get(suffix, "jsonl"), packed


def unwritable(row: Row, layout: Layout) -> str | None:
    """Why a format can't hold a report; None when it can. JSON has escapes for lone surrogates, the others nothing."""
    for name, value in row.columns.items():
        if _is_deeper(value, _DEEPEST):
            return f"{name} is nested more than {_DEEPEST} levels deep, which can't be carried along"
    if layout.format == "jsonl":
        return None
    for name, value in (("id", row.id), ("text", row.text), *row.columns.items()):
        try:
            _text(value).encode("utf-8")
        except UnicodeEncodeError as error:
            kind = "Parquet" if layout.format == "parquet" else "CSV"
            return f"{name} has a lone surrogate at character {error.start}, which {kind} can't hold; write JSON Lines"
    return None


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects stand within each other more than so many levels deep."""
    inner = [value]
    for _ in range(levels + 1):
        inner = [
            part
            for one in inner
            if isinstance(one, dict | list | tuple)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
        if not inner:
            return False
    return True


# --- a shard -----------------------------------------------------------------------------------------------


def prediction_records(row: Row, prediction: Prediction, layout: Layout) -> dict[str, list[dict[str, Any]]]:
    """What an output holds of a report: ``entities``, with facts ``incidents`` too; or casualties as ``entities``."""
    if layout.facts is None:
        return {"entities": prediction.records()}
    facts = prediction.facts(layout.facts.load(), None if row.published is None else date.fromisoformat(row.published))
    if layout.casualties:
        return {"entities": facts.casualty_rows()}
    values = facts.value_records()
    entities = [record | {"value": value} for record, value in zip(prediction.records(), values, strict=True)]
    return {"entities": entities, "incidents": facts.incident_records()}


def encode_rows(rows: Sequence[Row], predictions: Sequence[Prediction], layout: Layout) -> bytes:
    """The reports of one shard with what was found in them, encoded on their own.

    JSON Lines and CSV as they stand in the output, Parquet as an Arrow stream, from which row groups are made.
    """
    records = [
        record
        for row, prediction in zip(rows, predictions, strict=True)
        for record in _records(row, prediction_records(row, prediction, layout), layout)
    ]
    match layout.format:
        case "jsonl":
            return "".join(_json(record) + "\n" for record in records).encode("utf-8")
        case "csv":
            return _csv([_text(value) for value in record.values()] for record in records).encode("utf-8")
        case "parquet":
            return _encode_arrow(records, arrow_schema(layout))


class _Lines(list[str]):
    """What ``csv.writer`` writes to, a row at a time; a row ends with a line feed alone."""

    def write(self, row: str) -> None:
        self.append(row.removesuffix("\r\n") + "\n")


def _csv(rows: Iterable[Sequence[str]]) -> str:
    """Rows as CSV. A carriage return in a field is quoted as a line feed is: readers take either for a row's end."""
    lines = _Lines()
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return "".join(lines)


def _records(row: Row, lists: Mapping[str, Sequence[Mapping[str, Any]]], layout: Layout) -> Iterator[dict[str, Any]]:
    carried = {layout.carried(name): value for name, value in row.columns.items()}
    if layout.types:  # the same columns in every row, in the same order
        carried = {layout.carried(name): row.columns.get(name) for name in layout.types}
    elif layout.carry is not None:
        carried = {name: row.columns.get(column) for column, name in layout.carry.items()}
    found = [{layout.own(key): value for key, value in entity.items()} for entity in lists["entities"]]
    if layout.facts is not None and not layout.casualties and layout.format != "jsonl":
        value = layout.own("value")
        found = [entity | {value: None if entity[value] is None else _text(entity[value])} for entity in found]
    if layout.explode:
        for entity in found:
            yield {layout.own("id"): row.id} | entity | carried
    else:
        others = {layout.own(name): rows for name, rows in lists.items() if name != "entities"}
        yield {layout.own("id"): row.id} | carried | {layout.own("entities"): found} | others


def _json(record: Mapping[str, Any]) -> str:
    return to_json(cast(dict[str, Any], to_plain(record)))


def to_plain(value: Any) -> Any:
    """A value as JSON has it: times in ISO form, bytes in base64, null for numbers that are not finite."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): to_plain(one) for key, one in value.items()}
        case list() | tuple():
            return [to_plain(one) for one in value]
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case _:
            return str(value)


def _text(value: Any) -> str:
    """A value as a field of text: strings as they are, nothing for null, JSON for what is nested."""
    plain = to_plain(value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def arrow_schema(layout: Layout) -> pa.Schema:
    """The columns of a Parquet output."""
    own = [(layout.own("id"), pa.string())]
    carried = [(layout.carried(name), kind) for name, kind in layout.types.items()]
    if layout.explode:
        return pa.schema(own + [(layout.own(name), kind) for name, kind in layout.exploded().items()] + carried)
    return pa.schema([*own, *carried, *((layout.own(name), kind) for name, kind in layout.nested().items())])


def _encode_arrow(records: Sequence[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    columns = []
    for column in schema:
        values = [record[column.name] for record in records]
        if pa.types.is_string(column.type):
            values = [None if value is None else _text(value) for value in values]
        columns.append(pa.array(values, type=column.type))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.record_batch(columns, schema=schema))
    return cast(bytes, sink.getvalue().to_pybytes())


# --- the whole output --------------------------------------------------------------------------------------


def join_shards(shards: Iterable[Callable[[], BinaryIO]], layout: Layout, file: BinaryIO) -> None:
    """Write the encoded shards to ``file`` as one output, in order; each is opened when its turn comes.

    The bytes depend on the shards alone: packed files bear neither name nor time.
    """
    if layout.format == "parquet":
        _join_parquet(shards, layout, file)
        return
    with _packed(file, layout.packed) as out:
        if layout.format == "csv":
            # Spreadsheets take a CSV file for UTF-8 by its byte order mark alone.
            out.write(_csv([arrow_schema(layout).names]).encode("utf-8-sig" if layout.casualties else "utf-8"))
        for shard in shards:
            with shard() as payload:
                while block := payload.read(_BLOCK):
                    out.write(block)


@contextmanager
def _packed(file: BinaryIO, packed: str) -> Iterator[BinaryIO]:
    match packed:
        case ".gz":
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as out:
                yield cast(BinaryIO, out)
        case ".xz":
            with lzma.LZMAFile(file, "wb") as out:
                yield cast(BinaryIO, out)
        case ".zst":
            yield cast(BinaryIO, _ZstdFrames(file))
        case _:
            yield file


class _ZstdFrames:
    """A zstd file, each piece that is written a frame of its own; the file behind it stays open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._codec = pa.Codec("zstd")

    def write(self, content: bytes) -> int:
        self._file.write(self._codec.compress(content, asbytes=True))
        return len(content)


def _join_parquet(shards: Iterable[Callable[[], BinaryIO]], layout: Layout, file: BinaryIO) -> None:
    schema = arrow_schema(layout)
    held: list[pa.RecordBatch] = []
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for shard in shards:
            with shard() as payload:
                held += pa.ipc.open_stream(payload.read()).read_all().to_batches()
            if sum(batch.num_rows for batch in held) >= _GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held, schema))
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held, schema))
