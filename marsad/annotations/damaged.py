"""Reading files of annotated reports that may be damaged: whatever is wrong is listed, the rest is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from marsad.annotations.jsonl import NOT_ANNOTATED, date_from_record, entity_from_record, read_lines, record_from_line
from marsad.documents import RESERVED_KEYS, Document, Entity
from marsad.errors import MarsadError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a strict reader would refuse: what kind, at which ``file:line``, in words."""

    kind: str
    where: str
    message: str


def read_damaged(paths: Sequence[Path]) -> tuple[list[list[Document]], list[Problem]]:
    """The reports of each file as far as they can be read, and everything wrong with the files, in their order.

    A line that is no report is left out. An entity that is none is left out; of two that overlap the first stays. A
    report without an id of its own gets its ``file:line`` for one.

    Raises MarsadError when a file itself can't be read, or holds no line.
    """
    files: list[list[Document]] = []
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for path in paths:
        documents = []
        where = None
        for where, raw in read_lines(path):
            document = _document(raw, where, seen, problems)
            if document is not None:
                documents.append(document)
        if where is None:
            raise MarsadError(f"{path}: holds no report; expected one JSON object a line")
        files.append(documents)
    return files, problems


def _document(raw: bytes, where: str, seen: dict[str, str], problems: list[Problem]) -> Document | None:
    try:
        record = record_from_line(raw, where)
    except MarsadError as error:
        problems.append(Problem("unreadable line", where, str(error).removeprefix(f"{where}: ")))
        return None
    text = record.get("text")
    if not isinstance(text, str):
        problems.append(Problem("report without a text", where, f"text is {text!r}, expected a string"))
        return None
    name = record.get("id")
    if not isinstance(name, str) or not name:
        problems.append(Problem("report without an id", where, f"id is {name!r}, expected a non-empty string"))
        name = where
    elif name in seen:
        problems.append(Problem("id stands twice", where, f"id {name!r} already stands at {seen[name]}"))
        name = where
    seen[name] = where
    place = f"{where} (id {name!r})" if name != where else where
    source = record.get("source")
    if source is not None and not isinstance(source, str):
        problems.append(Problem("broken field", place, f"source is {source!r}, expected a string or null"))
        source = None
    return Document(
        name,
        text,
        _entities(record.get("entities"), text, place, problems),
        _published(record, place, problems),
        source,
        {key: value for key, value in record.items() if key not in RESERVED_KEYS},
    )


def _published(record: Mapping[str, Any], place: str, problems: list[Problem]) -> date | None:
    try:
        return date_from_record(record.get("published"))
    except ValueError as error:
        problems.append(Problem("broken field", place, str(error)))
        return None


def _entities(records: Any, text: str, place: str, problems: list[Problem]) -> tuple[Entity, ...]:
    if records is None:
        problems.append(Problem("report that was never annotated", place, NOT_ANNOTATED))
        return ()
    if not isinstance(records, list):
        message = f"entities is a {type(records).__name__}, expected a list"
        problems.append(Problem("broken field", place, message))
        return ()
    entities: list[Entity] = []
    for record in records:
        try:
            entity = entity_from_record(record)
        except ValueError as error:
            problems.append(Problem("broken entity", place, str(error)))
            continue
        if entity.end > len(text):
            message = (
                f"[{entity.start}, {entity.end}) {entity.label} ends outside the text of {len(text)} code points; "
                "offsets count code points, not bytes or UTF-16 units"
            )
            problems.append(Problem("span outside the text", place, message))
        else:
            entities.append(entity)
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda entity: (entity.start, entity.end)):
        if kept and entity.start < kept[-1].end:
            message = f"{_show(kept[-1], text)} and {_show(entity, text)}; keep one of them"
            problems.append(Problem("overlapping spans", place, message))
        else:
            kept.append(entity)
    return tuple(kept)


def _show(entity: Entity, text: str) -> str:
    return f"[{entity.start}, {entity.end}) {entity.label} {text[entity.start : entity.end]!r}"
