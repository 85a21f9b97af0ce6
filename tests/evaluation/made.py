"""Reports with gold and predicted entities, made for the tests of this folder."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

from marsad.documents import Document, Entity
from marsad.evaluation.judging import JudgedDocument, judge_document, judge_documents
from marsad.labels import LabelSet
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

LABELS = LabelSet(("ACTOR", "PLACE", "TIME"))
DEFAULT = TextConfig()
TEXTS = st.lists(st.sampled_from([*"ابدرقصف", "ـ", " ", " ", " ", "\n", *"\u064e7٣,ﻻﺷ😀."]), max_size=40).map("".join)

Made = tuple[Document, tuple[Entity, ...]]


def judge(made: Sequence[Made]) -> list[JudgedDocument]:
    documents = [document for document, _ in made]
    words = [split_words(document.text, DEFAULT) for document in documents]
    return judge_documents(documents, [found for _, found in made], words)


def judge_one(text: str, gold: Sequence[Entity], predicted: Sequence[Entity]) -> JudgedDocument:
    return judge_document(Document("d", text, tuple(gold)), predicted, split_words(text, DEFAULT))


def word_entity(words: Words, first: int, last: int, label: str) -> Entity:
    return Entity(words.words[first].start, words.words[last - 1].end, label)


@st.composite
def similar(draw: st.DrawFn) -> Made:
    """A report with gold entities and predicted ones that often agree, all on whole words.

    No entity meets more than one of the other side.
    """
    text = draw(TEXTS)
    words = split_words(text, DEFAULT)
    gold, predicted = [], []
    for start, end in words.paragraphs:
        cuts = sorted(draw(st.lists(st.integers(start, end), max_size=8)))
        for first, last in zip(cuts[::2], cuts[1::2], strict=False):
            if first == last:
                continue
            label = draw(st.sampled_from(LABELS.types))
            other = LABELS.types[(LABELS.types.index(label) + 1) % 3]
            whole = word_entity(words, first, last, label)
            shorter = word_entity(words, last - 1, last, label)
            fate = draw(st.sampled_from(["same", "same", "gold", "predicted", "type", "bounds", "both"]))
            if fate != "predicted":
                gold.append(whole)
            if fate != "gold":
                found = shorter if fate in {"bounds", "both"} else whole
                predicted.append(
                    Entity(found.start, found.end, other if fate in {"type", "both"} else label, draw(st.floats(0, 1)))
                )
    return Document("d", text, tuple(gold)), tuple(predicted)


@st.composite
def unrelated(draw: st.DrawFn) -> Made:
    """A report with any gold and any predicted entities, also ones that cut words, cross lines or stand on blanks."""
    text = draw(TEXTS)
    sides: list[tuple[Entity, ...]] = []
    for _ in range(2):
        cuts = sorted(set(draw(st.lists(st.integers(0, len(text)), max_size=10))))
        sides.append(
            tuple(
                Entity(start, end, draw(st.sampled_from(LABELS.types)))
                for start, end in pairwise(cuts)
                if draw(st.booleans())
            )
        )
    return Document("d", text, sides[0]), sides[1]
