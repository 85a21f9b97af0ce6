"""Who was counted, by whom, where and when: a record for each casualty number of a report, with its links.

Simple and honest: a number, the breakdowns under it, and for each other type the mention that stands nearest by clause.
A link is no statement of guilt or cause; how near it stands is its confidence. Nothing is merged: two sentences on
one attack make two incidents, and so do two reports.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex

from marsad.documents import Entity
from marsad.facts.actors import ActorValue
from marsad.facts.casualties import CasualtyValue
from marsad.facts.dates import SENTENCE_END, DateValue
from marsad.facts.folding import fold, load_rules, stems
from marsad.facts.names import ReportWords
from marsad.facts.places import PlaceValue

# How sure a link is, by how near the mention stands to the number. A convention, not measured.
CONFIDENCE: Mapping[str, float] = {"clause": 0.9, "sentence": 0.7, "paragraph": 0.5, "report": 0.3}
# Who only tells of it is no party to it.
_BYSTANDERS = frozenset({"monitor", "media", "un", "aid"})
_ACTORS = 2
_SENTENCE_END = regex.compile(SENTENCE_END + r"|[؛\n\r\u000b\u000c\u0085\u2028\u2029]")
_LINE_END = regex.compile(r"[\n\r\u000b\u000c\u0085\u2028\u2029]")
_COMMA = regex.compile("[،,:()]")
# A place after another one this near is what the first lies in.
_CHAIN = 3
# So far after a number, in characters, the counted ones are named: 3 عناصر من قوات النظام.
_COUNTED = 30
# How many mentions on each side of a number are looked at.
_COMPARED = 32
_OF = regex.compile(r"\b(?:من|ل|لل|في صفوف|بين|عناصر|عنصر|مقاتلي|أفراد|جنود)\b")

Value = CasualtyValue | DateValue | PlaceValue | ActorValue


@dataclass(frozen=True, slots=True)
class Link:
    """The mention that a number is told with: the index of its entity, how near it stands, and how sure that makes it.

    ``near``: ``clause``, ``sentence``, ``paragraph`` or ``report``; ``confidence`` by :data:`CONFIDENCE`. ``role``, of
    actors: ``counted`` where the counted ones are of it (``3 من قوات النظام``), else ``named``.
    """

    entity: int
    near: str
    role: str | None = None

    @property
    def confidence(self) -> float:
        """How sure the link is, in [0, 1]."""
        return CONFIDENCE[self.near]


@dataclass(frozen=True, slots=True)
class Incident:
    """A casualty number (the index of its entity), the numbers that are parts of it, and its links."""

    casualty: int
    parts: tuple[int, ...]
    actors: tuple[Link, ...]
    place: Link | None
    date: Link | None


def read_incidents(
    text: str, entities: Sequence[Entity], values: Sequence[Value | None], words: ReportWords
) -> tuple[Incident, ...]:
    """The incidents of a report, in the order of their numbers.

    ``values``: one for each entity, None for types that have none. Casualties that are part of another stand under it.
    """
    casualties = [i for i, value in enumerate(values) if isinstance(value, CasualtyValue)]
    if not casualties:
        return ()
    links = _Links(text, entities, values, words)
    by_span = {(entities[i].start, entities[i].end): i for i in casualties}
    parts: dict[int, list[int]] = {}
    for i in links.casualties:
        top = _top(i, values, by_span)
        parts.setdefault(top, [])
        if top != i:
            parts[top].append(i)
    return tuple(
        Incident(i, tuple(parts[i]), links.actors(i), links.place(i), links.date(i))
        for i in sorted(parts, key=lambda i: entities[i].start)
    )


def _top(i: int, values: Sequence[Value | None], by_span: Mapping[tuple[int, int], int]) -> int:
    """The total that a number is part of, in the end; itself where of none."""
    seen = {i}
    while True:
        value = values[i]
        above = by_span.get(value.part_of) if isinstance(value, CasualtyValue) and value.part_of else None
        if above is None or above in seen:
            return i
        seen.add(above)
        i = above


@lru_cache(maxsize=2)
def _listed(name: str) -> frozenset[str]:
    return frozenset(map(fold, load_rules("outcomes")[name]))


class _Links:
    """The mentions of a report by their clause, sentence and paragraph."""

    def __init__(
        self, text: str, entities: Sequence[Entity], values: Sequence[Value | None], words: ReportWords
    ) -> None:
        self.text, self.entities, self.values = text, entities, values
        self.paragraphs = [match.end() for match in _LINE_END.finditer(text)]
        self.sentences = sorted({match.end() for match in _SENTENCE_END.finditer(text)} | set(self.paragraphs))
        inside = [(entity.start, entity.end) for entity in entities]
        self.starts = sorted(entity.start for entity in entities)
        commas = [match.end() for match in _COMMA.finditer(text)]
        breaks = [word.start for word in words.folded if word.text in _listed("clause_breaks")]
        self.means = [word.start for word in words.folded if not _listed("means").isdisjoint(stems(word.text))]
        kept = [place for place in (*commas, *breaks) if not _within(place, inside)]
        self.clauses = sorted({*self.sentences, *kept})
        self.casualties = sorted(
            (i for i, value in enumerate(values) if isinstance(value, CasualtyValue)), key=lambda i: entities[i].start
        )
        self.of: dict[type[ActorValue] | type[PlaceValue] | type[DateValue], list[int]] = {
            kind: sorted(
                (i for i, value in enumerate(values) if isinstance(value, kind)), key=lambda i: entities[i].start
            )
            for kind in (ActorValue, PlaceValue, DateValue)
        }

    def near(self, one: int, other: int) -> str:
        """How near two entities stand."""
        for name, ends in (("clause", self.clauses), ("sentence", self.sentences), ("paragraph", self.paragraphs)):
            if bisect_right(ends, self.entities[one].start) == bisect_right(ends, self.entities[other].start):
                return name
        return "report"

    def ranked(self, i: int, kind: type[ActorValue] | type[PlaceValue] | type[DateValue]) -> list[tuple[str, int]]:
        """The mentions of a type, the nearest first; from other sentences only those before, unless there are none.

        Only so many of them on each side of the number are compared: what is farther is never the nearest.
        """
        here = self.entities[i]
        found = []
        mentions = self.of[kind]
        at = bisect_right(mentions, here.start, key=lambda j: self.entities[j].start)
        for j in mentions[max(0, at - _COMPARED) : at + _COMPARED]:
            near, there = self.near(i, j), self.entities[j]
            after = there.start >= here.end
            gap = there.start - here.end if after else here.start - there.end
            far = after and near in {"paragraph", "report"}
            # قُتل 3 في حلب و5 في إدلب: a number with a mention of its own behind it leaves those before to the others.
            others = not (after and kind is PlaceValue and self._is_joined(i) and self._is_own(i, j))
            found.append((-CONFIDENCE[near], far, others, gap, near, j))
        return [(near, j) for _, _, _, _, near, j in sorted(found)]

    def _is_joined(self, i: int) -> bool:
        """Whether a number is joined by و to another one before it in its clause."""
        start = self.entities[i].start
        joined = self.text[start] == "و" or self.text[:start].rstrip().endswith("و")
        at = bisect_left(self.casualties, start, key=lambda j: self.entities[j].start)
        return joined and at > 0 and self.near(i, self.casualties[at - 1]) == "clause"

    def _is_own(self, i: int, j: int) -> bool:
        """Whether a place stands behind a number in its clause, with no other number between."""
        first = bisect_left(self.casualties, self.entities[i].end, key=lambda one: self.entities[one].start)
        last = bisect_left(self.casualties, self.entities[j].start, key=lambda one: self.entities[one].start)
        return self.near(i, j) == "clause" and first == last

    def actors(self, i: int) -> tuple[Link, ...]:
        links: list[Link] = []
        named: set[str] = set()
        for near, j in self.ranked(i, ActorValue):
            value = self.values[j]
            if not isinstance(value, ActorValue) or value.kind in _BYSTANDERS or value.name in named:
                continue
            if links and near != links[0].near and near not in {"clause", "sentence"}:
                break
            named.add(value.name)
            links.append(Link(j, near, "counted" if self._is_counted(i, j) else "named"))
            if len(links) == _ACTORS:
                break
        return tuple(links)

    def _is_counted(self, i: int, j: int) -> bool:
        between = self.text[self.entities[i].end : self.entities[j].start]
        if not between or len(between) > _COUNTED or _COMMA.search(between) or self.near(i, j) != "clause":
            return False
        first = bisect_left(self.starts, self.entities[i].end)
        if first < len(self.starts) and self.starts[first] < self.entities[j].start:
            return False
        means = bisect_left(self.means, self.entities[i].end)
        if means < len(self.means) and self.means[means] < self.entities[j].start:
            return False  # 3 مدنيين برصاص عناصر من قوات النظام: they are who did it
        return bool(_OF.search(between)) or (len(between.split()) <= 1 and self.text[self.entities[j].start] == "ل")

    def place(self, i: int) -> Link | None:
        """The nearest place; of a chain (قرية X بريف Y) its first, which is the narrowest."""
        ranked = self.ranked(i, PlaceValue)
        if not ranked:
            return None
        near, j = ranked[0]
        order = self.of[PlaceValue]
        at = bisect_left(order, self.entities[j].start, key=lambda one: self.entities[one].start)
        while at and 0 <= self.entities[order[at]].start - self.entities[order[at - 1]].end <= _CHAIN:
            gap = self.text[self.entities[order[at - 1]].end : self.entities[order[at]].start]
            if not gap.isspace() or self.text[self.entities[order[at]].start] == "و":
                break
            at -= 1
        return Link(order[at], near)

    def date(self, i: int) -> Link | None:
        ranked = self.ranked(i, DateValue)
        return Link(ranked[0][1], ranked[0][0]) if ranked else None


def _within(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    at = bisect_right(spans, place, key=lambda span: span[0]) - 1
    return at >= 0 and place < spans[at][1]


def incident_record(
    incident: Incident, text: str, entities: Sequence[Entity], values: Sequence[Value | None]
) -> dict[str, Any]:
    """An incident as a plain dictionary: values with the spans that they were read from, links with ``confidence``."""

    def told(i: int) -> dict[str, Any]:
        entity, value = entities[i], values[i]
        spot = {"start": entity.start, "end": entity.end, "text": text[entity.start : entity.end]}
        return spot | ({} if value is None else {"value": value.record()})

    def linked(link: Link | None) -> dict[str, Any] | None:
        if link is None:
            return None
        role = {} if link.role is None else {"role": link.role}
        return told(link.entity) | role | {"near": link.near, "confidence": link.confidence}

    return {
        "casualty": told(incident.casualty),
        "parts": [told(part) for part in incident.parts],
        "actors": [linked(link) for link in incident.actors],
        "place": linked(incident.place),
        "date": linked(incident.date),
    }
