"""``Recognizer``: reports in, entities out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from marsad.documents import Entity
from marsad.errors import MarsadError
from marsad.labels import LabelSet
from marsad.modeling.artifacts import Tagger, load_tagger
from marsad.modeling.inference import TOKENS_PER_BATCH, decode_document, score_windows
from marsad.text.words import split_words

# Reports read together: enough for batches of like length, few enough to keep memory flat.
_LOOKAHEAD = 256


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was found in one report. ``text[e.start:e.end]`` of every entity is exact in the caller's text."""

    text: str
    entities: tuple[Entity, ...]

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


class Recognizer:
    """A trained model that finds entities in reports of any length.

    >>> recognizer = Recognizer.from_pretrained("models/marsad")
    >>> recognizer.predict(["استشهاد 3 مدنيين في بلدة سرمين"])
    """

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger
        self._tokens_per_batch = TOKENS_PER_BATCH.get(tagger.network.device.type, TOKENS_PER_BATCH["cuda"])

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str | None = None) -> Recognizer:
        """Load a model folder onto ``device`` (where None: a GPU if there is one, else the CPU).

        Raises MarsadError when the folder holds no trained model; the network is never tried.
        """
        tagger = load_tagger(path)
        tagger.network.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))  # type: ignore[arg-type]
        return cls(tagger)

    @property
    def labels(self) -> LabelSet:
        """The entity types that the model knows."""
        return self._tagger.labels

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model: equal fingerprints mean equal models."""
        return self._tagger.fingerprint

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """The entities of each text, in order.

        Raises MarsadError for one string instead of a list, or an element that is no string.
        """
        if isinstance(texts, str):
            raise MarsadError("predict() takes a list of texts; got one string: put it into a list")
        return list(self.stream(texts))

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """As :meth:`predict`, lazily: a few hundred texts are held at a time."""
        remaining = iter(texts)
        while chunk := list(islice(remaining, _LOOKAHEAD)):
            yield from self._predict_chunk(chunk)

    def _predict_chunk(self, texts: list[str]) -> Iterator[Prediction]:
        for text in texts:
            if not isinstance(text, str):
                raise MarsadError(f"a text is {type(text).__name__}, expected a string")
        tagger = self._tagger
        documents = [split_words(text, tagger.text) for text in texts]
        encoded = [tagger.encoder.encode_document(words) for words in documents]
        windows = [window for document in encoded for window in document]
        scores = iter(score_windows(tagger.network, windows, tagger.encoder.pad_id, self._tokens_per_batch))
        for text, words, document in zip(texts, documents, encoded, strict=True):
            document_scores = list(islice(scores, len(document)))
            yield Prediction(text, decode_document(words, document, document_scores, tagger.labels))
