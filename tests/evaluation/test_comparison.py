"""Two systems on the same reports."""

import itertools

import numpy as np
import pytest
from made import LABELS, judge, judge_one

from marsad.documents import Document, Entity
from marsad.evaluation.comparison import Comparison, compare_systems, randomization_test
from marsad.evaluation.judging import JudgedDocument
from marsad.evaluation.scoring import IntArray, count_documents, metric_values

TEXT = "قوات النظام في حلب ودرعا أمس"
GOLD = (Entity(0, 11, "ACTOR"), Entity(15, 18, "PLACE"), Entity(19, 24, "PLACE"), Entity(25, 28, "TIME"))


def system(share: float, reports: int = 60, seed: int = 0) -> list[JudgedDocument]:
    """A system that finds each entity with a probability of ``share``."""
    random = np.random.default_rng(seed)
    return judge(
        [
            (Document(f"r{number}", TEXT, GOLD), tuple(one for one in GOLD if random.random() < share))
            for number in range(reports)
        ]
    )


def compare(baseline: list[JudgedDocument], better: list[JudgedDocument], seed: int = 13) -> Comparison:
    counts = count_documents(baseline, LABELS), count_documents(better, LABELS)
    return compare_systems(baseline, better, counts, LABELS, resamples=500, seed=seed, permutations=2000)


def test_identical_systems_differ_in_nothing():
    comparison = compare(system(0.7), system(0.7))
    assert [one.name for one in comparison.metrics] == [
        "f1",
        "precision",
        "recall",
        "macro_f1",
        "f1 ACTOR",
        "f1 PLACE",
        "f1 TIME",
    ]
    for metric in comparison.metrics:
        assert (metric.difference, metric.interval, metric.p_value) == (0, (0, 0), 1)
        assert metric.probability_better == 0.5
    assert comparison.fixed == comparison.broken == ()


def test_a_clearly_better_system_is_found_and_so_is_a_worse_one():
    poor, good = system(0.5, seed=1), system(0.9, seed=2)
    up, down = compare(poor, good).metrics[0], compare(good, poor).metrics[0]
    assert up.p_value == down.p_value == pytest.approx(1 / 2001)
    assert up.difference == -down.difference > 0.1
    assert up.interval[0] > 0 > down.interval[1]
    assert (up.probability_better, down.probability_better) == (1, 0)


def test_two_systems_of_the_same_quality_are_told_apart_in_one_case_in_twenty():
    p_values = []
    for seed in range(60):
        one, other = (count_documents(system(0.7, 25, seed=100 * seed + number), LABELS) for number in (1, 2))
        p_values.append(randomization_test(one, other, LABELS, 200, seed)["f1"])
    assert np.mean(np.array(p_values) <= 0.05) <= 0.15
    assert 0.3 < np.mean(p_values) < 0.7


def test_the_p_value_is_that_of_all_swaps():
    random = np.random.default_rng(5)
    gold = random.integers(1, 6, size=(8, 3))
    first, second = (np.stack([random.binomial(gold, share), gold, gold], axis=-1) for share in (0.5, 0.75))

    def difference(swaps: tuple[int, ...]) -> float:
        chosen = np.array(swaps, dtype=bool)[:, None, None]
        one, other = np.where(chosen, second, first), np.where(chosen, first, second)
        values = [float(metric_values(counts.sum(axis=0), LABELS)["f1"]) for counts in (one, other)]
        return abs(values[1] - values[0])

    observed = difference((0,) * 8)
    exact = np.mean([difference(swaps) >= observed - 1e-12 for swaps in itertools.product((0, 1), repeat=8)])
    assert 0.001 < exact < 0.5
    estimated = randomization_test(first, second, LABELS, 20_000, seed=1)["f1"]
    assert estimated == pytest.approx(exact, abs=0.01)


def test_the_comparison_is_seeded():
    poor, good = system(0.68, seed=1), system(0.72, seed=2)
    assert compare(poor, good).record() == compare(poor, good).record()
    assert compare(poor, good).metrics[0].interval != compare(poor, good, seed=14).metrics[0].interval


def test_swaps_do_not_depend_on_reports_that_are_equal(monkeypatch: pytest.MonkeyPatch):
    counts: list[IntArray] = [count_documents(system(share, seed=seed), LABELS) for share, seed in ((0.6, 1), (0.7, 2))]
    same = count_documents(system(0.7, 5, seed=3), LABELS)
    longer = [np.concatenate([one, same]) for one in counts]
    p_value = randomization_test(counts[0], counts[1], LABELS, 5000, seed=1)["recall"]
    assert randomization_test(longer[0], longer[1], LABELS, 5000, seed=1)["recall"] == pytest.approx(p_value, abs=0.02)


def test_systems_must_be_judged_on_the_same_reports():
    with pytest.raises(ValueError, match="different reports"):
        compare(system(0.5, 3), list(reversed(system(0.5, 3))))


def test_the_entities_that_flipped():
    actor, aleppo, daraa, day = GOLD
    baseline = judge_one(TEXT, GOLD[:3], [actor, Entity(19, 24, "ACTOR"), day])  # day is not gold here
    better = judge_one(TEXT, GOLD[:3], [Entity(5, 11, "ACTOR"), aleppo, daraa, Entity(12, 14, "TIME")])
    comparison = compare([baseline], [better])
    shown = [
        [(flip.change, flip.text, flip.baseline, flip.system) for flip in flips]
        for flips in (comparison.fixed, comparison.broken)
    ]
    assert shown == [
        [
            ("found", "حلب", "missed", "correct"),
            ("found", "ودرعا", "type", "correct"),
            ("no longer spurious", "أمس", "spurious", "absent"),
        ],
        [("lost", "قوات النظام", "correct", "boundary"), ("newly spurious", "في", "absent", "spurious")],
    ]
    assert comparison.record()["fixed"][0] == {
        "id": "d",
        "change": "found",
        "entity": {"start": 15, "end": 18, "label": "PLACE", "text": "حلب"},
        "baseline": "missed",
        "system": "correct",
    }
    back = compare([better], [baseline])
    assert (len(back.fixed), len(back.broken)) == (len(comparison.broken), len(comparison.fixed))


def test_a_spurious_entity_that_only_moves_is_no_flip():
    one, other = judge_one(TEXT, [], [Entity(0, 11, "ACTOR")]), judge_one(TEXT, [], [Entity(5, 11, "PLACE")])
    comparison = compare([one], [other])
    assert comparison.fixed == comparison.broken == ()


@pytest.mark.parametrize(("reports_with_time", "interval"), [(2, (1, 1)), (1, None)])
def test_resamples_without_a_type_say_nothing_on_it(reports_with_time: int, interval: tuple[float, float] | None):
    golds = [GOLD if number < reports_with_time else GOLD[:3] for number in range(12)]
    documents = [Document(f"r{number}", TEXT, gold) for number, gold in enumerate(golds)]
    blind = judge([(document, GOLD[:3]) for document in documents])
    comparison = compare(blind, judge([(document, document.entities) for document in documents]))
    metric = next(one for one in comparison.metrics if one.name == "f1 TIME")
    assert (metric.interval, metric.probability_better) == (interval, 1)
    assert comparison.reports["f1 TIME"] == reports_with_time and comparison.reports["f1"] == 12
