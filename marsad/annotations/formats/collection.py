"""What brat's and INCEpTION's folders share: a file a report, and ``reports.jsonl`` for what the tool has no place for.

Each line of ``reports.jsonl`` holds a file's name without its ending, and the id, published, source and metadata of the
report in it. Reports stand in order of it, or else in order of their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsad.annotations.formats.raw import as_json
from marsad.annotations.jsonl import document_to_record, read_records
from marsad.documents import Document
from marsad.errors import MarsadError

SIDECAR = "reports.jsonl"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


@dataclass(frozen=True, slots=True)
class Carried:
    """What ``reports.jsonl`` says of a report; of one that it does not know, the id is its file's name."""

    id: Any
    published: Any
    source: Any
    metadata: Mapping[str, Any]


def file_names(documents: list[Document]) -> list[str]:
    """A file name for each document: its id, or ``report-N`` where that would be no good or no unique name."""
    names: list[str] = []
    used: set[str] = set()
    for number, document in enumerate(documents, 1):
        name = document.id
        if not _PLAIN.fullmatch(name) or name.endswith(".") or name.casefold() in used:
            name = f"report-{number}"
            while name.casefold() in used:
                name += "x"
        used.add(name.casefold())
        names.append(name)
    return names


def sidecar_line(name: str, document: Document) -> str:
    """The line of ``reports.jsonl`` for a document."""
    record = document_to_record(document)
    del record["text"], record["entities"]
    metadata = dict(document.metadata)
    return as_json(
        {"file": name, "id": document.id, "published": record["published"], "source": document.source}
        | {"metadata": metadata}
    )


def read_sidecar(folder: Path) -> dict[str, Carried]:
    """What the ``reports.jsonl`` of a folder says, by file name; nothing where there is none.

    Raises MarsadError for one that is damaged.
    """
    path = folder / SIDECAR
    if not path.is_file():
        return {}
    carried: dict[str, Carried] = {}
    for where, record in read_records(path):
        name, metadata = record.get("file"), record.get("metadata", {})
        if not isinstance(name, str) or "id" not in record or not isinstance(metadata, dict):
            raise MarsadError(f"{where}: no 'file' and 'id'; remove the file to take the files' names for ids")
        carried[name] = Carried(record["id"], record.get("published"), record.get("source"), metadata)
    return carried


def in_order(names: list[str], carried: Mapping[str, Carried]) -> list[str]:
    """Names in order of ``reports.jsonl``; those that it does not know after them, as they came."""
    order = {name: number for number, name in enumerate(carried)}
    return sorted(names, key=lambda name: order.get(name, len(order)))
