"""The queue takes uncertain reports that are unlike each other, once each, with exact pre-annotations."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import synthetic_reports, write_jsonl

from marsad.annotations.formats import doccano, labelstudio
from marsad.annotations.jsonl import read_documents
from marsad.annotations.selection import Candidate, choose_reports, spoken
from marsad.batch.recognizer import Recognizer
from marsad.cli import main
from marsad.documents import Document

PASSAGE = "خرج أهل الحي إلى السوق صباحا ثم عادوا قبل المطر ولم يصب أحد منهم بأذى يذكر هناك"


def candidate(name: str, text: str, errors: float) -> Candidate:
    document = Document(name, text)
    return Candidate(document, errors, len(text.split()), spoken(document))


def chosen(*pool: Candidate, annotated: tuple[Document, ...] = (), **settings: Any) -> list[str]:
    settings = {"size": len(pool), **settings}
    return [one.candidate.document.id for one in choose_reports(pool, annotated, **settings).chosen]


# --- choosing ----------------------------------------------------------------------------------------------


def test_uncertain_words_count_not_length():
    long = candidate("long", " ".join(f"كلمة{number} أخرى" for number in range(200)), 10)
    dense = candidate("dense", " ".join(f"لفظ{number} سواه" for number in range(30)), 5)
    tiny = candidate("tiny", "حلب", 0.4)
    assert chosen(long, tiny, dense, diversity=0.0) == ["dense", "long", "tiny"]


def test_of_like_reports_one_is_taken_before_the_others():
    pool = [
        candidate("a", "قصف الطيران قرية في ريف حماة مساء", 4),
        candidate("b", "قصف الطيران بلدة في ريف حماة صباحا", 3.9),
        candidate("c", "وصلت قافلة إغاثة برفقة أطباء", 1),
    ]
    assert chosen(*pool, diversity=0.0) == ["a", "b", "c"]
    assert chosen(*pool, diversity=0.9) == ["a", "c", "b"]
    known = Document("known", "وصلت قافلة إغاثة برفقة أطباء أمس")
    assert chosen(*pool, annotated=(known,), diversity=0.9)[:2] == ["a", "b"]


def test_nearly_equal_reports_are_taken_once_and_named():
    pool = [
        candidate("first", PASSAGE, 1),
        candidate("again", PASSAGE.replace("أهل", "اهل"), 1),
        candidate("surer", PASSAGE + " بعد الظهر", 0.5),
        candidate("unsure", "أمس " + PASSAGE, 2),
        candidate("other", "انسحبت القوات من البلدة", 0.1),
        candidate("empty", "…", 0),
    ]
    queue = choose_reports(pool, (), 5)
    assert {one.candidate.document.id for one in queue.chosen} == {"unsure", "other"}
    assert {name: reason for reason, name in queue.skipped} == {
        "empty": "without a word",
        "again": "equal to another",
        "first": "nearly equal to a chosen one",
        "surer": "nearly equal to a chosen one",
    }


def test_what_is_annotated_is_skipped():
    pool = [
        candidate("same", PASSAGE, 3),
        candidate("near", PASSAGE + " بعد الظهر", 3),
        candidate("new", "انسحبت القوات", 1),
    ]
    queue = choose_reports(pool, (Document("known", PASSAGE),), 5)
    assert [one.candidate.document.id for one in queue.chosen] == ["new"]
    assert sorted(queue.skipped) == [
        ("equal to an annotated one", "same"),
        ("nearly equal to an annotated one", "near"),
    ]


def test_a_budget_of_words_is_kept_and_used():
    pool = [
        candidate(f"r{number}", " ".join(f"كلمة{number * 100 + i}" for i in range(10 + number)), 1)
        for number in range(20)
    ]
    queue = choose_reports(pool, (), None, words=60)
    used = sum(one.candidate.words for one in queue.chosen)
    assert used <= 60
    left = [one for one in pool if one not in [taken.candidate for taken in queue.chosen]]
    assert min(one.words for one in left) > 60 - used


# --- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Reports with all that makes offsets hard."""
    records = [{key: one[key] for key in ("id", "text")} for one in synthetic_reports(30, seed=77, prefix="new-")]
    for number, record in enumerate(records):
        record["text"] = "💥\u200f" * (number % 3) + record["text"].replace("حلب", "حَـلَبَ")
        record["source"] = "wire"
    return write_jsonl(tmp_path / "pool.jsonl", records)


