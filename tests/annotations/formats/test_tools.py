"""Exports that the tools themselves made (fixtures/) are read without loss, with the gold entities in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from marsad.annotations.formats.importing import Import, import_files
from marsad.annotations.jsonl import read_documents
from marsad.documents import Document, Entity

FIXTURES = Path(__file__).parent / "fixtures"
GOLD = {document.id: document for document in read_documents(FIXTURES / "gold.jsonl")}
# Reports that nobody finished; doccano writes them as if they had no entities.
UNFINISHED = {"cancelled", "predicted", "drafted", "unannotated"}

LABEL_STUDIO = sorted(FIXTURES.glob("labelstudio/*/*.json"))
DOCCANO = sorted(FIXTURES.glob("doccano/*/*.jsonl"))


def name_of(path: Path) -> str:
    return path.relative_to(FIXTURES).as_posix()


def imported(format: str, path: Path, folder: Path, **options: Any) -> tuple[Import, list[Document]]:
    result = import_files(format, [path], folder / "new.jsonl", **options)
    documents = read_documents(folder / "new.jsonl")
    rejects = folder / "rejects.jsonl"
    listed = len(rejects.read_bytes().splitlines()) if rejects.exists() else 0
    assert listed == result.rejected.total()
    assert result.read == len(documents) + listed + result.left_out.total()
    assert result.entities_read == sum(len(one.entities) for one in documents) + result.entities_lost.total()
    return result, documents


def gold_of(document: Document) -> Document:
    by_text = {gold.text: gold for gold in GOLD.values()}
    return by_text[document.text]


def spans(entities: tuple[Entity, ...]) -> list[tuple[int, int, str]]:
    return [(one.start, one.end, one.label) for one in entities]


def second_opinion() -> list[tuple[int, int, str]]:
    gold = GOLD["overlap"]
    first, *others = spans(gold.entities)
    inner = gold.text.index("قسج")
    return sorted(
        [
            (first[0], first[1] - 6, first[2]),
            (inner, inner + 3, "ACTOR"),
            (others[0][0], others[0][1], "LOCATION"),
            *others[1:-1],
        ]
    )


@pytest.mark.parametrize("path", LABEL_STUDIO, ids=name_of)
def test_exports_of_label_studio(path: Path, tmp_path: Path):
    result, documents = imported("labelstudio", path, tmp_path)
    assert result.exit_code == 0
    assert len(documents) == 17
    for document in documents:
        gold = gold_of(document)
        # The second annotator came later.
        expected = second_opinion() if gold.id == "overlap" else spans(gold.entities)
        assert spans(document.entities) == expected, gold.id
        assert document.published == gold.published
        if "min" not in path.name:
            assert document.id == gold.id
    if "min" not in path.name:
        assert result.left_out["skipped by the annotator"] == 1
        assert result.ignored["further annotations of a task"] == 1
    if "all-tasks" in path.name:
        assert result.left_out["not annotated"] == 3


def test_old_label_studio_counts_utf16_units_and_new_code_points(tmp_path: Path):
    versions = {path.parent.name: imported("labelstudio", path, tmp_path)[0].repaired for path in LABEL_STUDIO}
    assert len(versions["0.8.2"]) == 18
    assert all(one.endswith("its offsets count UTF-16 units") for one in versions["0.8.2"])
    assert versions["1.23.2"] == []
    # It counts code points too, but loses one where it hides a script.
    assert [one for one in versions["1.4.1"] if "'قيادة الشرطة': its text stands 1 code points later" in one]


@pytest.mark.parametrize("path", DOCCANO, ids=name_of)
def test_exports_of_doccano(path: Path, tmp_path: Path):
    result, documents = imported("doccano", path, tmp_path)
    rejected = {"overlapping spans": 1} if path.stem == "relations" else {}
    assert result.rejected == rejected
    for document in documents:
        gold = gold_of(document)
        drawn = path.stem == "loaded" or gold.id not in UNFINISHED
        assert spans(document.entities) == (spans(gold.entities) if drawn else []), gold.id
        assert document.published == gold.published
    if path.stem == "relations":
        assert result.ignored == {"relations": 1}
    if path.stem == "plain-approved":
        assert {gold_of(document).id for document in documents} == GOLD.keys() - UNFINISHED
    if path.stem == "loaded":
        assert [document.id for document in documents] == list(GOLD)
        assert result.repaired == []


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("doccano/*/individual/*.jsonl")), ids=name_of)
def test_exports_of_two_annotators_of_doccano(path: Path, tmp_path: Path):
    _, documents = imported("doccano", path, tmp_path)
    for document in documents:
        gold = gold_of(document)
        if path.stem == "second":
            disjoint = [one for one in second_opinion() if gold.text[one[0] : one[1]] != "قسج"]
            assert spans(document.entities) == (disjoint if gold.id == "overlap" else [])
        else:
            assert spans(document.entities) == ([] if gold.id in UNFINISHED else spans(gold.entities))


def test_overlaps_of_doccano_can_be_settled(tmp_path: Path):
    (path,) = FIXTURES.glob("doccano/*/relations.jsonl")
    result, documents = imported("doccano", path, tmp_path, overlaps="longest")
    assert result.rejected == {}
    (overlap,) = [document for document in documents if gold_of(document).id == "overlap"]
    lost = {(one.start, one.end) for one in GOLD["overlap"].entities} - {(s, e) for s, e, _ in spans(overlap.entities)}
    assert lost == set()
    assert len(result.dropped) == result.entities_lost["dropped for a longer one"] == 1


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("labelstudio/*/*.conll")), ids=name_of)
def test_words_of_label_studio_s_conll_are_read_as_they_stand(path: Path, tmp_path: Path):
    """It cuts words as it likes and keeps no boundaries of reports; what stands in it is what is read."""
    result, (document,) = imported("conll", path, tmp_path)
    rows = [line.split(" ") for line in path.read_text(encoding="utf-8").splitlines() if " " in line]
    words = [row[0] for row in rows if row[0] != "-DOCSTART-"]
    assert document.text.split() == " ".join(words).split()
    assert len(document.entities) == sum(row[-1].startswith("B-") for row in rows)
    assert result.exit_code == 0


def test_the_fixtures_are_there():
    assert {path.parent.name for path in DOCCANO} and len(DOCCANO) >= 5
    assert len(LABEL_STUDIO) >= 3
    assert json.loads(LABEL_STUDIO[0].read_text(encoding="utf-8"))
