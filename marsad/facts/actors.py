"""Actor spans as actors: who is meant by a name, an alias, or a short form such as ``التنظيم``.

The table ``rules/actors.yaml``, or the user's copy of it, holds the actors. What it does not hold keeps its own name,
freed of proclitics and quotes; a shorter mention takes over the name of the fuller one before it in the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.facts.folding import fold_words, stems
from marsad.facts.names import Name, ReportWords, likely_reading

REASONS = {
    "not_in_table": "no actor of that name is in the table",
    "ambiguous": "several actors of the table bear the name",
    "no_antecedent": "a short form, and the report names nobody that it may stand for",
    "no_name": "the span holds no letter",
}
"""Why an actor span has no actor of the table."""


class Actor(BaseModel):
    """A party of the table. ``from`` and ``until`` bound the days of the reports in which its names mean it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    name_en: str
    side: str
    kind: str
    aliases: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    adjective: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None

    @model_validator(mode="before")
    @classmethod
    def _days(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = {"since" if key == "from" else key: value for key, value in values.items()}
        for key, end in (("since", "-01-01"), ("until", "-12-31")):
            if isinstance(values.get(key), int):
                values[key] = f"{values[key]:04d}{end}"
        return values

    def speaks_on(self, day: date | None) -> bool:
        """Whether the names mean this actor in a report of ``day``; an unknown day rules nothing out."""
        return day is None or ((self.since is None or self.since <= day) and (self.until is None or day <= self.until))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: dict[str, str]
    sides: dict[str, str]
    heads: tuple[str, ...]
    forces: tuple[str, ...]
    epithets: tuple[str, ...]
    actors: tuple[Actor, ...]


@dataclass(frozen=True, slots=True)
class ActorTable:
    """The actors by their folded names, as tuples of words; see :func:`load_actors`."""

    actors: tuple[Actor, ...]
    sides: Mapping[str, str]
    by_name: Mapping[tuple[str, ...], tuple[int, ...]]
    by_short: Mapping[tuple[str, ...], tuple[int, ...]]
    by_adjective: Mapping[str, tuple[int, ...]]
    heads: frozenset[str]
    forces: frozenset[str]
    epithets: frozenset[str]
    begins: Mapping[int, frozenset[str]]
    """What the names of each actor begin with, bare of the article."""


@dataclass(frozen=True, slots=True)
class ActorValue:
    """Who one actor span means.

    ``name`` is the actor's name in the table, else the cleaned surface, or that of the fuller mention that it is short
    for. ``actor`` is the table's id and ``side`` its side; both None for others, and ``why`` one of :data:`REASONS`.
    ``short_for`` is the span of the mention that a short form was resolved to.
    """

    name: str
    actor: str | None = None
    side: str | None = None
    kind: str | None = None
    short_for: tuple[int, int] | None = None
    why: str | None = None

    def record(self) -> dict[str, Any]:
        """As a plain dictionary; ``why`` is a key only where there is a reason."""
        record: dict[str, Any] = {
            "name": self.name,
            "actor": self.actor,
            "side": self.side,
            "kind": self.kind,
            "short_for": list(self.short_for) if self.short_for else None,
        }
        return record | ({"why": self.why} if self.why else {})


def load_actors(path: str | Path | None = None) -> ActorTable:
    """The table of a YAML file, the package's own where None.

    Raises MarsadError when the file can't be read, an actor lacks a key or has an unknown one, a side or kind is not
    among those that the file names, or an id stands twice.
    """
    return _default_table() if path is None else _read_table(Path(path))


@lru_cache(maxsize=1)
def _default_table() -> ActorTable:
    return _build_table(
        yaml.load((files("marsad.facts") / "rules/actors.yaml").read_text("utf-8"), _LOADER), "actors.yaml"
    )


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _read_table(path: Path) -> ActorTable:
    try:
        return _build_table(yaml.load(path.read_text(encoding="utf-8"), _LOADER), str(path))
    except FileNotFoundError:
        raise MarsadError(f"{path}: no such file") from None
    except OSError as error:
        raise MarsadError(f"{path}: can't be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise MarsadError(f"{path}: invalid UTF-8; save the file as UTF-8") from None
    except yaml.YAMLError as error:
        raise MarsadError(f"{path}: not YAML ({' '.join(str(error).split())})") from None


def _build_table(content: Any, path: str) -> ActorTable:
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise MarsadError(f"{path}: {place or 'the file'}: {first['msg']}") from None
    seen: set[str] = set()
    by_name: dict[tuple[str, ...], tuple[int, ...]] = {}
    by_short: dict[tuple[str, ...], tuple[int, ...]] = {}
    by_adjective: dict[str, tuple[int, ...]] = {}
    begins: dict[int, frozenset[str]] = {}
    for number, actor in enumerate(file.actors):
        if actor.id in seen:
            raise MarsadError(f"{path}: the actor id {actor.id!r} stands twice")
        seen.add(actor.id)
        for value, known, what in ((actor.side, file.sides, "sides"), (actor.kind, file.kinds, "kinds")):
            if value not in known:
                raise MarsadError(f"{path}: the actor {actor.id!r} has {value!r}, which is not among the {what}")
        names = [_name_words(name) for name in (actor.name, *actor.aliases)]
        for table, keys in ((by_name, names), (by_short, [_name_words(name) for name in actor.alone])):
            for key in dict.fromkeys(keys):
                if key and number not in table.get(key, ()):
                    table[key] = (*table.get(key, ()), number)
        for adjective in actor.adjective:
            for form in _adjective_forms(_name_words(adjective)[0]):
                by_adjective[form] = (*by_adjective.get(form, ()), number)
        begins[number] = frozenset(_bare(name[0]) for name in names if name)
    heads = frozenset(_name_words(word)[0] for word in file.heads)
    forces = frozenset(_name_words(word)[0] for word in file.forces)
    epithets = frozenset(_name_words(word)[0] for word in file.epithets)
    return ActorTable(file.actors, file.sides, by_name, by_short, by_adjective, heads, forces, epithets, begins)


def _name_words(text: str) -> tuple[str, ...]:
    return tuple(word.text.lower() for word in fold_words(text) if word.text[0].isalnum())


def _adjective_forms(adjective: str) -> list[str]:
    bare = [adjective + ending for ending in ("", "ه", "ين", "تين", "ون", "ان", "تان", "ات")]
    return [*bare, *("ال" + form for form in bare)]


def _bare(word: str) -> str:
    return word[2:] if word.startswith("ال") and len(word) > 4 else word


def read_actors(
    document: Document, entities: Sequence[Entity], table: ActorTable, words: ReportWords | None = None
) -> list[ActorValue]:
    """The value of each entity, in the order given; the entities are ACTOR spans of ``document``.

    ``words``: those of the text, if the caller has them. Never raises, whatever the text.
    """
    if not entities:
        return []
    words = ReportWords.of(document.text) if words is None else words
    order = sorted(range(len(entities)), key=lambda i: (entities[i].start, entities[i].end))
    names = [words.name(entities[i].start, entities[i].end) for i in order]
    reader = _Reader(table, document.published)
    mentions = [reader.read(name) for name in names]
    beside = Counter(reader.conflict(mention.actor) for mention in mentions if mention.actor is not None)
    values: dict[int, ActorValue] = {}
    for place, i in enumerate(order):
        mention = mentions[place]
        earlier = range(place - 1, -1, -1)
        other = None
        if mention.actor is None or mention.head is not None:
            other = next((j for j in earlier if reader.stands_for(mention, mentions[j])), None)
            if other is None and mention.actor is None and mention.head is not None:
                # A heading may use the short form first.
                other = next(
                    (j for j in range(place + 1, len(mentions)) if reader.stands_for(mention, mentions[j])), None
                )
        if other is None:
            values[i] = reader.value(reader.choose(mention, beside))
        else:
            full = mentions[other]
            span = (entities[order[other]].start, entities[order[other]].end)
            values[i] = reader.value(full, span)
            mentions[place] = _Mention(mention.name, full.said, full.actor, None, full.why, values[i].short_for)
    return [values[i] for i in range(len(entities))]


@dataclass(frozen=True, slots=True)
class _Mention:
    """A mention: its words, what it is called, the actor's number, and the head noun if it is a short form."""

    name: tuple[str, ...]
    said: str
    actor: int | None
    head: str | None = None
    why: str | None = None
    span: tuple[int, int] | None = None


class _Reader:
    def __init__(self, table: ActorTable, day: date | None) -> None:
        self.table = table
        self.day = day

    def value(self, mention: _Mention, span: tuple[int, int] | None = None) -> ActorValue:
        span = mention.span or span
        if mention.actor is None:
            why = "no_antecedent" if mention.head is not None else mention.why
            return ActorValue(mention.said, short_for=span, why=why)
        actor = self.table.actors[mention.actor]
        return ActorValue(actor.name, actor.id, actor.side, actor.kind, span)

    def read(self, name: Name) -> _Mention:
        """Look a mention up: whole, then its parts around an alias in brackets, then without its head noun."""
        kept = [i for i, word in enumerate(name.folded) if word[0].isalnum()]
        if not kept:
            return _Mention((), name.text(), None, why="no_name")
        plain = Name(
            tuple(name.clean[i] for i in kept),
            tuple(name.folded[i] for i in kept),
            tuple(name.blanks[i] or (i > 0 and name.blanks[i - 1] and i - 1 not in kept) for i in kept),
        )
        readings = plain.readings()
        for reading in readings:
            key = tuple(word.lower() for word in reading.folded)
            found, why = self._one(self.table.by_name.get(key, ()))
            if found is not None or why is not None:
                return self._mention(reading, found, why)
        for reading in readings:
            head = _bare(reading.folded[0])
            if len(reading) == 1 and reading.folded[0].startswith("ال") and head in self.table.heads:
                found, _ = self._one(self.table.by_short.get(reading.folded, ()))
                return _Mention(reading.folded, reading.text(), found, head, "no_antecedent")
        for reading in readings:
            found = self._within(tuple(word.lower() for word in reading.folded))
            if found is not None:
                return self._mention(reading, found, None)
        return self._mention(likely_reading(plain, self.table.heads | self.table.forces), None, "not_in_table")

    def _mention(self, name: Name, actor: int | None, why: str | None) -> _Mention:
        return _Mention(name.folded, name.text(), actor, None, why)

    def choose(self, mention: _Mention, beside: Mapping[str, int]) -> _Mention:
        """A mention of a name that several actors bear, as the one whose conflict the report tells of.

        ``beside``: how often the report names other actors, by the beginning of their ids (``sy`` of ``sy-army``).
        """
        if mention.why != "ambiguous":
            return mention
        key = tuple(word.lower() for word in mention.name)
        options = [n for n in self.table.by_name.get(key, ()) if self.table.actors[n].speaks_on(self.day)]
        ranked = sorted(((beside.get(self.conflict(number), 0), number) for number in options), reverse=True)
        if len(ranked) < 2 or ranked[0][0] == ranked[1][0]:
            return mention
        return _Mention(mention.name, mention.said, ranked[0][1])

    def conflict(self, actor: int) -> str:
        """The beginning of an actor's id, which those of one conflict share."""
        return self.table.actors[actor].id.partition("-")[0]

    def _one(self, numbers: Sequence[int]) -> tuple[int | None, str | None]:
        """The one actor of those that the day of the report allows; the first where several are the same side."""
        fitting = [number for number in numbers if self.table.actors[number].speaks_on(self.day)]
        if not fitting:
            return None, None
        sides = {self.table.actors[number].side for number in fitting}
        return (fitting[0], None) if len(sides) == 1 else (None, "ambiguous")

    def _within(self, key: tuple[str, ...]) -> int | None:
        """The actor of a longer description: a name with more after it, after a head noun, or with its adjective."""
        first = 1 if len(key) > 1 and (key[0] in self.table.heads or _bare(key[0]) in self.table.heads) else 0
        for start in dict.fromkeys((0, first)):
            for end in range(len(key), start, -1):
                if start == 0 and end == len(key):
                    continue
                rest = key[end:]
                found, _ = self._one(self.table.by_name.get(key[start:end], ()))
                # What follows may be an alias (قسد) or an epithet, not another owner (المرصد السوري لـ…).
                if found is not None and self._may_follow(rest, found):
                    return found
        if any(stem in self.table.forces for stem in stems(key[0])):
            for word in key[1:]:
                found, _ = self._one(self.table.by_adjective.get(word, ()))
                if found is not None:
                    return found
        return None

    def _may_follow(self, rest: tuple[str, ...], actor: int) -> bool:
        if not rest or actor in self.table.by_name.get(rest, ()):
            return True
        return len(rest) == 1 and rest[0] in self.table.epithets

    def stands_for(self, short: _Mention, full: _Mention) -> bool:
        """Whether a mention may be short for another: التنظيم for تنظيم س, a surname or a beginning for a name."""
        if full.head is not None or not full.name:
            return False
        if short.head is not None:
            begins = {_bare(full.name[0])} | (set() if full.actor is None else self.table.begins[full.actor])
            return short.head in begins
        if short.why not in {"not_in_table", "ambiguous"} or len(short.name) >= len(full.name):
            return False
        length = len(short.name)
        return full.name[-length:] == short.name or (length > 1 and full.name[:length] == short.name)
