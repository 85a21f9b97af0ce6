"""Predictions made elsewhere: taken whole, or refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import write_jsonl

from marsad.annotations.formats import conll
from marsad.annotations.gold import read_gold
from marsad.annotations.jsonl import read_documents
from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.predictions import read_predictions

TEXT = "قتل طفلين  في حلب\nأمس"
GOLD = [Document("a", TEXT, (Entity(4, 9, "CASUALTY"),)), Document("b", "وصل وفد إلى درعا"), Document("c", "لا شيء")]
FOUND = {"start": 4, "end": 9, "label": "CASUALTY", "text": "طفلين", "score": 0.9}


def line(name: str, *entities: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": name, "entities": list(entities)} | more


def test_what_predict_writes_is_read_in_the_order_of_the_gold_reports(tmp_path: Path):
    path = write_jsonl(tmp_path / "p.jsonl", [line("c"), line("b"), line("a", FOUND, text=TEXT)])
    first, *others = read_predictions(path, GOLD)
    assert [(one.start, one.end, one.label, one.score) for one in first] == [(4, 9, "CASUALTY", 0.9)]
    assert others == [(), ()]


def test_entities_need_neither_text_nor_score(tmp_path: Path):
    bare = {key: FOUND[key] for key in ("start", "end", "label")}
    path = write_jsonl(tmp_path / "p.jsonl", [line("a", bare), line("b"), line("c")])
    assert read_predictions(path, GOLD)[0] == (Entity(4, 9, "CASUALTY"),)


WHOLE = [line("a", FOUND), line("b"), line("c")]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (WHOLE[:1], r"p\.jsonl: no prediction for 2 reports \('b', 'c'\) of 3"),
        ([*WHOLE, line("x"), line("y"), line("z"), line("w")], r"has 4 reports \('x', 'y', 'z', …\) not in the gold"),
        ([*WHOLE, line("b")], r"p\.jsonl:4: id 'b' already stands at .*p\.jsonl:2"),
        ([line("a", text=TEXT + " "), *WHOLE[1:]], r"p\.jsonl:1 \(id 'a'\): has another text .* from code point 21"),
        ([line("a", text=TEXT.replace("طفلين", "طفلان")), *WHOLE[1:]], r"another text .* from code point 7 on"),
        ([line("a", FOUND | {"start": 3}), *WHOLE[1:]], r"the entity \[3, 9\) has the text 'طفلين', .*' طفلين'"),
        ([line("a", FOUND | {"end": 99, "text": None}), *WHOLE[1:]], r"p\.jsonl:1 \(id 'a'\): .*ends outside the text"),
        ([line("a", FOUND, FOUND), *WHOLE[1:]], r"p\.jsonl:1 \(id 'a'\): entities \[4, 9\).*overlap"),
        ([line("a", FOUND | {"score": 1.5}), *WHOLE[1:]], r"score is 1\.5"),
        ([{"id": "a"}, *WHOLE[1:]], r"p\.jsonl:1 \(id 'a'\): no list of entities"),
        ([{"id": "a", "entities": None}, *WHOLE[1:]], r"no list of entities"),
        ([line("a", text=5), *WHOLE[1:]], r"text is 5, expected a string"),
        ([{"entities": []}, *WHOLE], r"p\.jsonl:1: id is None"),
        ([line("a", {"start": 4, "end": 9}), *WHOLE[1:]], r"no 'label'"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(tmp_path: Path, records: list[dict[str, Any]], message: str):
    with pytest.raises(MarsadError, match=message):
        read_predictions(write_jsonl(tmp_path / "p.jsonl", records), GOLD)


def test_files_that_hold_nothing_are_refused(tmp_path: Path):
    (tmp_path / "p.jsonl").write_text("\n")
    with pytest.raises(MarsadError, match="no prediction for 3 reports"):
        read_predictions(tmp_path / "p.jsonl", GOLD)
    with pytest.raises(MarsadError, match="no such file"):
        read_predictions(tmp_path / "q.jsonl", GOLD)


def write_columns(path: Path, documents: list[list[list[tuple[str, str]]]], ids: list[str] | None = None) -> Path:
    lines = []
    for number, sentences in enumerate(documents):
        lines += ["-DOCSTART-\tO", ""]
        lines += [f"# id = {json.dumps(ids[number])}"] if ids else []
        for sentence in sentences:
            lines += [f"{word}\t{tag}" for word, tag in sentence] + [""]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


COLUMNS = [
    [
        [("قتل", "O"), ("طفلين", "B-CASUALTY"), ("في", "O"), ("حلب", "B-LOCATION")],
        [("أمس", "B-DATE")],
    ],
    [[("وصل", "O"), ("وفد", "B-ACTOR"), ("إلى", "O"), ("درعا", "O")]],
    [[("لا", "O"), ("شيء", "O")]],
]


def test_columns_with_ids_stand_on_the_gold_text_whatever_its_blanks(tmp_path: Path):
    path = write_columns(tmp_path / "p.conll", COLUMNS, ids=["a", "b", "c"])
    found = read_predictions(path, GOLD)
    assert [[(TEXT[one.start : one.end], one.label) for one in found[0]]] == [
        [("طفلين", "CASUALTY"), ("حلب", "LOCATION"), ("أمس", "DATE")]
    ]
    assert found[1] == (Entity(4, 7, "ACTOR"),)


def test_columns_without_ids_are_taken_in_order(tmp_path: Path):
    path = write_columns(tmp_path / "p.bio", COLUMNS)
    assert [len(found) for found in read_predictions(path, GOLD)] == [3, 1, 0]
    with pytest.raises(MarsadError, match=r"names no ids and holds 3 reports, but the gold files hold 2"):
        read_predictions(path, GOLD[:2])
    with pytest.raises(MarsadError, match=r"p\.bio \(id 'b'\): has another text"):
        read_predictions(path, [GOLD[1], GOLD[0], GOLD[2]])


def test_columns_that_name_other_reports_are_refused(tmp_path: Path):
    path = write_columns(tmp_path / "p.conll", COLUMNS, ids=["a", "b", "x"])
    with pytest.raises(MarsadError, match=r"has 1 report \('x'\) not in the gold files"):
        read_predictions(path, GOLD)
    path = write_columns(tmp_path / "p.conll", COLUMNS[:2], ids=["a", "b"])
    with pytest.raises(MarsadError, match=r"no prediction for 1 report \('c'\) of 3"):
        read_predictions(path, GOLD)


def test_columns_written_here_come_back_exact(tmp_path: Path):
    conll.write(GOLD, tmp_path / "p.conll")
    assert read_predictions(tmp_path / "p.conll", GOLD) == [one.entities for one in GOLD]
    assert read_gold([tmp_path / "p.conll"]) == GOLD


def test_gold_of_both_kinds_is_read_together(tmp_path: Path):
    lines = write_jsonl(tmp_path / "one.jsonl", [{"id": "x", "text": "خبر", "entities": []}])
    conll.write(GOLD, tmp_path / "two.conll")
    assert {one.id for one in read_gold([tmp_path / "two.conll", lines])} == {"a", "b", "c", "x"}
    twice = write_jsonl(tmp_path / "three.jsonl", [{"id": "b", "text": "خبر", "entities": []}])
    with pytest.raises(MarsadError, match=re.escape("two.conll: id 'b' already stands in")):
        read_gold([twice, tmp_path / "two.conll"])
    assert read_gold([lines]) == read_documents(lines)
