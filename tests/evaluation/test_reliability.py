"""Reliability against counts by hand."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.documents import Entity
from marsad.evaluation.calibration import Outcome, reliability, reliability_of
from marsad.labels import LabelSet

LABELS = LabelSet(("ACTOR", "PLACE", "TIME"))


@dataclass(frozen=True)
class Pair:
    kind: str
    predicted: Entity | None


@dataclass(frozen=True)
class Judged:
    pairs: tuple[Pair, ...]


def _found(kind: str, label: str, score: float | None) -> Pair:
    return Pair(kind, Entity(0, 1, label, score))


def test_a_table_counted_by_hand():
    judged = [
        Judged((_found("correct", "ACTOR", 0.95), _found("boundary", "ACTOR", 0.91), Pair("missed", None))),
        Judged(()),
        Judged((_found("spurious", "PLACE", 0.3), _found("type", "ACTOR", 1.0), _found("correct", "PLACE", 0.35))),
    ]
    record = reliability(judged, LABELS)
    assert record is not None
    assert record["entities"] == 5
    assert record["without_score"] == 0
    assert record["bins"] == [
        {"low": 0.3, "high": 0.4, "count": 2, "correct": 1, "confidence": pytest.approx(0.325), "precision": 0.5},
        {
            "low": 0.9,
            "high": 1.0,
            "count": 3,
            "correct": 1,
            "confidence": pytest.approx(2.86 / 3),
            "precision": pytest.approx(1 / 3),
        },
    ]
    assert record["ece"] == pytest.approx((2 * 0.175 + 3 * (1.86 / 3)) / 5)
    assert list(record["by_type"]) == ["ACTOR", "PLACE"]  # nothing of TIME was predicted
    assert record["by_type"]["PLACE"]["ece"] == pytest.approx(0.175)
    assert [row["count"] for row in record["by_type"]["ACTOR"]["bins"]] == [3]
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize(
    "judged", [[], [Judged(())], [Judged((Pair("missed", None), _found("correct", "ACTOR", None)))]]
)
def test_without_probabilities_there_is_no_table(judged: list[Judged]):
    assert reliability(judged, LABELS) is None


def test_entities_without_a_probability_are_counted():
    judged = [Judged((_found("correct", "ACTOR", None), _found("correct", "ACTOR", 0.5), _found("type", "TIME", None)))]
    record = reliability(judged, LABELS)
    assert record is not None
    assert (record["entities"], record["without_score"]) == (1, 2)
    assert list(record["by_type"]) == ["ACTOR"]


@pytest.mark.parametrize("bins", [1, 10, 15, 100])
def test_every_edge_is_in_the_bin_that_it_begins(bins: int):
    for place in range(bins + 1):
        record = reliability_of([Outcome("ACTOR", place / bins, True)], LABELS, bins)
        (row,) = record["bins"]
        assert row["low"] == min(place, bins - 1) / bins
        assert row["high"] == min(place + 1, bins) / bins


OUTCOMES = st.lists(st.builds(Outcome, st.sampled_from(LABELS.types), st.floats(0, 1), st.booleans()), max_size=40)


@settings(max_examples=200, deadline=None)
@given(OUTCOMES, st.integers(1, 20))
def test_counts_add_up(outcomes: list[Outcome], bins: int):
    record = reliability_of(outcomes, LABELS, bins)
    tables = record["by_type"].values()
    assert sum(table["entities"] for table in tables) == record["entities"] == len(outcomes)
    for table in (record, *tables):
        rows = table["bins"]
        assert sum(row["count"] for row in rows) == table["entities"]
        assert all(row["low"] <= row["confidence"] <= row["high"] + 1e-12 for row in rows)
        assert all(row["precision"] == row["correct"] / row["count"] for row in rows)
        assert (table["ece"] is None) == (not rows)
        assert table["ece"] is None or 0 <= table["ece"] <= 1 + 1e-12
    assert sum(row["correct"] for row in record["bins"]) == sum(outcome.correct for outcome in outcomes)


def test_a_model_that_knows_how_sure_it_may_be_has_no_error_and_one_that_boasts_has():
    honest = [Outcome("ACTOR", 0.75, number % 4 != 0) for number in range(40)]
    assert reliability_of(honest, LABELS)["ece"] == pytest.approx(0)
    boasting = [Outcome("ACTOR", 1.0, number % 4 != 0) for number in range(40)]
    assert reliability_of(boasting, LABELS)["ece"] == pytest.approx(0.25)
