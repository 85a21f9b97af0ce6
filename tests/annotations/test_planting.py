"""Planted mistakes are what they say, and leave everything else as it was."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from conftest import synthetic_reports

from marsad.annotations.jsonl import document_from_record
from marsad.annotations.planting import MIX, PlantedKind, plant_mistake, plant_mistakes, planted_kinds
from marsad.config import Config
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.modeling.tagging import WordSpan, align_entities
from marsad.text.words import Words, split_words

CONFIG = Config()
DOCUMENTS = [document_from_record(record, "here") for record in synthetic_reports(60, seed=3)]
WORDS = [split_words(document.text, CONFIG.text) for document in DOCUMENTS]


def spans(document: Document, words: Words) -> set[WordSpan]:
    alignment = align_entities(document, words)
    assert not alignment.widened
    assert not alignment.dropped
    return set(alignment.spans)


@pytest.mark.parametrize("kind", get_args(PlantedKind))
def test_a_mistake_is_of_its_kind_and_alone(kind: PlantedKind):
    draw = random.Random(1)
    made = [
        plant_mistake(one, words, kind, CONFIG.label_set, draw) for one, words in zip(DOCUMENTS, WORDS, strict=True)
    ]
    assert sum(one is not None for one in made) > 30
    for before, words, one in zip(DOCUMENTS, WORDS, made, strict=True):
        if one is None:
            continue
        after, mistake = one
        gone, new = spans(before, words) - spans(after, words), spans(after, words) - spans(before, words)
        assert (after.id, after.text, mistake.document) == (before.id, before.text, before.id)
        assert gone == set(mistake.right)
        assert len(gone) == (kind != "spurious")
        assert len(new) == (kind != "missed")
        assert mistake.first == min(span.first for span in gone | new)
        assert mistake.last == max(span.last for span in gone | new)
        if kind == "type":
            assert {(s.first, s.last) for s in gone} == {(s.first, s.last) for s in new}
        if kind == "boundary":
            (old,), (moved,) = gone, new
            assert old.label == moved.label
            assert abs(old.first - moved.first) + abs(old.last - moved.last) == 1


def test_as_many_as_asked_for_at_most_one_a_report():
    planted_documents, planted = plant_mistakes(DOCUMENTS, WORDS, CONFIG.label_set, 20, seed=2)
    assert len(planted) == len({one.document for one in planted}) == 20
    assert {kind: sum(one.kind == kind for one in planted) for kind in MIX} == {
        "missed": 8,
        "boundary": 5,
        "type": 4,
        "spurious": 3,
    }
    changed = {one.id for one, old in zip(planted_documents, DOCUMENTS, strict=True) if one != old}
    assert changed == {one.document for one in planted}
    assert (planted_documents, planted) == plant_mistakes(DOCUMENTS, WORDS, CONFIG.label_set, 20, seed=2)


def test_every_count_of_kinds_is_exact():
    assert all(len(planted_kinds(count)) == count for count in range(120))


def test_too_many_are_refused():
    with pytest.raises(MarsadError, match="60 reports have no room for 61 mistakes"):
        plant_mistakes(DOCUMENTS, WORDS, CONFIG.label_set, 61, seed=2)
