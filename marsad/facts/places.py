"""Location spans as places: the name that is said, and the place of the gazetteer that is meant.

A name is freed of its proclitics and type nouns (``rules/places.yaml``) and looked up. Of several places of one name
the other places of the report decide: those it lies in (``قرية X بريف حلب``), and the country of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import hypot, log10
from typing import Any, Literal

from marsad.documents import Document, Entity
from marsad.facts.folding import fold, load_rules
from marsad.facts.gazetteer import Gazetteer, Place, place_key
from marsad.facts.names import Name, ReportWords, likely_reading, split_at

# What a candidate gains when the mention beside it, or another one of the report, is one of the places it lies in.
_BESIDE, _ELSEWHERE = 12.0, 4.0
# When the type noun fits its level, or does not, or when its name has an article that the text lacks or the reverse.
_FITS, _MISFITS, _OTHER_ARTICLE = 4.0, 0.5, 0.5
# The weight of a place of that name that the gazetteer does not have, and the least share of the evidence to decide.
_UNKNOWN, _LEAST_SCORE = 0.3, 0.5
_CANDIDATES = 5
# Of a name that many places bear, so many are compared with one another.
_COMPARED = 16
# Names of fewer letters are looked up with the article, or without, as they stand.
_SHORTEST = 4
# No place's name has more words; all ways to read one are tried.
_LONGEST = 24
# A place with so many people is named in reports on other countries too; a smaller one hardly, where two other places
# of the report lie elsewhere.
_CITY = 100_000
_TOLD, _ABROAD = 2.0, 0.05
# Rows this near, in degrees, are taken for one place; so are those of which one lies in the other.
_NEAR = 0.15
# The most characters between two mentions that stand beside each other; one joined by و says nothing of the other.
_BESIDE_REACH = 3

REASONS = {
    "not_in_gazetteer": "no place of that name is known",
    "ambiguous": "several places bear the name and the report does not tell which; see the candidates",
    "no_name": "the span holds no letter",
}
"""Why a location has no place."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that may be meant, and its share of the evidence, in [0, 1]."""

    place: Place
    score: float


@dataclass(frozen=True, slots=True)
class PlaceValue:
    """What one location span says.

    ``name`` is without proclitics and type nouns: of ``بمدينة حلب`` حلب, of ``بريف حلب الشرقي`` ريف حلب الشرقي.
    ``kind`` is what a type noun says that it is. ``relation`` tells how the mention and ``place`` stand: it ``is`` the
    place, or lies ``in`` or about it. ``score`` is its share of the evidence, no probability; ``candidates`` are
    the best, where there are several. Without a place ``why`` is one of :data:`REASONS`.
    """

    name: str
    kind: str | None = None
    place: Place | None = None
    relation: Literal["is", "in"] | None = None
    score: float | None = None
    candidates: tuple[Candidate, ...] = ()
    why: str | None = None

    def record(self) -> dict[str, Any]:
        """As a plain dictionary; ``why`` is a key only where there is a reason."""
        record: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "place": None if self.place is None else self.place.record(),
            "relation": self.relation,
            "score": self.score,
            "candidates": [one.place.record() | {"score": one.score} for one in self.candidates],
        }
        return record | ({"why": self.why} if self.why else {})


@dataclass(frozen=True, slots=True)
class _Rules:
    types: Mapping[str, str]
    levels: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, str]
    sides: frozenset[str]
    nouns: frozenset[str]
    leads: frozenset[str]
    adjectives: Mapping[str, str]


@lru_cache(maxsize=1)
def _rules() -> _Rules:
    rules = load_rules("places")
    adjectives = {}
    for country in load_rules("regions")["countries"].values():
        for adjective in map(fold, country["adjectives"]):
            for form in (adjective, adjective + "ه"):
                adjectives["ال" + form] = adjectives[form] = country["name"]
    return _Rules(
        types={fold(word): kind for kind, words in rules["types"].items() for word in words},
        levels={kind: tuple(levels) for kind, levels in rules["levels"].items()},
        parts={fold(word): kind for kind, words in rules["parts"].items() for word in words},
        sides=frozenset(form for word in map(fold, rules["sides"]) for form in (word, "ال" + word, "وال" + word)),
        nouns=frozenset(map(fold, rules["nouns"])),
        leads=frozenset(map(fold, rules["leads"])),
        adjectives=adjectives,
    )


