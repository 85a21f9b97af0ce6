"""Calibration on dev: a temperature, so that probabilities mean what they say, and thresholds for the entity types."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from marsad.config import CalibrationConfig
from marsad.documents import Document
from marsad.evaluation.calibration import Outcome, outcomes_of, reliability_of
from marsad.evaluation.judging import judge_documents
from marsad.evaluation.scoring import Counts
from marsad.labels import LabelSet
from marsad.modeling.decoding import LEAST_LOG_PROB, Calibration, FloatArray, log_softmax
from marsad.modeling.inference import decode_words
from marsad.modeling.tagging import align_entities, tag_ids
from marsad.text.words import Words

# Scores nearer than this may change places with how windows are batched: no threshold is set between them.
_APART = 1e-5

# A temperature outside says that dev can't tell: without an error on it, the likelihood only rises towards 0.
TEMPERATURES = (0.25, 20.0)


@dataclass(frozen=True, slots=True)
class FittedThreshold:
    """A type's threshold with the dev counts without it and with it.

    ``wanted`` is the precision asked for, None where it was chosen for F1. ``reached`` is false where dev has no
    threshold with that precision; ``value`` is then the one with the highest.
    """

    value: float
    before: Counts
    after: Counts
    wanted: float | None = None
    reached: bool = True

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "threshold": self.value,
            "wanted_precision": self.wanted,
            "reached": self.reached,
            "before": self.before.record(),
            "after": self.after.record(),
        }


@dataclass(frozen=True, slots=True)
class FittedCalibration:
    """What was chosen on dev, and what it changes there.

    ``losses`` are the negative log-likelihoods (nats, over all ``words``) of dev's gold tags and ``errors`` the
    expected calibration errors of its predicted entities (None where there are none), at temperature 1 and at the one
    chosen. ``identified`` is false where dev could not tell the temperature, which is then 1.
    """

    calibration: Calibration
    words: int
    losses: tuple[float, float]
    errors: tuple[float | None, float | None]
    identified: bool
    thresholds: Mapping[str, FittedThreshold]

    def record(self) -> dict[str, Any]:
        """``calibration.json``: temperature and thresholds, and how they were chosen."""
        return {
            "temperature": self.calibration.temperature,
            "thresholds": dict(self.calibration.thresholds),
            "dev": {
                "words": self.words,
                "temperature_identified": self.identified,
                "negative_log_likelihood": dict(zip(("before", "after"), self.losses, strict=True)),
                "ece": dict(zip(("before", "after"), self.errors, strict=True)),
                "thresholds": {name: fitted.record() for name, fitted in self.thresholds.items()},
            },
        }

    def lines(self) -> list[str]:
        """In words: the temperature, and each threshold that does what was asked."""
        before, after = (value / self.words for value in self.losses)
        errors = " → ".join("none (nothing found)" if error is None else f"{error:.4f}" for error in self.errors)
        return [
            f"temperature {self.calibration.temperature:.3f}: negative log-likelihood a word on dev {before:.4f} → "
            f"{after:.4f}, expected calibration error of the entities found {errors}",
            *(f"{name}: {_explain(fitted)}" for name, fitted in self.thresholds.items() if fitted.reached),
        ]

    def shortfalls(self) -> list[str]:
        """In words: what was asked for and dev could not give."""
        lines = [
            f"{name}: the wanted precision {fitted.wanted:g} is not reached on dev; {_explain(fitted)}, the highest"
            for name, fitted in self.thresholds.items()
            if not fitted.reached
        ]
        if not self.identified:
            lower, upper = TEMPERATURES
            lines.append(
                f"the temperature stays 1: dev has no best one between {lower:g} and {upper:g} (it is small, or the "
                "model makes hardly an error on it)"
            )
        return lines


def _explain(fitted: FittedThreshold) -> str:
    before, after = fitted.before, fitted.after
    return (
        f"threshold {fitted.value:.4f} keeps {after.predicted} of {before.predicted} entities found on dev, precision "
        f"{before.precision:.4f} → {after.precision:.4f}, recall {before.recall:.4f} → {after.recall:.4f}"
    )


def fit_calibration(
    documents: Sequence[Document],
    words: Sequence[Words],
    scores: Sequence[FloatArray],
    labels: LabelSet,
    settings: CalibrationConfig,
) -> FittedCalibration:
    """Choose temperature and thresholds on annotated documents with the scores of their words, [words, tags] each."""
    alignments = [align_entities(document, one) for document, one in zip(documents, words, strict=True)]
    gold = [tag_ids(alignment.spans, len(one), labels) for alignment, one in zip(alignments, words, strict=True)]
    loss = negative_log_likelihood(scores, gold, [one.paragraphs for one in words], labels)
    temperature, identified = fit_temperature(loss) if settings.temperature else (1.0, True)
    calibrations = Calibration(), Calibration(temperature)
    found = (
        [decode_words(one, some, labels, calibration) for one, some in zip(words, scores, strict=True)]
        for calibration in calibrations
    )
    before, after = (outcomes_of(judge_documents(documents, entities, words)) for entities in found)
    thresholds = {}
    if settings.thresholds != "none":
        for name in labels.types:
            wanted = settings.wanted_precision(name)
            if settings.thresholds == "precision" and wanted is None:
                continue
            total = sum(entity.label == name for document in documents for entity in document.entities)
            thresholds[name] = fit_threshold([outcome for outcome in after if outcome.label == name], total, wanted)
    return FittedCalibration(
        calibration=Calibration(temperature, {name: fitted.value for name, fitted in thresholds.items()}),
        words=sum(len(one) for one in words),
        losses=(loss(1.0), loss(temperature)),
        errors=(reliability_of(before, labels)["ece"], reliability_of(after, labels)["ece"]),
        identified=identified,
        thresholds=thresholds,
    )


def negative_log_likelihood(
    scores: Sequence[FloatArray],
    gold: Sequence[Sequence[int]],
    paragraphs: Sequence[Sequence[tuple[int, int]]],
    labels: LabelSet,
) -> Callable[[float], float]:
    """The negative log-likelihood of the gold tags as a function of the temperature, in nats, over all words.

    ``scores`` is [words, tags] for each document, ``gold`` the tag ids of its words. The likelihood is that of whole
    tag sequences, a paragraph each, under the distribution over valid IOB2 sequences from which ``decode_spans`` takes
    the probabilities of entities; a likelihood of single words would fit a distribution that is never served.
    """
    logits = np.concatenate([one for one in scores if len(one)]).astype(np.float64)
    tags = np.concatenate([np.asarray(one, dtype=np.int64) for one in gold])
    offsets = np.cumsum([0, *(len(one) for one in gold)])
    bounds = np.array([(o + a, o + b) for o, some in zip(offsets, paragraphs, strict=False) for a, b in some])
    # All paragraphs go forward together, a word a step, the longest first: those that have ended fall off at the end.
    bounds = bounds[np.argsort(bounds[:, 0] - bounds[:, 1], kind="stable")]
    starts, lengths = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
    running = [int((lengths > step).sum()) for step in range(int(lengths[0]))]
    order = np.concatenate([starts[:count] + step for step, count in enumerate(running)])
    logits, tags = logits[order], tags[order]
    allowed = labels.transitions.astype(np.float64)

    def loss(temperature: float) -> float:
        log_probs = np.maximum(log_softmax(logits / temperature), LEAST_LOG_PROB)
        probs = np.exp(log_probs)
        total = -float(log_probs[np.arange(len(tags)), tags].sum())
        forward = np.empty(0)
        at = 0
        for step, count in enumerate(running):
            before = forward[:count] @ allowed if step else labels.starts.astype(np.float64)
            forward = before * probs[at : at + count]
            scale = forward.sum(axis=1, keepdims=True)
            total += float(np.log(scale).sum())
            forward /= scale
            at += count
        return total

    return loss


def fit_temperature(loss: Callable[[float], float]) -> tuple[float, bool]:
    """The temperature of least negative log-likelihood (Guo et al. 2017, *On Calibration of Modern Neural Networks*).

    The log-likelihood is concave in the inverse temperature, so the one minimum that a bounded search finds is the
    global one. Where it lies outside ``TEMPERATURES``, dev does not tell the temperature: the result is 1 and false.
    """
    low, high = math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1])
    found = minimize_scalar(
        lambda log_temperature: loss(math.exp(log_temperature)),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-5},
    )
    if min(loss(one) for one in TEMPERATURES) <= found.fun:
        return 1.0, False
    return math.exp(float(found.x)), True


def fit_threshold(outcomes: Sequence[Outcome], gold: int, wanted: float | None = None) -> FittedThreshold:
    """The threshold of one type with the best F1 on dev, or the lowest with the ``wanted`` precision.

    ``outcomes`` are the predicted entities of the type, ``gold`` the number of its gold ones. A threshold lies halfway
    between the least probable entity that it keeps and the most probable one that it drops, so that the last digit of a
    score decides nothing; it is 0 where it drops none. Of equally good ones the lowest is taken, which drops least.
    """
    ordered = sorted(outcomes, key=lambda outcome: -outcome.score)
    before = Counts(sum(outcome.correct for outcome in ordered), len(ordered), gold)
    candidates: list[tuple[float, Counts]] = []  # from high to low
    right = 0
    for place, outcome in enumerate(ordered, start=1):
        right += outcome.correct
        following = ordered[place].score if place < len(ordered) else None
        if following is None:
            candidates.append((0.0, Counts(right, place, gold)))
        elif outcome.score - following > _APART:
            candidates.append(((outcome.score + following) / 2, Counts(right, place, gold)))
    if not candidates:
        return FittedThreshold(0.0, before, before, wanted, reached=wanted is None)
    candidates.reverse()
    if wanted is not None:
        for value, counts in candidates:
            if counts.precision >= wanted:
                return FittedThreshold(value, before, counts, wanted)
        value, counts = max(candidates, key=lambda one: one[1].precision)
        return FittedThreshold(value, before, counts, wanted, reached=False)
    value, counts = max(candidates, key=lambda one: one[1].f1)
    return FittedThreshold(value, before, counts)
