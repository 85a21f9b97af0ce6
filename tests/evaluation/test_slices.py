"""Slices: what is in them, and that their counts are those of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import DEFAULT, LABELS, Made, judge, similar, unrelated

from marsad.documents import Document, Entity
from marsad.evaluation.judging import JudgedDocument
from marsad.evaluation.scoring import Counts, count_documents, strict_scores
from marsad.evaluation.slices import LeftOut, SliceScores, collect_surfaces, score_slices
from marsad.labels import LabelSet
from marsad.text.words import split_words

OURS = LabelSet(("ACTOR", "LOCATION", "DATE", "CASUALTY"))


def report(marked: str, name: str = "d", source: str | None = None, **metadata: str) -> Document:
    """A report from text in which entities stand as ``[words|LABEL]``."""
    text, entities = "", []
    while "[" in marked:
        before, rest = marked.split("[", 1)
        inside, marked = rest.split("]", 1)
        words, label = inside.split("|")
        text += before
        entities.append(Entity(len(text), len(text) + len(words), label))
        text += words
    return Document(name, text + marked, tuple(entities), source=source, metadata=metadata)


def slices_of(
    judged: list[JudgedDocument], training: list[Document] | str = "not here", labels: LabelSet = OURS
) -> tuple[dict[tuple[str, str], SliceScores], tuple[LeftOut, ...]]:
    counts = count_documents(judged, labels)
    slices, left_out = score_slices(judged, counts, labels, training, DEFAULT, resamples=20, seed=1)
    return {(one.group, one.name): one for one in slices}, left_out


def slices_when_right(
    *reports: Document, training: list[Document] | str = "not here"
) -> dict[tuple[str, str], SliceScores]:
    """The slices of a system that finds everything."""
    return slices_of(judge([(one, one.entities) for one in reports]), training)[0]


def members(group: str, name: str, *reports: Document, training: list[Document] | str = "not here") -> int:
    found = slices_when_right(*reports, training=training)
    return found[group, name].overall.gold if (group, name) in found else 0


def test_seen_and_unseen_mentions_by_their_surface():
    training = [report("قصف [حلب|LOCATION] و[قوات النظام|ACTOR] في [ريف حماة|LOCATION]")]
    test = report("دخلت [قـــواتُ النظام|ACTOR] إلى [وحلب|LOCATION] ثم [حلب|LOCATION] و[درعا|LOCATION] و[حماة|LOCATION]")
    found, left_out = slices_of(judge([(test, ())]), training)
    # Tatweel, vowel signs and a proclitic make no other surface; حماة alone is no mention of the training file.
    assert found["seen in training", "seen"].overall == Counts(0, 0, 3)
    assert found["seen in training", "unseen"].overall == Counts(0, 0, 2)
    assert not any(one.group == "seen in training" for one in left_out)


def test_without_training_files_the_slice_is_left_out_and_said():
    found, left_out = slices_of(judge([(report("قصف [حلب|LOCATION]"), ())]), "data/train.jsonl is not here")
    assert not any(group == "seen in training" for group, _ in found)
    assert LeftOut("seen in training", "data/train.jsonl is not here") in left_out


def test_counts_are_of_gold_and_of_predicted_mentions():
    test = report("قصف [حلب|LOCATION] و[ريف حماة الشمالي|LOCATION]")
    gold = test.entities
    predicted = (gold[0], Entity(gold[1].start, gold[1].start + 8, "LOCATION"), Entity(0, 3, "ACTOR"))
    found, _ = slices_of(judge([(test, predicted)]))
    length = {name: one.overall for (group, name), one in found.items() if group == "length in words"}
    # ريف حماة الشمالي is missed among the long ones, ريف حماة is wrong among those of two words.
    assert length == {"1": Counts(1, 2, 1), "2": Counts(0, 1, 0), "3–4": Counts(0, 0, 1)}
    assert found["length in words", "1"].by_type["ACTOR"] == Counts(0, 1, 0)
    assert found["length in words", "1"].record()["scores"]["precision"] == 0.5


@pytest.mark.parametrize(
    ("marked", "attached"),
    [
        ("قصف [حلب|LOCATION] [وحلب|LOCATION]", 1),
        ("قصف [حلب|LOCATION] [بحلب|LOCATION] [ولحلب|LOCATION]", 2),
        ("[النظام|ACTOR] [والنظام|ACTOR] [للنظام|ACTOR] [وللنظام|ACTOR]", 3),
        ("[لبنان|LOCATION] [للبنان|LOCATION]", 1),
        ("زار [القرداحة|LOCATION] ثم [والدرباسية|LOCATION]", 1),  # وال and three letters more
        ("دخل الجيش [حلب|LOCATION] [بالجيش|ACTOR]", 1),  # the article, and a word of the text
        ("[بغداد|LOCATION] [لبنان|LOCATION] [وادي بردى|LOCATION] [كفرنبل|LOCATION] [فتح|ACTOR]", 0),
        ("كثرت الردود فقتل [فرد|CASUALTY] وصدر رد [رد|ACTOR]", 0),  # known, but not from mentions of the type
        ("أصيب و[7|CASUALTY] ثم ب[12|CASUALTY] و [9|CASUALTY]", 2),
        ("أصيب ـ[7|CASUALTY] الـ[20|DATE]", 0),
        ("[كريم|ACTOR] [كريم|ACTOR] [كريم|ACTOR] [ريم|ACTOR]", 0),  # ريم is rarer than كريم
    ],
)
def test_proclitics(marked: str, attached: int):
    assert members("proclitic", "attached", report(marked), report("[حي|LOCATION]", "e")) == attached


def test_proclitics_are_known_from_training_files_too():
    test, training = report("في [وكفرنبل|LOCATION]"), [report("[كفرنبل|LOCATION]")]
    assert members("proclitic", "attached", test, report("[حلب|LOCATION]", "e")) == 0
    assert members("proclitic", "attached", test, report("[حلب|LOCATION]", "e"), training=training) == 1


def test_a_swallowed_alef_is_put_back():
    texts = [report("[الجيش|ACTOR] [للجيش|ACTOR] [لحركة|ACTOR] [الحركة|ACTOR] [للحركة|ACTOR]")]
    surfaces = collect_surfaces([(one, split_words(one.text, DEFAULT)) for one in texts])
    assert surfaces.bare("ACTOR", "للجيش") == "الجيش"
    assert surfaces.bare("ACTOR", "للحركة") == "الحركة"
    assert surfaces.bare("ACTOR", "وللشرطة") == "الشرطة"
    assert surfaces.bare("ACTOR", "والي") == "والي"


def test_numbers_in_digits_and_in_words():
    test = report("قتل [3|CASUALTY] و[خمسة|CASUALTY] و[٤ آلاف|CASUALTY] في [2016|DATE]")
    found = slices_when_right(test)
    assert found["casualty number", "digits"].overall == Counts(2, 2, 2)
    assert found["casualty number", "words"].overall == Counts(1, 1, 1)
    judged = judge([(Document("d", "حلب 7", (Entity(0, 3, "PLACE"),)), ())])
    other, _ = slices_of(judged, labels=LABELS)
    assert not any(group == "casualty number" for group, _ in other)


def test_long_sentences_end_at_their_marks():
    long = " ".join(["كلمة"] * 58)
    test = report(f"{long} [قوات النظام|ACTOR] [حلب|LOCATION] . وصل إلى [درعا|LOCATION].\n{long} [حمص|LOCATION]")
    found = slices_when_right(test)
    assert found["sentence length", "long"].overall.gold == 2  # 61 words
    assert found["sentence length", "ordinary"].overall.gold == 2


@pytest.mark.parametrize(
    ("mention", "broken"),
    [
        ("حـلـب", True),
        ("حـ ـلـ ـب", True),
        ("ح.ـلب", False),  # three words
        ("مدينة حـ.ـلب", True),
        ("حلبـ", False),
        ("ـحلب", False),
        ("حَلَب", False),
        ("الـ 3", False),
        ("1,200", False),
    ],
)
def test_anti_filter_spelling(mention: str, broken: bool):
    assert members("anti-filter spelling", "broken", report(f"قصف [{mention}|LOCATION] [درعا|LOCATION]")) == broken


def test_diacritics():
    found = slices_when_right(report("قتل [مدنياً|CASUALTY] في [حلب|LOCATION] و[إدلبَ|LOCATION] و[آفس|LOCATION]"))
    assert found["diacritics", "with"].overall.gold == 2
    assert found["diacritics", "without"].overall.gold == 2


def test_fields_of_the_reports_that_have_few_values():
    reports = [
        report(
            "قصف [حلب|LOCATION]",
            f"r{number}",
            source="wire" if number % 3 else None,
            conflict="syria" if number % 2 else "iraq",
            publisher=f"p{number}",
            language="ar",
        )
        for number in range(12)
    ]
    judged = judge([(one, one.entities[: index % 2]) for index, one in enumerate(reports)])
    found, left_out = slices_of(judged)
    assert found["source", "wire"].overall.gold == 8
    assert found["source", "(none)"].overall.gold == 4
    assert found["conflict", "syria"].overall == Counts(6, 6, 6)
    assert found["conflict", "iraq"].overall == Counts(0, 0, 6)
    assert found["conflict", "iraq"].reports == 6
    assert {one.group for one in left_out} >= {"publisher", "language"}
    assert "12 values" in next(one.why for one in left_out if one.group == "publisher")


def test_a_field_with_the_name_of_a_group_does_not_replace_it():
    reports = [report("قصف [حَلَب|LOCATION] [حلب|LOCATION]", f"r{number}", diacritics="with") for number in range(8)]
    found, left_out = slices_of(judge([(one, ()) for one in reports]))
    assert found["diacritics", "with"].overall.gold == 8
    assert LeftOut("diacritics", "the field has the name of another group of slices") in left_out


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(similar(), unrelated()), min_size=1, max_size=4), st.booleans())
def test_the_slices_of_a_group_add_up_to_the_whole(made: list[Made], trained: bool):
    judged = judge(made)
    counts = count_documents(judged, LABELS)
    training = [document for document, _ in made][:1] if trained else "not here"
    slices, left_out = score_slices(judged, counts, LABELS, training, DEFAULT, resamples=5, seed=1)
    whole = strict_scores(counts, LABELS).by_type
    # What can't be put on words is in no slice of mentions.
    dropped = {label: [0, 0] for label in LABELS.types}
    for one in judged:
        for side, alignment in enumerate((one.gold, one.predicted)):
            for entity, _ in alignment.dropped:
                dropped[entity.label][side] += 1
    groups = {one.group for one in slices}
    assert not groups & {one.group for one in left_out}
    for group in groups:
        for label in LABELS.types:
            total = sum((one.by_type[label] for one in slices if one.group == group), Counts())
            missed, spurious = dropped[label]
            assert total + Counts(0, spurious, missed) == whole[label]


def test_a_slice_has_an_interval_over_the_reports_as_the_whole_has():
    reports = [report("قصف [حلب|LOCATION] و[ريف حماة|LOCATION]", f"r{number}") for number in range(30)]
    judged = judge([(one, one.entities[number % 2 :]) for number, one in enumerate(reports)])
    counts = count_documents(judged, OURS)
    slices, _ = score_slices(judged, counts, OURS, "not here", DEFAULT, resamples=300, seed=1)
    one = next(one for one in slices if (one.group, one.name) == ("length in words", "1"))
    assert one.f1_interval[0] < one.overall.f1 < one.f1_interval[1]
    assert one.overall == Counts(15, 15, 30)
    two = next(one for one in slices if (one.group, one.name) == ("length in words", "2"))
    assert two.f1_interval == (1, 1)


def test_no_entities_no_slices():
    slices, left_out = score_slices(
        judge([(Document("d", "لا شيء"), ())]), np.zeros((1, 4, 3), dtype=np.int64), OURS, [], DEFAULT, 5, 1
    )
    assert slices == ()
    assert {one.group for one in left_out} == {
        "seen in training",
        "proclitic",
        "length in words",
        "casualty number",
        "sentence length",
        "anti-filter spelling",
        "diacritics",
    }


@pytest.mark.parametrize(("long_ones", "interval"), [(2, (1, 1)), (1, None)])
def test_resamples_without_a_slice_say_nothing_on_it(long_ones: int, interval: tuple[float, float] | None):
    texts = ["قصف [ريف حماة|LOCATION]" if number < long_ones else "قصف [حلب|LOCATION]" for number in range(12)]
    judged = judge([(one := report(text, f"r{number}"), one.entities) for number, text in enumerate(texts)])
    counts = count_documents(judged, OURS)
    slices, _ = score_slices(judged, counts, OURS, "not here", DEFAULT, resamples=300, seed=1)
    rare = next(one for one in slices if (one.group, one.name) == ("length in words", "2"))
    assert (rare.reports, rare.f1_interval) == (long_ones, interval)
