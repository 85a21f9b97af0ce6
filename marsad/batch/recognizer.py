"""``Recognizer``: reports in, entities out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import torch

from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.facts.facts import Facts, FactTables, read_facts
from marsad.facts.folding import CLEAN
from marsad.modeling.artifacts import Tagger, load_tagger
from marsad.modeling.decoding import Calibration
from marsad.modeling.inference import find_entities
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

T = TypeVar("T")

# Reports read together: enough for batches of like length, few enough to keep memory flat.
_LOOKAHEAD_TEXTS = 64
_LOOKAHEAD_CHARS = 2_000_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was found in one report. ``text[e.start:e.end]`` of every entity is exact in the caller's text."""

    text: str
    entities: tuple[Entity, ...]
    words: Words | None = field(default=None, repr=False, compare=False)
    """The words of the text as facts are read of them, where the model reads them so too."""

    def records(self) -> list[dict[str, Any]]:
        """The entities as plain dictionaries: start, end, label, text, score (a probability)."""
        return [
            {
                "start": entity.start,
                "end": entity.end,
                "label": entity.label,
                "text": self.text[entity.start : entity.end],
                "score": round(entity.score, 6) if entity.score is not None else None,
            }
            for entity in self.entities
        ]

    def facts(self, tables: FactTables, published: date | None = None) -> Facts:
        """The values of the entities, and the incidents; ``published`` is the day that relative dates count from."""
        return read_facts(Document("report", self.text, published=published), self.entities, tables, self.words)


class Recognizer:
    """A trained model that finds entities in reports of any length.

    >>> recognizer = Recognizer.from_pretrained("models/marsad")
    >>> recognizer.predict(["استشهاد 3 مدنيين في بلدة سرمين"])
    """

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str | None = None) -> Recognizer:
        """Load a model folder onto ``device`` (where None: a GPU if there is one, else the CPU).

        Raises MarsadError when the folder holds no trained model; the network is never tried.
        """
        tagger = load_tagger(path)
        tagger.network.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))  # type: ignore[arg-type]
        return cls(tagger)

    @property
    def labels(self) -> tuple[str, ...]:
        """The entity types that the model knows, in the order of its config."""
        return self._tagger.labels.types

    @property
    def text_config(self) -> TextConfig:
        """How the model reads text."""
        return self._tagger.text

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model: equal fingerprints mean equal models."""
        return self._tagger.fingerprint

    @property
    def calibration(self) -> Calibration:
        """The temperature and the thresholds that the model was saved with."""
        return self._tagger.calibration

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """The entities of each text, in order.

        Raises MarsadError for one string instead of a list, or an element that is no string.
        """
        return list(self.stream(texts))

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """As :meth:`predict`, lazily: 64 texts, or two million characters, are held at a time."""
        if isinstance(texts, str):
            raise MarsadError("expected a list of texts, got one string: put it into a list")
        return self._stream(_check(text) for text in texts)

    def _stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        for chunk in in_chunks(texts, len):
            documents = [split_words(text, self._tagger.text) for text in chunk]
            shared = self._tagger.text == CLEAN
            for text, words, entities in zip(chunk, documents, find_entities(self._tagger, documents), strict=True):
                yield Prediction(text, entities, words if shared else None)

    def stream_words(self, documents: Iterable[Words]) -> Iterator[tuple[Entity, ...]]:
        """As :meth:`stream`, for texts that the caller has split into words himself, under :attr:`text_config`."""
        for chunk in in_chunks(documents, lambda words: words.words[-1].end if words.words else 0):
            yield from find_entities(self._tagger, chunk)


def _check(text: str) -> str:
    if not isinstance(text, str):
        raise MarsadError(f"a text is {type(text).__name__}, expected a string")
    return text


def in_chunks(items: Iterable[T], characters: Callable[[T], int]) -> Iterator[list[T]]:
    """What to read together: 64 texts, or two million characters."""
    chunk: list[T] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += characters(item)
        if len(chunk) == _LOOKAHEAD_TEXTS or size >= _LOOKAHEAD_CHARS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