def queue(model: Path, *arguments: str | Path) -> int:
    return main(["queue", "--model", str(model), *map(str, arguments)])


@pytest.mark.parametrize("form", ["labelstudio", "doccano", "jsonl"])
def test_the_same_queue_every_time(form: str, tiny_model: Path, pool: Path, tmp_path: Path):
    for name in ("one", "two"):
        assert queue(tiny_model, pool, "--size", 7, "--format", form, "--output", tmp_path / name) == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_pre_annotations_are_what_the_model_finds(tiny_model: Path, pool: Path, tmp_path: Path):
    texts = {document.id: document.text for document in read_documents(pool)}
    predictions = Recognizer.from_pretrained(tiny_model).predict(list(texts.values()))
    found = {name: one.entities for name, one in zip(texts, predictions, strict=True)}
    spans = {name: [(e.start, e.end, e.label) for e in some] for name, some in found.items()}
    for form in ("labelstudio", "doccano", "jsonl"):
        assert queue(tiny_model, pool, "--size", 12, "--format", form, "--output", tmp_path / form) == 0

    ours = read_documents(tmp_path / "jsonl")
    assert len(ours) == 12
    for place, document in enumerate(ours, 1):
        assert document.text == texts[document.id]
        assert document.source == "wire"
        assert [(e.start, e.end, e.label) for e in document.entities] == spans[document.id]
        assert [e.score for e in document.entities] == pytest.approx([e.score for e in found[document.id]])
        record = document.metadata["queue"]
        assert record["place"] == place
        assert 0 <= record["score"] <= 1
        assert "entities expected in" in record["reason"]

    tasks = json.loads((tmp_path / "labelstudio").read_text(encoding="utf-8"))
    for task, document in zip(tasks, ours, strict=True):
        assert "annotations" not in task
        assert task["data"]["text"] == document.text
        assert task["data"]["queue"] == document.metadata["queue"]
        (prediction,) = task["predictions"]
        assert prediction["model_version"].startswith("marsad ")
        values = [region["value"] for region in prediction["result"]]
        assert [(v["start"], v["end"], *v["labels"]) for v in values] == spans[document.id]
        assert [v["text"] for v in values] == [document.text[e.start : e.end] for e in document.entities]

    rows = list(doccano.read(tmp_path / "doccano", offsets="codepoints"))
    assert [[(s.start, s.end, s.label) for s in row.spans] for row in rows] == [spans[one.id] for one in ours]


def test_tasks_that_come_back_unchanged_are_not_taken_for_annotated(tiny_model: Path, pool: Path, tmp_path: Path):
    assert queue(tiny_model, pool, "--size", 3, "--format", "labelstudio", "--output", tmp_path / "tasks.json") == 0
    reports = list(labelstudio.read(tmp_path / "tasks.json"))
    assert [one.annotated for one in reports] == [False] * 3


