"""All that a report's entities say, as values, and the incidents made of them: the one way from spans to facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from marsad.documents import Document, Entity
from marsad.facts.actors import ActorTable, ActorValue, load_actors, read_actors
from marsad.facts.casualties import CasualtyValue, read_casualties
from marsad.facts.dates import DateValue, read_dates
from marsad.facts.folding import fold_clean_words
from marsad.facts.gazetteer import Gazetteer, load_gazetteer
from marsad.facts.incidents import Incident, Link, Value, incident_record, read_incidents
from marsad.facts.names import ReportWords
from marsad.facts.places import PlaceValue, read_places
from marsad.files import fingerprint_files
from marsad.text.words import Words

VALUE_LABELS = ("ACTOR", "LOCATION", "DATE", "CASUALTY")
"""The entity types that have values; others are passed over."""

CASUALTY_COLUMNS: Mapping[str, type] = {
    "start": int,
    "end": int,
    "text": str,
    "low": int,
    "high": int,
    "bound": str,
    "outcome": str,
    "group": str,
    "part_of_start": int,
    "part_of_end": int,
    "why": str,
    "date_start": str,
    "date_end": str,
    "date_span_start": int,
    "date_span_end": int,
    "date_confidence": float,
    "place": str,
    "place_id": str,
    "lat": float,
    "lon": float,
    "place_span_start": int,
    "place_span_end": int,
    "place_confidence": float,
    "actor": str,
    "actor_id": str,
    "actor_side": str,
    "actor_role": str,
    "actor_span_start": int,
    "actor_span_end": int,
    "actor_confidence": float,
    "actor2": str,
    "actor2_id": str,
    "actor2_side": str,
    "actor2_role": str,
    "actor2_span_start": int,
    "actor2_span_end": int,
    "actor2_confidence": float,
}
"""The columns of a row of :meth:`Facts.casualty_rows`, with their types; any may be None but start, end and text."""


@dataclass(frozen=True, slots=True)
class FactTables:
    """What facts are read by beside the rules of the package: the gazetteer and the actors."""

    gazetteer: Gazetteer
    actors: ActorTable

    @classmethod
    def load(cls, gazetteer: str | Path | None = None, actors: str | Path | None = None) -> FactTables:
        """The user's tables, the package's own where None. Raises MarsadError for a file that is none."""
        return cls(load_gazetteer(gazetteer), load_actors(actors))


@dataclass(frozen=True, slots=True)
class FactFiles:
    """The user's tables by their paths, the package's own where None: what a job names and its workers load."""

    gazetteer: str | None = None
    actors: str | None = None

    def load(self) -> FactTables:
        """The tables, loaded once in a process. Raises MarsadError for a file that is none."""
        return _load_tables(self)

    def settings(self) -> dict[str, Any]:
        """What decides the values, for a job's manifest: fingerprints of the files."""
        return {
            name: None if path is None else fingerprint_files([Path(path)])
            for name, path in (("gazetteer", self.gazetteer), ("actors", self.actors))
        }


@lru_cache(maxsize=4)
def _load_tables(files: FactFiles) -> FactTables:
    return FactTables.load(files.gazetteer, files.actors)


