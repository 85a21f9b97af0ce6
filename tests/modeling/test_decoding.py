"""Decoding against brute force: every valid tag sequence written out and weighed."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from marsad.labels import LabelSet
from marsad.modeling.decoding import (
    Calibration,
    decode_spans,
    decode_windows,
    expected_entities,
    log_softmax,
    span_posteriors,
    viterbi,
)
from marsad.modeling.encoding import EncodedWindow
from marsad.modeling.inference import decode_document, decode_words, expected_errors
from marsad.modeling.tagging import WordSpan, decode_tags
from marsad.text.normalization import TextConfig
from marsad.text.windows import Window
from marsad.text.words import split_words

LABELS = LabelSet(("ACTOR", "PLACE"))
ONE = LabelSet(("ACTOR",))


def _scores(labels: LabelSet, size: float, longest: int = 4):
    """[words, tags] logits between -size and size."""
    shapes = st.tuples(st.integers(1, longest), st.just(len(labels.tags)))
    return arrays(np.float32, shapes, elements=st.floats(-size, size, width=32))


def _is_valid(tags: tuple[str, ...]) -> bool:
    return all(
        not tag.startswith("I-") or before in (f"B-{tag[2:]}", tag)
        for before, tag in zip(("O", *tags), tags, strict=False)
    )


def _weighed(log_probs: np.ndarray, labels: LabelSet) -> list[tuple[tuple[str, ...], float]]:
    """Every valid tag sequence with the sum of its log-probabilities."""
    sequences = [tags for tags in product(labels.tags, repeat=len(log_probs)) if _is_valid(tags)]
    place = {tag: i for i, tag in enumerate(labels.tags)}
    return [(tags, sum(log_probs[i, place[tag]] for i, tag in enumerate(tags))) for tags in sequences]


def _posterior(log_probs: np.ndarray, span: WordSpan, labels: LabelSet) -> float:
    weighed = _weighed(log_probs, labels)
    top = max(weight for _, weight in weighed)
    whole = sum(np.exp(weight - top) for _, weight in weighed)
    return sum(np.exp(weight - top) for tags, weight in weighed if span in decode_tags(tags)) / whole


@settings(max_examples=150, deadline=None)
@given(_scores(LABELS, 30))
def test_viterbi_is_the_best_of_all_valid_sequences(scores: np.ndarray):
    log_probs = log_softmax(scores)
    path = viterbi(log_probs, LABELS)
    assert _is_valid(tuple(LABELS.tags[tag] for tag in path))
    assert sum(log_probs[i, tag] for i, tag in enumerate(path)) == pytest.approx(
        max(weight for _, weight in _weighed(log_probs, LABELS)), abs=1e-9
    )


@settings(max_examples=200, deadline=None)
@given(_scores(LabelSet(("A", "B", "C")), 1e4, longest=40))
def test_viterbi_is_valid_however_long_and_extreme(scores: np.ndarray):
    labels = LabelSet(("A", "B", "C"))
    path = viterbi(log_softmax(scores), labels)
    assert len(path) == len(scores)
    assert _is_valid(tuple(labels.tags[tag] for tag in path))


def test_viterbi_corrects_an_inside_that_follows_nothing():
    scores = np.array([[0, 2, 3], [1, 0, 4], [5, 0, 4]], dtype=np.float32)  # O, B-ACTOR, I-ACTOR
    assert viterbi(log_softmax(scores), ONE) == [1, 2, 0]


@settings(max_examples=80, deadline=None)
@given(_scores(LABELS, 30, longest=3), st.data())
def test_posteriors_are_those_of_the_enumeration(scores: np.ndarray, data: st.DataObject):
    log_probs = log_softmax(scores)
    first = data.draw(st.integers(0, len(scores) - 1))
    span = WordSpan(first, data.draw(st.integers(first + 1, len(scores))), data.draw(st.sampled_from(LABELS.types)))
    assert span_posteriors(log_probs, [span], LABELS) == [pytest.approx(_posterior(log_probs, span, LABELS), abs=1e-9)]


@settings(max_examples=80, deadline=None)
@given(_scores(ONE, 140, longest=5))
def test_posteriors_of_what_is_found_hold_for_very_sure_networks(scores: np.ndarray):
    spans, probabilities = decode_spans(scores, [(0, len(scores))], ONE)
    for span, probability in zip(spans, probabilities, strict=True):
        assert probability == pytest.approx(_posterior(log_softmax(scores), span, ONE), abs=1e-6)


def test_a_sure_entity_before_a_sure_but_impossible_inside_keeps_its_probability():
    # O, B-ACTOR, I-ACTOR, B-PLACE, I-PLACE: the second word shouts I-PLACE, which can't follow ACTOR.
    scores = np.array([[0, 90, 0, 0, 0], [50, 0, 0, 0, 90]], dtype=np.float32)
    assert decode_spans(scores, [(0, 2)], LABELS) == ([WordSpan(0, 1, "ACTOR")], [pytest.approx(1.0)])


@settings(max_examples=100, deadline=None)
@given(_scores(LABELS, 1e4, longest=30))
def test_probabilities_are_probabilities(scores: np.ndarray):
    spans, probabilities = decode_spans(scores, [(0, len(scores))], LABELS)
    assert len(spans) == len(probabilities)
    assert all(0 <= probability <= 1 for probability in probabilities)  # fails on nan


def test_rows_of_log_softmax_sum_to_one():
    scores = np.array([[0, 0, 0], [1000, -1000, 3], [-5, 2, 2]], dtype=np.float32)
    assert np.exp(log_softmax(scores)).sum(axis=1) == pytest.approx([1, 1, 1])
    assert np.exp(log_softmax(scores))[0] == pytest.approx([1 / 3] * 3)


@settings(max_examples=100, deadline=None)
@given(_scores(LABELS, 10, longest=12), st.data())
def test_paragraphs_are_decoded_by_themselves(scores: np.ndarray, data: st.DataObject):
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(scores)), max_size=4)) | {len(scores)})]
    paragraphs = list(pairwise(cuts))
    spans, probabilities = decode_spans(scores, paragraphs, LABELS)
    expected_spans, expected = [], []
    for start, end in paragraphs:
        found, scored = decode_spans(scores[start:end], [(0, end - start)], LABELS)
        expected_spans += [WordSpan(start + span.first, start + span.last, span.label) for span in found]
        expected += scored
    assert spans == expected_spans
    assert probabilities == pytest.approx(expected)
    assert spans == sorted(spans, key=lambda span: span.first)


def test_an_entity_does_not_cross_a_line():
    scores = np.array([[0, 9, 0], [0, 0, 9]], dtype=np.float32)
    assert decode_spans(scores, [(0, 2)], ONE)[0] == [WordSpan(0, 2, "ACTOR")]
    assert decode_spans(scores, [(0, 1), (1, 2)], ONE)[0] == [WordSpan(0, 1, "ACTOR")]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_merging_takes_each_word_from_the_window_where_it_has_most_context(data: st.DataObject):
    length = data.draw(st.integers(1, 15))
    windows = [Window(0, data.draw(st.integers(1, length)))]
    while windows[-1].last < length:
        windows.append(
            Window(data.draw(st.integers(0, windows[-1].last)), data.draw(st.integers(windows[-1].last + 1, length)))
        )
    # Each score tells the window and the word that it comes from.
    scores = [
        np.array([[number, word] for word in range(window.first, window.last)], dtype=np.float32)
        for number, window in enumerate(windows)
    ]
    merged = decode_windows(windows, scores, length)
    assert merged.shape == (length, 2)
    for word, (number, origin) in enumerate(merged):
        assert origin == word

        def margin(window: Window, word: int = word) -> float:
            left = np.inf if window.first == 0 else word - window.first
            return min(left, np.inf if window.last == length else window.last - 1 - word)

        holding = [window for window in windows if window.first <= word < window.last]
        assert margin(windows[int(number)]) == max(margin(window) for window in holding)


def _encoded(window: Window) -> EncodedWindow:
    return EncodedWindow(window, [0], [])


def test_a_document_is_decoded_to_entities_on_its_original_text():
    text = "قوات الـ فجـ ـر في حـ ـلـ ـب\nوحمص"
    words = split_words(text, TextConfig())
    assert words.texts() == ["قوات", "الفجر", "في", "حلب", "وحمص"]
    tags = ["B-ACTOR", "I-ACTOR", "O", "B-PLACE", "I-PLACE"]  # the last one would cross the line
    scores = np.full((5, 5), -4, dtype=np.float32)
    for word, tag in enumerate(tags):
        scores[word, LABELS.tags.index(tag)] = 6
    windows = [_encoded(Window(0, 3)), _encoded(Window(2, 5))]
    entities = decode_document(words, windows, [scores[0:3], scores[2:5]], LABELS)
    assert [(text[entity.start : entity.end], entity.label) for entity in entities] == [
        ("قوات الـ فجـ ـر", "ACTOR"),
        ("حـ ـلـ ـب", "PLACE"),
    ]
    assert all(entity.score is not None and 0.99 < entity.score <= 1 for entity in entities)
    whole = decode_document(words, [_encoded(Window(0, 5))], [scores], LABELS)
    assert [replace(entity, score=None) for entity in whole] == [replace(entity, score=None) for entity in entities]
    assert [entity.score for entity in whole] == pytest.approx([entity.score for entity in entities])


def test_a_document_without_words_has_no_entities():
    assert decode_document(split_words(" \n", TextConfig()), [], [], LABELS) == ()


@settings(max_examples=60, deadline=None)
@given(_scores(LABELS, 10), st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([0.0, 0.6]))
def test_expected_errors_are_the_mean_difference_to_all_valid_sequences(
    scores: np.ndarray, temperature: float, threshold: float
):
    words = split_words(" ".join(["حلب"] * len(scores)), TextConfig())
    calibration = Calibration(temperature, {"ACTOR": threshold})
    found = decode_words(words, scores, LABELS, calibration)
    spans = {(entity.start // 4, (entity.end + 1) // 4, entity.label) for entity in found}
    weighed = _weighed(log_softmax(scores / np.float32(temperature)), LABELS)
    top = max(weight for _, weight in weighed)
    mean = number = whole = 0.0
    for tags, weight in weighed:
        true = {(span.first, span.last, span.label) for span in decode_tags(tags)}
        share = np.exp(weight - top)
        mean, number, whole = mean + share * len(spans ^ true), number + share * len(true), whole + share
    assert expected_errors(words, scores, found, LABELS, calibration) == pytest.approx(mean / whole, abs=1e-5)
    log_probs = log_softmax(scores / np.float32(temperature))
    assert expected_entities(log_probs, LABELS) == pytest.approx(number / whole, abs=1e-6)
