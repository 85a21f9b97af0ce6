"""Predictions made elsewhere, from files: each gold report has its prediction, or nothing is scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marsad.annotations.formats.conll import read_conll
from marsad.annotations.gold import is_conll, name_some
from marsad.annotations.jsonl import document_from_record, read_records
from marsad.documents import Document, Entity
from marsad.errors import MarsadError


def read_predictions(path: Path, documents: Sequence[Document], join_sentences: int = 1) -> list[tuple[Entity, ...]]:
    """The predicted entities of each gold document, in the order of ``documents``.

    JSON Lines as ``marsad predict`` writes them: ``id`` and ``entities``; a report's ``text``, and an entity's, may be
    there and must then be the gold one. CoNLL columns (by the file's ending): the texts may differ in blanks, by which
    tokens are joined, and reports without ids are taken in order; ``join_sentences`` is that of ``read_gold``.

    Raises MarsadError for a file that can't be read, an id that is missing, unknown or stands twice, another text,
    offsets that lie outside the text or overlap.
    """
    predicted = _read_columns(path, documents, join_sentences) if is_conll(path) else _read_lines(path, documents)
    missing = [document.id for document in documents if document.id not in predicted]
    if missing:
        raise MarsadError(
            f"{path}: no prediction for {name_some(missing, 'report')} of {len(documents)}; predict them too"
        )
    return [predicted[document.id] for document in documents]


def _read_lines(path: Path, documents: Sequence[Document]) -> dict[str, tuple[Entity, ...]]:
    gold = {document.id: document for document in documents}
    predicted: dict[str, tuple[Entity, ...]] = {}
    seen: dict[str, str] = {}
    unknown: list[str] = []
    for where, record in read_records(path):
        name = record.get("id")
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not name:
            raise MarsadError(f"{where}: id is {name!r}, expected that of a gold report")
        if name in seen:
            raise MarsadError(f"{where}: id {name!r} already stands at {seen[name]}; expected one line a report")
        seen[name] = where
        if name not in gold:
            unknown.append(name)
            continue
        predicted[name] = _entities(record, gold[name], where)
    _refuse_unknown(path, unknown)
    return predicted


def _entities(record: dict[str, Any], gold: Document, where: str) -> tuple[Entity, ...]:
    if not isinstance(record.get("entities"), list):
        raise MarsadError(f"{where} (id {gold.id!r}): no list of entities; an empty one where nothing was found")
    if record.get("text") not in (None, gold.text):
        raise MarsadError(f"{where} (id {gold.id!r}): {_difference(gold.text, record['text'])}")
    values = {"id": gold.id, "text": gold.text, "entities": record["entities"]}
    entities = document_from_record(values, where).entities
    for entity in entities:
        there = gold.text[entity.start : entity.end]
        if entity.extra.get("text") not in (None, there):
            raise MarsadError(
                f"{where} (id {gold.id!r}): the entity [{entity.start}, {entity.end}) has the text "
                f"{entity.extra['text']!r}, but the gold text has {there!r} there; offsets count code points"
            )
    return entities


def _read_columns(path: Path, documents: Sequence[Document], join_sentences: int) -> dict[str, tuple[Entity, ...]]:
    found = read_conll(path, join_sentences=join_sentences)
    gold = {document.id: document for document in documents}
    if not any(one.id in gold for one in found) and all(one.id.startswith(f"{path.stem}:") for one in found):
        # Named by their places in the file, since the file names none.
        if len(found) != len(documents):
            raise MarsadError(
                f"{path}: names no ids and holds {len(found)} reports, but the gold files hold {len(documents)}; write "
                "`# id` lines, or the same reports in the same order"
            )
        pairs = list(zip(documents, found, strict=True))
    else:
        _refuse_unknown(path, [one.id for one in found if one.id not in gold])
        pairs = [(gold[one.id], one) for one in found]
    return {document.id: _carry_over(one, document, path) for document, one in pairs}


def _carry_over(found: Document, gold: Document, path: Path) -> tuple[Entity, ...]:
    """Entities of a text as those of another one that differs from it in blanks alone."""
    if found.text == gold.text:
        return found.entities
    ours = [index for index, char in enumerate(found.text) if not char.isspace()]
    theirs = [index for index, char in enumerate(gold.text) if not char.isspace()]
    if [found.text[index] for index in ours] != [gold.text[index] for index in theirs]:
        raise MarsadError(f"{path} (id {gold.id!r}): {_difference(gold.text, found.text)}")
    place = dict(zip(ours, theirs, strict=True))
    carried = []
    for entity in found.entities:
        inside = [place[index] for index in range(entity.start, entity.end) if index in place]
        if not inside:
            raise MarsadError(f"{path} (id {gold.id!r}): the entity [{entity.start}, {entity.end}) holds only blanks")
        carried.append(Entity(inside[0], inside[-1] + 1, entity.label, entity.score, entity.extra))
    return tuple(carried)


def _refuse_unknown(path: Path, unknown: Sequence[str]) -> None:
    if unknown:
        raise MarsadError(
            f"{path}: has {name_some(unknown, 'report')} not in the gold files; judge it on the files that it was made "
            "for"
        )


def _difference(gold: str, other: Any) -> str:
    if not isinstance(other, str):
        return f"text is {other!r}, expected a string"
    shared = next((index for index, (one, two) in enumerate(zip(gold, other, strict=False)) if one != two), None)
    at = min(len(gold), len(other)) if shared is None else shared
    return (
        f"has another text than the gold report, from code point {at} on ({other[at : at + 12]!r}, gold "
        f"{gold[at : at + 12]!r}); predict the very texts that are judged"
    )
