"""Is one system better than another? Both judged on the same reports.

The paired bootstrap (Efron and Tibshirani 1993) says how large the difference is, the approximate randomisation test
(Noreen 1989; Yeh 2000) whether chance alone would make it so large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from marsad.documents import Document, Entity
from marsad.evaluation.judging import JudgedDocument
from marsad.evaluation.resampling import Interval, as_list, resample_counts, supported_interval
from marsad.evaluation.scoring import FloatArray, IntArray, metric_support, metric_values
from marsad.labels import LabelSet

PERMUTATIONS = 10_000
# Numbers held at once: 32 MB of swaps.
_SWAPS = 4_000_000
# Differences that a sum in another order may make.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric of both systems on the same reports; ``difference`` is system minus baseline.

    ``interval`` is that of the difference, None where fewer than two reports have anything that the metric is a share
    of. ``probability_better`` is the share of the resamples in which the system is ahead (draws count half); those that
    hold nothing of a type are left out of its. ``p_value`` is the two-sided one of the randomisation test.
    """

    name: str
    baseline: float
    system: float
    difference: float
    interval: Interval | None
    probability_better: float
    p_value: float

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "baseline": self.baseline,
            "system": self.system,
            "difference": self.difference,
            "interval": as_list(self.interval),
            "probability_better": self.probability_better,
            "p_value": self.p_value,
        }


