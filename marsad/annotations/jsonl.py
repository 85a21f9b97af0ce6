"""Annotated reports as JSON Lines, one report a line; packed (.gz, .zst, .xz) or not.

``{"id", "text", "published": "YYYY-MM-DD" or null, "source"?, "entities": [{"start", "end", "label"}]}``;
offsets count Unicode code points of ``text``; an ``id`` that is a whole number is taken as its digits. Further keys are
kept.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from marsad.documents import RESERVED_KEYS, Document, Entity
from marsad.errors import MarsadError
from marsad.files import UNPACK_ERRORS, open_whole, to_json, unpack

NOT_ANNOTATED = "no 'entities'; an annotated report has a list of them, empty if need be"
_ENTITY_KEYS = frozenset({"start", "end", "label", "score"})


def read_documents(
    paths: str | Path | Iterable[str | Path], labels: Collection[str] | None = None, annotated: bool = False
) -> list[Document]:
    """Read one or more files of reports whole.

    ``labels``: the entity types allowed; any where None. ``annotated``: each report must have the key ``entities`` (an
    empty list where it has none), so that a file that was never annotated is not taken for one without entities.

    Raises MarsadError naming file, line and id: a missing or empty file, invalid UTF-8, a line that is no
    JSON object, missing or mistyped keys, a label outside the set, offsets outside the text or
    overlapping, an id that stands twice (within a file or across files).
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    documents: list[Document] = []
    seen: dict[str, str] = {}
    for path in paths:
        before = len(documents)
        for where, record in read_records(Path(path)):
            document = document_from_record(record, where, labels)
            if annotated and record.get("entities") is None:
                raise MarsadError(f"{where}: {NOT_ANNOTATED}")
            if document.id in seen:
                raise MarsadError(
                    f"{where}: id {document.id!r} already stands at {seen[document.id]}; every report needs its own id"
                )
            seen[document.id] = where
            documents.append(document)
        if len(documents) == before:
            raise MarsadError(f"{path}: holds no report; expected one JSON object a line")
    return documents


def document_files(paths: Iterable[Path], patterns: Sequence[str] = ("*.jsonl",)) -> list[Path]:
    """The files named, each folder replaced by the files in it that fit a pattern, in order of their names.

    What an import rejected (``rejects.jsonl``) is no file of reports. Raises MarsadError for a folder that holds none.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            fitting = (file for pattern in patterns for file in path.glob(pattern))
            found = sorted(file for file in fitting if file.name != "rejects.jsonl")
            if not found:
                raise MarsadError(f"{path}: the folder holds no {' or '.join(patterns)}")
            files += found
        else:
            files.append(path)
    return files


def read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON objects of a file, each with ``file:line``; blank lines are passed over, packed files unpacked.

    Raises MarsadError as :func:`read_documents`.
    """
    for where, raw in read_lines(path):
        yield where, record_from_line(raw, where)


