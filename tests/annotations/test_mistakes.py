"""Planted mistakes come first, as they were meant, on the terminal, in JSON and on the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import synthetic_reports, write_jsonl

from marsad.annotations.jsonl import document_from_record, read_documents, write_documents
from marsad.annotations.mistakes import find_mistakes, mistakes_page, rank_suspects
from marsad.annotations.planting import Planted, plant_mistakes
from marsad.cli import main
from marsad.config import Config
from marsad.modeling.folds import score_held_out
from marsad.modeling.tagging import word_spans_to_entities
from marsad.text.words import split_words

CONFIG = Config()


class Found:
    """A run of the command on reports with eight planted mistakes."""

    def __init__(self, folder: Path, config: Path) -> None:
        documents = [document_from_record(record, "here") for record in synthetic_reports(90, seed=11)]
        words = [split_words(document.text, CONFIG.text) for document in documents]
        self.right = {document.id: document for document in documents}
        self.words = dict(zip(self.right, words, strict=True))
        documents, self.planted = plant_mistakes(documents, words, CONFIG.label_set, 8, seed=4)
        self.file, self.output = folder / "given.jsonl", folder / "out"
        write_documents(documents, self.file)
        self.arguments = ["errors", str(self.file), "--config", str(config), "--output", str(self.output)]
        self.arguments += ["--folds", "2", "--top", "10", "training.epochs=6", "training.learning_rate=1e-2"]
        assert main(self.arguments) == 0
        self.record: dict[str, Any] = json.loads((self.output / "errors.json").read_text(encoding="utf-8"))

    def right_entities(self, mistake: Planted) -> list[tuple[int, int, str]]:
        entities = word_spans_to_entities(mistake.right, [None] * len(mistake.right), self.words[mistake.document])
        return [(entity.start, entity.end, entity.label) for entity in entities]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> Found:
    return Found(tmp_path_factory.mktemp("errors"), tiny_config)


def test_planted_mistakes_come_first_with_the_mending(found: Found):
    first = {one["id"]: one for one in found.record["suspects"][:8]}
    assert set(first) == {mistake.document for mistake in found.planted}
    mended = 0
    for mistake in found.planted:
        suspect = first[mistake.document]
        assert suspect["text"] == found.right[mistake.document].text[suspect["start"] : suspect["end"]]
        suggested = [(entity["start"], entity["end"], entity["label"]) for entity in suspect["suggested"]]
        mended += suggested == found.right_entities(mistake)
        assert suspect["kind"] == mistake.kind or mistake.kind == "boundary"
    assert mended >= 7
    scores = [one["score"] for one in found.record["suspects"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_the_same_again_trains_nothing_and_says_the_same(found: Found, capsys: pytest.CaptureFixture[str]):
    before = {path: path.stat().st_mtime_ns for path in (found.output / "folds").iterdir()}
    assert main(found.arguments) == 0
    table = capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (found.output / "folds").iterdir()} == before
    assert json.loads((found.output / "errors.json").read_text(encoding="utf-8")) == found.record
    lines = table.splitlines()
    assert len([line for line in lines if line.strip()[:1].isdigit() and "[" in line]) == min(
        10, len(found.record["suspects"])
    )
    assert found.planted[0].document in table


def test_the_page_shows_and_filters_the_suspects(found: Found, open_page: Callable[..., Any]):
    opened = open_page((found.output / "errors.html").read_text(encoding="utf-8"))
    page = opened.page
    cards = page.locator(".card")
    assert cards.count() == len(found.record["suspects"])
    suspect = found.record["suspects"][0]
    assert cards.first.locator("header bdi").inner_text() == suspect["id"]
    marks = cards.first.locator(".side").nth(1).locator("mark")
    assert marks.count() == len(suspect["suggested"])
    assert page.evaluate("getComputedStyle(document.querySelector('.arabic')).direction") == "rtl"
    page.select_option("#kind", "missed")
    missed = [one for one in found.record["suspects"] if one["kind"] == "missed"]
    assert page.locator(".card:visible").count() == len(missed)
    page.select_option("#kind", "")
    page.fill("#report", suspect["id"])
    assert page.locator(".card:visible").count() == sum(one["id"] == suspect["id"] for one in found.record["suspects"])
    assert not opened.requests
    assert not opened.complaints


def test_nothing_in_a_report_runs_on_the_page(found: Found, open_page: Callable[..., Any], tiny_config: Path):
    from marsad.config import load_config

    mistakes = find_mistakes(
        [found.file],
        load_config(tiny_config, ["training.epochs=6", "training.learning_rate=1e-2"]),
        folds=2,
        output=found.output,
    )
    bad = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202e\ud800"
    hostile = [replace(one, document=bad, around=(bad, one.around[1], bad)) for one in mistakes.suspects]
    opened = open_page(mistakes_page(replace(mistakes, files=(bad,), suspects=tuple(hostile))))
    assert opened.page.locator(".card").count() == len(hostile)
    assert opened.page.locator("body img").count() == 0
    assert not opened.requests
    assert not opened.complaints


def test_what_the_network_finds_too_is_no_suspect(found: Found, tiny_config: Path, tmp_path: Path):
    from marsad.config import load_config

    config = load_config(tiny_config, ["training.epochs=1"])
    documents = read_documents(found.file)[:12]
    held = score_held_out(documents, config, 2, tmp_path / "folds")
    agreed = [
        replace(one, document=replace(one.document, entities=tuple(replace(e, score=None) for e in entities)))
        for one, entities in zip(held, find_all(held), strict=True)
    ]
    assert rank_suspects(agreed, CONFIG.label_set) == []


def find_all(held: list[Any]) -> list[Any]:
    from marsad.modeling.inference import decode_words

    return [decode_words(one.words, one.scores, CONFIG.label_set) for one in held]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl"], "missing.jsonl: no such file"),
        (["bare.jsonl"], "no 'entities'"),
        (["empty.jsonl"], "no report has an entity"),
        (["good.jsonl", "--folds", "1"], "--folds 1: expected 2 or more"),
        (["good.jsonl", "--folds", "200"], "can't make 200 folds"),
        (["good.jsonl", "training.epoch=3"], "training.epochs"),
        (["training.epochs=3"], "expected files of annotated reports"),
        (["good.jsonl", "--output", "good.jsonl"], "is a file, expected a folder"),
    ],
)
def test_mistakes_of_the_user_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    tiny_config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    good = synthetic_reports(5, seed=1)
    write_jsonl(tmp_path / "good.jsonl", good)
    write_jsonl(tmp_path / "bare.jsonl", [{"id": "a", "text": "حلب"}])
    write_jsonl(tmp_path / "empty.jsonl", [one | {"entities": []} for one in good])
    assert main(["errors", *arguments, "--config", str(tiny_config)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = [line for line in shown.err.splitlines() if line.startswith("marsad: error:")]
    assert message in line