@dataclass(frozen=True, slots=True)
class Flip:
    """An entity that one of the two systems gets right and the other wrong.

    ``baseline`` and ``system`` say what became of it: the kind of its pair, or ``absent`` for an entity that is not
    predicted and is none.
    """

    document: str
    change: str
    entity: Entity
    text: str
    baseline: str
    system: str

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.document,
            "change": self.change,
            "entity": {
                "start": self.entity.start,
                "end": self.entity.end,
                "label": self.entity.label,
                "text": self.text,
            },
            "baseline": self.baseline,
            "system": self.system,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A system beside its baseline: every metric, and the entities that flipped.

    ``drops`` are the resampled differences baseline minus system by metric, each [resamples that say something on it],
    for the gate; ``reports`` is how many reports do.
    """

    resamples: int
    permutations: int
    seed: int
    metrics: tuple[MetricComparison, ...]
    fixed: tuple[Flip, ...]
    broken: tuple[Flip, ...]
    drops: Mapping[str, FloatArray]
    reports: Mapping[str, int]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "resamples": self.resamples,
            "permutations": self.permutations,
            "seed": self.seed,
            "metrics": [metric.record() for metric in self.metrics],
            "fixed": [flip.record() for flip in self.fixed],
            "broken": [flip.record() for flip in self.broken],
        }


def compare_systems(
    baseline: Sequence[JudgedDocument],
    system: Sequence[JudgedDocument],
    counts: tuple[IntArray, IntArray],
    labels: LabelSet,
    resamples: int,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> Comparison:
    """Compare two systems judged on the same reports; ``counts`` are theirs, [reports, types, 3] each.

    Raises ValueError when the reports are not the same.
    """
    if [judged.document.id for judged in baseline] != [judged.document.id for judged in system]:
        raise ValueError("the two systems were judged on different reports")
    observed = [metric_values(one.sum(axis=0), labels) for one in counts]
    samples = [resample_counts(one, resamples, seed) for one in counts]
    drawn = [metric_values(one, labels) for one in samples]
    # What either system says something on.
    seen = metric_support(samples[0] + samples[1], labels)
    reports = {name: int(told.sum()) for name, told in metric_support(counts[0] + counts[1], labels).items()}
    p_values = randomization_test(counts[0], counts[1], labels, permutations, seed)
    names = ["f1", "precision", "recall", "macro_f1", *(f"f1 {label}" for label in labels.types)]
    metrics = []
    drops: dict[str, FloatArray] = {}
    for name in names:
        old, new = float(observed[0][name]), float(observed[1][name])
        differences = drawn[1][name] - drawn[0][name]
        interval = supported_interval(differences, seen[name], reports[name])
        differences = differences[seen[name]]
        drops[name] = -differences
        better = float(np.mean(differences > 0) + np.mean(differences == 0) / 2) if len(differences) else 0.5
        metrics.append(MetricComparison(name, old, new, new - old, interval, better, p_values[name]))
    flips = [flip for old, new in zip(baseline, system, strict=True) for flip in _fixed(old, new)]
    losses = [flip for old, new in zip(baseline, system, strict=True) for flip in _broken(old, new)]
    return Comparison(
        resamples=resamples,
        permutations=permutations,
        seed=seed,
        metrics=tuple(metrics),
        fixed=tuple(flips),
        broken=tuple(losses),
        drops=drops,
        reports=reports,
    )


def randomization_test(
    baseline: IntArray, system: IntArray, labels: LabelSet, permutations: int, seed: int
) -> dict[str, float]:
    """Two-sided p-values of the approximate randomisation test, by metric.

    In each permutation the two systems' counts of every report are swapped with probability one half. With k
    differences at least as large as the one observed, p = (k + 1) / (permutations + 1).
    """
    first, second = baseline.sum(axis=0), system.sum(axis=0)
    observed = _differences(first, second, labels)
    change = (system - baseline).reshape(len(baseline), -1)
    change = change[change.any(axis=1)]  # to swap equal counts changes nothing
    larger = dict.fromkeys(observed, 0)
    random = np.random.default_rng(seed)
    chunk = max(1, _SWAPS // max(len(change), 1))
    for start in range(0, permutations, chunk):
        size = min(chunk, permutations - start)
        swapped = random.integers(0, 2, size=(size, len(change)), dtype=np.int8).astype(np.float64)
        moved = (swapped @ change.astype(np.float64)).reshape(size, *first.shape)
        for name, values in _differences(first + moved, second - moved, labels).items():
            larger[name] += int(np.sum(np.abs(values) >= abs(observed[name]) - ROUNDING))
    return {name: (count + 1) / (permutations + 1) for name, count in larger.items()}


def _differences(first: Any, second: Any, labels: LabelSet) -> dict[str, FloatArray]:
    old, new = metric_values(first, labels), metric_values(second, labels)
    return {name: new[name] - old[name] for name in old}


def _fixed(old: JudgedDocument, new: JudgedDocument) -> Iterator[Flip]:
    """What the baseline had wrong and the system has right."""
    yield from _found(old, new, "found", reverse=False)
    yield from _vanished(old, new, "no longer spurious", reverse=False)


def _broken(old: JudgedDocument, new: JudgedDocument) -> Iterator[Flip]:
    """What the baseline had right and the system has wrong."""
    yield from _found(new, old, "lost", reverse=True)
    yield from _vanished(new, old, "newly spurious", reverse=True)


def _found(worse: JudgedDocument, better: JudgedDocument, change: str, reverse: bool) -> Iterator[Flip]:
    kinds = {pair.gold: pair.kind for pair in worse.pairs if pair.gold is not None}
    for pair in better.pairs:
        if pair.gold is not None and pair.kind == "correct" and kinds[pair.gold] != "correct":
            yield _flip(better.document, change, pair.gold, kinds[pair.gold], "correct", reverse)


def _vanished(worse: JudgedDocument, better: JudgedDocument, change: str, reverse: bool) -> Iterator[Flip]:
    """Spurious entities of the one where the other has no spurious entity at all."""
    others = [pair.predicted for pair in better.pairs if pair.kind == "spurious" and pair.predicted is not None]
    for pair in worse.pairs:
        entity = pair.predicted
        if entity is None or pair.kind != "spurious":
            continue
        if not any(entity.start < other.end and other.start < entity.end for other in others):
            yield _flip(worse.document, change, entity, "spurious", "absent", reverse)


def _flip(document: Document, change: str, entity: Entity, worse: str, better: str, reverse: bool) -> Flip:
    text = document.text[entity.start : entity.end]
    old, new = (better, worse) if reverse else (worse, better)
    return Flip(document.id, change, entity, text, old, new)
