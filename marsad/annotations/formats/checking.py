"""From what a tool wrote to a document: offsets verified, mended where that is possible in one way, or rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import regex

from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan, Unusable
from marsad.annotations.jsonl import date_from_record
from marsad.documents import RESERVED_KEYS, Document, Entity

# How far from the place that a tool names its text may be found, in code points.
NEAR = 30

Overlaps = Literal["reject", "longest"]
Placed = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Checked:
    """A document and what became of the spans that the tool had.

    ``repaired``: entities whose place was mended, in words; ``changed``: what else was. ``overlapping`` and ``twice``:
    spans that were left out, in words; ``unmapped`` and ``without``: how many were left out by label, because the
    mapping does not name it or names nothing for it.
    """

    document: Document
    repaired: Sequence[str] = ()
    changed: Sequence[str] = ()
    overlapping: Sequence[str] = ()
    twice: Sequence[str] = ()
    unmapped: Mapping[str, int] = field(default_factory=dict)
    without: Mapping[str, int] = field(default_factory=dict)


def check_report(
    report: RawReport, labels: Mapping[str, str | None] | None = None, overlaps: Overlaps = "reject"
) -> Checked | LeftOut:
    """The document of a record, or why there is none.

    ``labels``: the label of ours for each of the tool's, None for one that is dropped; a label that is not named is
    kept where it is one of ours already, and counted as ``unmapped`` (and left out) otherwise. All are kept where None.
    ``overlaps``: what becomes of spans that overlap; ``longest`` keeps the longest and lists the others.

    Where the offsets and the recorded texts of the spans disagree, they are mended if one way alone makes them agree;
    otherwise the whole record is left out, since a report that lacks an entity would teach that it is none.
    """
    try:
        return _check(report, labels, overlaps)
    except Unusable as error:
        kind = error.kind
        reason = str(error)
    except ValueError as error:
        kind, reason = "not a document", str(error)
    reason = " ".join(reason.split())  # labels may hold line ends
    return LeftOut(report.where, report.record, report.id, kind, reason, spans=len(report.spans))


def _check(report: RawReport, labels: Mapping[str, str | None] | None, overlaps: Overlaps) -> Checked:
    if not isinstance(report.text, str):
        raise Unusable("no text", f"text is {_kind(report.text)}, expected a string")
    if not isinstance(report.id, str) or not report.id:
        raise Unusable("no id", f"id is {report.id!r}, expected a non-empty string")
    reserved = sorted(RESERVED_KEYS & set(report.metadata))
    if reserved:
        raise Unusable("metadata with keys of ours", f"its metadata has the keys {reserved}, which mean something here")
    unmapped: Counter[str] = Counter()
    without: Counter[str] = Counter()
    kept: list[tuple[RawSpan, str]] = []
    for span in report.spans:
        label = _label(span)
        if labels is not None and label in labels:
            mapped = labels[label]
            if mapped is None:
                without[label] += 1
                continue
            label = mapped
        elif labels is not None and label not in labels.values():
            unmapped[label] += 1
            continue
        kept.append((span, label))
    places, repaired = place_spans(report.text, [span for span, _ in kept])
    entities = [
        Entity(start, end, label, span.score, span.extra)
        for (start, end), (span, label) in zip(places, kept, strict=True)
    ]
    entities, twice = _without_twins(entities)
    entities, overlapping = _without_overlaps(entities, overlaps)
    document = Document(
        id=report.id,
        text=report.text,
        entities=tuple(entities),
        published=_day(report.published),
        source=report.source,
        metadata=report.metadata,
    )
    return Checked(document, [*report.repaired, *repaired], report.changed, overlapping, twice, unmapped, without)


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _label(span: RawSpan) -> str:
    if not isinstance(span.label, str) or not span.label:
        raise Unusable("no label", f"span [{span.start}, {span.end}) has the label {span.label!r}, expected a name")
    return span.label


def _day(value: Any) -> date | None:
    if value is None or type(value) is date:
        return value
    try:
        return date_from_record(value)
    except ValueError as error:
        raise Unusable("no date", str(error)) from None


# --- places ----------------------------------------------------------------------------------------------

# Ways of counting offsets other than by code points; each gives the size of a code point.
COUNTINGS: dict[str, Callable[[str], int]] = {
    "UTF-16 units": lambda char: 2 if char > "\uffff" else 1,
    "bytes of UTF-8": lambda char: len(char.encode("utf-8", "surrogatepass")),
    "line ends without the carriage return": lambda char: 0 if char == "\r" else 1,
    "line ends with a carriage return more": lambda char: 2 if char == "\n" else 1,
}


def place_spans(text: str, spans: Sequence[RawSpan]) -> tuple[list[Placed], list[str]]:
    """Start and end of each span in code points of ``text``, and in words which were mended and how.

    Offsets are taken for code points where that agrees with what the tool recorded of the text (or it recorded
    nothing). Otherwise, first, they are taken for whatever one counting makes all spans of the report agree; then each
    span that does not agree may differ by blanks at its edges, or stand once within 30 code points of its place.

    Raises Unusable where that leaves no way, or more than one.
    """
    for span in spans:
        _check_offsets(span)
    as_given = [(span.start, span.end) for span in spans]
    if all(_agrees(text, span, place) for span, place in zip(spans, as_given, strict=True)):
        return as_given, []
    recounted = _recount(text, spans)
    if recounted:
        return recounted
    places: list[Placed] = []
    repaired: list[str] = []
    for span, place in zip(spans, as_given, strict=True):
        if _agrees(text, span, place):
            places.append(place)
            continue
        place, how = _mend(text, span)
        places.append(place)
        repaired.append(_said(span, place, text, how))
    return places, repaired


def _check_offsets(span: RawSpan) -> None:
    for name, value in (("start", span.start), ("end", span.end)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unusable("offsets are no integers", f"span {name} is {value!r}, expected an integer")
    if span.start < 0 or span.end < span.start:
        raise Unusable("negative span", f"{_shown(span)} is negative or ends before it starts")
    if span.start == span.end:
        raise Unusable("span without length", f"{_shown(span)} has no length")
    if span.text is not None and (not isinstance(span.text, str) or not span.text):
        raise Unusable("no recorded text", f"{_shown(span)} has the recorded text {span.text!r}, expected a string")


def _shown(span: RawSpan) -> str:
    return f"span [{span.start}, {span.end}) {span.label}"


def _said(span: RawSpan, place: Placed, text: str, how: str) -> str:
    start, end = place
    return f"{_shown(span)} is [{start}, {end}) {text[start:end]!r}: {how}"


def _agrees(text: str, span: RawSpan, place: Placed) -> bool:
    start, end = place
    if end > len(text):
        return False
    return span.text is None or _same(text[start:end], span.text)


def _same(there: str, recorded: str) -> bool:
    r"""Equal but for the blanks inside, that tools fold; Label Studio writes ``\n`` in letters for a line's end."""
    if there == recorded:
        return True
    recorded = recorded if "\\n" in there else recorded.replace("\\n", "\n")
    return there.split() == recorded.split() and _edges(there) == _edges(recorded)