def read_places(
    document: Document, entities: Sequence[Entity], gazetteer: Gazetteer, words: ReportWords | None = None
) -> list[PlaceValue]:
    """The value of each entity, in the order given; the entities are LOCATION spans of ``document``.

    ``words``: those of the text, if the caller has them. Never raises, whatever the text.
    """
    if not entities:
        return []
    words = ReportWords.of(document.text) if words is None else words
    order = sorted(range(len(entities)), key=lambda i: (entities[i].start, entities[i].end))
    names = [words.name(entities[i].start, entities[i].end) for i in order]
    stated = {place_key("".join(name.folded)) for name in names}
    mentions = [_read_mention(name, gazetteer, stated) for name in names]
    beside = [
        entities[after].start - entities[i].end <= _BESIDE_REACH
        and not (document.text.startswith("و", entities[after].start) and not mention.key.startswith("و"))
        for (i, after), mention in zip(pairwise(order), mentions[1:], strict=True)
    ]
    found = _resolve(mentions, beside, gazetteer)
    by_place = dict(zip(order, found, strict=True))
    return [by_place[i] for i in range(len(entities))]


# What is said


@dataclass(frozen=True, slots=True)
class _Mention:
    """A name, its ``rows`` in the gazetteer with what the article takes off, and the keys it has for other mentions."""

    name: str
    kind: str | None
    relation: Literal["is", "in"]
    rows: tuple[tuple[int, float], ...]
    key: str
    further: frozenset[str] = frozenset()


def _read_mention(name: Name, gazetteer: Gazetteer, stated: set[str]) -> _Mention:
    """The first reading of the name that the gazetteer knows, or the likeliest."""
    if not any(word[0].isalnum() for word in name.folded):
        return _Mention(name.text(), None, "is", (), "")
    while len(name) > 1 and name.folded[0] in _rules().leads:
        name = name.from_word(1)
    if len(name) > _LONGEST:
        return _Mention(name.text(), None, "is", (), place_key("".join(name.folded)))
    readings = name.readings()
    headed = next((one for one in readings if one.folded[0] in _rules().types or one.folded[0] in _rules().parts), None)
    if headed is not None:
        readings = [headed]
    for reading in readings:
        mention = next((one for one in _lookups(reading, gazetteer) if one.rows), None)
        if mention is not None:
            return mention
    if headed is None:
        other = next((one for one in readings[1:] if place_key("".join(one.folded)) in stated), None)
        headed = likely_reading(name, _rules().nouns) if other is None else other
    *_, last = _lookups(headed, gazetteer)
    return last


def _lookups(name: Name, gazetteer: Gazetteer) -> Iterator[_Mention]:
    """The ways to look a name up, from all of it to its core; the last one is what it says if none succeeds."""
    rules = _rules()
    kind = rules.types.get(name.folded[0]) if len(name) > 1 else None
    part = rules.parts.get(name.folded[0])
    bare = name.from_word(1) if kind else name
    said = bare.text()
    mention = _mention(said, kind, "is", bare, gazetteer)
    if kind:
        # مدينة الصدر may be the name, beside a village الصدر.
        whole = _mention(said if mention.rows else name.text(), kind, "is", name, gazetteer)
        mention = replace(whole if not mention.rows else mention, rows=mention.rows + whole.rows)
    yield mention
    for alternative in split_at(bare, {"/", "\\", "-", "–"}) if "/" in bare.folded else ():
        yield _mention(said, kind, "is", alternative, gazetteer)
    # ريف حلب الشرقي: without its side it may be a name, and else it lies in what is left.
    last = len(bare)
    while last > 1 and bare.folded[last - 1] in rules.sides:
        last -= 1
    if last < len(bare):
        yield _mention(said, kind, "in", bare.from_word(0, last), gazetteer)
    if part:
        first = 0
        while first < last - 1 and (bare.folded[first] in rules.parts or bare.folded[first] in rules.types):
            first += 1
        inner = rules.types.get(bare.folded[first - 1]) if first else None
        hint = inner or ("governorate" if part == "countryside" else None)
        core = bare.from_word(first, last)
        yield _mention(said, hint, "in", core, gazetteer, kind)
        country = rules.adjectives.get(core.folded[0])
        if country is not None:
            rows = tuple((row, 1.0) for row in gazetteer.find(place_key(country)))
            yield _Mention(said, None, "in", rows, place_key(country))
        # [ريف منبج شرقي حلب]: a compass word begins the place around.
        for i in range(1, len(core)):
            if core.folded[i] in rules.parts:
                around = frozenset({place_key("".join(core.folded[i + 1 :]))})
                yield _mention(said, hint, "in", core.from_word(0, i), gazetteer, kind, around)
    # [حي الشعار بمدينة حلب]: two places in one span; where the first is not known, it lies in the other.
    for i in range(1, len(bare)):
        outside = _place_around(bare, i, gazetteer)
        if outside is not None:
            outer, hint = outside
            further = frozenset({place_key("".join(outer.folded))})
            yield _mention(said, kind, "is", bare.from_word(0, i), gazetteer, further=further)
            yield _mention(said, hint, "in", outer, gazetteer, kind)
    yield _Mention(said, kind, "is", (), place_key("".join(bare.folded)))


