"""Damaged exports: each damage is a named reject or a one-line error, and nothing else is lost."""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.annotations.formats import brat, conll, inception, labelstudio
from marsad.annotations.formats.importing import export_files, import_files
from marsad.annotations.jsonl import read_documents, write_documents
from marsad.cli import main
from marsad.documents import Document, Entity
from marsad.errors import MarsadError

TEXTS = {"a": "قصف حلب 💔 أمس", "b": "هدوء في إدلب، مساء السبت", "c": "قتل 3 مدنيين\nفي درعا"}


def span(name: str, surface: str, label: str) -> list[Any]:
    start = TEXTS[name].index(surface)
    return [start, start + len(surface), label]


SPANS = {
    "a": [span("a", "حلب", "LOCATION"), span("a", "أمس", "DATE")],
    "b": [span("b", "إدلب", "LOCATION"), span("b", "مساء السبت", "DATE")],
    "c": [span("c", "3 مدنيين", "CASUALTY"), span("c", "درعا", "LOCATION")],
}
GOLD = [Document(name, TEXTS[name], tuple(Entity(*one) for one in SPANS[name])) for name in "abc"]


def doccano(name: str, **changes: Any) -> dict[str, Any]:
    return {"id": name, "text": TEXTS[name], "label": SPANS[name]} | changes


def prodigy(name: str, **changes: Any) -> dict[str, Any]:
    spans = [{"start": start, "end": end, "label": label} for start, end, label in SPANS[name]]
    return {"text": TEXTS[name], "spans": spans, "answer": "accept", "meta": {"id": name}} | changes


def task(name: str, *regions: list[Any], **changes: Any) -> dict[str, Any]:
    """A task of Label Studio; each region is start, end, label and the recorded text."""
    given = regions or [[*one, TEXTS[name][one[0] : one[1]]] for one in SPANS[name]]
    result = [
        {"type": "labels", "value": {"start": start, "end": end, "labels": [label], "text": text}}
        for start, end, label, text in given
    ]
    return {"id": 7, "data": {"id": name, "text": TEXTS[name]}, "annotations": [{"result": result}]} | changes


def lines(path: Path, *records: Any) -> Path:
    """Records as JSON Lines; bytes and strings as they are."""
    raw = [
        record
        if isinstance(record, bytes)
        else record.encode()
        if isinstance(record, str)
        else json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
        for record in records
    ]
    path.write_bytes(b"\n".join(raw) + b"\n")
    return path


def tasks(path: Path, *records: Any) -> Path:
    path.write_text(json.dumps(list(records), ensure_ascii=False), encoding="utf-8")
    return path


def brat_folder(folder: Path) -> Path:
    brat.write(GOLD, folder / "brat")
    return folder / "brat"


def xmi_folder(folder: Path) -> Path:
    inception.write(GOLD, folder / "xmi")
    return folder / "xmi"


def edit(path: Path, old: str, new: str, encoding: str = "utf-8") -> None:
    before = path.read_bytes().decode("utf-8")
    assert old in before
    path.write_bytes(before.replace(old, new).encode(encoding))


@dataclass(frozen=True)
class Damage:
    """A damaged export: what it becomes, the kind of its reject, and the ids that are still imported."""

    format: str
    build: Callable[[Path], Path]
    kind: str | None = None
    error: str | None = None
    imported: str = "ab"
    repaired: int = 0
    options: tuple[str, ...] = ()


def _cut_list(folder: Path) -> Path:
    path = tasks(folder / "x.json", task("a"), task("b"))
    path.write_bytes(path.read_bytes()[:-40])
    return path


def _cut_brat(folder: Path) -> Path:
    path = brat_folder(folder)
    edit(path / "c.ann", "\t3 مدنيين\n", "")
    return path


