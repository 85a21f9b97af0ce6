"""Splits: whole reports, those alike together, every type in its share, and what stands stays."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.annotations.jsonl import read_documents, write_documents
from marsad.annotations.splits import SPLITS, Split, read_split, split_documents, write_split
from marsad.cli import main
from marsad.documents import Document, Entity
from marsad.errors import MarsadError

SHARES = {"train": 0.7, "dev": 0.1, "test": 0.2}
NAMES = [f"كلمة{index}" for index in range(500)]


def report(name: str, seed: int | None = None, source: str = "wire", **fields: object) -> Document:
    """A report of 20 words of its own, with entities on some."""
    draw = random.Random(f"{name}" if seed is None else seed)
    text, entities = "", []
    for word in draw.choices(NAMES, k=20):
        if draw.random() < 0.3:
            label = draw.choices(["ACTOR", "DATE", "CASUALTY"], [6, 3, 1])[0]
            entities.append(Entity(len(text), len(text) + len(word), label))
        text += word + " "
    return Document(name, text, tuple(entities), source=source, **fields)  # type: ignore[arg-type]


def reports(count: int, prefix: str = "r") -> list[Document]:
    return [report(f"{prefix}{index}", source=("wire", "urgent")[index % 4 == 0]) for index in range(count)]


def places(split: Split) -> dict[str, str]:
    return {one.id: name for name, documents in split.documents.items() for one in documents}


@settings(max_examples=25, deadline=None)
@given(st.integers(12, 60), st.integers(0, 100), st.data())
def test_every_report_goes_to_one_split_and_those_alike_to_the_same(count: int, seed: int, data: st.DataObject):
    documents = reports(count)
    copies = data.draw(st.lists(st.integers(0, 7), max_size=6))
    documents += [
        replace(documents[index], id=f"copy{n}", text=documents[index].text + "آخر") for n, index in enumerate(copies)
    ]
    split = split_documents(documents, {"train": 0.5, "dev": 0.25, "test": 0.25}, seed=seed)
    found = places(split)
    assert sorted(found) == sorted(document.id for document in documents)
    assert sum(map(len, split.documents.values())) == len(documents)
    for n, index in enumerate(copies):
        assert found[f"copy{n}"] == found[f"r{index}"]
    order = [document.id for document in documents]
    for part in split.documents.values():
        assert [document.id for document in part] == sorted((one.id for one in part), key=order.index)


def test_reports_types_and_sources_come_in_their_shares():
    documents = reports(300)
    split = split_documents(documents, SHARES)
    total = Counter(entity.label for one in documents for entity in one.entities)
    for name, share in SHARES.items():
        part = split.documents[name]
        counts = Counter(entity.label for one in part for entity in one.entities)
        sources = Counter(one.source for one in part)
        assert len(part) / 300 == pytest.approx(share, abs=0.02)
        for label in total:
            assert counts[label] / total[label] == pytest.approx(share, abs=0.02), label
        assert sources["urgent"] / 75 == pytest.approx(share, abs=0.03)


def test_the_seed_decides():
    documents = reports(60)
    assert places(split_documents(documents, SHARES, seed=1)) == places(split_documents(documents, SHARES, seed=1))
    assert places(split_documents(documents, SHARES, seed=1)) != places(split_documents(documents, SHARES, seed=2))


@pytest.mark.parametrize("key", ["date", "source", "conflict"])
def test_reports_of_one_value_stay_together(key: str):
    values = [number % 20 for number in range(60)]
    documents = [
        report(f"r{n}", published=date(2020, 1, 1 + v), source=f"s{v}", metadata={"conflict": [v]})
        if n > 2
        else replace(report(f"r{n}"), source=None)
        for n, v in enumerate(values)
    ]
    split = split_documents(documents, SHARES, group_by=key)
    found = places(split)
    for value in range(20):
        assert len({found[f"r{n}"] for n, v in enumerate(values) if v == value and n > 2}) == 1
    assert (split.groups, split.largest) == (23, 3)  # the three without a value stand alone


def test_a_key_that_no_report_has_is_an_error():
    with pytest.raises(MarsadError, match="--group-by region: no report has it"):
        split_documents(reports(10), SHARES, group_by="region")


@pytest.mark.parametrize("shares", [(0.7, 0.1, 0.1), (1.1, -0.1, 0), (0, 0.5, 0.5), (float("nan"), 0.5, 0.5)])
def test_shares_must_add_up(shares: tuple[float, float, float]):
    with pytest.raises(MarsadError, match="add up to 1"):
        split_documents(reports(10), dict(zip(SPLITS, shares, strict=True)))


def test_a_split_that_would_be_empty_is_an_error():
    with pytest.raises(MarsadError, match="dev would hold no report: 2 reports in 2 groups"):
        split_documents(reports(2), SHARES)


# --- a split that exists ---------------------------------------------------------------------------------


@pytest.fixture
def kept() -> dict[str, list[Document]]:
    split = split_documents(reports(40), SHARES)
    return {name: list(documents) for name, documents in split.documents.items()}


def test_kept_reports_stay_and_new_ones_fill_up_the_shares(kept: dict[str, list[Document]]):
    split = split_documents(reports(60, "new"), {"train": 0.5, "dev": 0.2, "test": 0.3}, kept=kept)
    for name, documents in kept.items():
        assert list(split.documents[name][: len(documents)]) == documents
    assert [len(split.documents[name]) for name in SPLITS] == pytest.approx([50, 20, 30], abs=2)


def test_a_new_report_like_one_of_test_goes_to_test_and_never_to_train(kept: dict[str, list[Document]]):
    new = reports(5, "new")
    for name in ("dev", "test", "train"):
        old = kept[name][0]
        new.append(replace(old, id=f"like-{name}", text="خبر " + old.text))
    split = split_documents(new, {"train": 1, "dev": 0, "test": 0}, kept=kept)
    found = places(split)
    assert [found[f"like-{name}"] for name in SPLITS] == list(SPLITS)
    assert split.joined == {"like-dev": "dev", "like-test": "test"}
    assert "like-test (test)" in split.table()


def test_a_report_like_one_of_train_and_one_of_test_goes_to_test_and_the_leak_is_named(
    kept: dict[str, list[Document]],
):
    old = kept["test"][0]
    kept["train"].append(replace(old, id="leak", text=old.text + "آخر"))
    split = split_documents([replace(old, id="new", text=old.text + "جديد")], SHARES, kept=kept)
    found = places(split)
    assert (found[old.id], found["leak"], found["new"]) == ("test", "train", "test")
    assert [set(one) for one in split.leaks] == [{f"{old.id} (test)", "leak (train)"}]


def test_a_new_annotation_of_a_kept_report_takes_its_place_and_is_named(kept: dict[str, list[Document]]):
    old, other = kept["test"][:2]
    split = split_documents([replace(old, entities=()), other], SHARES, kept=kept)
    assert split.documents["test"][0].entities == ()
    assert (split.updated, split.unchanged) == ({old.id: "test"}, 1)


def test_another_text_under_a_kept_id_is_an_error(kept: dict[str, list[Document]]):
    old = kept["test"][0]
    with pytest.raises(MarsadError, match=f"report '{old.id}' stands in test with another text"):
        split_documents([replace(old, text="نص آخر", entities=())], SHARES, kept=kept)


# --- files and command -----------------------------------------------------------------------------------


def test_what_is_written_is_read_again(tmp_path: Path):
    split = split_documents(reports(40), SHARES)
    write_split(split, tmp_path / "new")
    assert {name: tuple(documents) for name, documents in read_split(tmp_path / "new").items()} == split.documents


def test_a_report_may_not_leave_test_and_nothing_is_touched(tmp_path: Path):
    documents = reports(40)
    write_split(split_documents(documents, SHARES, seed=1), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = split_documents(documents, SHARES, seed=2)
    gone = [one.id for one in read_split(tmp_path)["test"] if places(again)[one.id] != "test"]
    with pytest.raises(MarsadError, match=rf"test\.jsonl: {len(gone)} of its reports would leave it: {gone[0]}"):
        write_split(again, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_report_of_train_may_be_dropped_but_not_judged_on(tmp_path: Path):
    split = split_documents(reports(40), SHARES)
    write_split(split, tmp_path)
    rest = split.documents["train"][1:]
    write_split(replace(split, documents={**split.documents, "train": rest}), tmp_path)
    assert len(read_split(tmp_path)["train"]) == len(rest)
    moved = {**split.documents, "train": rest[1:], "test": (*split.documents["test"], rest[0])}
    with pytest.raises(MarsadError, match=rf"train\.jsonl: 1 of its reports would leave it: {rest[0].id};"):
        write_split(replace(split, documents=moved), tmp_path)


def test_the_command_splits_keeps_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data, new, out = tmp_path / "data", tmp_path / "new.jsonl", tmp_path / "all.jsonl"
    write_documents(reports(40), out)
    assert main(["split", str(out), "--output", str(data), "--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert "40 reports in 40 groups" in printed and str(data / "test.jsonl") in printed
    write_documents(reports(20, "new"), new)
    assert main(["split", str(new), "--keep", str(data), "--output", str(data), "--shares", "0.8", "0.1", "0.1"]) == 0
    assert sum(len(documents) for documents in read_split(data).values()) == 60
    capsys.readouterr()

    assert main(["split", str(out), str(new), "--output", str(data), "--seed", "2"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"marsad: error: {data / 'test.jsonl'}: ") and f"give --keep {data}" in line
    assert main(["split", str(new), "--keep", str(tmp_path), "--output", str(data)]) == 2
    assert "to keep" in capsys.readouterr().err


def test_a_file_that_was_never_annotated_is_not_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "bare.jsonl").write_text(json.dumps({"id": "a", "text": "نص"}) + "\n", encoding="utf-8")
    assert main(["split", str(tmp_path / "bare.jsonl"), "--output", str(tmp_path / "out")]) == 2
    assert "no 'entities'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_projects_own_corpus_splits_as_asked():
    documents = read_documents([Path(__file__).parents[2] / "data" / f"{name}.jsonl" for name in SPLITS])
    split = split_documents(documents, SHARES)
    labels = Counter(entity.label for one in documents for entity in one.entities)
    for name, share in SHARES.items():
        part = Counter(entity.label for one in split.documents[name] for entity in one.entities)
        assert len(split.documents[name]) / len(documents) == pytest.approx(share, abs=0.01)
        for label, count in labels.items():
            assert part[label] / count == pytest.approx(share, abs=0.015)
