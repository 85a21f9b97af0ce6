"""Spans, tags and entities: exact inverses, and nothing dropped in silence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.documents import Document, Entity
from marsad.labels import LabelSet
from marsad.modeling.tagging import (
    WordSpan,
    align_entities,
    decode_tags,
    encode_tags,
    tag_ids,
    word_spans_to_entities,
)
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

LABELS = LabelSet(("ACTOR", "PLACE", "B-X"))
DEFAULT = TextConfig()
TEXTS = st.one_of(
    st.text(st.characters(), max_size=40),
    st.lists(st.sampled_from([*"ابدرقصف", "ـ", "ـ", " ", " ", " ", "\n", *"\u064e\u200f7٣,ﻻﷺ😀."]), max_size=40).map(
        "".join
    ),
)


@st.composite
def span_lists(draw: st.DrawFn) -> tuple[list[WordSpan], int]:
    """Ordered, disjoint typed spans over so many words."""
    spans, place = [], 0
    for gap, length, label in draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from(LABELS.types)), max_size=8)
    ):
        spans.append(WordSpan(place + gap, place + gap + length, label))
        place = spans[-1].last
    return spans, place + draw(st.integers(0, 3))


@st.composite
def valid_tags(draw: st.DrawFn) -> list[str]:
    tags: list[str] = []
    for _ in range(draw(st.integers(0, 12))):
        inside = [f"I-{tags[-1][2:]}"] if tags and tags[-1] != "O" else []
        tags.append(draw(st.sampled_from(["O", *(f"B-{name}" for name in LABELS.types), *inside])))
    return tags


@settings(max_examples=200, deadline=None)
@given(span_lists())
def test_tags_lead_back_to_the_spans(case: tuple[list[WordSpan], int]):
    spans, length = case
    tags = encode_tags(spans, length)
    assert len(tags) == length
    assert decode_tags(tags) == spans


@settings(max_examples=200, deadline=None)
@given(valid_tags())
def test_spans_lead_back_to_the_tags(tags: list[str]):
    assert encode_tags(decode_tags(tags), len(tags)) == tags


@settings(max_examples=100, deadline=None)
@given(span_lists())
def test_ids_are_the_places_of_the_tags(case: tuple[list[WordSpan], int]):
    spans, length = case
    assert [LABELS.tags[i] for i in tag_ids(spans, length, LABELS)] == encode_tags(spans, length)


def test_neighbours_of_one_type_stay_two():
    assert encode_tags([WordSpan(0, 2, "A"), WordSpan(2, 3, "A")], 4) == ["B-A", "I-A", "B-A", "O"]


@pytest.mark.parametrize(
    "spans",
    [
        [WordSpan(0, 2, "A"), WordSpan(1, 3, "A")],
        [WordSpan(0, 2, "A"), WordSpan(0, 2, "B")],
        [WordSpan(2, 4, "A")],
        [WordSpan(1, 1, "A")],
        [WordSpan(-1, 1, "A")],
    ],
)
def test_spans_that_overlap_or_leave_the_words_are_refused(spans: list[WordSpan]):
    with pytest.raises(ValueError, match="overlaps another one or lies outside the 3 words"):
        encode_tags(spans, 3)


@pytest.mark.parametrize("tags", [["I-A"], ["O", "I-A"], ["B-A", "I-B"], ["B-A", "O", "I-A"], ["E-A"], [""], ["B"]])
def test_tags_that_are_not_valid_iob2_are_refused(tags: list[str]):
    with pytest.raises(ValueError, match=f"word {len(tags) - 1}"):
        decode_tags(tags)


def test_a_label_outside_the_set_is_refused():
    with pytest.raises(ValueError, match="B-DATE"):
        tag_ids([WordSpan(0, 1, "DATE")], 1, LABELS)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.data())
def test_entities_on_whole_words_come_back_as_they_were(text: str, data: st.DataObject):
    words = split_words(text, DEFAULT)
    entities = []
    for start, end in words.paragraphs:
        cuts = sorted(data.draw(st.lists(st.integers(start, end), max_size=6)))
        for first, last in zip(cuts[::2], cuts[1::2], strict=False):
            if first < last:
                label = data.draw(st.sampled_from(LABELS.types))
                entities.append(Entity(words.words[first].start, words.words[last - 1].end, label))
    document = Document("d", text, tuple(entities))
    alignment = align_entities(document, words)
    assert alignment.widened == alignment.dropped == ()
    spans = decode_tags(encode_tags(alignment.spans, len(words)))
    assert tuple(word_spans_to_entities(spans, [None] * len(spans), words)) == document.entities


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.data())
def test_every_entity_is_kept_or_named_as_dropped(text: str, data: st.DataObject):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    entities = tuple(Entity(start, end, "ACTOR") for start, end in pairs if start < end)
    words = split_words(text, DEFAULT)
    alignment = align_entities(Document("d", text, entities), words)
    dropped = [entity for entity, _ in alignment.dropped]
    assert sorted((*alignment.entities, *dropped), key=lambda entity: entity.start) == list(entities)
    assert len(alignment.spans) == len(alignment.entities)
    encode_tags(alignment.spans, len(words))  # refuses what overlaps
    paragraph_of = [number for number, (first, last) in enumerate(words.paragraphs) for _ in range(first, last)]
    for span, entity in zip(alignment.spans, alignment.entities, strict=True):
        touching = [i for i, word in enumerate(words) if word.start < entity.end and entity.start < word.end]
        assert touching == list(range(span.first, span.last))
        assert len({paragraph_of[i] for i in touching}) == 1
        start, end = words.words[span.first].start, words.words[span.last - 1].end
        assert (entity in alignment.widened) == (start < entity.start or entity.end < end)


def _align(text: str, *marked: str, config: TextConfig = DEFAULT):
    """The alignment of the stretches ``marked``, each taken where it first stands."""
    entities = tuple(Entity(text.index(part), text.index(part) + len(part), "PLACE") for part in marked)
    words = split_words(text, config)
    alignment = align_entities(Document("d", text, entities), words)
    read = [words.texts()[span.first : span.last] for span in alignment.spans]
    return alignment, read


def test_a_span_inside_a_word_is_widened_to_it():
    alignment, read = _align("قصف بحلب", "حلب")
    assert read == [["بحلب"]]
    assert alignment.widened == alignment.entities
    alignment, read = _align("قتل و7 مدنيين", "7 مدنيين")
    assert read == [["7", "مدنيين"]]
    assert alignment.widened == ()


def test_a_broken_word_is_covered_whole():
    alignment, read = _align("حـ ـلـ ـب هادئة", "حـ ـلـ ـب")
    assert read == [["حلب"]]
    assert alignment.widened == ()
    alignment, read = _align("حـ ـلـ ـب هادئة", "ـلـ")
    assert read == [["حلب"]]
    assert len(alignment.widened) == 1


def test_blanks_around_a_span_change_nothing():
    alignment, read = _align("في حلب الآن", " حلب ")
    assert read == [["حلب"]]
    assert alignment.widened == ()


@pytest.mark.parametrize(
    ("text", "marked", "reason"),
    [
        ("أ   ب", ["  "], "no word"),
        ("حلب\nحمص", ["حلب\nحمص"], "end of a line"),
        ("حمصحلب", ["حمص", "حلب"], "same word"),
    ],
)
def test_what_cannot_be_put_on_words_is_dropped_with_its_reason(text: str, marked: list[str], reason: str):
    alignment, read = _align(text, *marked)
    assert len(alignment.dropped) == 1
    assert reason in alignment.dropped[0][1]
    assert len(read) == len(marked) - 1


def test_scores_go_with_their_spans():
    words = split_words("حلب 7", DEFAULT)
    spans = [WordSpan(0, 1, "PLACE"), WordSpan(1, 2, "ACTOR")]
    assert list(word_spans_to_entities(spans, [0.5, None], words)) == [
        Entity(0, 3, "PLACE", 0.5),
        Entity(4, 5, "ACTOR"),
    ]
    with pytest.raises(ValueError):
        list(word_spans_to_entities(spans, [0.5], words))