def _place_around(name: Name, i: int, gazetteer: Gazetteer) -> tuple[Name, str | None] | None:
    """The place that a name says from word ``i`` on it lies in, and its type noun; None where it says none there."""
    rules = _rules()
    rest = name.from_word(i)
    if rest.folded[0] not in rules.parts:
        if rest.folded[0][0] != "ب" or len(rest.folded[0]) < _SHORTEST:
            return None
        rest = rest.without(1, False)
    first = 0
    while first < len(rest) - 1 and (rest.folded[first] in rules.parts or rest.folded[first] in rules.types):
        first += 1
    outer = rest.from_word(first)
    key = place_key("".join(outer.folded))
    if not gazetteer.find(key) or (not first and len(key) < _SHORTEST):
        return None
    return outer, rules.types.get(rest.folded[first - 1]) if first else None


def _mention(
    said: str,
    kind: str | None,
    relation: Literal["is", "in"],
    name: Name,
    gazetteer: Gazetteer,
    shown: str | None = None,
    further: frozenset[str] = frozenset(),
) -> _Mention:
    key = place_key("".join(name.folded))
    rows = tuple((row, 1.0) for row in gazetteer.find(key))
    if not rows and len(key) >= _SHORTEST:
        other = key[2:] if key.startswith("ال") else "ال" + key
        rows = tuple((row, _OTHER_ARTICLE) for row in gazetteer.find(other))
    return _Mention(said, shown if relation == "in" else kind, relation, _fitting(rows, kind, gazetteer), key, further)


def _fitting(
    rows: tuple[tuple[int, float], ...], kind: str | None, gazetteer: Gazetteer
) -> tuple[tuple[int, float], ...]:
    """The rows, weighed by how a type noun fits their levels."""
    if kind is None:
        return rows
    levels = _rules().levels[kind]
    small = kind in {"village", "neighbourhood"}
    return tuple(
        (row, weight * (_FITS if gazetteer.levels[row].casefold().startswith(levels) else _MISFITS))
        for row, weight in rows
        if not (small and _is_large(row, gazetteer))  # قرية الحديدة is no city
    )


# What is meant


def _resolve(mentions: Sequence[_Mention], beside: Sequence[bool], gazetteer: Gazetteer) -> list[PlaceValue]:
    countries = _countries(mentions, gazetteer)
    keys = {mention.key for mention in mentions}
    # What stands right after a name, and after that, is what it lies in; wherever the name stands again, it is that.
    around: dict[str, set[str]] = {}
    for i, mention in enumerate(mentions):
        near = around.setdefault(mention.key, set(mention.further))
        for j in range(i + 1, min(i + 3, len(mentions))):
            if not beside[j - 1]:
                break
            near.add(mentions[j].key)
    resolved: dict[_Mention, PlaceValue] = {}
    for mention in mentions:
        if mention not in resolved:
            resolved[mention] = _choose(mention, around[mention.key], keys, countries, gazetteer)
    return [resolved[mention] for mention in mentions]


def _countries(mentions: Sequence[_Mention], gazetteer: Gazetteer) -> dict[str, float]:
    """How much the report's places speak for each country, each by those that it may lie in (:func:`_votes`)."""
    countries: dict[str, float] = {}
    for mention in {mention.key: mention for mention in mentions if mention.rows}.values():
        for country, vote in _votes(mention, gazetteer).items():
            countries[country] = countries.get(country, 0.0) + vote
    return countries


def _votes(mention: _Mention, gazetteer: Gazetteer) -> dict[str, float]:
    possible = {gazetteer.countries[row] for row, _ in mention.rows}
    return {country: 1 / len(possible) ** 2 for country in possible}


