"""The bootstrap over reports."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import LABELS

from marsad.evaluation.resampling import estimate_intervals, percentile_interval, resample_counts
from marsad.evaluation.scoring import IntArray, metric_values, strict_scores
from marsad.labels import LabelSet


def made_counts(reports: int, seed: int = 3) -> IntArray:
    """Counts [reports, 3, 3] of a fair system."""
    random = np.random.default_rng(seed)
    gold = random.integers(0, 12, size=(reports, 3))
    correct = random.binomial(gold, 0.8)
    return np.stack([correct, correct + random.poisson(1, size=(reports, 3)), gold], axis=-1)


def test_a_resample_is_made_of_whole_reports_as_many_as_there_are():
    # A report is told by the power of ten that it brings.
    counts = 10 ** np.arange(5)[:, None, None] * np.ones((5, 1, 3), dtype=np.int64)
    for total in resample_counts(counts, 200, seed=1)[:, 0, 0]:
        assert sum(map(int, str(int(total)))) == 5
    spread = resample_counts(counts, 2000, seed=1)[:, 0, 0]
    assert np.mean(spread) == pytest.approx(counts[:, 0, 0].sum(), rel=0.05)


def test_the_bootstrap_is_seeded_and_pairs_what_has_the_same_seed():
    counts = made_counts(40)
    once, again, other = (resample_counts(counts, 50, seed) for seed in (1, 1, 2))
    assert (once == again).all()
    assert (once != other).any()
    assert (resample_counts(2 * counts, 50, seed=1) == 2 * once).all()
    # However many are drawn, the first are the same: nothing depends on how they are cut into chunks.
    assert (resample_counts(counts, 20, seed=1) == once[:20]).all()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    counts = made_counts(30)
    whole = resample_counts(counts, 100, seed=4)
    monkeypatch.setattr("marsad.evaluation.resampling._WEIGHTS", 77)
    assert (resample_counts(counts, 100, seed=4) == whole).all()


def test_the_interval_is_that_of_a_bootstrap_written_plainly():
    counts = made_counts(60)
    intervals = estimate_intervals(counts, LABELS, 4000, seed=13)
    random = np.random.default_rng(99)
    plain = []
    for _ in range(4000):
        drawn = counts[random.integers(0, 60, size=60)]
        plain.append(strict_scores(drawn, LABELS).overall.f1)
    low, high = intervals.metrics["f1"]
    assert low == pytest.approx(np.quantile(plain, 0.025), abs=0.004)
    assert high == pytest.approx(np.quantile(plain, 0.975), abs=0.004)
    assert low < strict_scores(counts, LABELS).overall.f1 < high


def test_reports_are_drawn_not_entities():
    # Ten reports with a thousand entities each, all right or all wrong: drawn by entity, the interval would be narrow.
    counts = np.zeros((10, 3, 3), dtype=np.int64)
    counts[:, 0, 1:] = 1000
    counts[:5, 0, 0] = 1000
    low, high = estimate_intervals(counts, LABELS, 1000, seed=13).metrics["f1"]
    assert low <= 0.2 and high >= 0.8


def test_the_record_has_an_interval_for_every_type():
    record = estimate_intervals(made_counts(20), LABELS, 100, seed=5).record(LABELS)
    assert (record["level"], record["resamples"], record["seed"], record["unit"]) == (0.95, 100, 5, "report")
    assert list(record["strict"]["by_type"]) == list(LABELS.types)
    for row in (record["strict"]["overall"], record["strict"]["macro"], *record["strict"]["by_type"].values()):
        for name in ("precision", "recall", "f1"):
            low, high = row[name]
            assert 0 <= low <= high <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(0, 5))
def test_metrics_of_many_counts_are_those_of_each(reports: int, seed: int):
    counts = made_counts(reports, seed)
    values = metric_values(counts, LABELS)
    for index in range(reports):
        scores = strict_scores(counts[index : index + 1], LABELS)
        assert values["f1"][index] == pytest.approx(scores.overall.f1)
        assert values["macro_f1"][index] == pytest.approx(scores.macro_f1)
        assert values["recall TIME"][index] == pytest.approx(scores.by_type["TIME"].recall)


def test_one_report_has_no_interval():
    assert set(estimate_intervals(made_counts(1), LABELS, 50, seed=1).metrics.values()) == {None}
    assert percentile_interval(np.array([0.5])) == (0.5, 0.5)


def test_resamples_without_a_rare_type_say_nothing_on_it():
    # Ten reports, the type in two of them, always right: a fifth of the resamples hold none of it.
    counts = np.zeros((10, 2, 3), dtype=np.int64)
    counts[:, 0] = 5
    counts[:2, 1] = 1
    labels = LabelSet(LABELS.types[:2])
    intervals = estimate_intervals(counts, labels, 1000, seed=13).metrics
    assert intervals[f"f1 {labels.types[1]}"] == (1, 1)
    counts[1, 1] = 0
    intervals = estimate_intervals(counts, labels, 1000, seed=13).metrics
    assert intervals[f"f1 {labels.types[1]}"] is None  # of one report nothing can be said
    assert intervals["f1"] == (1, 1)