def _edges(text: str) -> tuple[int, int]:
    """How many blanks a text begins and ends with."""
    return len(text) - len(text.lstrip()), len(text) - len(text.rstrip())


def _recount(text: str, spans: Sequence[RawSpan]) -> tuple[list[Placed], list[str]] | None:
    found: dict[tuple[Placed, ...], str] = {}
    for name, size in COUNTINGS.items():
        placed = read_as(spans, index_of(text, size, first=False), index_of(text, size, first=True))
        if placed is not None:
            found.setdefault(placed, f"its offsets count {name}")
    if all(span.start > 0 for span in spans):
        shifted = tuple((span.start - 1, span.end - 1) for span in spans)
        found.setdefault(shifted, "its offsets count a byte order mark")
    fitting = [
        (placed, how)
        for placed, how in found.items()
        if all(_agrees(text, span, place) for span, place in zip(spans, placed, strict=True))
    ]
    if not fitting or all(span.text is None for span in spans):
        return None
    if len(fitting) > 1:
        ways = " or ".join(how for _, how in fitting)
        raise Unusable("text and offsets disagree", f"the texts of its spans do not stand at their offsets: {ways}")
    ((places, how),) = fitting
    changed = [
        _said(span, place, text, how)
        for span, place in zip(spans, places, strict=True)
        if place != (span.start, span.end)
    ]
    return list(places), changed


