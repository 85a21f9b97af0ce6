"""Shifts that were planted are found and named; reports of the same kind show none."""

from __future__ import annotations

import random

import pytest

from marsad.annotations.shift import Reading, Shift, measure_novelty, measure_shift
from marsad.documents import Document, Entity

VOCABULARY = [f"كلمة{index}" for index in range(200)]


def readings(count: int, seed: int, rate: float = 0.2, actors: float = 0.5, length: int = 40, source: str = "wire"):
    draw = random.Random(seed)
    made = []
    for number in range(count):
        words = tuple(draw.choices(VOCABULARY, k=draw.randint(length // 2, length)))
        entities, surfaces, place = [], [], 0
        for word in words:
            if draw.random() < rate:
                label = "ACTOR" if draw.random() < actors else "DATE"
                entities.append(Entity(place, place + len(word), label))
                surfaces.append((word,))
            place += len(word) + 1
        document = Document(f"{seed}-{number}", " ".join(words), tuple(entities), source=source)
        made.append(Reading(document, words, tuple(surfaces)))
    return made


def shifts(new: list[Reading], reference: list[Reading]) -> dict[str, Shift]:
    return {one.feature: one for one in measure_shift("new", new, reference)}


def test_reports_of_the_same_kind_show_no_shift():
    for seed in range(5):
        assert not any(one.notable for one in shifts(readings(40, seed), readings(150, 100 + seed)).values())


@pytest.mark.parametrize(
    ("changed", "feature", "moved"),
    [
        ({"actors": 0.8}, "entity types", ("DATE", "ACTOR")),
        ({"rate": 0.05}, "words inside entities", ("inside", "outside")),
        ({"length": 200}, "words per report", ("median",)),
        ({"source": "urgent"}, "source", ("urgent", "wire")),
    ],
)
def test_a_planted_shift_is_found_and_named(changed: dict[str, object], feature: str, moved: tuple[str, ...]):
    found = shifts(readings(60, 1, **changed), readings(150, 2))
    assert found[feature].notable and found[feature].p_value == pytest.approx(1 / 500)
    assert {name for name, _, _ in found[feature].moved} == set(moved)
    assert [name for name, one in found.items() if one.notable] == [feature]


def test_the_divergence_is_one_bit_for_nothing_in_common_and_none_for_the_same():
    one, other = readings(10, 1, source="wire"), readings(10, 2, source="urgent")
    assert shifts(one, other)["source"].divergence == pytest.approx(1)
    assert shifts(one, one)["words"].divergence == pytest.approx(0, abs=1e-9)


def test_the_figures_are_the_same_each_time():
    new, reference = readings(20, 1, actors=0.7), readings(60, 2)
    assert measure_shift("new", new, reference) == measure_shift("new", new, reference)


def test_files_without_entities_or_words_are_no_crash():
    bare = [Reading(Document("a", ""), (), ())]
    found = shifts(bare, bare)
    assert not any(one.notable for one in found.values())
    assert found["entity types"].divergence == 0


def test_novelty_counts_running_words_and_entities():
    reference = [Reading(Document("r", "x y"), ("x", "y"), (("x",),))]
    new = [Reading(Document("n", "x z z"), ("x", "z", "z"), (("x",), ("z",), ("z", "z")))]
    words, entities = measure_novelty("new", new, reference)
    assert (words.unseen, words.total, entities.unseen, entities.total) == (2, 3, 2, 3)
