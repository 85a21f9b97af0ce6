"""Pairs of gold and predicted entities."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import DEFAULT, Made, judge, judge_one, similar, unrelated

from marsad.documents import Document, Entity
from marsad.evaluation.judging import Pair, judge_documents
from marsad.text.words import split_words

TEXT = "قصفت قوات النظام مدينة حلب مساء أمس الأحد"  # words begin at 0, 5, 10, 17, 23, 27, 32, 36
REGIME = Entity(5, 16, "ACTOR")


def kinds(gold: list[Entity], predicted: list[Entity], text: str = TEXT) -> list[str]:
    return [pair.kind for pair in judge_one(text, gold, predicted).pairs]


@pytest.mark.parametrize(
    ("predicted", "kind"),
    [
        (Entity(5, 16, "ACTOR", 0.7), "correct"),
        (Entity(5, 16, "PLACE", 0.7), "type"),
        (Entity(10, 16, "ACTOR", 0.7), "boundary"),
        (Entity(10, 22, "ACTOR", 0.7), "boundary"),  # shifted by a word
        (Entity(10, 22, "PLACE", 0.7), "both"),
        (Entity(6, 14, "ACTOR", 0.7), "correct"),  # cuts the words and is widened to them
    ],
)
def test_a_gold_and_a_predicted_entity_that_meet_are_a_pair(predicted: Entity, kind: str):
    judged = judge_one(TEXT, [REGIME], [predicted])
    assert judged.pairs == (Pair(kind, REGIME, predicted),)
    assert judged.pairs[0].predicted.score == 0.7
    assert judged.pairs[0].label == "ACTOR"


def test_entities_that_stand_alone_are_missed_or_spurious():
    neighbour = Entity(17, 26, "PLACE")
    pairs = judge_one(TEXT, [REGIME], [neighbour]).pairs
    assert pairs == (Pair("missed", REGIME, None), Pair("spurious", None, neighbour))
    assert [pair.label for pair in pairs] == ["ACTOR", "PLACE"]


def test_the_same_label_goes_before_the_larger_overlap():
    gold = Entity(5, 26, "ACTOR")  # four words
    larger, smaller = Entity(5, 22, "PLACE"), Entity(23, 26, "ACTOR")
    pairs = judge_one(TEXT, [gold], [larger, smaller]).pairs
    assert set(pairs) == {Pair("spurious", None, larger), Pair("boundary", gold, smaller)}


def test_among_equal_labels_the_larger_overlap_is_paired():
    gold = Entity(5, 31, "ACTOR")  # five words
    larger, smaller = Entity(10, 26, "ACTOR"), Entity(27, 31, "ACTOR")
    pairs = judge_one(TEXT, [gold], [larger, smaller]).pairs
    assert set(pairs) == {Pair("boundary", gold, larger), Pair("spurious", None, smaller)}


def test_what_cannot_be_put_on_words_is_missed_or_spurious():
    text = "حلب\nحمص"
    over = Entity(0, 7, "PLACE")
    assert kinds([over], [], text) == ["missed"]
    assert kinds([], [over], text) == ["spurious"]
    assert sorted(kinds([over], [over], text)) == ["missed", "spurious"]


def test_predictions_must_fit_the_reports():
    document, words = Document("d", TEXT), split_words(TEXT, DEFAULT)
    with pytest.raises(ValueError):
        judge_documents([document], [], [words])
    with pytest.raises(ValueError):
        judge_documents([document], [[]], [])
    with pytest.raises(ValueError, match="overlap"):
        judge_documents([document], [[Entity(0, 9, "ACTOR"), Entity(5, 16, "ACTOR")]], [words])
    with pytest.raises(ValueError, match="outside the text"):
        judge_documents([document], [[Entity(0, 99, "ACTOR")]], [words])


@settings(max_examples=300, deadline=None)
@given(st.one_of(similar(), unrelated()))
def test_every_entity_stands_in_exactly_one_pair(made: Made):
    (judged,) = judge([made])
    document, predicted = made
    assert sorted((pair.gold for pair in judged.pairs if pair.gold), key=lambda one: one.start) == list(
        document.entities
    )
    assert sorted((pair.predicted for pair in judged.pairs if pair.predicted), key=lambda one: one.start) == sorted(
        predicted, key=lambda one: one.start
    )
    assert [pair.start for pair in judged.pairs] == sorted(pair.start for pair in judged.pairs)
    spans = [dict(zip(one.entities, one.spans, strict=True)) for one in (judged.gold, judged.predicted)]
    for pair in judged.pairs:
        if pair.gold is None or pair.predicted is None:
            assert pair.kind == ("missed" if pair.gold else "spurious")
            continue
        one, other = spans[0][pair.gold], spans[1][pair.predicted]
        assert one.first < other.last and other.first < one.last
        same_span = (one.first, one.last) == (other.first, other.last)
        same_label = one.label == other.label
        expected = {(True, True): "correct", (True, False): "type", (False, True): "boundary", (False, False): "both"}
        assert pair.kind == expected[same_span, same_label]


@settings(max_examples=150, deadline=None)
@given(unrelated())
def test_entities_left_alone_meet_none_that_is_left_alone(made: Made):
    (judged,) = judge([made])
    gold = {pair.gold for pair in judged.pairs if pair.kind == "missed"}
    predicted = {pair.predicted for pair in judged.pairs if pair.kind == "spurious"}
    for entity, span in zip(judged.gold.entities, judged.gold.spans, strict=True):
        for other, found in zip(judged.predicted.entities, judged.predicted.spans, strict=True):
            if entity in gold and other in predicted:
                assert span.last <= found.first or found.last <= span.first