@dataclass(frozen=True, slots=True)
class Facts:
    """The entities of a report, the value of each (None for types without), and the incidents."""

    text: str
    entities: tuple[Entity, ...]
    values: tuple[Value | None, ...]
    incidents: tuple[Incident, ...]

    def value_records(self) -> list[dict[str, Any] | None]:
        """The values as plain dictionaries, None for types without."""
        return [None if value is None else value.record() for value in self.values]

    def incident_records(self) -> list[dict[str, Any]]:
        """The incidents as plain dictionaries."""
        return [incident_record(one, self.text, self.entities, self.values) for one in self.incidents]

    def casualty_rows(self) -> list[dict[str, Any]]:
        """A flat row for each casualty number, :data:`CASUALTY_COLUMNS`; a breakdown has the links of its total."""
        rows = []
        for incident in self.incidents:
            linked = self._date(incident.date) | self._place(incident.place)
            for prefix, link in zip(("actor", "actor2"), (*incident.actors, None, None), strict=False):
                linked |= self._actor(prefix, link)
            rows += [self._casualty(i) | linked for i in (incident.casualty, *incident.parts)]
        rows.sort(key=lambda row: (row["start"], row["end"]))
        return rows

    def _casualty(self, i: int) -> dict[str, Any]:
        entity, value = self.entities[i], self.values[i]
        row: dict[str, Any] = dict.fromkeys(CASUALTY_COLUMNS)
        row |= {"start": entity.start, "end": entity.end, "text": self.text[entity.start : entity.end]}
        if isinstance(value, CasualtyValue):
            row |= {name: getattr(value, name) for name in ("low", "high", "bound", "outcome", "group", "why")}
            if value.part_of is not None:
                row |= {"part_of_start": value.part_of[0], "part_of_end": value.part_of[1]}
        return row

    def _link(self, prefix: str, link: Link) -> dict[str, Any]:
        entity = self.entities[link.entity]
        return {
            f"{prefix}_span_start": entity.start,
            f"{prefix}_span_end": entity.end,
            f"{prefix}_confidence": link.confidence,
        }

    def _date(self, link: Link | None) -> dict[str, Any]:
        value = None if link is None else self.values[link.entity]
        if link is None or not isinstance(value, DateValue):
            return {}
        days = {"date_start": value.start, "date_end": value.end}
        return {name: day and day.isoformat() for name, day in days.items()} | self._link("date", link)

    def _place(self, link: Link | None) -> dict[str, Any]:
        value = None if link is None else self.values[link.entity]
        if link is None or not isinstance(value, PlaceValue):
            return {}
        row: dict[str, Any] = {"place": value.name}
        if value.place is not None:
            row |= {"place_id": value.place.id, "lat": value.place.lat, "lon": value.place.lon}
        return row | self._link("place", link)

    def _actor(self, prefix: str, link: Link | None) -> dict[str, Any]:
        value = None if link is None else self.values[link.entity]
        if link is None or not isinstance(value, ActorValue):
            return {}
        row = {prefix: value.name, f"{prefix}_id": value.actor, f"{prefix}_side": value.side}
        return row | {f"{prefix}_role": link.role} | self._link(prefix, link)


def read_facts(document: Document, entities: Sequence[Entity], tables: FactTables, clean: Words | None = None) -> Facts:
    """The value of every entity of a report, and its incidents.

    ``entities``: what a model found in ``document``, or its own. Relative dates need ``document.published``. What can't
    be known is None, and the value's ``why`` says the reason; never raises, whatever the text. ``clean``: the words of
    the text, split under :data:`~marsad.facts.folding.CLEAN`, if the caller has them.
    """
    entities = tuple(entities)
    values: list[Value | None] = [None] * len(entities)
    if any(entity.label in VALUE_LABELS for entity in entities):
        # Folding is half of the work: the words are read once for all.
        words = ReportWords.of(document.text) if clean is None else ReportWords(clean, fold_clean_words(clean))

        def put(label: str, found: Sequence[Value]) -> None:
            for i, value in zip(places[label], found, strict=True):
                values[i] = value

        places = {label: [i for i, entity in enumerate(entities) if entity.label == label] for label in VALUE_LABELS}
        of = {label: [entities[i] for i in places[label]] for label in VALUE_LABELS}
        put("CASUALTY", read_casualties(document, entities, words=words.folded))
        names = [entity for entity in entities if entity.label != "DATE"]
        put("DATE", read_dates(document, of["DATE"], words.folded, names))
        put("LOCATION", read_places(document, of["LOCATION"], tables.gazetteer, words))
        put("ACTOR", read_actors(document, of["ACTOR"], tables.actors, words))
        incidents = read_incidents(document.text, entities, values, words)
    else:
        incidents = ()
    return Facts(document.text, entities, tuple(values), incidents)
