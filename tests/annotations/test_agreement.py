"""Agreement, counted by hand on small cases."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.annotations.agreement import adjudicate, compare_annotations
from marsad.annotations.jsonl import read_documents, write_documents, write_records
from marsad.cli import main
from marsad.documents import Document, Entity
from marsad.errors import MarsadError

TEXT = "قصفت قوات النظام بلدة سرمين أمس"


def annotated(*spans: tuple[str, str], name: str = "a", text: str = TEXT) -> Document:
    entities = tuple(Entity(text.index(surface), text.index(surface) + len(surface), label) for surface, label in spans)
    return Document(name, text, entities)


def test_equal_annotations_agree_fully():
    one = annotated(("قوات النظام", "ACTOR"), ("بلدة سرمين", "LOCATION"))
    agreement = compare_annotations([one], [one])
    assert all(counts.f1 == 1.0 for counts in agreement.strict.values())
    assert agreement.kappa == 1.0
    assert agreement.disagreements == ()


def test_a_boundary_counts_as_partial_and_is_shown_with_both_readings():
    one = annotated(("قوات النظام", "ACTOR"), ("بلدة سرمين", "LOCATION"), ("أمس", "DATE"))
    two = annotated(("النظام", "ACTOR"), ("بلدة سرمين", "LOCATION"))
    agreement = compare_annotations([one], [two])
    assert {name: (counts.correct, counts.gold, counts.predicted) for name, counts in agreement.strict.items()} == {
        "ACTOR": (0, 1, 1),
        "DATE": (0, 1, 0),
        "LOCATION": (1, 1, 1),
    }
    assert agreement.partial["ACTOR"].f1 == 1.0
    assert [(one.kind, one.shown(one.first), one.shown(one.second)) for one in agreement.disagreements] == [
        ("boundary", ["[قوات النظام]ACTOR"], ["[النظام]ACTOR"]),
        ("only first", ["[أمس]DATE"], []),
    ]
    # Types of the six words: O A A L L D against O O A L L O: 4 of 6 agree, 2/6·3/6 + 2/6·1/6 + 2/6·2/6 by chance.
    chance = (1 * 3 + 2 * 1 + 2 * 2 + 1 * 0) / 36
    assert agreement.kappa == pytest.approx((4 / 6 - chance) / (1 - chance))
    # ACTOR against all else: A A of six against A of six; 5 of 6 agree.
    chance = (2 * 1 + 4 * 5) / 36
    assert agreement.kappas["ACTOR"] == pytest.approx((5 / 6 - chance) / (1 - chance))
    assert (agreement.kappas["LOCATION"], agreement.kappas["DATE"]) == (1.0, 0.0)
    assert list(agreement.record()["kappa_by_type"]) == ["ACTOR", "LOCATION", "DATE"]


def test_partial_agreement_is_the_same_either_way_round():
    whole = annotated(("قوات النظام بلدة سرمين", "ACTOR"), ("أمس", "ACTOR"))
    parts = annotated(("قوات النظام", "ACTOR"), ("بلدة سرمين", "ACTOR"))
    for pair in ((whole, parts), (parts, whole)):
        counts = compare_annotations([pair[0]], [pair[1]]).partial["ACTOR"]
        assert (counts.correct, counts.gold, counts.predicted) == (1, 2, 2)


def test_entities_that_fit_no_words_count_and_are_listed():
    text = "قصف\nسرمين أمس"
    one = annotated(("قصف\nسرمين", "LOCATION"), ("أمس", "DATE"), text=text)
    two = annotated(("أمس", "DATE"), text=text)
    for first, second, expected in ((one, two, (0, 1, 0)), (two, one, (0, 0, 1))):
        agreement = compare_annotations([first], [second])
        for by_type in (agreement.strict, agreement.partial):
            counts = by_type["LOCATION"]
            assert (counts.correct, counts.gold, counts.predicted) == expected
        (found,) = agreement.disagreements
        assert found.shown(found.first or found.second) == ["[قصف\nسرمين]LOCATION (crosses the end of a line)"]
        assert bool(found.first) is (first is one)
        assert found.context == "قصف سرمين أمس"


def test_an_entity_of_a_report_without_words_is_listed():
    (found,) = compare_annotations([Document("a", " ", (Entity(0, 1, "DATE"),))], [Document("a", " ")]).disagreements
    assert (found.shown(found.first), found.second, found.context) == (["[ ]DATE (holds no word)"], (), "")


def test_widened_spans_are_counted_and_reported():
    agreement = compare_annotations([annotated(("رمين", "LOCATION"))], [annotated(("سرمين", "LOCATION"))])
    assert agreement.strict["LOCATION"].f1 == 1.0
    assert agreement.widened == (1, 0)
    assert (agreement.record()["widened_first"], agreement.record()["widened_second"]) == (1, 0)
    assert "1 in the first, 0 in the second" in agreement.table().splitlines()[-1]


def test_reports_in_one_annotation_only_are_counted():
    agreement = compare_annotations([annotated(), annotated(name="b")], [annotated(name="b"), annotated(name="c")])
    assert (agreement.reports, agreement.only_first, agreement.only_second) == (1, 1, 1)


def test_another_text_or_no_common_id_is_an_error():
    with pytest.raises(MarsadError, match="'a' has another text"):
        compare_annotations([annotated()], [annotated(text=TEXT + ".")])
    with pytest.raises(MarsadError, match="no report stands in both"):
        compare_annotations([annotated()], [annotated(name="b")])


def test_kinds_places_and_context_of_disagreements():
    one = annotated(("قوات النظام", "ACTOR"), ("سرمين", "LOCATION"), ("أمس", "DATE"))
    two = annotated(("قوات", "ACTOR"), ("النظام", "DATE"), ("سرمين", "ACTOR"))
    mixed, kind, only = compare_annotations([one], [two]).disagreements
    assert [(found.kind, found.types) for found in (mixed, kind, only)] == [
        ("mixed", ["ACTOR", "DATE"]),
        ("type", ["ACTOR", "LOCATION"]),
        ("only first", ["DATE"]),
    ]
    assert kind.around == ("قصفت قوات النظام بلدة ", "سرمين", " أمس")
    assert TEXT[kind.start : kind.end] == "سرمين"


def test_entities_that_meet_through_others_are_one_disagreement():
    one = annotated(("قصفت قوات", "ACTOR"), ("بلدة", "LOCATION"))
    two = annotated(("قوات النظام بلدة", "ACTOR"))
    (found,) = compare_annotations([one], [two]).disagreements
    assert (len(found.first), len(found.second), found.kind) == (2, 1, "mixed")


WORDS = ["قصفت", "قوات", "النظام", "بلدة", "سرمين", "أمس", "ثم", "عادت", "إلى", "مواقعها"]


@st.composite
def annotations(draw: st.DrawFn) -> Document:
    """Entities on some of the words, none cut."""
    text, bounds, entities = " ".join(WORDS), sorted(draw(st.sets(st.integers(0, len(WORDS)), max_size=8))), []
    starts = [len(" ".join(WORDS[:index])) + (index > 0) for index in range(len(WORDS) + 1)]
    for first, last in itertools.pairwise(bounds):
        if label := draw(st.sampled_from(["ACTOR", "DATE", None])):
            entities.append(Entity(starts[first], starts[last] - 1, label))
    return Document("a", text, tuple(entities))


@settings(deadline=None)
@given(annotations(), annotations(), st.data())
def test_choices_give_either_annotation_back_and_never_overlap(one: Document, two: Document, data: st.DataObject):
    agreement = compare_annotations([one], [two])
    for choice, expected in (("first", one.entities), ("second", two.entities)):
        (made,) = adjudicate(agreement, [one], {found.key: choice for found in agreement.disagreements})
        assert made.entities == expected
    free = {found.key: data.draw(st.sampled_from(["first", "second", "neither"])) for found in agreement.disagreements}
    (made,) = adjudicate(agreement, [one], free)
    assert set(one.entities) & set(two.entities) <= set(made.entities) <= set(one.entities) | set(two.entities)


def decided(choice: str = "second", **changed: object) -> dict[str, object]:
    sides = {"first": ["[قوات النظام]ACTOR"], "second": ["[النظام]ACTOR"]}
    return {"id": "a", "start": 5, "end": 16, **sides, "choice": choice} | changed


def test_the_command_applies_decisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    one, two, out = tmp_path / "one.jsonl", tmp_path / "two.jsonl", tmp_path / "out.jsonl"
    decisions = tmp_path / "decisions.jsonl"
    first = annotated(("قوات النظام", "ACTOR"), ("أمس", "DATE"))
    second = annotated(("النظام", "ACTOR"), ("أمس", "DATE"))
    write_documents([replace(first, source="wire"), annotated(name="alone")], one)
    write_documents([second], two)
    command = ["agreement", str(one), str(two), "--decisions", str(decisions), "--write", str(out)]
    for choice, entities in (("first", first.entities), ("second", second.entities), ("neither", first.entities[1:])):
        write_records([decided("first"), decided(choice)], decisions)
        assert main(command) == 0
        assert read_documents(out) == [replace(first, source="wire", entities=entities)]
    out.unlink()
    for records, message in (
        ([], "1 of 1 disagreements are not decided, the first [5, 16) of 'a'"),
        ([decided(), decided(start=0)], "1 decisions are on no disagreement of these annotations, the first [0, 16)"),
        ([decided(), decided(second=["[النظام]LOCATION"])], "1 decisions are on no disagreement"),
        ([decided("third")], "decisions.jsonl:1: not a decision"),
        ([decided(start="5")], "decisions.jsonl:1: not a decision"),
        ([decided(first="[قوات النظام]ACTOR")], "decisions.jsonl:1: not a decision"),
    ):
        write_records(records, decisions)
        capsys.readouterr()
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert not out.exists()
    assert main(command[:-2]) == 2
    assert "--decisions and --write go together" in capsys.readouterr().err


def test_the_command_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_documents([annotated(("أمس", "DATE"))], tmp_path / "one.jsonl")
    write_documents([annotated(("أمس", "DATE"))], tmp_path / "two.jsonl")
    out = tmp_path / "out"
    assert main(["agreement", str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl"), "--output", str(out)]) == 0
    assert "DATE     1.0000" in capsys.readouterr().out
    assert (out / "agreement.json").is_file() and (out / "agreement.html").is_file()


def test_the_one_chosen_keeps_what_else_was_said_of_it():
    start = TEXT.index("أمس")
    first = Document("a", TEXT, (Entity(start, start + 3, "DATE", 0.5, {"value": {"start": None}}),))
    second = annotated(("أمس", "ACTOR"))
    agreement = compare_annotations([first], [second])
    (one,) = agreement.disagreements
    assert one.first == first.entities


def test_what_was_never_annotated_is_no_annotation(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_documents([annotated(("أمس", "DATE"))], tmp_path / "a.jsonl")
    write_records([{"id": "a", "text": TEXT}], tmp_path / "b.jsonl")
    assert main(["agreement", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]) == 2
    assert "no 'entities'" in capsys.readouterr().err
    assert main(["audit", str(tmp_path / "b.jsonl"), "--strict"]) == 3
    assert "never annotated" in capsys.readouterr().out
