"""The gate: what a model must reach before it takes the place of another, as a YAML file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marsad.config import explain_error, read_yaml
from marsad.errors import MarsadError
from marsad.evaluation.comparison import ROUNDING, Comparison
from marsad.evaluation.resampling import LEAST_REPORTS
from marsad.evaluation.scoring import StrictScores
from marsad.labels import LabelSet

Ratio = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Minimum(_Section):
    """The least strict F1."""

    f1: Ratio | None = None
    """Over all types (micro)."""
    by_type: dict[str, Ratio] = Field(default_factory=dict)
    """Of an entity type."""


class MaximumDrop(_Section):
    """How much strict F1 may be lost against the baseline."""

    f1: Ratio | None = None
    """Over all types (micro), as a difference of F1 (0.01: one point)."""
    by_type: dict[str, Ratio] = Field(default_factory=dict)
    """Of an entity type."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """How sure it must be that the true drop is no larger (one-sided, by the paired bootstrap over reports)."""


class GateConfig(_Section):
    """The keys of a gate file."""

    minimum: Minimum = Minimum()
    maximum_drop: MaximumDrop | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate file, read."""

    file: str
    config: GateConfig

    def rules(self) -> Iterator[tuple[str, str | None, float]]:
        """Each check: its key in the file, its type (None: over all), its figure."""
        for name, section in (("minimum", self.config.minimum), ("maximum_drop", self.config.maximum_drop)):
            if section is None:
                continue
            if section.f1 is not None:
                yield f"{name}.f1", None, section.f1
            for label, value in section.by_type.items():
                yield f"{name}.by_type.{label}", label, value

    def check_labels(self, labels: LabelSet) -> None:
        """Raises MarsadError when a check names a type that is not judged."""
        for rule, label, _ in self.rules():
            if label is not None and label not in labels.types:
                raise MarsadError(
                    f"{self.file}: {rule}: {label!r} is none of the types judged ({', '.join(labels.types)})"
                )


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One line of a gate: what was required and what was got.

    ``value`` is the F1 of a minimum; of a maximum drop the largest drop that the confidence still covers.
    """

    rule: str
    required: float
    value: float
    passed: bool
    message: str

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rule": self.rule,
            "required": self.required,
            "value": self.value,
            "passed": self.passed,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate and how each of its lines went."""

    file: str
    checks: tuple[GateCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every line was met."""
        return all(check.passed for check in self.checks)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"file": self.file, "passed": self.passed, "checks": [check.record() for check in self.checks]}

    def lines(self) -> list[str]:
        """The verdict, and a line for each check that failed."""
        failed = [check for check in self.checks if not check.passed]
        if not failed:
            return [f"gate {self.file}: passed ({len(self.checks)} checks)"]
        verdict = f"gate {self.file}: FAILED ({len(failed)} of {len(self.checks)} checks)"
        return [verdict, *(f"  {check.message}" for check in failed)]


def load_gate(path: str | Path, baseline: bool) -> Gate:
    """Read a gate file; ``baseline``: whether there is one to compare with.

    Raises MarsadError that names file and key, also for a gate that checks nothing, or a drop without a baseline.
    """
    path = Path(path)
    try:
        gate = Gate(str(path), GateConfig.model_validate(read_yaml(path)))
    except ValidationError as error:
        raise MarsadError(f"{path}: {explain_error(error, GateConfig)}") from None
    rules = [rule for rule, _, _ in gate.rules()]
    if not rules:
        raise MarsadError(f"{path}: checks nothing; set for instance `minimum: {{f1: 0.8}}`")
    drop = next((rule for rule in rules if rule.startswith("maximum_drop.")), None)
    if drop is not None and not baseline:
        raise MarsadError(f"{path}: {drop} needs a baseline to compare with; give --baseline, or take the rule out")
    return gate


def apply_gate(gate: Gate, strict: StrictScores, comparison: Comparison | None) -> GateResult:
    """Check strict scores, and the drop against the baseline, line by line."""
    checks = []
    for rule, label, required in gate.rules():
        if rule.startswith("minimum."):
            counts = strict.overall if label is None else strict.by_type[label]
            message = f"{rule}: F1 is {counts.f1:.4f}, required at least {required:g}"
            if not counts.gold:
                message += " (there is no gold entity of it)"
            checks.append(GateCheck(rule, required, counts.f1, counts.f1 >= required, message))
        elif comparison is not None and gate.config.maximum_drop is not None:
            metric = "f1" if label is None else f"f1 {label}"
            checks.append(_check_drop(rule, metric, required, gate.config.maximum_drop.confidence, comparison))
    return GateResult(gate.file, tuple(checks))


def _check_drop(rule: str, metric: str, allowed: float, confidence: float, comparison: Comparison) -> GateCheck:
    measured = next(-one.difference for one in comparison.metrics if one.name == metric)
    drops = comparison.drops[metric]
    if not len(drops):  # neither system nor gold has any
        drops = np.zeros(1)
    # The least bound that at least this share of the resamples keeps.
    bound = float(np.quantile(drops, confidence, method="inverted_cdf"))
    share = float(np.mean(drops <= allowed + ROUNDING))
    change = f"drops by {measured:.4f}" if measured >= 0 else f"rises by {-measured:.4f}"
    message = (
        f"{rule}: F1 {change}; {share:.1%} of the resamples drop by at most {allowed:g}, required {confidence:.1%}"
    )
    if comparison.reports[metric] < LEAST_REPORTS:
        message += f" (of {comparison.reports[metric]} report that has any: resampling says nothing of so few)"
    return GateCheck(rule, allowed, bound, bound <= allowed + ROUNDING, message)
