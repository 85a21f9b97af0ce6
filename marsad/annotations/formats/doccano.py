"""doccano: JSON Lines of versions 1.x, with and without relations.

Without relations spans stand as ``[start, end, label]`` in ``label`` (``labels`` in older files), with them as objects
in ``entities``. All further keys are metadata, as doccano keeps them itself. Relations and comments are counted, scores
and further keys of entities are not carried.

doccano records no text for a span, and its offsets count differently by where they come from: its interface counts
UTF-16 units, or user-perceived characters (graphemes) where the project says so; what was imported or sent to its API
is kept as it came. So after an emoji, or in vocalised text counted in graphemes, offsets are taken for what puts most
spans on whole words (``auto``), and a report is rejected where that does not decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from marsad.annotations.formats.checking import COUNTINGS, Placed, grapheme_index, index_of, read_as
from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan, as_json, json_records, new_file
from marsad.annotations.jsonl import document_to_record
from marsad.documents import Document
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

Offsets = Literal["auto", "codepoints", "utf16", "graphemes"]
_SPAN_KEYS = ("label", "labels", "entities")
_OTHER_KEYS = ("id", "text", "data", "meta", "published", "source", "relations", "Comments", "comments")


def read(path: Path, encoding: str = "utf-8", offsets: Offsets = "auto") -> Iterator[RawReport | LeftOut]:
    """The examples of an export. ``offsets``: what its offsets count."""
    for where, record in json_records(path, encoding):
        report = record if isinstance(record, LeftOut) else _report(record, where)
        yield report if isinstance(report, LeftOut) else _counted(report, offsets)


def _report(record: dict[str, Any], where: str) -> RawReport | LeftOut:
    spans: list[RawSpan] = []
    found = [key for key in _SPAN_KEYS if key in record]
    for key in found:
        values = record[key]
        if not isinstance(values, list):
            reason = f"{key} is no list of spans but {values!r}"
            return LeftOut(where, record, record.get("id"), "no list of spans", reason)
        for value in values:
            span = _span(value)
            if span is None:
                reason = f"{key} holds {value!r}, expected [start, end, label] or an object with start_offset"
                return LeftOut(where, record, record.get("id"), "no span", reason, spans=len(values))
            spans.append(span)
    meta = record.get("meta")
    metadata = {key: value for key, value in record.items() if key not in (*_SPAN_KEYS, *_OTHER_KEYS)}
    metadata |= meta if isinstance(meta, dict) else {}
    # Its tables fill a key that one example has and another has not.
    metadata = {key: value for key, value in metadata.items() if not (isinstance(value, float) and math.isnan(value))}
    fields = {key: record.get(key, metadata.pop(key, None)) for key in ("published", "source")}
    name = metadata.pop("id", record.get("id"))
    ignored = {
        key.lower(): len(record[key])
        for key in ("relations", "Comments", "comments")
        if isinstance(record.get(key), list) and record[key]
    }
    return RawReport(
        where=where,
        record=record,
        id=name if isinstance(name, str) and name else f"doccano-{where if name is None else name}",
        text=record.get("text", record.get("data")),
        spans=spans,
        metadata=metadata,
        annotated=bool(found),
        ignored=ignored,
        **fields,
    )


def _span(value: Any) -> RawSpan | None:
    if isinstance(value, dict) and "start_offset" in value:
        return RawSpan(value["start_offset"], value.get("end_offset"), value.get("label"))
    if isinstance(value, list) and len(value) == 3:
        return RawSpan(*value)
    return None


def _counted(report: RawReport, offsets: Offsets) -> RawReport | LeftOut:
    """The report with its offsets in code points, as far as they can be taken for integers within the text."""
    text, spans = report.text, report.spans
    numbers = [value for span in spans for value in (span.start, span.end)]
    if not isinstance(text, str) or any(not isinstance(value, int) or value < 0 for value in numbers):
        return report
    readings = {
        "code points": index_of(text, lambda char: 1),
        "UTF-16 units": index_of(text, COUNTINGS["UTF-16 units"]),
        "graphemes": grapheme_index(text),
    }
    if offsets == "auto":
        placed = {name: read_as(spans, index, index) for name, index in readings.items()}
        distinct = {one for one in placed.values() if one is not None}
        if not distinct or distinct == {placed["code points"]}:
            return report
        name = _likeliest(text, placed)
        if name is None:
            ways = " or ".join(name for name, places in placed.items() if places is not None)
            reason = f"its offsets may count {ways}; say which with --offsets"
            return LeftOut(report.where, report.record, report.id, "unclear offsets", reason, spans=len(spans))
    else:
        name = {"codepoints": "code points", "utf16": "UTF-16 units", "graphemes": "graphemes"}[offsets]
    if name == "code points":
        return report
    places = read_as(spans, readings[name], readings[name])
    if places is None:
        reason = f"a span ends outside the text or inside a character, counted in {name}"
        return LeftOut(report.where, report.record, report.id, "span outside the text", reason, spans=len(spans))
    moved = [replace(span, start=start, end=end) for span, (start, end) in zip(spans, places, strict=True)]
    changed = [
        f"span [{span.start}, {span.end}) {span.label} is [{new.start}, {new.end}) {text[new.start : new.end]!r}: its "
        f"offsets count {name}"
        for span, new in zip(spans, moved, strict=True)
        if (span.start, span.end) != (new.start, new.end)
    ]
    return replace(report, spans=moved, repaired=changed)


def _likeliest(text: str, placed: Mapping[str, tuple[Placed, ...] | None]) -> str | None:
    """The reading that puts most spans on whole words; None where two put equally many there."""
    words = split_words(text, TextConfig()).words  # marks too: spans may end in a bracket, [… (قسد)]
    starts, ends = {word.start for word in words}, {word.end for word in words}
    score: dict[tuple[Placed, ...], tuple[int, str]] = {}
    for name, places in placed.items():
        if places is not None and places not in score:
            score[places] = (sum(start in starts and end in ends for start, end in places), name)
    ranked = sorted(score.values(), key=lambda one: -one[0])
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return ranked[0][1]


# --- writing ---------------------------------------------------------------------------------------------


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as JSON Lines to import, offsets in code points, whole or not at all.

    Raises MarsadError when the file can't be written.
    """
    with new_file(path) as file:
        for document in documents:
            record = document_to_record(document)
            del record["entities"]
            record["label"] = [[entity.start, entity.end, entity.label] for entity in document.entities]
            file.write(as_json(record) + "\n")
