"""Documents and entities refuse what they can't mean."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.documents import Document, Entity


@pytest.mark.parametrize(
    ("start", "end", "label", "expected"),
    [
        (0, 0, "A", "empty or negative"),
        (3, 1, "A", "empty or negative"),
        (-1, 1, "A", "empty or negative"),
        (0, 1, "", "non-empty string"),
        (0, 1, None, "non-empty string"),
        ("0", 1, "A", "start is '0', expected an integer"),
        (0, 1.0, "A", "end is 1.0, expected an integer"),
        (False, True, "A", "start is False, expected an integer"),
    ],
)
def test_impossible_entities_are_refused(start, end, label, expected: str):
    with pytest.raises(ValueError, match=expected):
        Entity(start, end, label)


@pytest.mark.parametrize(
    ("id", "text", "expected"),
    [("", "حلب", "id is ''"), (None, "حلب", "id is None"), (7, "حلب", "id is 7"), ("r", None, "text is NoneType")],
)
def test_a_document_needs_id_and_text(id, text, expected: str):
    with pytest.raises(ValueError, match=expected):
        Document(id, text)


def test_entities_are_put_in_order():
    late, early = Entity(4, 7, "B"), Entity(0, 3, "A")
    assert Document("r", "حلب حمص", (late, early)).entities == (early, late)
    assert Document("r", "حلب حمص", [late, early]) == Document("r", "حلب حمص", (early, late))


def test_neighbours_may_touch_and_the_end_of_the_text_is_inside():
    assert len(Document("r", "حلبحمص", (Entity(0, 3, "A"), Entity(3, 6, "A"))).entities) == 2


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=10), st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=4))
def test_a_document_holds_only_disjoint_entities_inside_its_text(text: str, spans: list[tuple[int, int]]):
    entities = tuple(Entity(start, start + length, "A") for start, length in spans)
    covered = [i for entity in entities for i in range(entity.start, entity.end)]
    fits = len(covered) == len(set(covered)) and all(i < len(text) for i in covered)
    if fits:
        assert sorted(entities, key=lambda entity: entity.start) == list(Document("r", text, entities).entities)
    else:
        with pytest.raises(ValueError, match=r"overlap; keep one|ends outside the text") as refused:
            Document("r", text, entities)
        assert "\n" not in str(refused.value)


def test_documents_and_entities_are_frozen_and_hashable():
    entity = Entity(0, 1, "A", extra={"value": []})
    document = Document("r", "حلب", (entity,), metadata={"tags": []})
    assert len({entity, Entity(0, 1, "A", extra={"value": []})}) == 1
    assert len({document, Document("r", "حلب", (entity,), metadata={"tags": []})}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        entity.start = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        document.text = ""


def test_a_date_in_text_form_is_refused_before_it_breaks_a_file():
    with pytest.raises(ValueError, match="published"):
        Document("a", "نص", published="2020-01-01")  # type: ignore[arg-type]


def test_metadata_may_not_shadow_a_field():
    with pytest.raises(ValueError, match=r"\['text'\]"):
        Document("a", "نص", metadata={"text": "آخر"})
