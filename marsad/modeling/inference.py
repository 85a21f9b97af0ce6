"""Running a network over encoded windows and turning what it says into entities.

Evaluation, ``Recognizer`` and the dev scores of training all come through here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from transformers import PreTrainedModel

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
from marsad.modeling.encoding import EncodedWindow
from marsad.modeling.tagging import word_spans_to_entities
from marsad.text.words import Words

# On a CPU small enough to stay in its caches; on a GPU a batch is a launch, so larger ones pay.
TOKENS_PER_BATCH = (2048, 32768)


def find_entities(tagger: Tagger, documents: Sequence[Words]) -> list[tuple[Entity, ...]]:
    """The entities of each document, read together in batches of like length."""
    return [
        decode_words(words, scores, tagger.labels, tagger.calibration)
        for words, scores in zip(documents, score_words(tagger, documents), strict=True)
    ]


def score_words(tagger: Tagger, documents: Sequence[Words]) -> list[FloatArray]:
    """Tag scores (logits) of every word of each document, [words, tags]: the network's whole part."""
    encoded = [tagger.encoder.encode_document(words) for words in documents]
    windows = [window for document in encoded for window in document]
    device = tagger.network.device.type
    scores = iter(score_windows(tagger.network, windows, tagger.encoder.pad_id, TOKENS_PER_BATCH[device != "cpu"]))
    return [
        decode_windows([one.window for one in document], list(islice(scores, len(document))), len(words))
        for words, document in zip(documents, encoded, strict=True)
    ]


def score_windows(
    network: PreTrainedModel, windows: Sequence[EncodedWindow], pad_id: int, tokens_per_batch: int
) -> list[FloatArray]:
    """Tag scores (logits) of every word of every window, each [words of the window, tags].

    Windows of like length are read together, at most ``tokens_per_batch`` sub-tokens, padding counted in.
    """
    scores: list[FloatArray] = [np.empty((0, 0), dtype=np.float32)] * len(windows)
    for batch in _batches(windows, tokens_per_batch):
        longest = max(len(windows[index].input_ids) for index in batch)
        ids = torch.full((len(batch), longest), pad_id)
        mask = torch.zeros((len(batch), longest), dtype=torch.long)
        for row, index in enumerate(batch):
            length = len(windows[index].input_ids)
            ids[row, :length] = torch.tensor(windows[index].input_ids)
            mask[row, :length] = 1
        with torch.inference_mode():
            logits = network(input_ids=ids.to(network.device), attention_mask=mask.to(network.device)).logits
        rows = logits.float().cpu().numpy()
        for row, index in enumerate(batch):
            scores[index] = rows[row, windows[index].first_tokens]
    return scores


def _batches(windows: Sequence[EncodedWindow], tokens_per_batch: int) -> Iterator[list[int]]:
    order = sorted(range(len(windows)), key=lambda index: -len(windows[index].input_ids))
    batch: list[int] = []
    for index in order:
        longest = len(windows[batch[0] if batch else index].input_ids)
        if batch and longest * (len(batch) + 1) > tokens_per_batch:
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
