"""The two types that every part of Marsad speaks: a report and its entities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

# Keys of a report's JSON record that are fields here; all others are metadata.
RESERVED_KEYS = frozenset({"id", "text", "published", "source", "entities"})


@dataclass(frozen=True, slots=True)
class Entity:
    """A labelled half-open span ``[start, end)`` of Unicode code points of a document's text.

    ``score`` is the model's probability of the entity, in [0, 1]; None for gold annotation.
    ``extra`` keeps the other keys of a JSON record (``value``, say), so that nothing is lost when a
    file is read and written again.

    Raises ValueError when the offsets are not integers with ``0 <= start < end``, the label
    is empty, or the score lies outside [0, 1].
    """

    start: int
    end: int
    label: str
    score: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"entity {name} is {value!r}, expected an integer offset in code points")
        if not isinstance(self.label, str) or not self.label:
            raise ValueError(f"entity label is {self.label!r}, expected a non-empty string")
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"entity score is {self.score!r}, expected a probability in [0, 1]")
        if not 0 <= self.start < self.end:
            raise ValueError(f"entity [{self.start}, {self.end}) is empty or negative, expected 0 <= start < end")


@dataclass(frozen=True, slots=True)
class Document:
    """One report: its text as the caller gave it and the entities on it, ordered by start.

    ``published`` is the day of publication or None. ``metadata`` holds every further key of the JSON
    record (``conflict``, ``publisher`` …) unchanged.

    Raises ValueError when the id is empty, an entity lies outside the text, or two overlap.
    """

    id: str
    text: str
    entities: tuple[Entity, ...] = ()
    published: date | None = None
    source: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ValueError(f"id is {self.id!r}, expected a non-empty string")
        if not isinstance(self.text, str):
            raise ValueError(f"text is {type(self.text).__name__}, expected a string")
        if self.published is not None and type(self.published) is not date:
            raise ValueError(f"published is {self.published!r}, expected a datetime.date or None")
        if self.source is not None and not isinstance(self.source, str):
            raise ValueError(f"source is {self.source!r}, expected a string or None")
        if RESERVED_KEYS & set(self.metadata):
            reserved = sorted(RESERVED_KEYS & set(self.metadata))
            raise ValueError(f"metadata has the keys {reserved}, which are fields of a document")
        ordered = tuple(sorted(self.entities, key=lambda entity: (entity.start, entity.end)))
        object.__setattr__(self, "entities", ordered)
        for previous, entity in zip((None, *ordered), ordered, strict=False):
            if entity.end > len(self.text):
                raise ValueError(
                    f"entity [{entity.start}, {entity.end}) {entity.label!r} ends outside the text of "
                    f"{len(self.text)} code points; offsets count code points, not bytes or UTF-16 units"
                )
            if previous is not None and entity.start < previous.end:
                raise ValueError(
                    f"entities [{previous.start}, {previous.end}) {previous.label!r} and "
                    f"[{entity.start}, {entity.end}) {entity.label!r} overlap; keep one of them"
                )
