"""Types, tags and ids."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.labels import LabelSet

NAMES = st.text(min_size=1, max_size=6).filter(
    lambda name: name.split() == [name] and name.strip("-") == name and name != "O"
)
LABEL_SETS = st.lists(NAMES, min_size=1, max_size=5, unique=True).map(lambda names: LabelSet(tuple(names)))


def test_outside_is_zero_and_types_follow_in_order():
    labels = LabelSet(("ACTOR", "DATE"))
    assert labels.tags == ("O", "B-ACTOR", "I-ACTOR", "B-DATE", "I-DATE")
    assert [labels.begin(0), labels.begin(1)] == [1, 3]


@settings(max_examples=100, deadline=None)
@given(LABEL_SETS)
def test_tags_lead_back_to_the_types(labels: LabelSet):
    assert len(set(labels.tags)) == 1 + 2 * len(labels.types)
    for index, name in enumerate(labels.types):
        assert labels.tags[labels.begin(index)] == f"B-{name}"
        assert labels.tags[labels.begin(index) + 1] == f"I-{name}"


@settings(max_examples=100, deadline=None)
@given(LABEL_SETS)
def test_an_inside_follows_its_own_type_alone(labels: LabelSet):
    for i, before in enumerate(labels.tags):
        for j, after in enumerate(labels.tags):
            allowed = not after.startswith("I-") or before in (f"B-{after[2:]}", after)
            assert labels.transitions[i, j] == allowed
    assert labels.starts.tolist() == [not tag.startswith("I-") for tag in labels.tags]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ((), "empty"),
        (("A", "B", "A"), "stands twice"),
        (("",), "empty or holds whitespace"),
        (("A B",), "'A B' is empty or holds whitespace"),
        (("A\n",), "whitespace"),
        (("A", "-B"), "'-B' begins or ends with a hyphen"),
        (("B-",), "hyphen"),
    ],
)
def test_bad_label_sets_are_refused(types: tuple[str, ...], expected: str):
    with pytest.raises(ValueError, match=expected):
        LabelSet(types)


def test_a_hyphen_inside_a_type_is_fine():
    assert LabelSet(("NON-STATE", "B-X")).tags[1:3] == ("B-NON-STATE", "I-NON-STATE")
