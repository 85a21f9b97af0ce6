"""The audit finds what was planted, and nothing where nothing is wrong."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsad.annotations.audit import audit, audit_files, crosses_sentences
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
    assert split["longest_report_words"] == 10
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
        ("قصف سرمين. عاد الهدوء", "سرمين. عاد", [("error", "span crosses sentences", "a")]),
        ("قوات (قسد) هناك", "قوات (قسد)", []),
        ("قوات “الفجر” هناك", "“الفجر”", []),
    ],
)
def test_spans_are_checked(text: str, surface: str, expected: list[tuple[str, str, str]]):
    assert kinds(document("a", text, (surface, "ACTOR"))) == expected


@pytest.mark.parametrize(
    ("text", "crosses"),
    [
        ("سرمين. عاد الهدوء", True),
        ("سرمين! عاد", True),
        ("سرمين؟\u200f عاد", True),
        ("عام 2016. قوات", True),
        ("قوات الفجر.. النسر", True),
        ("2.5 مليون", False),
        ("3.6.2016", False),
        ("3. 6. 2016", False),
        ("د. سامر الخطيب", False),
        ("أ.د. سامر الخطيب", False),
        ("اللواء م. ر. الخطيب", False),
        ("Gen. Smith", False),
        ("U.S. Army", False),
        ("وكالة نبأ.نت", False),
        ("قوات … النسر", False),
        ("سرمين.", False),
        ("سرمين. ", False),
        (". سرمين", False),
    ],
)
def test_a_sentence_ends_inside_a_span_but_not_after_an_abbreviation_or_in_a_number(text: str, crosses: bool):
    assert crosses_sentences(text) is crosses


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from(". !؟د3\n")))
def test_any_text_can_be_asked_whether_it_crosses_sentences(text: str):
    crosses_sentences(text)


def test_an_empty_report_is_an_error():
    assert kinds(Document("a", " \n")) == [("error", "empty report", "a")]


def test_a_very_long_report_is_a_notice():
    text = " ".join(["كلمة"] * 2001)
    assert kinds(Document("a", text)) == [("notice", "very long report", "a")]
    assert kinds(Document("a", text[: text.rindex(" ")])) == []


def test_rare_labels_are_named_and_labels_that_only_dev_or_test_has_are_errors():
    train = [document(name, f"بلدة سرمين {name}", ("سرمين", "LOCATION")) for name in "ابت"]
    other = document("t", "بلدة سرمين أمس", ("سرمين", "LOCATION"), ("أمس", "DATE"))
    found = audit({"train": train, "new-test": [other]}, rare=5).findings
    assert [(one.level, one.kind, one.where) for one in found] == [
        ("notice", "rare label", "LOCATION"),
        ("notice", "rare label", "DATE"),
        ("error", "label without training data", "DATE"),
    ]
    assert [one.kind for one in audit({"test": [other]}, rare=1).findings] == []


def test_a_label_in_two_spellings_is_an_error():
    two = [document("a", "بلدة سرمين", ("سرمين", "LOCATION")), document("b", "ريف إدلب", ("إدلب", "Location"))]
    (found,) = audit({"train": two}).findings
    assert (found.kind, found.message) == (
        "one label in several spellings",
        "'LOCATION', 'Location' differ in case or blanks only",
    )


def test_labels_stand_in_the_order_of_the_tables():
    one = document("a", "أمس ثم سرمين ثم قسد", ("أمس", "DATE"), ("سرمين", "LOCATION"), ("قسد", "AIRCRAFT"))
    assert list(audit({"train": [one]}).counts["labels"]) == ["LOCATION", "DATE", "AIRCRAFT"]


def test_files_to_train_on_may_repeat_one_another():
    splits = {"train": [Document("a", PASSAGE)], "new": [Document("b", PASSAGE)]}
    assert [(one.level, one.kind) for one in audit(splits).findings] == [("notice", "near-duplicates across files")]
    assert audit(splits | {"old_dev": [Document("c", PASSAGE)]}).errors != ()


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


def test_short_texts_are_duplicates_when_equal_and_empty_ones_never():
    splits = {"train": [Document("a", "قصف على حلب"), Document("e", "")], "test": [Document("b", "قصفٌ على حلب!")]}
    found = [one for one in audit(splits).findings if "duplicates" in one.kind]
    assert [(one.kind, one.where) for one in found] == [("near-duplicates across splits", "b (test)")]
    assert not any(
        "duplicates" in kind for _, kind, _ in kinds(Document("a", ""), Document("b", " "), Document("c", "…"))
    )


def test_each_of_many_equal_reports_is_named_once():
    findings = audit(
        {"train": [Document(str(i), PASSAGE) for i in range(60)], "dev": [Document("d", PASSAGE)]}
    ).findings
    assert [one.where for one in findings] == [*(f"{i} (train)" for i in range(1, 60)), "d (dev)"]
    assert findings[-1].level == "error"


def test_a_near_duplicate_in_another_split_is_found_beside_an_equal_one_in_its_own():
    near = PASSAGE + " وحده"
    found = audit({"train": [Document("a", PASSAGE)], "dev": [Document("b", PASSAGE), Document("c", near)]}).errors
    assert [one.where for one in found] == ["b (dev)", "a (train)"]


def test_boilerplate_makes_no_duplicates():
    common = [Document(str(i), f"{PASSAGE} {i}") for i in range(60)]
    assert kinds(*common, Document("bare", " ".join(WORDS[:5]))) == []
    owns = [Document(name, f"{PASSAGE} وصلت قافلة إغاثة كبيرة من العاصمة {end}") for name, end in (("x", 1), ("y", 2))]
    assert [where for _, _, where in kinds(*common, *owns)] == ["x (train)"]


def test_ten_words_of_a_foreign_text_are_an_error_and_nine_are_none(tmp_path: Path):
    write_documents([Document("a", PASSAGE)], tmp_path / "train.jsonl")
    for length, errors in ((10, 1), (9, 0)):
        write_documents([Document("x", "قال " + " ".join(WORDS[:length]))], tmp_path / "other.jsonl")
        found = audit_files([tmp_path / "train.jsonl"], [tmp_path / "other.jsonl"])
        assert len(found.errors) == errors
    assert found.findings == ()


def test_a_copied_report_is_one_finding_for_each_file(tmp_path: Path):
    write_documents([Document("a", PASSAGE)], tmp_path / "train.jsonl")
    write_documents([Document("x", "لا شيء"), Document("y", PASSAGE)], tmp_path / "other.jsonl")
    packed = tmp_path / "packed.jsonl.xz"
    packed.write_bytes(lzma.compress((tmp_path / "other.jsonl").read_bytes()))
    one, two = audit_files([tmp_path / "train.jsonl"], [tmp_path / "other.jsonl", packed]).errors
    runs = len(WORDS) - 9
    assert one.where == two.where == "a"
    assert one.message.startswith(f"{runs} runs of 10 words in {tmp_path / 'other.jsonl'}, first at ")
    assert two.message.startswith(f"{runs} runs of 10 words in {packed}, first at {packed}:2: {WORDS[0]}")


def test_the_full_name_of_a_body_may_stand_elsewhere():
    name = " ".join(WORDS[:11])
    foreign = [("other:1", f"قال {name} ثم")]
    assert audit({"train": [document("a", f"أكد {name} ذلك", (name, "ACTOR"))]}, foreign).errors == ()
    part = " ".join(WORDS[:9])
    (found,) = audit({"train": [document("a", f"أكد {name} ذلك", (part, "ACTOR"))]}, foreign).errors
    assert found.message.startswith("2 runs")


@pytest.mark.parametrize("content", [b"no xz", lzma.compress(PASSAGE.encode() * 1000)[:-30]])
def test_a_broken_xz_file_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "broken.jsonl.xz").write_bytes(content)
    write_documents([Document("a", PASSAGE)], tmp_path / "train.jsonl")
    with pytest.raises(MarsadError, match=r"broken\.jsonl\.xz: .*xz"):
        audit_files([tmp_path / "train.jsonl"], [tmp_path / "broken.jsonl.xz"])


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    paths = [tmp_path / "train.jsonl", tmp_path / "dev.jsonl"]
    for path, name in zip(paths, "ab", strict=True):
        write_documents([Document(name, f"تقرير {name}")], path)
    opened: list[Path] = []
    whole = Path.open
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda path, *rest: opened.append(path) or whole(path, *rest))
        audit_files(paths)
    assert opened == paths
    assert audit_files([paths[0], tmp_path, paths[0]]).findings == ()


def test_a_surface_annotated_here_and_bare_there_is_listed():
    one = document("a", "وصلت الوحدة إلى سرمين", ("سرمين", "LOCATION"))
    two = document("b", "عاد أهل سرمين أمس", ("سرمين", "LOCATION"))
    three = document("c", "سكان سرمين غاضبون")
    (found,) = audit({"train": [one, two, three]}).inconsistencies
    assert (found.surface, dict(found.labels), found.bare, found.places) == ("سرمين", {"LOCATION": 2}, 1, ("c",))


def test_surfaces_stand_in_the_order_of_deviating_occurrences_with_their_places():
    documents = [
        *(document(f"l{i}", "عاد إلى دمشق", ("دمشق", "LOCATION")) for i in range(3)),
        *(document(f"a{i}", "أعلنت دمشق", ("دمشق", "ACTOR")) for i in range(2)),
        *(document(f"s{i}", "بلدة سرمين", ("سرمين", "LOCATION")) for i in range(4)),
        document("bare", "سرمين"),
        *(document(f"n{i}", "قتل 12", ("12", "CASUALTY")) for i in range(4)),
        *(document(f"o{i}", "قبل 12 سنة") for i in range(4)),
    ]
    result = audit({"train": documents})
    assert [(one.surface, one.deviating, one.bare, one.places) for one in result.inconsistencies] == [
        ("12", 4, 4, ("o0", "o1", "o2", "o3")),
        ("دمشق", 2, 0, ("a0", "a1")),
        ("سرمين", 1, 1, ("bare",)),
    ]
    lines = [line.split(":")[0].strip() for line in result.table().splitlines()]
    assert lines.index("دمشق") < lines.index("سرمين") < lines.index("12")


def test_single_letters_and_words_on_two_lines_are_no_bare_surfaces():
    letters = [document(str(i), "قتل و", ("و", "ACTOR")) for i in range(2)]
    assert audit({"train": [*letters, Document("bare", "عاد و رجع")]}).inconsistencies == ()
    names = [document(str(i), "بلدة سرمين", ("بلدة سرمين", "LOCATION")) for i in range(2)]
    assert audit({"train": [*names, Document("bare", "هذه بلدة\nسرمين أخرى")]}).inconsistencies == ()
    (found,) = audit({"train": [*names, Document("bare", "هذه بلدة سرمين")]}).inconsistencies
    assert found.surface == "بلدة سرمين"


def test_a_damaged_file_is_audited_and_all_its_damage_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "new.jsonl"
    write_documents([document("a", "قصف سرمين، أمس", ("سرمين،", "LOCATION"))], path)
    overlap = {"id": "b", "text": "قصف سرمين", "entities": [{"start": s, "end": 9, "label": "DATE"} for s in (0, 4)]}
    path.write_text(path.read_text("utf-8") + "{\n" + json.dumps(overlap) + "\n[]\n", encoding="utf-8")
    assert main(["audit", str(path), "--strict", "--rare", "0"]) == 3
    printed = capsys.readouterr().out
    assert f"{path}:2: not JSON" in printed and f"{path}:4: a JSON list" in printed
    assert f"{path}:3 (id 'b'): [0, 9) DATE 'قصف سرمين' and [4, 9) DATE 'سرمين'" in printed
    assert "punctuation at the edge" in printed and "4 errors, 0 notices" in printed


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["audit", str(tmp_path / "none.jsonl")]) == 2
    assert capsys.readouterr().err == f"marsad: error: {tmp_path / 'none.jsonl'}: no such file\n"


def test_each_file_but_the_reference_is_compared_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    train = [document(f"t{i}", "بلدة سرمين", ("سرمين", "LOCATION")) for i in range(40)]
    new = [document(f"n{i}", "عاد أهل إدلب أمس", ("أمس", "DATE")) for i in range(40)]
    write_documents(train, tmp_path / "train.jsonl")
    write_documents(new, tmp_path / "new.jsonl")
    result = audit_files([tmp_path], reference=[tmp_path / "train.jsonl"])
    assert {one.split for one in result.shifts} == {"new"}
    assert [(one.unseen, one.total) for one in result.novelties] == [(160, 160), (40, 40)]
    assert [one.where for one in result.findings if one.kind == "distribution shift"] == ["new"] * 4
    assert main(["audit", str(tmp_path), "--reference", str(tmp_path / "train.jsonl")]) == 0
    assert "! new  entity types" in capsys.readouterr().out
    write_documents(train, tmp_path / "same.jsonl")
    same = audit_files([tmp_path / "same.jsonl"], reference=[tmp_path / "train.jsonl"])
    assert not any(one.notable for one in same.shifts)


def test_examples_show_each_label_and_bare_ones_in_their_text():
    one = document("a", "وصلت الوحدة إلى سرمين", ("سرمين", "LOCATION"))
    two = document("b", "عاد أهل سرمين أمس", ("سرمين", "LOCATION"))
    (found,) = audit({"train": [one, two, document("c", "سكان سرمين غاضبون")]}).inconsistencies
    assert [(one.document, one.label, one.context) for one in found.examples] == [
        ("a", "LOCATION", ("وصلت الوحدة إلى ", "سرمين", "")),
        ("b", "LOCATION", ("عاد أهل ", "سرمين", " أمس")),
        ("c", None, ("سكان ", "سرمين", " غاضبون")),
    ]


def test_the_command_prints_counts_writes_json_and_exits_3_when_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_documents([document("a", "قصف سرمين، أمس", ("سرمين،", "LOCATION"))], tmp_path / "train.jsonl")
    assert main(["audit", str(tmp_path)]) == 0
    assert main(["audit", str(tmp_path), "--strict", "--output", str(tmp_path / "out")]) == 3
    assert "punctuation at the edge" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "audit.json").read_text("utf-8"))
    assert [one["context"] for one in record["findings"] if one["level"] == "error"] == [["قصف ", "سرمين،", " أمس"]]
    assert "punctuation at the edge" in (tmp_path / "out" / "audit.html").read_text("utf-8")


def test_a_folder_without_reports_is_an_error(tmp_path: Path):
    with pytest.raises(MarsadError, match=r"holds no \*\.jsonl"):
        audit_files([tmp_path])


def test_the_projects_own_corpus_passes():
    result = audit_files([Path(__file__).parents[2] / "data"])
    assert result.errors == ()
    shares = result.counts["source"]
    assert min(shares.values()) / shares.total() >= 0.08
