"""Scores against seqeval, nervaluate, conlleval's rules, and counts of exact spans."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import LABELS, Made, judge, judge_one, similar, unrelated
from nervaluate import Evaluator
from seqeval.metrics import classification_report
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2

from marsad.documents import Entity
from marsad.evaluation.judging import JudgedDocument
from marsad.evaluation.scoring import (
    SCHEMES,
    Counts,
    ErrorCounts,
    SemEvalCounts,
    StrictScores,
    confuse_words,
    count_documents,
    count_errors,
    count_tags,
    metric_values,
    score_documents,
    strict_scores,
)
from marsad.labels import LabelSet
from marsad.modeling.tagging import encode_tags


def _tags() -> st.SearchStrategy[str]:
    return st.sampled_from(LABELS.tags)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.tuples(_tags(), _tags()), min_size=1, max_size=12), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore")
def test_scores_are_those_of_seqeval_in_strict_mode(pairs: list[list[tuple[str, str]]]):
    gold = [[one for one, _ in sequence] for sequence in pairs]
    predicted = [[other for _, other in sequence] for sequence in pairs]
    scores = strict_scores(count_tags(gold, predicted, LABELS), LABELS)
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


@settings(max_examples=150, deadline=None)
@given(st.lists(similar(), max_size=4))
def test_scores_count_exact_spans(made: list[Made]):
    scores = score_documents(judge(made), LABELS)
    assert list(scores.by_type) == list(LABELS.types)
    for name in LABELS.types:
        gold = {
            (i, e.start, e.end) for i, (document, _) in enumerate(made) for e in document.entities if e.label == name
        }
        found = {(i, e.start, e.end) for i, (_, entities) in enumerate(made) for e in entities if e.label == name}
        assert scores.by_type[name] == Counts(len(gold & found), len(found), len(gold))
    assert scores.overall.correct == sum(counts.correct for counts in scores.by_type.values())


def _score(text: str, gold: list[Entity], predicted: list[Entity]) -> Counts:
    return score_documents([judge_one(text, gold, predicted)], LABELS).overall


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


def test_tags_must_be_as_many_and_of_the_label_set():
    with pytest.raises(ValueError, match="sequence 1 has 1 gold and 2 predicted tags"):
        count_tags([["O"], ["O"]], [["O"], ["O", "O"]], LABELS)
    with pytest.raises(ValueError, match="VEHICLE"):
        count_tags([["B-VEHICLE"]], [["O"]], LABELS)
    judged = [judge_one("حلب", [Entity(0, 3, "VEHICLE")], [])]
    for count in (count_documents, count_errors):
        with pytest.raises(ValueError, match="VEHICLE"):
            count(judged, LABELS)


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
    assert scores.record()["macro"] == {
        "precision": 0.25,
        "recall": 0.25,
        "f1": 0.25,
    }  # a type that is nowhere is no part of the mean
    assert list(scores.record()["by_type"]) == ["ACTOR", "PLACE", "TIME"]
    rows = {line[:11].strip(): line[11:].split() for line in scores.table().splitlines()[1:]}
    assert rows == {
        "ACTOR": ["0.5000", "0.5000", "0.5000", "2"],
        "PLACE": ["0.0000", "0.0000", "0.0000", "2"],
        "TIME": ["0.0000", "0.0000", "0.0000", "0"],
        "all (micro)": ["0.5000", "0.2500", "0.3333", "4"],
    }


# --- counts that hold together --------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(similar(), unrelated()), min_size=1, max_size=4))
def test_all_counts_tell_of_the_same_entities(made: list[Made]):
    judged = judge(made)
    strict, errors = score_documents(judged, LABELS), count_errors(judged, LABELS)
    gold = [entity.label for document, _ in made for entity in document.entities]
    predicted = [entity.label for _, entities in made for entity in entities]
    for label in LABELS.types:
        assert strict.by_type[label].gold == gold.count(label)
        assert strict.by_type[label].predicted == predicted.count(label)
        assert strict.by_type[label].correct == errors[label].correct  # seqeval's and those of the pairs
        for scheme in SCHEMES:
            assert errors[label].semeval(scheme).gold == gold.count(label)
    for scheme in SCHEMES:
        overall = sum((one.semeval(scheme) for one in errors.values()), SemEvalCounts())
        assert overall.correct + overall.incorrect + overall.partial + overall.missing == len(gold)
        assert overall.correct + overall.incorrect + overall.partial + overall.spurious == len(predicted)
        assert overall == sum(errors.values(), ErrorCounts()).semeval(scheme)
        if scheme != "partial":
            assert overall.partial == 0
    total = sum((one.semeval("strict") for one in errors.values()), SemEvalCounts())
    assert (total.precision, total.recall, total.f1) == (
        pytest.approx(strict.overall.precision),
        pytest.approx(strict.overall.recall),
        pytest.approx(strict.overall.f1),
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(similar(), unrelated()), min_size=1, max_size=4))
def test_the_whole_is_the_sum_of_its_documents(made: list[Made]):
    judged = judge(made)
    counts = count_documents(judged, LABELS)
    assert counts.shape == (len(made), 3, 3)
    for index, one in enumerate(judged):
        assert (counts[index] == count_documents([one], LABELS)[0]).all()
    for label, total in count_errors(judged, LABELS).items():
        assert total == sum((count_errors([one], LABELS)[label] for one in judged), ErrorCounts())
    assert (confuse_words(judged, LABELS) == sum(confuse_words([one], LABELS) for one in judged)).all()
    overall = strict_scores(counts, LABELS)
    values = metric_values(counts.sum(axis=0), LABELS)
    assert values["f1"] == pytest.approx(overall.overall.f1)
    assert values["macro_recall"] == pytest.approx(overall.macro["recall"])
    assert values["precision PLACE"] == pytest.approx(overall.by_type["PLACE"].precision)


@settings(max_examples=100, deadline=None)
@given(st.lists(similar(), min_size=1, max_size=3))
def test_predictions_equal_to_gold_are_right_and_none_are_wrong(made: list[Made]):
    right = judge([(document, document.entities) for document, _ in made])
    nothing = judge([(document, ()) for document, _ in made])
    entities = sum(len(document.entities) for document, _ in made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores, none = score_documents(right, LABELS), score_documents(nothing, LABELS)
        values = metric_values(count_documents(nothing, LABELS).sum(axis=0), LABELS)
    assert (scores.overall.precision, scores.overall.recall, scores.overall.f1) == (entities > 0,) * 3
    assert scores.macro == dict.fromkeys(("precision", "recall", "f1"), float(entities > 0))
    assert (none.overall.precision, none.overall.recall, none.overall.f1, none.macro_f1) == (0, 0, 0, 0)
    assert set(map(float, values.values())) == {0.0}
    for scheme in SCHEMES:
        found = sum((one.semeval(scheme) for one in count_errors(right, LABELS).values()), SemEvalCounts())
        assert found == SemEvalCounts(correct=entities)
        missed = sum((one.semeval(scheme) for one in count_errors(nothing, LABELS).values()), SemEvalCounts())
        assert missed == SemEvalCounts(missing=entities)
        assert missed.f1 == 0
    confusion = confuse_words(right, LABELS)
    assert confusion.sum() == np.trace(confusion) == sum(len(one.words) for one in right)


def test_an_entity_shifted_by_a_word_is_a_boundary_error_under_every_scheme():
    text = "قوات النظام في حلب"
    judged = [judge_one(text, [Entity(0, 11, "ACTOR")], [Entity(5, 14, "ACTOR")])]
    errors = count_errors(judged, LABELS)["ACTOR"]
    assert errors == ErrorCounts(boundary=1)
    assert errors.semeval("strict") == errors.semeval("exact") == SemEvalCounts(incorrect=1)
    assert errors.semeval("partial") == SemEvalCounts(partial=1)
    assert errors.semeval("type") == SemEvalCounts(correct=1)
    assert errors.semeval("partial").f1 == 0.5
    # قوات is missed, النظام found, في taken for a part.
    assert confuse_words(judged, LABELS).tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]


def test_a_type_error_counts_under_the_gold_type_and_words_are_confused():
    judged = [judge_one("قصف حلب", [Entity(4, 7, "PLACE")], [Entity(4, 7, "ACTOR")])]
    errors = count_errors(judged, LABELS)
    assert errors == {"ACTOR": ErrorCounts(), "PLACE": ErrorCounts(type=1), "TIME": ErrorCounts()}
    assert errors["PLACE"].semeval("exact") == SemEvalCounts(correct=1)
    assert confuse_words(judged, LABELS)[1, 0] == 1  # gold PLACE, predicted ACTOR
    strict = score_documents(judged, LABELS).by_type
    assert (strict["PLACE"], strict["ACTOR"]) == (Counts(0, 0, 1), Counts(0, 1, 0))


def test_labels_are_those_of_the_project():
    labels = LabelSet(("شخص", "X-Y", "B"))
    judged = [judge_one("حلب حمص درعا", [Entity(0, 3, "شخص"), Entity(4, 7, "X-Y")], [Entity(4, 12, "B")])]
    assert score_documents(judged, labels).by_type == {
        "شخص": Counts(0, 0, 1),
        "X-Y": Counts(0, 0, 1),
        "B": Counts(0, 1, 0),
    }


# --- SemEval against nervaluate --------------------------------------------------------------------------


def _nervaluate(judged: list[JudgedDocument]) -> dict[str, object]:
    sides = [
        [
            [{"label": span.label, "start": span.first, "end": span.last - 1} for span in alignment.spans]
            for alignment in alignments
        ]
        for alignments in ([one.gold for one in judged], [one.predicted for one in judged])
    ]
    return Evaluator(*sides, tags=list(LABELS.types), loader="dict").evaluate()


def _as_semeval(result: object) -> SemEvalCounts:
    return SemEvalCounts(result.correct, result.incorrect, result.partial, result.missed, result.spurious)


_NERVALUATE_NAMES = {"strict": "strict", "exact": "exact", "partial": "partial", "type": "ent_type"}


@settings(max_examples=150, deadline=None)
@given(st.lists(similar(), min_size=1, max_size=4))
def test_semeval_counts_are_those_of_nervaluate_where_no_entity_meets_two(made: list[Made]):
    judged = judge(made)
    theirs = _nervaluate(judged)["overall"]
    errors = sum(count_errors(judged, LABELS).values(), ErrorCounts())
    for scheme in SCHEMES:
        ours = errors.semeval(scheme)
        assert ours == _as_semeval(theirs[_NERVALUATE_NAMES[scheme]])
        assert ours.precision == pytest.approx(theirs[_NERVALUATE_NAMES[scheme]].precision)
        assert ours.recall == pytest.approx(theirs[_NERVALUATE_NAMES[scheme]].recall)
        assert ours.f1 == pytest.approx(theirs[_NERVALUATE_NAMES[scheme]].f1)


def test_by_type_nervaluate_does_not_see_type_errors():
    # It scores each type as if there were no other, so a wrong type is one missed and one spurious entity, and its
    # types do not add up to its whole. Ours do.
    judged = [judge_one("قصف حلب", [Entity(4, 7, "PLACE")], [Entity(4, 7, "ACTOR")])]
    theirs = _nervaluate(judged)
    assert _as_semeval(theirs["overall"]["strict"]) == SemEvalCounts(incorrect=1)
    by_type = [_as_semeval(one["strict"]) for one in theirs["entities"].values()]
    assert sum(by_type, SemEvalCounts()) == SemEvalCounts(missing=1, spurious=1)
    ours = [one.semeval("strict") for one in count_errors(judged, LABELS).values()]
    assert sum(ours, SemEvalCounts()) == SemEvalCounts(incorrect=1)


def test_nervaluate_pairs_the_first_that_meets_and_passes_over_a_better_one():
    # Gold: four words ACTOR. Found: the first word as PLACE, the other three as ACTOR. The type is found, but
    # nervaluate has given the gold entity to the first that meets it, so that its scheme of types says that it is not.
    text = "قوات سوريا الديمقراطية الباسلة"
    judged = [judge_one(text, [Entity(0, 30, "ACTOR")], [Entity(0, 4, "PLACE"), Entity(5, 30, "ACTOR")])]
    assert _as_semeval(_nervaluate(judged)["overall"]["ent_type"]) == SemEvalCounts(incorrect=1, spurious=1)
    errors = sum(count_errors(judged, LABELS).values(), ErrorCounts())
    assert errors.semeval("type") == SemEvalCounts(correct=1, spurious=1)


# --- strict IOB2 against conlleval -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gold", "predicted", "conlleval", "strict"),
    [
        ("B-ACTOR I-ACTOR O", "B-ACTOR I-ACTOR O", (1, 1, 1), (1, 1, 1)),
        ("B-ACTOR B-ACTOR O", "B-ACTOR I-ACTOR O", (0, 1, 2), (0, 1, 2)),
        ("B-ACTOR O B-PLACE", "B-ACTOR O B-TIME", (1, 2, 2), (1, 2, 2)),
        # conlleval takes an I- after O, or after another type, for the beginning of a chunk; IOB2 knows no such tags.
        ("B-ACTOR I-ACTOR O", "I-ACTOR I-ACTOR O", (1, 1, 1), (0, 0, 1)),
        ("O B-PLACE O", "O I-PLACE O", (1, 1, 1), (0, 0, 1)),
        ("B-ACTOR B-PLACE O", "B-ACTOR I-PLACE O", (2, 2, 2), (1, 1, 2)),
        ("B-ACTOR I-ACTOR I-ACTOR", "B-ACTOR I-PLACE I-ACTOR", (0, 3, 1), (0, 1, 1)),
    ],
)
def test_strict_and_conlleval(gold: str, predicted: str, conlleval: tuple[int, ...], strict: tuple[int, ...]):
    # seqeval's default mode is conlleval's: its chunks are the lenient ones.
    right, found = (set(get_entities(tags.split())) for tags in (gold, predicted))
    assert (len(right & found), len(found), len(right)) == conlleval
    counts = strict_scores(count_tags([gold.split()], [predicted.split()], LABELS), LABELS).overall
    assert (counts.correct, counts.predicted, counts.gold) == strict


@settings(max_examples=100, deadline=None)
@given(st.lists(similar(), min_size=1, max_size=3))
def test_on_what_is_valid_iob2_conlleval_agrees(made: list[Made]):
    # Whatever is judged here is encoded by encode_tags, which makes no other tags.
    judged = judge(made)
    sides: list[list[list[str]]] = [[], []]
    for one in judged:
        for side, alignment in zip(sides, (one.gold, one.predicted), strict=True):
            tags = encode_tags(alignment.spans, len(one.words))
            side += [tags[start:end] for start, end in one.words.paragraphs]
    right, found = (set(get_entities(side)) for side in sides)
    counts = score_documents(judged, LABELS).overall
    assert (counts.correct, counts.predicted, counts.gold) == (len(right & found), len(found), len(right))
