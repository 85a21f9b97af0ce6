"""From tag scores to entities: windows merged, Viterbi over IOB2, a probability for every entity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from marsad.labels import LabelSet
from marsad.modeling.tagging import WordSpan, decode_tags
from marsad.text.windows import Window, widest_context

FloatArray = NDArray[np.float32]

# Log-probabilities below this are read as this: products of a few of them stay above the smallest double, so
# that no word's valid tags all come to zero.
LEAST_LOG_PROB = -300.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a model's scores become the probabilities of entities, and how probable an entity must be.

    Scores (logits) are divided by ``temperature``: above 1 the model is less sure than it was, below 1 surer.
    An entity whose probability is less than its type's entry in ``thresholds`` is dropped; types without one have none.

    Raises ValueError when the temperature is no finite positive number or a threshold lies outside [0, 1].
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature is {self.temperature!r}, expected a finite number above 0")
        for name, threshold in self.thresholds.items():
            if not 0 <= threshold <= 1:
                raise ValueError(f"threshold of {name} is {threshold!r}, expected a probability in [0, 1]")


UNCALIBRATED = Calibration()


def decode_windows(windows: Sequence[Window], scores: Sequence[FloatArray], length: int) -> FloatArray:
    """Merge the windows of a document: each word is scored where it has the widest context.

    ``scores[i]`` is [words of window i, tags]; the result is [length, tags].
    """
    if len(windows) == 1 and windows[0] == Window(0, length):
        return scores[0]
    tags = scores[0].shape[1] if scores else 0
    merged = np.zeros((length, tags), dtype=np.float32)
    widest = widest_context(windows, length)
    for index, window in enumerate(windows):
        rows = np.flatnonzero(widest[window.first : window.last] == index)
        merged[window.first + rows] = scores[index][rows]
    return merged


def decode_spans(
    scores: FloatArray,
    paragraphs: Sequence[tuple[int, int]],
    labels: LabelSet,
    calibration: Calibration = UNCALIBRATED,
) -> tuple[list[WordSpan], list[float]]:
    """The best valid spans of a document and the probability of each.

    ``scores`` is [words, tags] (logits). Every paragraph is decoded by itself, so no entity crosses a
    line. The tag sequence is the most probable valid one (Viterbi under the IOB2 constraints). A span's
    probability is its posterior under the same constrained distribution, by forward-backward: the
    probability that exactly this span is an entity of this type.

    The temperature of ``calibration`` changes the probabilities alone: it divides the score of every sequence alike, so
    the best one stays the best. Spans below their type's threshold are left out.
    """
    spans: list[WordSpan] = []
    probabilities: list[float] = []
    if not paragraphs:
        return spans, probabilities
    log_probs = log_softmax(scores)
    found = []
    for start, end in paragraphs:
        path = viterbi(log_probs[start:end], labels)
        in_paragraph = decode_tags([labels.tags[tag] for tag in path])
        if in_paragraph:
            found.append((start, end, in_paragraph))
    if calibration.temperature != 1.0:
        log_probs = log_softmax(scores / calibration.temperature)
    lattices = _forward_backward([log_probs[start:end] for start, end, _ in found], labels)
    for (start, _, in_paragraph), lattice in zip(found, lattices, strict=True):
        for span in in_paragraph:
            probability = lattice.posterior(span, labels)
            if probability >= calibration.thresholds.get(span.label, 0.0):
                spans.append(WordSpan(start + span.first, start + span.last, span.label))
                probabilities.append(probability)
    return spans, probabilities


def log_softmax(scores: FloatArray) -> NDArray[np.float64]:
    """Row-wise log-probabilities, [words, tags]."""
    shifted = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def viterbi(log_probs: NDArray[np.float64], labels: LabelSet) -> list[int]:
    """The most probable valid tag sequence of [words, tags] log-probabilities, as tag ids."""
    best = log_probs.argmax(axis=1)
    # The unconstrained best sequence is the constrained one where it is valid, which is nearly always.
    if labels.starts[best[0]] and labels.transitions[best[:-1], best[1:]].all():
        return [int(tag) for tag in best]
    transitions = np.where(labels.transitions, 0.0, -np.inf)
    score = np.where(labels.starts, log_probs[0], -np.inf)
    back = np.zeros(log_probs.shape, dtype=np.int64)
    for word in range(1, len(log_probs)):
        candidates = score[:, None] + transitions
        back[word] = candidates.argmax(axis=0)
        score = candidates.max(axis=0) + log_probs[word]
    path = [int(score.argmax())]
    for word in range(len(log_probs) - 1, 0, -1):
        path.append(int(back[word, path[-1]]))
    return path[::-1]


def span_posteriors(log_probs: NDArray[np.float64], spans: Sequence[WordSpan], labels: LabelSet) -> list[float]:
    """The posterior probability of each span, exactly as it stands, among all valid tag sequences."""
    (lattice,) = _forward_backward([log_probs], labels)
    return [lattice.posterior(span, labels) for span in spans]


def expected_entities(log_probs: NDArray[np.float64], labels: LabelSet) -> float:
    """How many entities a valid tag sequence has in the mean: the posteriors of all ``B-`` tags, summed."""
    (lattice,) = _forward_backward([log_probs], labels)
    begins = [labels.begin(index) for index in range(len(labels.types))]
    return float((lattice.forward * lattice.backward)[:, begins].sum())


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Probabilities, forward and backward, all [words, tags], and scales [words] over the valid tag sequences.

    Each step is scaled to sum to one; the scales cancel in every ratio.
    """

    probs: NDArray[np.float64]
    forward: NDArray[np.float64]
    backward: NDArray[np.float64]
    scale: NDArray[np.float64]

    def posterior(self, span: WordSpan, labels: LabelSet) -> float:
        """The probability that exactly this span is an entity of its type."""
        begin = labels.begin(labels.types.index(span.label))
        mass = self.probs[span.first, begin] / self.scale[span.first]
        if span.first:
            mass *= self.forward[span.first - 1] @ labels.transitions[:, begin]
        for word in range(span.first + 1, span.last):
            mass *= self.probs[word, begin + 1] / self.scale[word]
        if span.last < len(self.probs):
            # What follows may be anything but more of the same entity.
            after = self.probs[span.last] * self.backward[span.last]
            mass *= after[labels.starts].sum() / self.scale[span.last]
        return float(min(mass, 1.0))