def _choose(
    mention: _Mention, around: set[str], keys: set[str], countries: Mapping[str, float], gazetteer: Gazetteer
) -> PlaceValue:
    if not mention.rows:
        why = "not_in_gazetteer" if mention.key else "no_name"
        return PlaceValue(mention.name, mention.kind, why=why)
    weights: dict[int, float] = {}
    all_votes, own = sum(countries.values()), _votes(mention, gazetteer)
    told = all_votes - sum(own.values()) >= _TOLD
    around, others = around - {mention.key}, keys - {mention.key}
    near = {
        gazetteer.countries[row] for key in around for row in gazetteer.find(key) if gazetteer.levels[row] == "country"
    }
    for row, fit in mention.rows:
        above = gazetteer.around(row)
        country = gazetteer.countries[row]
        weight = fit * (0.2 + countries.get(country, 0.0) / all_votes) * _size(row, gazetteer)
        alone = countries.get(country, 0.0) <= own[country] + 1e-9
        if told and alone and not _is_large(row, gazetteer):
            weight *= _ABROAD
        if not above.isdisjoint(around) or country in near:
            weight *= _BESIDE
        elif not above.isdisjoint(others):
            weight *= _ELSEWHERE
        weights[row] = weight
    groups = _same_places(weights, gazetteer)
    total = sum(weights.values()) + _UNKNOWN
    ranked = sorted(((sum(weights[row] for row in group) / total, group) for group in groups), key=lambda one: -one[0])
    candidates = tuple(
        Candidate(gazetteer.place(_speaker(group, weights, gazetteer)), round(score, 3))
        for score, group in ranked[:_CANDIDATES]
    )
    best = candidates[0]
    shown = candidates if len(candidates) > 1 else ()
    if best.score < _LEAST_SCORE:
        why = "ambiguous" if shown else "not_in_gazetteer"
        return PlaceValue(mention.name, mention.kind, candidates=candidates, why=why)
    return PlaceValue(mention.name, mention.kind, best.place, mention.relation, best.score, shown)


def _is_large(row: int, gazetteer: Gazetteer) -> bool:
    """Whether a place is named in reports on other countries too."""
    return gazetteer.levels[row] in {"country", "governorate"} or gazetteer.populations[row] >= _CITY


def _size(row: int, gazetteer: Gazetteer) -> float:
    """Large places are named more often: 1 for a village, 8 for a country."""
    people = gazetteer.populations[row]
    by_level = 8.0 if gazetteer.levels[row] == "country" else 5.0 if gazetteer.levels[row] == "governorate" else 1.0
    return max(by_level, log10(people) - 2 if people > 1000 else 1.0)


def _same_places(weights: Mapping[int, float], gazetteer: Gazetteer) -> list[list[int]]:
    """The rows, the weightiest first, gathered where they are the same place at several levels or in several files."""
    groups: list[list[int]] = []
    for row in sorted(weights, key=lambda row: (-weights[row], row))[:_COMPARED]:
        group = next((group for group in groups if any(_same(row, other, gazetteer) for other in group)), None)
        if group is None:
            groups.append([row])
        else:
            group.append(row)
    return groups


def _same(one: int, other: int, gazetteer: Gazetteer) -> bool:
    if one in gazetteer.ancestors(other) or other in gazetteer.ancestors(one):
        return True
    if gazetteer.ids[one] and gazetteer.ids[one] == gazetteer.ids[other]:
        return True
    if "governorate" in (gazetteer.levels[one], gazetteer.levels[other]) and gazetteer.countries[one]:
        # Named after its capital, wherever that lies; not after a village that has its name.
        town = other if gazetteer.levels[one] == "governorate" else one
        seat = _is_large(town, gazetteer) or gazetteer.files[one] != gazetteer.files[other]
        return seat and gazetteer.countries[one] == gazetteer.countries[other]
    if gazetteer.files[one] != gazetteer.files[other] and gazetteer.around(one) & gazetteer.around(other):
        return True  # two files tell of one place, whatever coordinates they give
    first, second = (gazetteer.lats[one], gazetteer.lons[one]), (gazetteer.lats[other], gazetteer.lons[other])
    if first[0] is None or first[1] is None or second[0] is None or second[1] is None:
        # Without coordinates: rows of one country that nothing tells apart, as governorates of two files.
        bare = not gazetteer.ancestors(one) or not gazetteer.ancestors(other)
        return bare and gazetteer.countries[one] == gazetteer.countries[other] != ""
    return hypot(first[0] - second[0], first[1] - second[1]) <= _NEAR


def _speaker(group: Sequence[int], weights: Mapping[int, float], gazetteer: Gazetteer) -> int:
    """The row to show for a place: the weightiest, with coordinates where one as good has them."""
    most = weights[group[0]]
    placed = [row for row in group if gazetteer.lats[row] is not None and weights[row] >= most / 2]
    return placed[0] if placed else group[0]