def read_as(spans: Sequence[RawSpan], starts: Mapping[int, int], ends: Mapping[int, int]) -> tuple[Placed, ...] | None:
    """The places of spans whose offsets stand for these code points; None where one stands for none."""
    if any(span.start not in starts or span.end not in ends for span in spans):
        return None
    return tuple((starts[span.start], ends[span.end]) for span in spans)


def index_of(text: str, size: Callable[[str], int], first: bool = True) -> dict[int, int]:
    """The code point at which each offset stands when every code point counts ``size`` units.

    Where code points share an offset, since one of them counts nothing, it is the first of them or else the last.
    """
    index: dict[int, int] = {}
    at = 0
    for place, unit in enumerate([*map(size, text), 1]):
        if not (first and at in index):
            index[at] = place
        at += unit
    return index


def grapheme_index(text: str) -> dict[int, int]:
    """The code point at which each user-perceived character (UAX #29) begins."""
    starts = [match.start() for match in regex.finditer(r"\X", text)]
    return dict(enumerate([*starts, len(text)]))


def _mend(text: str, span: RawSpan) -> tuple[Placed, str]:
    start, end = span.start, span.end
    if span.text is None:
        raise Unusable("span outside the text", f"{_shown(span)} ends outside the text of {len(text)} code points")
    inside = text[start:end]
    if inside.strip() and end <= len(text) and _same(inside.strip(), span.text.strip()):
        first = start + len(inside) - len(inside.lstrip())
        return (first, first + len(inside.strip())), "without the blanks at its edges"
    found = []
    at = text.find(span.text, max(0, start - NEAR))
    while -1 < at <= start + NEAR:
        found.append(at)
        at = text.find(span.text, at + 1)
    if len(found) == 1:
        away = found[0] - start
        way = f"{abs(away)} code points {'later' if away > 0 else 'earlier'}"
        return (found[0], found[0] + len(span.text)), f"its text stands {way}"
    there = f"{inside!r} stands there" if end <= len(text) else f"the text ends at {len(text)}"
    times = f"stands {len(found)} times near it" if found else "does not stand near it"
    raise Unusable(
        "text and offsets disagree", f"{_shown(span)} is {span.text!r} for the tool, but {there}, and that {times}"
    )


# --- overlaps --------------------------------------------------------------------------------------------


def _without_twins(entities: Sequence[Entity]) -> tuple[list[Entity], list[str]]:
    kept: dict[tuple[int, int, str], Entity] = {}
    twice = []
    for entity in entities:
        key = (entity.start, entity.end, entity.label)
        if key in kept:
            twice.append(f"[{entity.start}, {entity.end}) {entity.label} stands twice")
        else:
            kept[key] = entity
    return list(kept.values()), twice


def _without_overlaps(entities: Sequence[Entity], overlaps: Overlaps) -> tuple[list[Entity], list[str]]:
    """Of entities that overlap the longest, and of equally long ones the first; the others in words."""
    kept: list[Entity] = []
    shorter: list[str] = []
    for entity in sorted(entities, key=lambda one: (one.start - one.end, one.start)):
        longer = next((one for one in kept if entity.start < one.end and one.start < entity.end), None)
        if longer is None:
            kept.append(entity)
            continue
        shorter.append(
            f"[{entity.start}, {entity.end}) {entity.label} overlaps [{longer.start}, {longer.end}) {longer.label}"
        )
    if shorter and overlaps == "reject":
        more = f" (and {len(shorter) - 1} more)" if len(shorter) > 1 else ""
        raise Unusable("overlapping spans", f"{shorter[0]}{more}; keep one of them, or --overlaps longest")
    return kept, shorter
