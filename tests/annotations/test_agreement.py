"""Agreement, counted by hand on small cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsad.annotations.agreement import compare_annotations
from marsad.annotations.jsonl import write_documents
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
    assert [(one.first, one.second) for one in agreement.disagreements] == [
        (("[قوات النظام]ACTOR",), ("[النظام]ACTOR",)),
        (("[أمس]DATE",), ()),
    ]
    # Types of the six words: O A A L L D against O O A L L O: 4 of 6 agree, 2/6·3/6 + 2/6·1/6 + 2/6·2/6 by chance.
    chance = (1 * 3 + 2 * 1 + 2 * 2 + 1 * 0) / 36
    assert agreement.kappa == pytest.approx((4 / 6 - chance) / (1 - chance))


def test_reports_in_one_annotation_only_are_counted():
    agreement = compare_annotations([annotated(), annotated(name="b")], [annotated(name="b"), annotated(name="c")])
    assert (agreement.reports, agreement.only_first, agreement.only_second) == (1, 1, 1)


def test_another_text_or_no_common_id_is_an_error():
    with pytest.raises(MarsadError, match="'a' has another text"):
        compare_annotations([annotated()], [annotated(text=TEXT + ".")])
    with pytest.raises(MarsadError, match="no report stands in both"):
        compare_annotations([annotated()], [annotated(name="b")])


def test_the_command_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_documents([annotated(("أمس", "DATE"))], tmp_path / "one.jsonl")
    write_documents([annotated(("أمس", "DATE"))], tmp_path / "two.jsonl")
    out = tmp_path / "out"
    assert main(["agreement", str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl"), "--output", str(out)]) == 0
    assert "DATE     1.0000" in capsys.readouterr().out
    assert (out / "agreement.json").is_file()
