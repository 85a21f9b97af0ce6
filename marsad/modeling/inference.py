"""Running a network over encoded windows and turning what it says into entities.

Evaluation, ``Recognizer`` and the dev scores of training all come through here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from marsad.documents import Entity
from marsad.labels import LabelSet
from marsad.modeling.artifacts import Tagger
from marsad.modeling.decoding import (
    UNCALIBRATED,
    Calibration,
    FloatArray,
    decode_spans,
    decode_windows,
    expected_entities,
    log_softmax,
)
from marsad.modeling.encoding import EncodedWindow, WordEncoder
from marsad.modeling.runtimes import Runtime
from marsad.modeling.tagging import word_spans_to_entities
from marsad.text.words import Words

_NO_SCORES: FloatArray = np.empty((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class PendingScores:
    """Documents whose windows a pool of threads is reading; see :func:`start_scoring`."""

    documents: Sequence[Words]
    encoded: Sequence[list[EncodedWindow]]
    batches: Sequence[tuple[list[int], Future[list[FloatArray]]]]

    def wait(self) -> list[FloatArray]:
        """Tag scores (logits) of every word of each document, [words, tags]."""
        scores = [_NO_SCORES] * sum(len(document) for document in self.encoded)
        for batch, done in self.batches:
            for index, rows in zip(batch, done.result(), strict=True):
                scores[index] = rows
        in_order = iter(scores)
        return [
            decode_windows([one.window for one in document], list(islice(in_order, len(document))), len(words))
            for words, document in zip(self.documents, self.encoded, strict=True)
        ]


def start_scoring(runtime: Runtime, encoder: WordEncoder, documents: Sequence[Words], pool: Executor) -> PendingScores:
    """Encode documents and hand their windows to ``pool``; the caller may go on with the next ones meanwhile.

    Batches are formed from these documents alone, so the scores are a function of them.
    """
    encoded = [encoder.encode_document(words) for words in documents]
    windows = [window for document in encoded for window in document]
    batches = [
        (batch, pool.submit(_score_batch, runtime, [windows[index] for index in batch], encoder.pad_id))
        for batch in form_batches([len(window.input_ids) for window in windows], runtime.tokens_per_batch, runtime.pads)
    ]
    return PendingScores(documents, encoded, batches)


def score_words(runtime: Runtime, encoder: WordEncoder, documents: Sequence[Words]) -> list[FloatArray]:
    """Tag scores (logits) of every word of each document, [words, tags]: the network's whole part."""
    with ThreadPoolExecutor(runtime.workers) as pool:
        return start_scoring(runtime, encoder, documents, pool).wait()


def decode_pending(pending: PendingScores, tagger: Tagger) -> Iterator[tuple[Entity, ...]]:
    """The entities of each document, once all its windows are read."""
    for words, scores in zip(pending.documents, pending.wait(), strict=True):
        yield decode_words(words, scores, tagger.labels, tagger.calibration)


def _score_batch(runtime: Runtime, windows: Sequence[EncodedWindow], pad_id: int) -> list[FloatArray]:
    lengths = [len(window.input_ids) for window in windows]
    longest = max(lengths)
    ids = np.full((len(windows), longest), pad_id, dtype=np.int64)
    for row, window in enumerate(windows):
        ids[row, : lengths[row]] = window.input_ids
    mask = (np.arange(longest) < np.array(lengths)[:, None]).astype(np.int64) if min(lengths) < longest else None
    places = np.zeros((len(windows), max(len(window.first_tokens) for window in windows)), dtype=np.int64)
    for row, window in enumerate(windows):
        places[row, : len(window.first_tokens)] = window.first_tokens
    scores = runtime.score(ids, mask, places)
    return [scores[row, : len(window.first_tokens)] for row, window in enumerate(windows)]


def form_batches(lengths: Sequence[int], tokens_per_batch: int, pads: bool) -> Iterator[list[int]]:
    """Indices of windows to read together, the longest first; ``lengths`` in sub-tokens.

    A batch has at most ``tokens_per_batch`` sub-tokens with its padding, or a single window. Without ``pads`` only
    windows of equal length come together.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        longest = lengths[batch[0] if batch else index]
        if batch and (longest * (len(batch) + 1) > tokens_per_batch or (lengths[index] < longest and not pads)):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def decode_document(
    words: Words, windows: Sequence[EncodedWindow], scores: Sequence[FloatArray], labels: LabelSet
) -> tuple[Entity, ...]:
    """The entities of one document from the scores of its windows, with offsets in its original text."""
    return decode_words(words, decode_windows([encoded.window for encoded in windows], scores, len(words)), labels)


def decode_words(
    words: Words, scores: FloatArray, labels: LabelSet, calibration: Calibration = UNCALIBRATED
) -> tuple[Entity, ...]:
    """The entities of one document from the scores of its words, [words, tags], with offsets in its original text."""
    spans, probabilities = decode_spans(scores, words.paragraphs, labels, calibration)
    return tuple(word_spans_to_entities(spans, probabilities, words))


def expected_errors(
    words: Words, scores: FloatArray, entities: Sequence[Entity], labels: LabelSet, calibration: Calibration
) -> float:
    """How many errors are expected in the ``entities`` found in a document: wrong ones, and right ones not found.

    With p the probability of each entity found and N the number of entities expected under the same posterior over tag
    sequences, the sum of 1 - p is wrong and N minus the sum of p is not found. ``entities`` are those of
    :func:`decode_words`.
    """
    total = 0.0
    for start, end in words.paragraphs:
        total += expected_entities(log_softmax(scores[start:end] / np.float32(calibration.temperature)), labels)
    right = sum(entity.score for entity in entities if entity.score is not None)
    return max(len(entities) + total - 2 * right, 0.0)
