"""brat: standoff annotation, a ``.txt`` with a ``.ann`` beside it for each report.

A folder is read with all below it. brat has no place for id, published, source and metadata, so that ``reports.jsonl``
is written beside the reports, which brat leaves alone; without it the file's name is the id. Scores and further keys of
entities are not carried. Relations, events, attributes, normalisations and notes are counted. A span in several
fragments is read where only a line's end divides them, as brat itself writes such; otherwise it is reported.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from marsad.annotations.formats.collection import SIDECAR, Carried, file_names, in_order, read_sidecar, sidecar_line
from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan, Unusable, decode, new_folder, readable
from marsad.documents import Document, Entity
from marsad.errors import MarsadError

_OTHER = {
    "R": "relations",
    "*": "relations",
    "E": "events",
    "A": "attributes",
    "M": "attributes",
    "N": "normalisations",
    "#": "notes",
}
_OFFSETS = re.compile(r"(\S+) (-?\d+ -?\d+(?:;-?\d+ -?\d+)*)")
_LINE_END = re.compile(r"\r\n|\r|\n")
_BREAK = re.compile(r"[\r\n]")


def read(path: Path, encoding: str = "utf-8") -> Iterator[RawReport | LeftOut]:
    """The reports of a folder, or of one ``.txt`` or ``.ann`` with its other half."""
    with readable(path):
        path.stat()
    if path.is_dir():
        found = (file for file in path.rglob("*") if file.suffix in (".txt", ".ann") and file.is_file())
        files = {file.with_suffix("") for file in found}
        folders = sorted({file.parent for file in files})
        if not files:
            raise MarsadError(f"{path}: the folder holds no .txt and .ann files")
    elif path.suffix in (".txt", ".ann"):
        files, folders = {path.with_suffix("")}, [path.parent]
    else:
        raise MarsadError(f"{path}: expected a folder with .txt and .ann files, or one of them")
    for folder in folders:
        carried = read_sidecar(folder)
        stems = {file.name: file for file in files if file.parent == folder}
        for name in in_order(sorted(stems), carried):
            yield _report(stems[name], carried.get(name), encoding)


def _report(stem: Path, carried: Carried | None, encoding: str) -> RawReport | LeftOut:
    text_path, ann_path = (stem.with_name(f"{stem.name}{ending}") for ending in (".txt", ".ann"))
    annotations = ""
    known = carried is not None
    carried = carried or Carried(stem.name, None, None, {})
    try:
        if ann_path.exists():
            annotations = _read(ann_path, encoding)
        if not text_path.exists():
            raise Unusable("no .txt", "there is no .txt beside it")
        # A mark that stands in a file of ours is part of the report.
        text = _read(text_path, encoding, keep_mark=known)
        spans, ignored = _annotations(annotations, text)
    except Unusable as error:
        raw = {"text": None, "annotations": annotations}
        count = sum(line.startswith("T") for line in annotations.split("\n"))
        return LeftOut(str(ann_path), raw, carried.id, error.kind, str(error), spans=count)
    return RawReport(
        where=str(ann_path),
        record={"text": text, "annotations": annotations},
        id=carried.id,
        text=text,
        spans=spans,
        published=carried.published,
        source=carried.source,
        metadata=carried.metadata,
        annotated=ann_path.exists(),
        ignored=ignored,
    )


def _read(path: Path, encoding: str, keep_mark: bool = False) -> str:
    with readable(path):
        raw = path.read_bytes()
    try:
        return decode(raw, encoding, keep_mark)
    except Unusable as error:
        raise Unusable(error.kind, f"{path.name}: {error}") from None


def _annotations(annotations: str, text: str) -> tuple[list[RawSpan], dict[str, int]]:
    spans: list[RawSpan] = []
    ignored: Counter[str] = Counter()
    for number, line in enumerate(annotations.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        if line[0] == "T":
            spans.append(_span(line, number, text))
        elif line[0] in _OTHER:
            ignored[_OTHER[line[0]]] += 1
        else:
            raise Unusable("no annotation", f"line {number} of its .ann is {line[:60]!r}, no annotation of brat's")
    return spans, dict(ignored)


def _span(line: str, number: int, text: str) -> RawSpan:
    columns = line.split("\t", 2)
    match = _OFFSETS.fullmatch(columns[1]) if len(columns) == 3 else None
    if match is None:
        raise Unusable(
            "no annotation",
            f"line {number} of its .ann is {line[:60]!r}, expected T1, label, offsets and text with tabs",
        )
    label, offsets = match.groups()
    parts = [tuple(map(int, part.split())) for part in offsets.split(";")]
    for (_, end), (start, _) in pairwise(parts):
        if end > start or text[end:start].strip():
            raise Unusable("discontinuous span", f"{columns[0]} {label} {offsets} {columns[2]!r} has gaps in it")
    return RawSpan(parts[0][0], parts[-1][1], label, columns[2] or None)


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as a new folder for brat, whole or not at all.

    Raises MarsadError when it can't be written, something stands there already, or a report can't be part of it: its
    text holds a lone surrogate, which a UTF-8 file can't, or a label holds blanks.
    """
    documents = list(documents)
    with new_folder(path) as folder, (folder / SIDECAR).open("w", encoding="utf-8", newline="\n") as sidecar:
        for name, document in zip(file_names(documents), documents, strict=True):
            lines = [_line(number, entity, document) for number, entity in enumerate(document.entities, 1)]
            for ending, content in ((".txt", document.text), (".ann", "".join(lines))):
                try:
                    raw = content.encode("utf-8")
                except UnicodeEncodeError:
                    raise MarsadError(f"{document.id!r}: holds a lone surrogate, which no UTF-8 file can") from None
                (folder / f"{name}{ending}").write_bytes(raw)
            sidecar.write(sidecar_line(name, document) + "\n")


def _line(number: int, entity: Entity, document: Document) -> str:
    if entity.label.split() != [entity.label]:
        raise MarsadError(f"{document.id!r}: the label {entity.label!r} holds blanks, which brat does not allow")
    surface = document.text[entity.start : entity.end]
    fragments = []
    start = 0
    for match in [*_LINE_END.finditer(surface), None]:
        end = match.start() if match else len(surface)
        if end > start:
            fragments.append((entity.start + start, entity.start + end))
        start = match.end() if match else end
    if not fragments:
        fragments = [(entity.start, entity.end)]
    # A fragment can't stand for a line's end at the edge of an entity.
    fragments[0] = (entity.start, fragments[0][1])
    fragments[-1] = (fragments[-1][0], entity.end)
    offsets = ";".join(f"{start} {end}" for start, end in fragments)
    shown = " ".join(document.text[start:end] for start, end in fragments)
    return f"T{number}\t{entity.label} {offsets}\t{_BREAK.sub(' ', shown)}\n"
