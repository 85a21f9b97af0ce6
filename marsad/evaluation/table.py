"""An evaluation as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from marsad.evaluation.comparison import Comparison
from marsad.evaluation.scoring import SCHEMES, ErrorCounts, SemEvalCounts
from marsad.evaluation.systems import System
from marsad.modeling.tagging import Alignment

if TYPE_CHECKING:
    from marsad.evaluation.evaluate import Evaluation

_WORST_SLICES = 5
_LEAST_SUPPORT = 20


def render_table(evaluation: Evaluation) -> str:
    """The scores as text, at most 100 columns wide but for long names."""
    return "\n".join(_lines(evaluation))


def _lines(evaluation: Evaluation) -> Iterator[str]:
    judged = evaluation.judged
    words, entities = sum(len(one.words) for one in judged), sum(len(one.document.entities) for one in judged)
    yield f"{evaluation.system.path} on {', '.join(evaluation.files)}"
    yield f"{evaluation.reports} reports, {words} words, {entities} gold entities"
    yield ""
    yield from _strict_lines(evaluation)
    yield ""
    overall = {scheme: sum(by_type.values(), SemEvalCounts()) for scheme, by_type in evaluation.semeval.items()}
    yield "SemEval-2013 F1: " + ", ".join(f"{scheme} {overall[scheme].f1:.4f}" for scheme in SCHEMES)
    errors = sum(evaluation.errors.values(), ErrorCounts())
    yield (
        f"errors: {errors.missed} missed, {errors.spurious} spurious, {errors.boundary} with another boundary, "
        f"{errors.type} with another type, {errors.both} with both"
    )
    yield from _slice_lines(evaluation)
    if evaluation.facts is not None:
        yield ""
        yield from evaluation.facts.lines()
    if evaluation.comparison is not None and evaluation.baseline is not None:
        yield ""
        yield from _comparison_lines(evaluation.comparison, evaluation.system, evaluation.baseline)
    lines = [*_alignment_lines("gold", "missed", [one.gold for one in judged])]
    lines += _alignment_lines("predicted", "spurious", [one.predicted for one in judged])
    if lines:
        yield ""
        yield from lines
    if evaluation.gate is not None:
        yield ""
        yield from evaluation.gate.lines()


def _strict_lines(evaluation: Evaluation) -> Iterator[str]:
    strict, intervals = evaluation.strict, evaluation.intervals.metrics
    rows = [(label, counts, f"f1 {label}") for label, counts in strict.by_type.items()]
    rows.append(("all (micro)", strict.overall, "f1"))
    width = max(len("all (macro)"), *(len(name) for name, _, _ in rows))
    yield f"{'strict':{width}}  precision  recall      F1     95% interval  support  predicted"
    for name, counts, metric in rows:
        yield (
            f"{name:{width}}  {counts.precision:9.4f}  {counts.recall:6.4f}  {counts.f1:6.4f}  "
            f"{_interval(intervals[metric])}  {counts.gold:7d}  {counts.predicted:9d}"
        )
    macro = strict.macro
    yield (
        f"{'all (macro)':{width}}  {macro['precision']:9.4f}  {macro['recall']:6.4f}  {macro['f1']:6.4f}  "
        f"{_interval(intervals['macro_f1'])}"
    )


def _slice_lines(evaluation: Evaluation) -> Iterator[str]:
    """The slices with the lowest F1 among those of some size."""
    enough = [one for one in evaluation.slices if one.overall.gold >= _LEAST_SUPPORT]
    worst = sorted(enough, key=lambda one: one.overall.f1)[:_WORST_SLICES]
    if worst:
        yield f"lowest of {len(enough)} slices with {_LEAST_SUPPORT} gold entities or more (all in report.json):"
        width = max(len(f"{one.group}: {one.name}") for one in worst)
        for one in worst:
            counts = one.overall
            name = f"{one.group}: {one.name}"
            yield f"  {name:{width}}  F1 {counts.f1:.4f}  {_interval(one.f1_interval)}  {counts.gold:7d}"
    for left_out in evaluation.slices_left_out:
        if left_out.group == "seen in training":
            yield f"no slices of unseen mentions: {left_out.why}"


def _comparison_lines(comparison: Comparison, system: System, baseline: System) -> Iterator[str]:
    width = max(len(f"strict {one.name}") for one in comparison.metrics)
    runtimes = [one.recognizer.runtime for one in (baseline, system) if one.recognizer is not None]
    by = f" run by {runtimes[0]}, this by {runtimes[1]}" if len(set(runtimes)) > 1 else ""
    yield f"against {baseline.path}{by}"
    yield f"{'':{width}}  baseline  system  difference      95% interval  P(better)       p"
    for one in comparison.metrics:
        low, high = ("–", "") if one.interval is None else (f"{bound:+.4f}" for bound in one.interval)
        yield (
            f"{f'strict {one.name}':{width}}  {one.baseline:8.4f}  {one.system:6.4f}  {one.difference:+10.4f}  "
            f"{low:>7} {high:7}   {one.probability_better:9.3f}  {one.p_value:6.4f}"
        )
    yield (
        f"{len(comparison.fixed)} entities fixed, {len(comparison.broken)} broken "
        f"(p: approximate randomisation, {comparison.permutations} permutations)"
    )


def _interval(interval: tuple[float, float] | None) -> str:
    return f"{'–':>8}{'':7}" if interval is None else f"{interval[0]:.4f} – {interval[1]:.4f}"


def _alignment_lines(side: str, become: str, alignments: Sequence[Alignment]) -> Iterator[str]:
    widened = sum(len(alignment.widened) for alignment in alignments)
    dropped = sum(len(alignment.dropped) for alignment in alignments)
    if widened:
        yield f"{widened} {side} entities began or ended inside a word and were widened to it"
    if dropped:
        yield f"{dropped} {side} entities could not be put on words and count as {become}"
