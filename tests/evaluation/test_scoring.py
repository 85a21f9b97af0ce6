"""Strict scores against seqeval and against a count of exact spans."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from marsad.documents import Document, Entity
from marsad.evaluation.scoring import Counts, StrictScores, count_tags, score_documents
from marsad.labels import LabelSet
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

LABELS = LabelSet(("ACTOR", "PLACE", "TIME"))
DEFAULT = TextConfig()
TEXTS = st.lists(st.sampled_from([*"ابدرقصف", "ـ", " ", " ", " ", "\n", *"\u064e7٣,ﻻﺷ😀."]), max_size=40).map("".join)


def _tags() -> st.SearchStrategy[str]:
    return st.sampled_from(LABELS.tags)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.tuples(_tags(), _tags()), min_size=1, max_size=12), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore")
def test_scores_are_those_of_seqeval_in_strict_mode(pairs: list[list[tuple[str, str]]]):
    gold = [[one for one, _ in sequence] for sequence in pairs]
    predicted = [[other for _, other in sequence] for sequence in pairs]
    scores = count_tags(gold, predicted, LABELS)
    seen = {name for name, counts in scores.by_type.items() if counts.gold or counts.predicted}
    if not seen:
        assert scores.overall == Counts() and scores.macro_f1 == 0.0
        return
    report = classification_report(gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    assert seen == set(report) - {"micro avg", "macro avg", "weighted avg"}
    for name, counts in [*((name, scores.by_type[name]) for name in seen), ("micro avg", scores.overall)]:
        expected = report[name]
        assert counts.precision == pytest.approx(expected["precision"])
        assert counts.recall == pytest.approx(expected["recall"])
        assert counts.f1 == pytest.approx(expected["f1-score"])
        assert counts.gold == expected["support"]
    assert scores.macro_f1 == pytest.approx(report["macro avg"]["f1-score"])


@st.composite
def judged_documents(draw: st.DrawFn) -> tuple[Document, tuple[Entity, ...]]:
    """A report with gold entities and predicted ones that often agree, all on whole words."""
    text = draw(TEXTS)
    words = split_words(text, DEFAULT)
    gold, predicted = [], []
    for start, end in words.paragraphs:
        cuts = sorted(draw(st.lists(st.integers(start, end), max_size=8)))
        for first, last in zip(cuts[::2], cuts[1::2], strict=False):
            if first == last:
                continue
            label = draw(st.sampled_from(LABELS.types))
            span = words.words[first].start, words.words[last - 1].end
            shorter = words.words[last - 1].start if last - first > 1 else span[0], span[1]
            fate = draw(st.sampled_from(["both", "both", "gold", "predicted", "type", "bounds"]))
            if fate != "predicted":
                gold.append(Entity(*span, label))
            if fate != "gold":
                other = LABELS.types[(LABELS.types.index(label) + 1) % 3]
                found = shorter if fate == "bounds" else span
                predicted.append(Entity(*found, other if fate == "type" else label, 0.5))
    return Document("d", text, tuple(gold)), tuple(predicted)


@settings(max_examples=150, deadline=None)
@given(st.lists(judged_documents(), max_size=4))
def test_scores_count_exact_spans(judged: list[tuple[Document, tuple[Entity, ...]]]):
    scores = score_documents([document for document, _ in judged], [found for _, found in judged], LABELS, DEFAULT)
    assert list(scores.by_type) == list(LABELS.types)
    for name in LABELS.types:
        gold = {
            (i, e.start, e.end) for i, (document, _) in enumerate(judged) for e in document.entities if e.label == name
        }
        found = {(i, e.start, e.end) for i, (_, entities) in enumerate(judged) for e in entities if e.label == name}
        assert scores.by_type[name] == Counts(len(gold & found), len(found), len(gold))
    assert scores.overall.correct == sum(counts.correct for counts in scores.by_type.values())


def _score(text: str, gold: list[Entity], predicted: list[Entity]) -> Counts:
    return score_documents([Document("d", text, tuple(gold))], [predicted], LABELS, DEFAULT).overall


@pytest.mark.parametrize(
    ("text", "entities", "kept"),
    [
        ("أ   ب", [Entity(2, 3, "PLACE")], 0),  # on a blank
        ("حلب\nحمص", [Entity(0, 7, "PLACE")], 0),  # over the end of a line
        ("حمصحلب", [Entity(0, 3, "PLACE"), Entity(3, 6, "PLACE")], 1),  # two in one word
    ],
)
def test_what_cannot_be_put_on_words_counts_as_missed_or_spurious(text: str, entities: list[Entity], kept: int):
    assert _score(text, entities, []) == Counts(0, 0, len(entities))
    assert _score(text, [], entities) == Counts(0, len(entities), 0)
    assert _score(text, entities, entities) == Counts(kept, len(entities), len(entities))


def test_a_span_inside_a_word_counts_as_the_word():
    assert _score("قصف بحلب", [Entity(5, 8, "PLACE")], [Entity(4, 8, "PLACE")]) == Counts(1, 1, 1)


def test_neighbours_and_line_ends_keep_entities_apart():
    text = "حلب حمص\nدرعا"
    two = [Entity(0, 3, "PLACE"), Entity(4, 7, "PLACE")]
    assert _score(text, two, [Entity(0, 7, "PLACE")]) == Counts(0, 1, 2)
    assert _score(text, [*two, Entity(8, 12, "PLACE")], [Entity(4, 7, "PLACE"), Entity(8, 12, "PLACE")]) == Counts(
        2, 2, 3
    )


def test_predictions_must_be_as_many_as_reports():
    with pytest.raises(ValueError):
        score_documents([Document("d", "حلب")], [], LABELS, DEFAULT)
    with pytest.raises(ValueError, match="sequence 1 has 1 gold and 2 predicted tags"):
        count_tags([["O"], ["O"]], [["O"], ["O", "O"]], LABELS)


def test_counts_add_up_and_ratios_follow():
    counts = Counts(1, 2, 5) + Counts(2, 2, 3)
    assert counts == Counts(3, 4, 8)
    assert (counts.precision, counts.recall, counts.f1) == (0.75, 0.375, 0.5)
    assert (Counts(0, 0, 3).precision, Counts(0, 3, 0).recall, Counts().f1, Counts(0, 2, 2).f1) == (0.0, 0.0, 0.0, 0.0)
    assert counts.record() == {
        "precision": 0.75,
        "recall": 0.375,
        "f1": 0.5,
        "support": 8,
        "predicted": 4,
        "correct": 3,
    }


def test_record_and_table_show_every_type_and_the_whole():
    scores = StrictScores({"ACTOR": Counts(1, 2, 2), "PLACE": Counts(0, 0, 2), "TIME": Counts()})
    assert scores.record()["overall"]["f1"] == pytest.approx(1 / 3)
    assert scores.record()["macro"] == {"f1": 0.25}  # a type that is nowhere is no part of the mean
    assert list(scores.record()["by_type"]) == ["ACTOR", "PLACE", "TIME"]
    rows = {line[:11].strip(): line[11:].split() for line in scores.table().splitlines()[1:]}
    assert rows == {
        "ACTOR": ["0.5000", "0.5000", "0.5000", "2"],
        "PLACE": ["0.0000", "0.0000", "0.0000", "2"],
        "TIME": ["0.0000", "0.0000", "0.0000", "0"],
        "all (micro)": ["0.5000", "0.2500", "0.3333", "4"],
    }
