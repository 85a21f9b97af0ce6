"""Reliability: whether entities of probability 0.9 are right nine times in ten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from marsad.evaluation.judging import JudgedDocument
from marsad.labels import LabelSet


@dataclass(frozen=True, slots=True)
class Outcome:
    """A predicted entity: its type, its probability, and whether a gold entity has the same span and type."""

    label: str
    score: float
    correct: bool


def outcomes_of(judged: Iterable[JudgedDocument]) -> list[Outcome]:
    """The predicted entities of judged reports that have a probability, and whether they are right."""
    predicted = [(pair.predicted, pair.kind == "correct") for one in judged for pair in one.pairs if pair.predicted]
    return [Outcome(entity.label, entity.score, right) for entity, right in predicted if entity.score is not None]


def reliability(judged: Sequence[JudgedDocument], labels: LabelSet, bins: int = 10) -> dict[str, Any] | None:
    """The reliability table of the predicted entities, overall and by type; None where none has a probability.

    Entities without a probability can't be placed in a bin; they are counted as ``without_score``. For the table itself
    see :func:`reliability_of`.
    """
    outcomes = outcomes_of(judged)
    if not outcomes:
        return None
    predicted = sum(pair.predicted is not None for one in judged for pair in one.pairs)
    return reliability_of(outcomes, labels, bins) | {"without_score": predicted - len(outcomes)}


def reliability_of(outcomes: Sequence[Outcome], labels: LabelSet, bins: int = 10) -> dict[str, Any]:
    """Strict precision beside mean probability, in bins of probability, and the expected calibration error.

    The record holds ``entities``, ``ece``, ``bins`` (``low``, ``high``, ``count``, ``correct``, ``confidence``: the
    mean probability, ``precision``) and the same ``by_type``. Empty bins, and types of which nothing was predicted, are
    left out; ``ece`` is None where nothing was predicted at all.

    Bins are of equal width (Naeini et al. 2015, *Obtaining Well Calibrated Probabilities Using Bayesian Binning*), the
    last one closed: their edges are the same for every model and type, so that tables can be laid side by side and
    counts added up, which bins of equal mass do not allow. The error is the mean of |precision - confidence| over the
    bins, weighed by their counts; it is biased upwards where there are few entities.
    """
    by_type = {name: [outcome for outcome in outcomes if outcome.label == name] for name in labels.types}
    return _table(outcomes, bins) | {"by_type": {name: _table(some, bins) for name, some in by_type.items() if some}}


def _table(outcomes: Sequence[Outcome], bins: int) -> dict[str, Any]:
    rows = list(_bins(outcomes, bins))
    gap = sum(row["count"] * abs(row["precision"] - row["confidence"]) for row in rows)
    return {"entities": len(outcomes), "ece": gap / len(outcomes) if outcomes else None, "bins": rows}


def _bins(outcomes: Sequence[Outcome], bins: int) -> Iterator[dict[str, Any]]:
    edges = np.arange(bins + 1) / bins
    scores = np.array([outcome.score for outcome in outcomes])
    correct = np.array([outcome.correct for outcome in outcomes])
    places = np.minimum(np.searchsorted(edges, scores, side="right") - 1, bins - 1)
    for place in range(bins):
        inside = places == place
        count, right = int(inside.sum()), int(correct[inside].sum())
        if count:
            yield {
                "low": float(edges[place]),
                "high": float(edges[place + 1]),
                "count": count,
                "correct": right,
                "confidence": float(scores[inside].mean()),
                "precision": right / count,
            }