def read_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a file as they are, each with ``file:line``, without the blank ones and a byte order mark.

    Raises MarsadError where the file itself can't be read.
    """
    if path.suffix.lower() == ".parquet":
        raise MarsadError(f"{path}: is Parquet, expected JSON Lines; `marsad import datasets` reads annotated Parquet")
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(unpack(file, path), 1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                if line.strip():
                    yield f"{path}:{number}", line
    except FileNotFoundError:
        raise MarsadError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise MarsadError(f"{path}: is a folder, expected a file of reports") from None
    except UNPACK_ERRORS as error:
        kind = path.suffix.removeprefix(".")
        raise MarsadError(f"{path}: broken or no {kind} file ({error}); fetch or pack it again") from None
    except OSError as error:
        raise MarsadError(f"{path}: can't be read ({error.strerror or error})") from None


def record_from_line(raw: bytes, where: str) -> dict[str, Any]:
    """The JSON object of a line; ``where`` begins every error message. Raises MarsadError as :func:`read_documents`."""
    try:
        record = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MarsadError(f"{where}: invalid UTF-8 at byte {error.start} of the line; save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise MarsadError(f"{where}: not JSON ({error}); expected one object a line") from None
    if not isinstance(record, dict):
        raise MarsadError(f"{where}: a JSON {type(record).__name__}, expected an object with id and text")
    return record


def document_from_record(record: dict[str, Any], where: str, labels: Collection[str] | None = None) -> Document:
    """A document from its JSON object; ``where`` begins every error message.

    Raises MarsadError as :func:`read_documents`.
    """
    for key in ("id", "text"):
        if key not in record:
            raise MarsadError(f"{where}: no {key!r}; expected an object with id and text")
    name = record["id"]
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    where = f"{where} (id {name!r})"
    entities = record.get("entities")
    if entities is None:
        entities = []
    if not isinstance(entities, list):
        raise MarsadError(f"{where}: entities is a {type(entities).__name__}, expected a list")
    source = record.get("source")
    if source is not None and not isinstance(source, str):
        raise MarsadError(f"{where}: source is {source!r}, expected a string or null")
    try:
        document = Document(
            id=name,
            text=record["text"],
            entities=tuple(entity_from_record(entity) for entity in entities),
            published=date_from_record(record.get("published")),
            source=source,
            metadata={key: value for key, value in record.items() if key not in RESERVED_KEYS},
        )
    except ValueError as error:
        raise MarsadError(f"{where}: {error}") from None
    if labels is not None:
        for entity in document.entities:
            if entity.label not in labels:
                raise MarsadError(
                    f"{where}: entity [{entity.start}, {entity.end}) has the label {entity.label!r}, which is not in "
                    f"the set {', '.join(labels)}; mend the label, or take a config (`labels`) or model that knows it"
                )
    return document


def entity_from_record(record: Any) -> Entity:
    """An entity from its JSON object. Raises ValueError that says what is wrong with it."""
    if not isinstance(record, dict):
        raise ValueError(f"an entity is {record!r}, expected an object with start, end and label")
    for key in ("start", "end", "label"):
        if key not in record:
            raise ValueError(f"the entity {record!r} has no {key!r}")
    score = record.get("score")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise ValueError(f"the entity {record!r} has the score {score!r}, expected a number")
    extra = {key: value for key, value in record.items() if key not in _ENTITY_KEYS}
    return Entity(record["start"], record["end"], record["label"], score, extra)


def date_from_record(value: Any) -> date | None:
    """The day of publication from its JSON value. Raises ValueError where it is none."""
    if value is None:
        return None
    try:
        day = date.fromisoformat(value)
        if day.isoformat() != value:  # fromisoformat takes 20240101 and 2024-W01-1 too
            raise ValueError
        return day
    except (TypeError, ValueError):
        raise ValueError(f"published is {value!r}, expected YYYY-MM-DD or null") from None


def document_to_record(document: Document) -> dict[str, Any]:
    """The JSON object of a document; the inverse of :func:`document_from_record`."""
    record: dict[str, Any] = {
        "id": document.id,
        "text": document.text,
        "published": document.published.isoformat() if document.published else None,
    }
    if document.source is not None:
        record["source"] = document.source
    record |= document.metadata
    record["entities"] = [_entity_to_record(entity) for entity in document.entities]
    return record


def _entity_to_record(entity: Entity) -> dict[str, Any]:
    record: dict[str, Any] = {"start": entity.start, "end": entity.end, "label": entity.label}
    if entity.score is not None:
        record["score"] = entity.score
    return record | dict(entity.extra)


def write_documents(documents: Iterable[Document], path: str | Path) -> None:
    """Write reports as JSON Lines, whole or not at all. Raises MarsadError when the file can't be written."""
    write_records((document_to_record(document) for document in documents), Path(path))


def write_records(records: Iterable[dict[str, Any]], path: Path) -> int:
    """Write JSON objects as lines, whole or not at all; returns their number.

    Raises MarsadError when the file can't be written.
    """
    if not path.name:
        raise MarsadError(f"{path}: is a folder, expected the name of a file to write")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_whole(path) as lines:
            for record in records:
                lines.write(to_json(record) + "\n")
                count += 1
    except OSError as error:
        raise MarsadError(f"{path}: can't be written ({error.strerror or error})") from None
    return count
