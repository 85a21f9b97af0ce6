"""From what a tool wrote to a document: offsets verified, mended where that is possible in one way, or rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan
from marsad.documents import Document, Entity

# How far from the place that a tool names its text may be found, in code points.
NEAR = 30

Overlaps = Literal["reject", "longest"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A document, what was mended in it and which spans were left out of it, in words."""

    document: Document
    repaired: Sequence[str] = ()
    dropped: Sequence[str] = ()
    unmapped: Mapping[str, int] = field(default_factory=dict)
    without: Mapping[str, int] = field(default_factory=dict)


def check_report(
    report: RawReport, labels: Mapping[str, str | None] | None = None, overlaps: Overlaps = "reject"
) -> Checked | LeftOut:
    """The document of a record, or why there is none.

    ``labels``: the label of ours for each of the tool's, None for one that is dropped; a label that is not named is
    kept where it is one of ours already, and counted as ``unmapped`` (and left out) otherwise. All are kept where None.
    ``overlaps``: what becomes of spans that overlap; ``longest`` keeps the longest and lists the others.

    A span whose offsets and recorded text disagree is mended where one repair alone makes them agree; otherwise the
    whole record is left out, since a report with an entity missing would teach that it is none.
    """
    try:
        document, repaired, dropped, unmapped, without = _check(report, labels, overlaps)
    except ValueError as error:
        return LeftOut(report.where, report.record, report.id, str(error))
    return Checked(document, [*report.changed, *repaired], dropped, unmapped, without)


def _check(
    report: RawReport, labels: Mapping[str, str | None] | None, overlaps: Overlaps
) -> tuple[Document, list[str], list[str], Counter[str], Counter[str]]:
    if not isinstance(report.text, str):
        raise ValueError(f"text is {_kind(report.text)}, expected a string")
    repaired: list[str] = []
    dropped: list[str] = []
    unmapped: Counter[str] = Counter()
    without: Counter[str] = Counter()
    entities: list[Entity] = []
    for span in report.spans:
        if not isinstance(span.label, str) or not span.label:
            raise ValueError(f"span [{span.start}, {span.end}) has the label {span.label!r}, expected a name")
        label: str | None = span.label
        if labels is not None and span.label in labels:
            label = labels[span.label]
        elif labels is not None and span.label not in labels.values():
            unmapped[span.label] += 1
            continue
        if label is None:
            without[span.label] += 1
            continue
        start, end, how = place_span(report.text, span)
        if how:
            repaired.append(f"[{span.start}, {span.end}) {span.label} is [{start}, {end}) {span.text!r}: {how}")
        entities.append(Entity(start, end, label, span.score, span.extra))
    entities, twice = _without_twins(entities)
    dropped += [f"[{entity.start}, {entity.end}) {entity.label}: stands twice" for entity in twice]
    if overlaps == "longest":
        entities, shorter = keep_longest(entities)
        dropped += [
            f"[{entity.start}, {entity.end}) {entity.label}: overlaps [{longer.start}, {longer.end}) {longer.label}"
            for entity, longer in shorter
        ]
    document = Document(
        id=report.id,
        text=report.text,
        entities=tuple(entities),
        published=parse_day(report.published),
        source=report.source,
        metadata=report.metadata,
    )
    return document, repaired, dropped, unmapped, without


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def parse_day(value: Any) -> date | None:
    """A day of the form YYYY-MM-DD, or None. Raises ValueError for anything else."""
    if value is None or type(value) is date:
        return value
    try:
        day = date.fromisoformat(value)
        if day.isoformat() != value:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"published is {value!r}, expected YYYY-MM-DD or null") from None
    return day