def _brat(damage: Callable[[Path], object]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = brat_folder(folder)
        damage(path)
        return path

    return build


def _xmi(damage: Callable[[Path], object]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = xmi_folder(folder)
        damage(path)
        return path

    return build


def _conll(damage: Callable[[str], str], encoding: str = "utf-8") -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        conll.write(GOLD, folder / "x.conll")
        text = (folder / "x.conll").read_text(encoding="utf-8")
        damaged = damage(text)
        assert damaged != text or encoding != "utf-8"
        (folder / "x.conll").write_bytes(damaged.encode(encoding))
        return folder / "x.conll"

    return build


def _third_doccano(**changes: Any) -> Callable[[Path], Path]:
    return lambda folder: lines(folder / "x.jsonl", doccano("a"), doccano("b"), doccano("c", **changes))


def _third_task(*regions: list[Any], **changes: Any) -> Callable[[Path], Path]:
    return lambda folder: tasks(folder / "x.json", task("a"), task("b"), task("c", *regions, **changes))


def _deep(folder: Path) -> Path:
    return lines(folder / "x.jsonl", doccano("a"), doccano("b"), '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}")


def _labels(folder: Path, text: str) -> str:
    (folder / "labels.yaml").write_text(text, encoding="utf-8")
    return str(folder / "labels.yaml")


_ALL = {"imported": "abc"}

DAMAGES = {
    # Files
    "a JSON list cut off": Damage("labelstudio", _cut_list, error=r"x\.json: not JSON .*cut off"),
    "a JSON Lines file cut off": Damage(
        "doccano",
        lambda folder: lines(folder / "x.jsonl", doccano("a"), doccano("b"), json.dumps(doccano("c"))[:60]),
        "not JSON",
    ),
    "a CoNLL file cut off": Damage(
        "conll", _conll(lambda text: text[: text.rindex("درعا") + 4]), error=r"x\.conll:\d+: 'درعا' is no word with"
    ),
    "a CoNLL file that lost its last words": Damage(
        "conll", _conll(lambda text: text[: text.rindex("درعا")]), "comments and words disagree"
    ),
    "a brat annotation cut off": Damage("brat", _cut_brat, "no annotation"),
    "an XMI file cut off": Damage(
        "inception", _xmi(lambda path: (path / "c.xmi").write_bytes((path / "c.xmi").read_bytes()[:-30])), "no XML"
    ),
    "an empty file": Damage("labelstudio", lambda folder: lines(folder / "x.json", b""), error="is empty"),
    "an empty CoNLL file": Damage("conll", lambda folder: lines(folder / "x.conll", b""), error="holds no document"),
    "an empty list": Damage("labelstudio", lambda folder: tasks(folder / "x.json"), error="empty list"),
    "an empty folder": Damage("brat", lambda folder: folder, error="holds no .txt and .ann"),
    "the file of another tool": Damage(
        "conll", lambda folder: lines(folder / "x", doccano("a")), error=r"x:1: .* is no word with a tag"
    ),
    "CoNLL for Label Studio": Damage("labelstudio", _conll(lambda text: text + "\n"), error="not JSON .*is it JSON"),
    "Prodigy for Label Studio": Damage(
        "labelstudio", lambda folder: lines(folder / "x", {"body": 3}), error="no record of 1 could be imported"
    ),
    "lines where a list is usual": Damage(
        "labelstudio", lambda folder: lines(folder / "x", task("a"), task("b"), task("c")), **_ALL
    ),
    "a list where lines are usual": Damage(
        "doccano", lambda folder: tasks(folder / "x", doccano("a"), doccano("b"), doccano("c")), **_ALL
    ),
    "a number among the records": Damage(
        "doccano", lambda folder: lines(folder / "x", doccano("a"), "5", doccano("b")), "no JSON object"
    ),
    "JSON nested too deep": Damage("doccano", _deep, "not JSON"),
    # Encodings and line ends
    "Windows line ends in JSON Lines": Damage(
        "doccano",
        lambda folder: lines(folder / "x", *(json.dumps(doccano(name)) + "\r" for name in "abc")),
        **_ALL,
    ),
    "Windows line ends in CoNLL": Damage("conll", _conll(lambda text: text.replace("\n", "\r\n")), **_ALL),
    "a byte order mark": Damage(
        "doccano",
        lambda folder: lines(folder / "x", codecs.BOM_UTF8 + json.dumps(doccano("a")).encode(), doccano("b")),
    ),
    "a byte order mark in CoNLL": Damage("conll", _conll(lambda text: "\ufeff" + text), **_ALL),
    "UTF-16": Damage("conll", _conll(str, "utf-16"), error=r"is UTF-16; .*--encoding utf-16"),
    "UTF-16 named": Damage("conll", _conll(str, "utf-16"), options=("--encoding", "utf-16"), **_ALL),
    "bytes that are no UTF-8": Damage(
        "doccano",
        lambda folder: lines(folder / "x", doccano("a"), doccano("b"), '{"text": "قصف"}'.encode("cp1256")),
        "not utf-8",
    ),
    "Windows-1256 in brat": Damage(
        "brat", _brat(lambda path: (path / "c.txt").write_bytes(TEXTS["c"].encode("cp1256"))), "not utf-8"
    ),
    "Windows-1256 in CoNLL": Damage(
        "conll",
        lambda folder: lines(folder / "x", "قصف O".encode("cp1256")),
        error=r"x:1: not UTF-8; .*--encoding",
    ),
    "an unknown encoding": Damage(
        "conll", _conll(lambda text: text + "\n"), error="no such", options=("--encoding", "x")
    ),
    # What is missing or stands twice
    "an id twice": Damage("doccano", _third_doccano(id="a"), "id stands twice"),
    "text that is null": Damage("doccano", _third_doccano(text=None), "no text"),
    "no text": Damage(
        "prodigy", lambda folder: lines(folder / "x", prodigy("a"), prodigy("b"), {"spans": []}), "no text"
    ),
    "no label": Damage("doccano", _third_doccano(label=[[4, 12, None]]), "no label"),
    "a region without labels": Damage(
        "labelstudio",
        _third_task(annotations=[{"result": [{"type": "labels", "value": {"start": 0, "end": 3, "text": "قتل"}}]}]),
        "no label",
    ),
    "an .ann without .txt": Damage("brat", _brat(lambda path: (path / "c.txt").unlink()), "no .txt"),
    "labels that are no spans": Damage("doccano", _third_doccano(label=["نزاع"]), "no span"),
    "annotations that are no list": Damage("labelstudio", _third_task(annotations={"result": 1}), "no annotations"),
    "an unknown answer": Damage(
        "prodigy",
        lambda folder: lines(folder / "x", prodigy("a"), prodigy("b"), prodigy("c", answer="maybe")),
        "unknown answer",
    ),
    "a date that is none": Damage("doccano", _third_doccano(published="2024-13-45"), "no date"),
    "a type system that is missing": Damage(
        "inception", _xmi(lambda path: (path / "TypeSystem.xml").unlink()), error=r"TypeSystem\.xml: no such file"
    ),
    "a type system of something else": Damage(
        "inception", _xmi(lambda path: (path / "TypeSystem.xml").write_text("<a/>")), error=r"TypeSystem\.xml|imported"
    ),
    # Offsets
    "negative offsets": Damage("doccano", _third_doccano(label=[[-3, 2, "DATE"]]), "negative span"),
    "the end before the start": Damage("doccano", _third_doccano(label=[[9, 4, "DATE"]]), "negative span"),
    "offsets with a point": Damage("doccano", _third_doccano(label=[[4.0, 12.5, "DATE"]]), "offsets are no integers"),
    "offsets as strings": Damage("doccano", _third_doccano(label=[["4", "12", "DATE"]]), "offsets are no integers"),
    "offsets that are null": Damage("doccano", _third_doccano(label=[[None, 12, "DATE"]]), "offsets are no integers"),
    "a span outside the text": Damage("doccano", _third_doccano(label=[[4, 400, "DATE"]]), "span outside the text"),
    "a span without length": Damage("doccano", _third_doccano(label=[[4, 4, "DATE"]]), "span without length"),
    "a span of XMI outside the text": Damage(
        "inception",
        _xmi(lambda path: edit(path / "c.xmi", 'begin="4" end="12" value', 'begin="4" end="99" value')),
        "span outside the text",
    ),
    "offsets of another text": Damage(
        "labelstudio", _third_task([0, 4, "LOCATION", "الرقة"]), "text and offsets disagree"
    ),
    "offsets in UTF-16 units": Damage(
        "labelstudio",
        lambda folder: tasks(folder / "x", task("a", [4, 7, "LOCATION", "حلب"], [11, 14, "DATE", "أمس"])),
        imported="a",
        repaired=1,
    ),
    "offsets in bytes": Damage(
        "labelstudio",
        lambda folder: tasks(folder / "x", task("a", [7, 13, "LOCATION", "حلب"], [19, 25, "DATE", "أمس"])),
        imported="a",
        repaired=2,
    ),
    "offsets after a text was edited": Damage(
        "labelstudio", _third_task([9, 17, "CASUALTY", "3 مدنيين"], [21, 25, "LOCATION", "درعا"]), **_ALL, repaired=2
    ),
    "a text edited so that the span is gone": Damage(
        "brat", _brat(lambda path: edit(path / "c.txt", "3 مدنيين", "مدنيون")), "text and offsets disagree"
    ),
    "Windows line ends in brat": Damage(
        "brat", _brat(lambda path: edit(path / "c.txt", "\n", "\r\n")), imported="abc", repaired=1
    ),
    # Spans and labels
    "nested spans": Damage(
        "labelstudio", _third_task([4, 12, "CASUALTY", "3 مدنيين"], [4, 5, "DATE", "3"]), "overlapping spans"
    ),
    "two labels on a span": Damage(
        "doccano", _third_doccano(label=[[4, 12, "ACTOR"], [4, 12, "DATE"]]), "overlapping spans"
    ),
    "a discontinuous span": Damage(
        "brat", _brat(lambda path: edit(path / "c.ann", "CASUALTY 4 12", "CASUALTY 0 3;6 12")), "discontinuous span"
    ),
    # Strings
    "a lone surrogate": Damage(
        "doccano",
        lambda folder: lines(folder / "x", doccano("a"), doccano("b"), '{"id": "c", "text": "ق \\ud83d", "label": []}'),
        imported="abc",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "given").mkdir()
    yield tmp_path / "given"


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_and_nothing_else_is_lost(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    damage = DAMAGES[name]
    path = damage.build(folder)
    output, report, rejects = (tmp_path / "out" / one for one in ("new.jsonl", "import.json", "rejects.jsonl"))
    arguments = ["import", damage.format, path, "--output", output, "--report", report, *damage.options]
    code = main([str(one) for one in arguments])
    out, err = capsys.readouterr()
    if damage.error is not None:
        assert code == 2
        (line,) = err.splitlines()
        assert line.startswith("marsad: error: ")
        assert re.search(damage.error, line), line
        assert not output.exists()
        return
    assert err == ""
    assert code == (3 if damage.kind else 0), out
    counts = json.loads(report.read_text(encoding="utf-8"))
    documents = {document.id: document for document in read_documents(output)}
    assert list(documents) == list(damage.imported)
    for document in GOLD:
        if document.id in documents and name not in ("a lone surrogate", "Windows line ends in brat"):
            assert documents[document.id] == document
    assert counts["rejected"] == ({damage.kind: 1} if damage.kind else {})
    assert counts["read"] == counts["imported"] + sum(counts["rejected"].values())
    assert counts["entities_read"] == sum(counts["entities"].values()) + sum(counts["entities_lost"].values())
    assert len(counts["repaired"]) == damage.repaired
    if damage.kind:
        (reject,) = [json.loads(line) for line in rejects.read_bytes().splitlines()]
        assert reject["kind"] == damage.kind
        assert len(reject["reason"].splitlines()) == 1
        assert reject["where"].startswith(str(path))
        assert reject["record"]
    else:
        assert not rejects.exists()


JUNK = [
    b"\x00",
    b"\xff",
    b"null",
    b"-1",
    b'"',
    b"}",
    b"]",
    b"{",
    b"\n",
    b"\t",
    b"1e9",
    b"\\ud800",
    b" ",
    b"T1",
    b"B-",
    b"",
]


@pytest.mark.parametrize("name", ["labelstudio", "doccano", "prodigy", "conll", "brat"])
def test_whatever_is_damaged_every_record_and_entity_is_accounted_for(
    name: str, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp(name)
    write_documents(GOLD, folder / "gold.jsonl")
    there = folder / ("there" if name == "brat" else "there.json")
    export_files(name, [folder / "gold.jsonl"], there)
    file = there / "c.ann" if name == "brat" else there
    whole = file.read_bytes()

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, len(whole) - 1), st.integers(0, 20), st.sampled_from(JUNK))
    def check(at: int, length: int, junk: bytes) -> None:
        file.write_bytes(whole[:at] + junk + whole[at + length :])
        try:
            result = import_files(name, [there], folder / "new.jsonl")
        except MarsadError as error:
            assert len(str(error).splitlines()) == 1
            return
        documents = read_documents(folder / "new.jsonl")
        assert result.read == len(documents) + result.rejected.total() + result.left_out.total()
        entities = sum(len(document.entities) for document in documents)
        assert result.entities_read == entities + result.entities_lost.total()

    check()


def test_windows_line_ends_of_brat_keep_the_entities(tmp_path: Path):
    path = brat_folder(tmp_path)
    edit(path / "c.txt", "\n", "\r\n")
    assert main(["import", "brat", str(path), "--output", str(tmp_path / "new.jsonl")]) == 0
    document = read_documents(tmp_path / "new.jsonl")[2]
    assert document.text == "قتل 3 مدنيين\r\nفي درعا"
    assert [document.text[one.start : one.end] for one in document.entities] == ["3 مدنيين", "درعا"]


def test_an_unknown_label_is_named_with_its_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = lines(tmp_path / "x", doccano("a"), doccano("b"), doccano("c"))
    labels = _labels(tmp_path, "LOCATION: PLACE\nDATE: null\n")
    arguments = ["import", "doccano", str(path), "--output", str(tmp_path / "new.jsonl"), "--labels", labels]
    assert main(arguments) == 2
    assert "does not name CASUALTY (1)" in capsys.readouterr().err
    assert not (tmp_path / "new.jsonl").exists()


def test_mapped_labels_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = lines(tmp_path / "x", doccano("a"), doccano("b"), doccano("c"))
    labels = _labels(tmp_path, "LOCATION: PLACE\nDATE: null\nNO: null\nx: CASUALTY\n")
    arguments = ["import", "doccano", str(path), "--output", str(tmp_path / "new.jsonl"), "--labels", labels]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert re.search(r"dropped by the mapping of labels +2\n", out)
    found = [[one.label for one in document.entities] for document in read_documents(tmp_path / "new.jsonl")]
    assert found == [["PLACE"], ["PLACE"], ["CASUALTY", "PLACE"]]


@pytest.mark.parametrize("text", ["", "- a\n", "PER: [A]\n", "a: {b: c}\n", "'", "PER\n"])
def test_a_mapping_that_is_none_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = lines(tmp_path / "x", doccano("a"))
    arguments = ["import", "doccano", str(path), "--output", str(tmp_path / "new"), "--labels", _labels(tmp_path, text)]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "labels.yaml" in line


def test_the_longest_of_overlapping_spans_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = _third_task([4, 5, "DATE", "3"], [4, 12, "CASUALTY", "3 مدنيين"], [4, 12, "CASUALTY", "3 مدنيين"])(tmp_path)
    output = tmp_path / "new.jsonl"
    assert main(["import", "labelstudio", str(path), "--output", str(output), "--overlaps", "longest"]) == 0
    assert read_documents(output)[2].entities == (Entity(4, 12, "CASUALTY"),)
    out = capsys.readouterr().out
    assert "[4, 5) DATE overlaps [4, 12) CASUALTY" in out
    assert "CASUALTY stands twice" in out


def test_rejects_of_an_earlier_import_go_away(tmp_path: Path):
    arguments = ["import", "doccano", str(tmp_path / "x.jsonl"), "--output", str(tmp_path / "new.jsonl")]
    _third_doccano(text=None)(tmp_path)
    assert main(arguments) == 3
    assert (tmp_path / "rejects.jsonl").is_file()
    _third_doccano()(tmp_path)
    assert main(arguments) == 0
    assert not (tmp_path / "rejects.jsonl").exists()


def test_a_failed_import_keeps_the_earlier_output(tmp_path: Path):
    arguments = ["import", "doccano", str(tmp_path / "x.jsonl"), "--output", str(tmp_path / "new.jsonl")]
    _third_doccano()(tmp_path)
    assert main(arguments) == 0
    before = (tmp_path / "new.jsonl").read_bytes()
    lines(tmp_path / "x.jsonl", {"text": None})
    assert main(arguments) == 2
    assert (tmp_path / "new.jsonl").read_bytes() == before
    assert not list(tmp_path.glob(".*.partial"))


def test_skipped_and_unannotated_records_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cancelled = [{"was_cancelled": True, "result": []}]
    path = tasks(tmp_path / "x", task("a"), task("b", annotations=[]), task("c", annotations=cancelled))
    output = tmp_path / "new.jsonl"
    assert main(["import", "labelstudio", str(path), "--output", str(output)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"not annotated +1\n", out)
    assert re.search(r"skipped by the annotator +1\n", out)
    assert [document.id for document in read_documents(output)] == ["a"]
    assert main(["import", "labelstudio", str(path), "--output", str(output), "--unannotated", "empty"]) == 0
    assert [(document.id, len(document.entities)) for document in read_documents(output)] == [("a", 2), ("b", 0)]


def test_of_several_annotations_one_is_taken(tmp_path: Path):
    first, second = task("a")["annotations"][0], task("a", [0, 3, "ACTOR", "قصف"])["annotations"][0]
    early, late = {"updated_at": "2024-01-01T10:00:00Z"}, {"updated_at": "2024-05-01T10:00:00Z"}
    for annotations, expected in (
        ([first | early, second | late], 1),
        ([second | late, first | early], 1),
        ([first | early | {"ground_truth": True}, second | late], 2),
        ([first | early, second | late | {"was_cancelled": True}], 2),
        ([first, second], 1),
    ):
        path = tasks(tmp_path / "x", task("a", annotations=annotations))
        (report,) = labelstudio.read(path)
        assert len(report.spans) == expected
        assert sum(report.ignored.values()) == 1


@pytest.mark.parametrize("answer", ["reject", "ignore"])
def test_answers_of_prodigy_are_respected(answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = lines(tmp_path / "x", prodigy("a"), prodigy("b", answer=answer))
    assert main(["import", "prodigy", str(path), "--output", str(tmp_path / "new.jsonl")]) == 0
    assert re.search(rf"answer: {answer} +1\n", capsys.readouterr().out)
    assert [document.id for document in read_documents(tmp_path / "new.jsonl")] == ["a"]
