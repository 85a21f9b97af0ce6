"""Annotated reports from files of either kind: JSON Lines, or CoNLL columns by their ending."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from marsad.annotations.formats.conll import read_conll
from marsad.annotations.jsonl import read_documents
from marsad.documents import Document, Entity
from marsad.errors import MarsadError

CONLL_SUFFIXES = frozenset({".conll", ".bio", ".iob", ".iob2", ".bioes", ".txt"})


def is_conll(path: Path) -> bool:
    """Whether a file is read as CoNLL columns, by its ending; all others are JSON Lines."""
    return path.suffix.lower() in CONLL_SUFFIXES


def read_gold(paths: Sequence[Path], labels: Sequence[str] | None = None, join_sentences: int = 1) -> list[Document]:
    """The annotated reports of JSON Lines and CoNLL files, all of them; with entity types of ``labels`` alone.

    ``join_sentences``: the sentences that make a report, a line each, in CoNLL files that mark no documents.

    Raises MarsadError as ``read_documents``, also for an id that stands in two files.
    """
    lines = [path for path in paths if not is_conll(path)]
    documents = read_documents(lines, labels, annotated=True) if lines else []
    seen = dict.fromkeys((document.id for document in documents), "the JSON Lines files")
    for path in paths:
        if not is_conll(path):
            continue
        found = read_conll(path, join_sentences=join_sentences)
        for document in found:
            if document.id in seen:
                raise MarsadError(
                    f"{path}: id {document.id!r} already stands in {seen[document.id]}; every report needs its own id"
                )
            seen[document.id] = str(path)
        if labels is not None:
            check_labels(((one.id, one.entities) for one in found), labels, str(path))
        documents += found
    return documents


def check_labels(reports: Iterable[tuple[str, Sequence[Entity]]], labels: Sequence[str], what: str) -> None:
    """Raises MarsadError naming the entities of reports (id, entities) whose label is not one of ``labels``."""
    unknown = [(name, entity) for name, entities in reports for entity in entities if entity.label not in labels]
    if unknown:
        names = sorted({entity.label for _, entity in unknown})
        name, first = unknown[0]
        raise MarsadError(
            f"{what}: {name_some(names, 'label')} of {len(unknown)} entities (the first: [{first.start}, {first.end}) "
            f"of report {name!r}) not in the set {', '.join(labels)}; mend the labels, or take a model or config "
            "that knows them"
        )


def name_some(names: Sequence[str], what: str) -> str:
    """``3 reports ('a', 'b', 'c')``; the first few names where there are more."""
    shown = ", ".join(repr(name) for name in names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what}{'s' if len(names) != 1 else ''} ({shown})"
