"""Uncertainty by the bootstrap over reports (Efron 1979).

Entities of one report are not independent, so whole reports are drawn, with replacement, and the scores computed from
the counts of those drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marsad.evaluation.scoring import FloatArray, IntArray, metric_support, metric_values
from marsad.labels import LabelSet

LEVEL = 0.95
# Numbers held at once: 32 MB of weights.
_WEIGHTS = 4_000_000

Interval = tuple[float, float]
# Of fewer reports than this, resampling says nothing.
LEAST_REPORTS = 2


def resample_counts(counts: IntArray, resamples: int, seed: int) -> FloatArray:
    """Counts of each report [reports, …] → counts of each resample [resamples, …], all of them whole numbers.

    The reports drawn depend on the number of reports and the seed alone, so counts of two systems resampled with the
    same seed are paired.
    """
    reports = len(counts)
    flat = counts.reshape(reports, -1).astype(np.float64)
    drawn = np.empty((resamples, flat.shape[1]))
    random = np.random.default_rng(seed)
    chunk = max(1, _WEIGHTS // reports)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        weights = random.multinomial(reports, np.full(reports, 1 / reports), size=size)
        drawn[start : start + size] = weights.astype(np.float64) @ flat
    return drawn.reshape(resamples, *counts.shape[1:])


def percentile_interval(values: NDArray[Any], level: float = LEVEL) -> Interval:
    """The percentile interval of resampled values [resamples]."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def supported_interval(values: FloatArray, seen: NDArray[np.bool_], reports: int) -> Interval | None:
    """The interval of a metric's resampled values, of those resamples in which it was ``seen``, each [resamples].

    None where fewer than two ``reports`` have anything that the metric is a share of.
    """
    return percentile_interval(values[seen]) if reports >= LEAST_REPORTS else None


@dataclass(frozen=True, slots=True)
class Intervals:
    """Percentile intervals of the strict metrics; ``metrics`` has the names of ``scoring.metric_values``.

    None where fewer than two reports have anything that the metric is a share of.
    """

    resamples: int
    seed: int
    metrics: Mapping[str, Interval | None]

    def record(self, labels: LabelSet) -> dict[str, Any]:
        """For JSON: as the strict scores are."""
        names = ("precision", "recall", "f1")
        return {
            "level": LEVEL,
            "resamples": self.resamples,
            "seed": self.seed,
            "unit": "report",
            "strict": {
                "overall": {name: as_list(self.metrics[name]) for name in names},
                "macro": {name: as_list(self.metrics[f"macro_{name}"]) for name in names},
                "by_type": {
                    label: {name: as_list(self.metrics[f"{name} {label}"]) for name in names} for label in labels.types
                },
            },
        }


def as_list(interval: Interval | None) -> list[float] | None:
    """For JSON."""
    return None if interval is None else list(interval)


def estimate_intervals(counts: IntArray, labels: LabelSet, resamples: int, seed: int) -> Intervals:
    """Intervals of every strict metric from the counts of each report, [reports, types, 3].

    Resamples that by chance hold nothing of a rare type say nothing on it, and are left out of its interval.
    """
    samples = resample_counts(counts, resamples, seed)
    values, seen = metric_values(samples, labels), metric_support(samples, labels)
    reports = metric_support(counts, labels)
    return Intervals(
        resamples,
        seed,
        {name: supported_interval(drawn, seen[name], int(reports[name].sum())) for name, drawn in values.items()},
    )
