"""Gates: which pass, which line fails, what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from made import LABELS
from test_comparison import compare, system

from marsad.config import load_config
from marsad.errors import MarsadError
from marsad.evaluation.gate import GateResult, apply_gate, load_gate
from marsad.evaluation.scoring import Counts, StrictScores, score_documents

STRICT = StrictScores({"ACTOR": Counts(8, 10, 10), "PLACE": Counts(9, 10, 10), "TIME": Counts()})


def check(path: Path, text: str, baseline: float | None = None, own: float = 0.7) -> GateResult:
    path.write_text(text, encoding="utf-8")
    gate = load_gate(path, baseline is not None)
    gate.check_labels(LABELS)
    if baseline is None:
        return apply_gate(gate, STRICT, None)
    judged = system(own, seed=2)
    return apply_gate(gate, score_documents(judged, LABELS), compare(system(baseline, seed=1), judged))


def test_every_minimum_is_checked_and_the_failed_one_named(tmp_path: Path):
    result = check(tmp_path / "g.yaml", "minimum: {f1: 0.85, by_type: {ACTOR: 0.81, PLACE: 0.9}}")
    assert [(one.rule, one.passed) for one in result.checks] == [
        ("minimum.f1", True),
        ("minimum.by_type.ACTOR", False),
        ("minimum.by_type.PLACE", True),
    ]
    assert not result.passed
    verdict, failed = result.lines()
    assert verdict.endswith("g.yaml: FAILED (1 of 3 checks)")
    assert failed.strip() == "minimum.by_type.ACTOR: F1 is 0.8000, required at least 0.81"
    assert result.record()["checks"][1] == {
        "rule": "minimum.by_type.ACTOR",
        "required": 0.81,
        "value": 0.8,
        "passed": False,
        "message": failed.strip(),
    }


def test_a_gate_that_is_passed(tmp_path: Path):
    result = check(tmp_path / "g.yaml", "minimum: {f1: 0.85}")
    assert result.passed
    assert result.lines() == [f"gate {tmp_path / 'g.yaml'}: passed (1 checks)"]


def test_a_type_without_gold_fails_and_is_said_to_have_none(tmp_path: Path):
    (only,) = check(tmp_path / "g.yaml", "minimum: {by_type: {TIME: 0.1}}").checks
    assert not only.passed and "no gold entity" in only.message


@pytest.mark.parametrize(
    ("allowed", "baseline", "own", "passed"),
    [
        (0.0, 0.7, 0.95, True),  # better
        (0.0, 0.9, 0.5, False),  # clearly worse
        (0.6, 0.9, 0.5, True),  # worse, but by less than is allowed
        (0.01, 0.74, 0.7, False),  # hardly worse, yet not sure to be by one point at most
    ],
)
def test_a_drop_must_be_surely_small(tmp_path: Path, allowed: float, baseline: float, own: float, passed: bool):
    result = check(tmp_path / "g.yaml", f"maximum_drop: {{f1: {allowed}}}", baseline, own)
    assert result.passed is passed
    (only,) = result.checks
    assert (only.value <= allowed) is passed
    assert "required 95.0%" in only.message


def test_a_drop_is_judged_at_the_confidence_asked_for(tmp_path: Path):
    texts = [f"maximum_drop: {{f1: 0.05, by_type: {{ACTOR: 0.2}}, confidence: {sure}}}" for sure in (0.05, 0.999)]
    bounds = [[one.value for one in check(tmp_path / "g.yaml", text, 0.72).checks] for text in texts]
    assert bounds[0][0] < bounds[1][0] and bounds[0][1] < bounds[1][1]


def test_an_equal_system_drops_by_nothing(tmp_path: Path):
    path = tmp_path / "g.yaml"
    path.write_text("maximum_drop: {f1: 0}", encoding="utf-8")
    judged = system(0.7)
    result = apply_gate(load_gate(path, True), score_documents(judged, LABELS), compare(judged, judged))
    assert result.passed and result.checks[0].value == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minimum: {F1: 0.8}", r"g\.yaml: unknown key 'minimum\.F1'; did you mean 'minimum\.f1'"),
        ("minimal: {f1: 0.8}", r"g\.yaml: unknown key 'minimal'; did you mean 'minimum'"),
        ("maximum_drop: {f2: 0.8}", r"unknown key 'maximum_drop\.f2'; did you mean 'maximum_drop\.f1'"),
        ("minimum: {f1: 80}", r"g\.yaml: minimum\.f1: .*less than or equal to 1, got 80"),
        ("minimum: {f1: high}", r"minimum\.f1: .*'high'"),
        ("minimum: {by_type: {ACTOR: -1}}", r"minimum\.by_type\.ACTOR: .*-1"),
        ("minimum: {by_type: {VEHICLE: 0.5}}", r"minimum\.by_type\.VEHICLE: 'VEHICLE' is none of the types judged"),
        ("maximum_drop: {f1: 0.01, confidence: 1}", r"maximum_drop\.confidence: .*got 1"),
        ("maximum_drop: {confidence: 0.9}", r"g\.yaml: checks nothing"),
        ("", r"g\.yaml: checks nothing"),
        ("[", r"g\.yaml: not YAML"),
        ("- a", r"g\.yaml: holds a list"),
        ("maximum_drop: {f1: 0.01}", r"g\.yaml: maximum_drop\.f1 needs a baseline"),
    ],
)
def test_bad_gates_are_refused(tmp_path: Path, text: str, message: str):
    with pytest.raises(MarsadError, match=message):
        check(tmp_path / "g.yaml", text)


def test_a_gate_that_is_not_there(tmp_path: Path):
    with pytest.raises(MarsadError, match=r"none\.yaml: no such"):
        load_gate(tmp_path / "none.yaml", baseline=True)


def test_the_shipped_gate_is_read_and_names_the_shipped_types():
    gate = load_gate(ROOT / "configs" / "gate.yaml", baseline=True)
    gate.check_labels(load_config().label_set)
    assert {rule.split(".")[0] for rule, _, _ in gate.rules()} == {"minimum", "maximum_drop"}
    assert all(0 < figure < 1 for _, _, figure in gate.rules())


def test_a_drop_of_just_what_is_allowed_passes(tmp_path: Path):
    (tmp_path / "g.yaml").write_text("maximum_drop: {f1: 0.1, confidence: 0.95}")
    judged = system(0.7)
    drop = 0.8 - 0.7  # which is a little more than 0.1
    comparison = compare(judged, judged)
    comparison = replace(comparison, drops={**comparison.drops, "f1": np.full(10, drop)})
    (only,) = apply_gate(load_gate(tmp_path / "g.yaml", True), score_documents(judged, LABELS), comparison).checks
    assert drop > 0.1 and only.passed


def test_a_gate_says_that_it_rests_on_one_report(tmp_path: Path):
    (tmp_path / "g.yaml").write_text("maximum_drop: {f1: 0.1}")
    judged = system(0.7, reports=1)
    (only,) = apply_gate(
        load_gate(tmp_path / "g.yaml", True), score_documents(judged, LABELS), compare(judged, judged)
    ).checks
    assert "resampling says nothing of so few" in only.message