def place_span(text: str, span: RawSpan) -> tuple[int, int, str]:
    """Start and end of a span in code points of ``text``, and how it was mended ("" where nothing was).

    Raises ValueError where its offsets are none, lie outside the text, or disagree with its recorded text in a way that
    no single repair mends.
    """
    start, end = span.start, span.end
    for name, value in (("start", start), ("end", end)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"span {name} is {value!r}, expected an integer")
    shown = f"span [{start}, {end}) {span.label}"
    if start < 0 or end < start:
        raise ValueError(f"{shown} is negative or ends before it starts")
    if start == end:
        raise ValueError(f"{shown} has no length")
    if span.text is None:
        if end > len(text):
            raise ValueError(f"{shown} ends outside the text of {len(text)} code points")
        return start, end, ""
    if not isinstance(span.text, str) or not span.text:
        raise ValueError(f"{shown} has the recorded text {span.text!r}, expected a string")
    if text[start:end] == span.text:
        return start, end, ""
    for repairs in (_recounted, _stripped, _nearby):
        found = {(first, last): how for first, last, how in repairs(text, start, end, span.text)}
        if len(found) == 1:
            ((first, last), how) = found.popitem()
            return first, last, how
        if found:
            places = " and ".join(f"[{first}, {last}) ({how})" for (first, last), how in found.items())
            raise ValueError(f"{shown} is {span.text!r} for the tool; it may be {places}")
    there = f"{text[start:end]!r} stands there" if end <= len(text) else f"the text has {len(text)} code points"
    raise ValueError(f"{shown} is {span.text!r} for the tool, but {there}")


def _recounted(text: str, start: int, end: int, surface: str) -> Iterator[tuple[int, int, str]]:
    """Offsets that count something else than code points."""
    counts = {
        "it counted UTF-16 units": lambda char: 2 if char > "\uffff" else 1,
        "it counted bytes of UTF-8": lambda char: len(char.encode("utf-8", "surrogatepass")),
        "it counted a line's end as one": lambda char: 0 if char == "\r" else 1,
        "it counted a line's end as two": lambda char: 2 if char == "\n" else 1,
    }
    for how, size in counts.items():
        first, last = (_index(text, offset, size) for offset in (start, end))
        if first is not None and last is not None and _same(text[first:last], surface):
            yield first, last, how
    if start and _same(text[start - 1 : end - 1], surface):
        yield start - 1, end - 1, "it counted a byte order mark"


def _index(text: str, offset: int, size: Any) -> int | None:
    """The code point at which ``offset`` units begin, each code point having ``size`` of them."""
    at = 0
    for index, char in enumerate(text):
        # A character of no size belongs to the one after it.
        if at == offset and size(char):
            return index
        at += size(char)
        if at > offset:
            return None
    return len(text) if at == offset else None


def _stripped(text: str, start: int, end: int, surface: str) -> Iterator[tuple[int, int, str]]:
    """Blanks that stand in the offsets or in the recorded text alone."""
    inside = text[start:end]
    if inside.strip() and _same(inside.strip(), surface.strip()):
        first = start + len(inside) - len(inside.lstrip())
        yield first, first + len(inside.strip()), "blanks at its edges"


def _nearby(text: str, start: int, end: int, surface: str) -> Iterator[tuple[int, int, str]]:
    """Where the recorded text stands near the offsets."""
    at = text.find(surface, max(0, start - NEAR))
    while -1 < at <= start + NEAR:
        yield at, at + len(surface), f"it stands {abs(at - start)} code points {'later' if at > start else 'earlier'}"
        at = text.find(surface, at + 1)


def _same(one: str, other: str) -> bool:
    return one == other or one.replace("\r\n", "\n") == other.replace("\r\n", "\n")


def _without_twins(entities: Sequence[Entity]) -> tuple[list[Entity], list[Entity]]:
    kept: dict[tuple[int, int, str], Entity] = {}
    twice = []
    for entity in entities:
        key = (entity.start, entity.end, entity.label)
        if key in kept:
            twice.append(entity)
        else:
            kept[key] = entity
    return list(kept.values()), twice


def keep_longest(entities: Sequence[Entity]) -> tuple[list[Entity], list[tuple[Entity, Entity]]]:
    """Of entities that overlap the longest, the first of equally long ones; and each other one with what it met."""
    kept: list[Entity] = []
    shorter: list[tuple[Entity, Entity]] = []
    for entity in sorted(entities, key=lambda one: (one.start - one.end, one.start)):
        longer = next((one for one in kept if entity.start < one.end and one.start < entity.end), None)
        if longer is None:
            kept.append(entity)
        else:
            shorter.append((entity, longer))
    return sorted(kept, key=lambda one: one.start), shorter