def test_counts_and_skips_are_shown_and_written(
    tiny_model: Path, tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
):
    train = [json.loads(line) for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    fresh = synthetic_reports(8, seed=91, prefix="new-")
    for record in fresh:
        del record["entities"]
    records = [
        *fresh,
        {"id": "again", "text": fresh[0]["text"]},
        {"id": train[0]["id"], "text": "خبر آخر تماما"},
        {"id": "known", "text": train[1]["text"]},
        {"id": "done", "text": "حلب", "entities": [{"start": 0, "end": 3, "label": "LOCATION"}]},
        {"id": "blank", "text": " \n "},
    ]
    path = write_jsonl(tmp_path / "pool.jsonl", records)
    (tmp_path / "note.txt").write_text("انسحبت قوات النظام من بلدة سرمين", encoding="utf-8")
    arguments = [path, tmp_path / "note.txt", "--exclude", corpus, "--size", "50", "--format", "jsonl"]
    assert queue(tiny_model, *arguments, "--output", tmp_path / "q.jsonl", "--report", tmp_path / "q.json") == 0
    out = capsys.readouterr().out
    report = json.loads((tmp_path / "q.json").read_text(encoding="utf-8"))
    reasons = {one["id"]: one["reason"] for one in report["skipped"]}
    assert reasons["again"] == "equal to another"
    assert reasons[train[0]["id"]] == "id of an annotated report"
    assert reasons["known"] == "equal to an annotated one"
    assert reasons["done"] == "has entities already"
    assert reasons["blank"] == "without a word"
    assert report["read"] == len(records) + 1 == len(report["chosen"]) + len(report["skipped"])
    assert "note" in {one["id"] for one in report["chosen"]}
    assert [one["id"] for one in report["chosen"]] == [one.id for one in read_documents(tmp_path / "q.jsonl")]
    for name, reason in reasons.items():
        (line,) = [line for line in out.splitlines() if f"skipped: {reason} " in line]
        assert name in line


def test_rows_that_are_no_reports_are_named_and_the_others_chosen(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    texts = [one["text"] for one in synthetic_reports(4, seed=92)]
    columns = {
        "id": [1, 2, 3, 4],
        "text": texts,
        "published": [datetime(2020, 1, day, 5) for day in range(1, 5)],
        "raw": [b"\x00\xff"] * 4,
        "entities": [None, [], [{"start": 0, "end": 9999, "label": "ACTOR"}], []],
    }
    pq.write_table(pa.table(columns), tmp_path / "pool.parquet")
    (tmp_path / "pool.csv").write_text(f'id,text,published\na,"{texts[0]}.",\nb,"{texts[1]}.",soon\n', encoding="utf-8")
    arguments = [tmp_path / "pool.parquet", tmp_path / "pool.csv", "--size", "50", "--format", "jsonl"]
    assert queue(tiny_model, *arguments, "--output", tmp_path / "q.jsonl", "--report", tmp_path / "q.json") == 0
    chosen = {one.id: one for one in read_documents(tmp_path / "q.jsonl")}
    assert chosen["4"].published == date(2020, 1, 4) and chosen["4"].metadata["raw"] == "AP8="
    skipped = json.loads((tmp_path / "q.json").read_text(encoding="utf-8"))["skipped"]
    unread = [one["id"] for one in skipped if one["reason"] == "can't be read"]
    assert len(unread) == 2
    assert "pool.parquet:3 (id '3'): entity [0, 9999)" in unread[0] and "ends outside the text" in unread[0]
    assert "pool.csv:4 (id 'b'): published is 'soon', expected YYYY-MM-DD" in unread[1]
    (tmp_path / "bad.jsonl").write_text("no JSON\n")
    assert queue(tiny_model, tmp_path / "bad.jsonl", "--format", "jsonl", "--output", tmp_path / "n.jsonl") == 2
    assert "the first that can't be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl"], "missing.jsonl: no such file"),
        (["pool.jsonl", "--exclude", "nowhere"], "nowhere: no such file"),
        (["pool.jsonl", "--size", "0"], "--size 0: expected 1 or more"),
        (["pool.jsonl", "--words", "0"], "--words 0: expected 1 or more"),
        (["pool.jsonl", "--diversity", "2"], "--diversity 2: expected a share"),
        (["pool.jsonl", "--exclude", "pool.jsonl"], "none of the 30 reports is left"),
        (["pool.jsonl", "--output", "pool.jsonl"], "is an input too"),
        (["pool.jsonl", "--output", "."], "is a folder"),
    ],
)
def test_mistakes_of_the_user_are_one_line(
    arguments: list[str],
    message: str,
    tiny_model: Path,
    pool: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(pool.parent)
    before = pool.read_bytes()
    rest = [] if "--output" in arguments else ["--output", "new.json"]
    assert queue(tiny_model, *arguments, *rest, "--format", "labelstudio") == 2
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert line.startswith("marsad: error: ")
    assert message in line
    assert shown.out == ""
    assert pool.read_bytes() == before
    assert [path.name for path in pool.parent.iterdir()] == ["pool.jsonl"]
