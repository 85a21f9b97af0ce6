"""The audit finds what was planted, and nothing where nothing is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsad.annotations.audit import audit, audit_files
from marsad.annotations.jsonl import write_documents
from marsad.cli import main
from marsad.documents import Document, Entity
from marsad.errors import MarsadError

PASSAGE = "خرج أهل الحي إلى السوق صباحا ثم عادوا قبل المطر ولم يصب أحد منهم بأذى يذكر هناك"
WORDS = PASSAGE.split()


def document(name: str, text: str, *spans: tuple[str, str]) -> Document:
    """A document whose entities are the first places of the given surfaces."""
    entities = tuple(Entity(text.index(surface), text.index(surface) + len(surface), label) for surface, label in spans)
    return Document(name, text, entities, source="wire", metadata={"conflict": "syria"})


def kinds(*documents: Document) -> list[tuple[str, str, str]]:
    return [(one.level, one.kind, one.where) for one in audit({"train": documents}).findings]


def test_a_clean_corpus_has_no_findings_and_is_counted():
    one = document("a", "قتل 3 مدنيين في سرمين. عاد الهدوء إلى السوق لاحقا.", ("3", "CASUALTY"), ("سرمين", "LOCATION"))
    result = audit({"train": [one]})
    assert result.findings == ()
    split = result.counts["splits"]["train"]
    assert (split["reports"], split["words"], split["entities"]) == (1, 10, 2)
    assert split["labels"] == {"CASUALTY": 1, "LOCATION": 1}
    assert (split["sentences"], split["sentences_without_entity"]) == (2, 1)
    assert result.counts["conflict"] == {"syria": 1}


@pytest.mark.parametrize(
    ("text", "surface", "expected"),
    [
        ("قصف سرمين، أمس", "سرمين،", [("error", "punctuation at the edge of a span", "a")]),
        ("قصف سرمين أمس", " سرمين", [("error", "punctuation at the edge of a span", "a")]),
        ("قصف بسرمين أمس", "سرمين", [("notice", "span cuts a word", "a")]),
        ("قوات (قسد) هناك", "قوات (قسد)", []),
        ("قوات “الفجر” هناك", "“الفجر”", []),
    ],
)
def test_spans_are_checked(text: str, surface: str, expected: list[tuple[str, str, str]]):
    assert kinds(document("a", text, (surface, "ACTOR"))) == expected


def test_an_empty_report_is_an_error():
    assert kinds(Document("a", " \n")) == [("error", "empty report", "a")]


def test_near_duplicates_are_an_error_across_splits_and_a_notice_within():
    text = PASSAGE
    respelled = text.replace("أ", "ا").replace("ه", "هـ")
    across = audit({"train": [Document("a", text)], "dev": [Document("b", respelled)]}).findings
    assert [(one.level, one.kind) for one in across] == [("error", "near-duplicates across splits")]
    assert "100%" in across[0].message
    assert kinds(Document("a", text), Document("b", respelled + " وحده"))[0][:2] == (
        "notice",
        "near-duplicates within a split",
    )
    assert kinds(Document("a", text), Document("b", " ".join(reversed(WORDS)))) == []


def test_ten_words_of_a_foreign_text_are_an_error_and_nine_are_none(tmp_path: Path):
    write_documents([Document("a", PASSAGE)], tmp_path / "train.jsonl")
    for length, errors in ((10, 1), (9, 0)):
        write_documents([Document("x", "قال " + " ".join(WORDS[:length]))], tmp_path / "other.jsonl")
        found = audit_files([tmp_path / "train.jsonl"], [tmp_path / "other.jsonl"])
        assert len(found.errors) == errors
    assert found.findings == ()


def test_a_surface_annotated_here_and_bare_there_is_listed():
    one = document("a", "وصلت الوحدة إلى سرمين", ("سرمين", "LOCATION"))
    two = document("b", "عاد أهل سرمين أمس", ("سرمين", "LOCATION"))
    three = document("c", "سكان سرمين غاضبون")
    (found,) = audit({"train": [one, two, three]}).inconsistencies
    assert (found.surface, dict(found.labels), found.bare, found.places) == ("سرمين", {"LOCATION": 2}, 1, ("c",))


def test_the_command_prints_counts_writes_json_and_exits_3_when_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_documents([document("a", "قصف سرمين، أمس", ("سرمين،", "LOCATION"))], tmp_path / "train.jsonl")
    assert main(["audit", str(tmp_path)]) == 0
    assert main(["audit", str(tmp_path), "--strict", "--output", str(tmp_path / "out")]) == 3
    assert "punctuation at the edge" in capsys.readouterr().out
    assert (tmp_path / "out" / "audit.json").is_file()


def test_a_folder_without_reports_is_an_error(tmp_path: Path):
    with pytest.raises(MarsadError, match=r"holds no \*\.jsonl"):
        audit_files([tmp_path])


def test_the_projects_own_corpus_passes():
    result = audit_files([Path(__file__).parents[2] / "data"])
    assert result.errors == ()
    shares = result.counts["source"]
    assert min(shares.values()) / shares.total() >= 0.08