def _forward_backward(paragraphs: Sequence[NDArray[np.float64]], labels: LabelSet) -> list[_Lattice]:
    """The lattice of each paragraph, given as log-probabilities [words, tags].

    Paragraphs of like length are worked through side by side, each filled up with words that are surely outside, which
    changes nothing before them.
    """
    allowed = labels.transitions.astype(np.float64)
    lattices: dict[int, _Lattice] = {}
    for group in _of_like_length([len(one) for one in paragraphs]):
        longest = len(paragraphs[group[0]])
        probs = np.zeros((longest, len(group), len(labels.tags)))
        probs[:, :, 0] = 1.0
        for row, index in enumerate(group):
            log_probs = paragraphs[index]
            probs[: len(log_probs), row] = np.exp(np.maximum(log_probs, LEAST_LOG_PROB))
        forward, backward = np.empty_like(probs), np.empty_like(probs)
        scale = np.empty((longest, len(group), 1))
        forward[0] = probs[0] * labels.starts
        for word in range(longest):
            if word:
                forward[word] = (forward[word - 1] @ allowed) * probs[word]
            scale[word] = forward[word].sum(-1, keepdims=True)
            forward[word] /= scale[word]
        backward[-1] = 1.0
        for word in range(longest - 2, -1, -1):
            backward[word] = ((probs[word + 1] * backward[word + 1]) @ allowed.T) / scale[word + 1]
        for row, index in enumerate(group):
            words = len(paragraphs[index])
            lattices[index] = _Lattice(
                probs[:words, row], forward[:words, row], backward[:words, row], scale[:words, row, 0]
            )
    return [lattices[index] for index in range(len(paragraphs))]


def _of_like_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices in groups, the longest first; none is less than half as long as the first of its group."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if group and 2 * lengths[index] < lengths[group[0]]:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
