"""``Recognizer``: reports in, entities out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from itertools import tee
from pathlib import Path
from typing import Any

from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.facts.facts import Facts, FactTables, read_facts
from marsad.facts.folding import CLEAN
from marsad.modeling.artifacts import Tagger, load_tagger
from marsad.modeling.decoding import Calibration
from marsad.modeling.inference import PendingScores, decode_pending, start_scoring
from marsad.modeling.runtimes import Runtime, RuntimeName, load_runtime
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

# Reports read together: enough for batches of like length, few enough that the first entities come soon.
_LOOKAHEAD_TEXTS = 512
_LOOKAHEAD_WORDS = 10_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was found in one report. ``text[e.start:e.end]`` of every entity is exact in the caller's text."""

    text: str
    entities: tuple[Entity, ...]
    words: Words | None = field(default=None, repr=False, compare=False)
    """The words of the text as facts are read of them, where the model reads them so too."""

    def text_of(self, entity: Entity) -> str:
        """What an entity covers, as it stands in the report."""
        return self.text[entity.start : entity.end]

    def records(self) -> list[dict[str, Any]]:
        """The entities as plain dictionaries: start, end, label, text, score (a probability)."""
        return [
            {
                "start": entity.start,
                "end": entity.end,
                "label": entity.label,
                "text": self.text_of(entity),
                "score": round(entity.score, 6) if entity.score is not None else None,
            }
            for entity in self.entities
        ]

    def facts(self, tables: FactTables, published: date | None = None) -> Facts:
        """The values of the entities, and the incidents; ``published`` is the day that relative dates count from."""
        return read_facts(Document("report", self.text, published=published), self.entities, tables, self.words)


class Recognizer:
    """A trained model that finds entities in reports of any length.

    It may be used by several threads at once, and pickled: what is stored is where the model is and how it is run, and
    the model found there again must be the same one.

    >>> recognizer = Recognizer.from_pretrained("models/marsad")
    >>> recognizer.predict(["استشهاد 3 مدنيين في بلدة سرمين"])
    """

    def __init__(self, tagger: Tagger, runtime: Runtime, origin: _Origin) -> None:
        self._tagger = tagger
        self._runtime = runtime
        self._origin = origin

    @classmethod
    def from_pretrained(
        cls, path: str | Path, device: str | None = None, runtime: str = "auto", threads: int | None = None
    ) -> Recognizer:
        """Load a model folder onto ``device`` (where None: a GPU if there is one, else the CPU).

        ``runtime`` is ``torch`` or ``onnx``; ``auto`` takes the folder's int8 network on a CPU if it has one that was
        adopted (see ``marsad export-onnx``), else PyTorch. ``threads`` are the CPU cores to use, by default those that
        the process may use.

        Raises MarsadError when the folder holds no trained model, or not what was asked for; no hub is ever tried.
        """
        folder = Path(path)
        if folder.is_symlink():  # `models/current`, which a promotion may point elsewhere while it is being loaded
            folder = folder.resolve()
        tagger = load_tagger(folder)
        loaded = load_runtime(folder, tagger, runtime, device, threads)
        return cls(tagger, loaded, _Origin(folder.resolve(), device, loaded.name, threads))

    def __repr__(self) -> str:
        labels = ", ".join(self.labels)
        return f"<Recognizer {self._origin.folder.name} {self.fingerprint[:12]}: {labels}; {self.runtime}>"

    def __reduce__(self) -> tuple[Callable[..., Recognizer], tuple[_Origin, str]]:
        return _load_again, (self._origin, self.fingerprint)

    @property
    def labels(self) -> tuple[str, ...]:
        """The entity types that the model knows, in the order of its config."""
        return self._tagger.labels.types

    @property
    def text_config(self) -> TextConfig:
        """How the model reads text."""
        return self._tagger.text

    @property
    def runtime(self) -> RuntimeName:
        """What computes the network: ``torch`` or ``onnx``."""
        return self._runtime.name

    @property
    def model_fingerprint(self) -> str:
        """SHA-256 of the model, whatever computes its network: that of the folder's manifest."""
        return self._tagger.fingerprint

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model and of the ONNX file that runs in its place: equal ones mean equal models."""
        if not self._runtime.fingerprint:
            return self._tagger.fingerprint
        return hashlib.sha256((self._tagger.fingerprint + self._runtime.fingerprint).encode("ascii")).hexdigest()

    @property
    def calibration(self) -> Calibration:
        """The temperature and the thresholds that the model was saved with."""
        return self._tagger.calibration

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """The entities of each text, in order: a function of these texts, the model and its runtime alone.

        Raises MarsadError for one string instead of a list, or an element that is no string.
        """
        return list(self.stream(texts))

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """As :meth:`predict`, lazily: up to 1,024 texts, or a few long ones, are held at a time."""
        if isinstance(texts, str):
            raise MarsadError("expected a list of texts, got one string: put it into a list")
        return self._stream(_check(text) for text in texts)

    def _stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        # Split one at a time, as they are taken: a chunk is counted by the characters of its texts.
        kept, read = tee((text, split_words(text, self._tagger.text)) for text in texts)
        shared = self._tagger.text == CLEAN
        for (text, words), entities in zip(kept, self.stream_words(words for _, words in read), strict=True):
            yield Prediction(text, entities, words if shared else None)

    def stream_words(self, documents: Iterable[Words]) -> Iterator[tuple[Entity, ...]]:
        """As :meth:`stream`, for texts that the caller has split into words himself, under :attr:`text_config`."""
        waiting: PendingScores | None = None
        with ThreadPoolExecutor(self._runtime.workers) as pool:
            try:
                # While the pool reads one chunk, the next one is split and encoded here, and the last one decoded.
                for chunk in _chunks(documents, self._runtime.tokens_per_batch):
                    before, waiting = waiting, start_scoring(self._runtime, self._tagger.encoder, chunk, pool)
                    if before is not None:
                        yield from decode_pending(before, self._tagger)
                if waiting is not None:
                    yield from decode_pending(waiting, self._tagger)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # who is interrupted waits for what is being read alone


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a recognizer came from, to load it again in another process."""

    folder: Path
    device: str | None
    runtime: RuntimeName
    threads: int | None


def _load_again(origin: _Origin, fingerprint: str) -> Recognizer:
    recognizer = Recognizer.from_pretrained(origin.folder, origin.device, origin.runtime, origin.threads)
    if recognizer.fingerprint != fingerprint:
        raise MarsadError(f"{origin.folder}: holds another model than the one that was pickled; take that one again")
    return recognizer


def _check(text: str) -> str:
    if not isinstance(text, str):
        raise MarsadError(f"a text is {type(text).__name__}, expected a string")
    return text


def _chunks(documents: Iterable[Words], tokens_per_batch: int) -> Iterator[list[Words]]:
    """Documents to read together. The first are few, since nothing is being read while they are encoded."""
    chunk: list[Words] = []
    size = 0
    most = max(_LOOKAHEAD_WORDS, tokens_per_batch)
    enough = most // 8
    for document in documents:
        chunk.append(document)
        size += len(document)
        if len(chunk) == _LOOKAHEAD_TEXTS or size >= enough:
            yield chunk
            chunk, size = [], 0
            enough = min(2 * enough, most)
    if chunk:
        yield chunk
