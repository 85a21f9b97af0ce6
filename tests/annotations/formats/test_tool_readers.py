"""What other software writes in these formats, and what it has that a document has no place for."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import datasets
import pytest

from marsad.annotations.formats import brat, doccano, huggingface, inception, prodigy
from marsad.annotations.formats.checking import Checked, check_report
from marsad.annotations.formats.importing import export_files, import_files
from marsad.annotations.formats.raw import LeftOut, RawReport
from marsad.annotations.jsonl import read_documents
from marsad.documents import Document, Entity
from marsad.errors import MarsadError

DOCUMENT = Document("r1", "💥 قصف حلب\nأمس", (Entity(6, 9, "LOCATION"), Entity(10, 13, "DATE")))


def checked(report: RawReport | LeftOut) -> Document:
    assert isinstance(report, RawReport), report
    result = check_report(report)
    assert isinstance(result, Checked), result
    return result.document


def surfaces(document: Document) -> list[tuple[str, str]]:
    return [(document.text[one.start : one.end], one.label) for one in document.entities]


# --- brat ------------------------------------------------------------------------------------------------


def test_brat_s_other_annotations_are_counted(tmp_path: Path):
    (tmp_path / "a.txt").write_text("قصف حلب", encoding="utf-8")
    rows = [
        "T1\tLOCATION 4 7\tحلب",
        "T2\tACTOR 0 3\tقصف",
        "R1\tAt Arg1:T1 Arg2:T2",
        "*\tSame T1 T2",
        "E1\tAttack:T2 Place:T1",
        "A1\tNegation E1",
        "N1\tReference T1 Wikidata:Q41183\tAleppo",
        "#1\tAnnotatorNotes T1\tملاحظة",
    ]
    (tmp_path / "a.ann").write_text("\n".join(rows), encoding="utf-8")
    (report,) = brat.read(tmp_path)
    assert isinstance(report, RawReport)
    assert report.ignored == {"relations": 2, "events": 1, "attributes": 1, "normalisations": 1, "notes": 1}
    assert checked(report) == Document("a", "قصف حلب", (Entity(0, 3, "ACTOR"), Entity(4, 7, "LOCATION")))


def test_a_span_of_brat_that_crosses_a_line_is_one(tmp_path: Path):
    document = Document("r1", "وزارة\r\nالدفاع\n\nأمس", (Entity(0, 13, "ACTOR"), Entity(13, 18, "DATE")))
    brat.write([document], tmp_path / "b")
    assert "T1\tACTOR 0 5;7 13\tوزارة الدفاع\n" in (tmp_path / "b" / "r1.ann").read_text(encoding="utf-8")
    (report,) = brat.read(tmp_path / "b")
    assert checked(report) == document


def test_one_file_of_brat_is_enough(tmp_path: Path):
    brat.write([DOCUMENT, Document("r2", "هدوء")], tmp_path / "b")
    for name in ("r1.ann", "r1.txt"):
        assert [checked(report) for report in brat.read(tmp_path / "b" / name)] == [DOCUMENT]


def test_a_text_without_ann_is_not_annotated(tmp_path: Path):
    (tmp_path / "a.txt").write_text("قصف", encoding="utf-8")
    (report,) = brat.read(tmp_path)
    assert isinstance(report, RawReport)
    assert not report.annotated


def test_windows_1256_is_read_when_named(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes("قصف حلب".encode("cp1256"))
    (tmp_path / "a.ann").write_bytes("T1\tLOCATION 4 7\tحلب\r\n".encode("cp1256"))
    (report,) = brat.read(tmp_path, "cp1256")
    assert surfaces(checked(report)) == [("حلب", "LOCATION")]


@pytest.mark.parametrize("write", [brat.write, inception.write, huggingface.write])
def test_a_folder_that_is_not_empty_is_not_overwritten(write: Any, tmp_path: Path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(MarsadError, match="exists already"):
        write([DOCUMENT], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_ids_that_are_no_file_names_come_back(tmp_path: Path):
    names = ["a/b", "..", "A", "a", "خبر", "report-1", "x" * 300, "a.", "con trol\n"]
    documents = [Document(name, f"نص {number}") for number, name in enumerate(names)]
    for module in (brat, inception):
        folder = tmp_path / module.__name__
        module.write(documents, folder)
        assert [checked(report) for report in module.read(folder)] == documents


@pytest.mark.parametrize(
    ("module", "text"), [(brat, "\ud83d"), (inception, "\ud83d"), (inception, "\x00"), (huggingface, "\ud83d")]
)
def test_what_a_format_can_t_hold_is_refused_with_the_id(module: Any, text: str, tmp_path: Path):
    with pytest.raises(MarsadError, match=r"r9|does not fit"):
        module.write([DOCUMENT, Document("r9", text)], tmp_path / "out")
    assert not list(tmp_path.iterdir())


# --- INCEpTION -------------------------------------------------------------------------------------------


def test_offsets_of_xmi_count_utf16_units(tmp_path: Path):
    inception.write([DOCUMENT], tmp_path / "x")
    assert 'begin="7" end="10" value="LOCATION"' in (tmp_path / "x" / "r1.xmi").read_text(encoding="utf-8")
    assert [checked(report) for report in inception.read(tmp_path / "x")] == [DOCUMENT]


def test_a_zip_of_inception_is_read_and_named_by_the_report(tmp_path: Path):
    source = tmp_path / "x"
    inception.write([DOCUMENT], source)
    project = tmp_path / "project"
    for path in (project / "r7.xmi.zip", project / "curation" / "r8.xmi" / "CURATION_USER.zip"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(source / "r1.xmi", "admin.xmi")
            archive.write(source / "TypeSystem.xml", "TypeSystem.xml")
    found = [checked(report) for report in inception.read(project)]
    assert [(one.id, one.entities) for one in found] == [("r7", DOCUMENT.entities), ("r8", DOCUMENT.entities)]
    (report,) = inception.read(project / "r7.xmi.zip")
    assert checked(report).id == "r7"


def test_a_second_annotator_of_inception_is_listed(tmp_path: Path):
    inception.write([DOCUMENT], tmp_path / "x")
    folder = tmp_path / "project" / "annotation" / "r1.txt"
    folder.mkdir(parents=True)
    for user in ("one", "two"):
        with zipfile.ZipFile(folder / f"{user}.zip", "w") as archive:
            archive.write(tmp_path / "x" / "r1.xmi", f"{user}.xmi")
            archive.write(tmp_path / "x" / "TypeSystem.xml", "TypeSystem.xml")
    result = import_files("inception", [tmp_path / "project"], tmp_path / "new.jsonl")
    assert (result.read, result.imported, dict(result.rejected)) == (2, 1, {"id stands twice": 1})


def test_reports_jsonl_gives_a_zip_its_date_back(tmp_path: Path):
    given = read_documents(Path(__file__).parent / "fixtures" / "gold.jsonl")[:2]
    inception.write(given, tmp_path / "x")
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(tmp_path / "x" / "reports.jsonl", project)
    for document in given:
        with zipfile.ZipFile(project / f"{document.id}.zip", "w") as archive:
            archive.write(tmp_path / "x" / f"{document.id}.xmi", "admin.xmi")
            archive.write(tmp_path / "x" / "TypeSystem.xml", "TypeSystem.xml")
    assert [checked(report) for report in inception.read(project)] == given


def test_a_broken_zip_is_one_line(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(MarsadError, match=r"a\.zip: a broken or no \.zip file"):
        list(inception.read(tmp_path))


# --- Prodigy ---------------------------------------------------------------------------------------------


def _prodigy(path: Path, *records: dict[str, Any]) -> list[RawReport | LeftOut]:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return list(prodigy.read(path))


def test_tokens_written_for_prodigy_part_words_from_punctuation(tmp_path: Path):
    prodigy.write([Document("r", "في إدلب، أمس", (Entity(3, 7, "LOCATION"),))], tmp_path / "p")
    (record,) = [json.loads(line) for line in (tmp_path / "p").read_text(encoding="utf-8").splitlines()]
    assert [(token["text"], token["ws"]) for token in record["tokens"]] == [
        ("في", True),
        ("إدلب", False),
        ("،", True),
        ("أمس", False),
    ]
    assert record["spans"] == [{"start": 3, "end": 7, "label": "LOCATION", "token_start": 1, "token_end": 1}]


def test_spans_of_prodigy_are_held_against_their_tokens(tmp_path: Path):
    tokens = [
        {"text": "💥", "start": 0, "end": 2, "id": 0, "ws": True},
        {"text": "حلب", "start": 3, "end": 6, "id": 1, "ws": True},
        {"text": "الشرقية", "start": 7, "end": 14, "id": 2, "ws": False},
    ]
    span = {"start": 3, "end": 14, "label": "LOCATION", "token_start": 1, "token_end": 2}
    (report,) = _prodigy(tmp_path / "p", {"text": "💥 حلب الشرقية", "tokens": tokens, "spans": [span]})
    assert surfaces(checked(report)) == [("حلب الشرقية", "LOCATION")]


def test_examples_without_id_bear_their_hash(tmp_path: Path):
    reports = _prodigy(tmp_path / "p", {"text": "a", "_input_hash": -5, "spans": []}, {"text": "b", "answer": "accept"})
    assert [report.id for report in reports] == ["prodigy--5", f"prodigy-{tmp_path / 'p'}:2"]


# --- doccano ---------------------------------------------------------------------------------------------


def test_older_keys_of_doccano_are_known(tmp_path: Path):
    records = [
        {"id": 4, "text": "قصف حلب", "labels": [[4, 7, "LOC"]], "meta": {"city": "x"}},
        {"id": 5, "data": "قصف حلب", "entities": [{"id": 1, "label": "LOC", "start_offset": 4, "end_offset": 7}]},
    ]
    (tmp_path / "d").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    first, second = [checked(report) for report in doccano.read(tmp_path / "d")]
    assert (first.id, second.id) == ("doccano-4", "doccano-5")
    assert surfaces(first) == surfaces(second) == [("حلب", "LOC")]
    assert first.metadata == {"city": "x"}


def test_offsets_of_doccano_that_do_not_decide_are_rejected_unless_named(tmp_path: Path):
    path = tmp_path / "d"
    path.write_text(json.dumps({"id": "r", "text": "💥 3 5 7", "label": [[4, 5, "CASUALTY"]]}), encoding="utf-8")
    (report,) = doccano.read(path)
    assert isinstance(report, RawReport)
    assert surfaces(checked(report)) == [("5", "CASUALTY")]
    path.write_text(json.dumps({"id": "r", "text": "💥 35 5", "label": [[3, 4, "CASUALTY"]]}), encoding="utf-8")
    (report,) = doccano.read(path)
    assert isinstance(report, LeftOut)
    assert (report.kind, report.rejected, report.spans) == ("unclear offsets", True, 1)
    for offsets, surface in (("codepoints", "5"), ("utf16", "3")):
        (report,) = doccano.read(path, offsets=offsets)  # type: ignore[arg-type]
        assert surfaces(checked(report)) == [(surface, "CASUALTY")]


# --- Hugging Face ----------------------------------------------------------------------------------------


def test_tokens_with_tags_are_read(tmp_path: Path):
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
        }
    )
    rows = [{"id": "0", "tokens": ["قال", "أبو", "محمد"], "ner_tags": [0, 1, 2]}]
    split = datasets.Dataset.from_list(rows, features=features)
    datasets.DatasetDict({"train": split, "test": split.map(lambda row: {"id": "1"})}).save_to_disk(str(tmp_path / "d"))
    found = [checked(report) for report in huggingface.read(tmp_path / "d")]
    assert [(one.id, one.text, surfaces(one)) for one in found] == [
        ("0", "قال أبو محمد", [("أبو محمد", "PER")]),
        ("1", "قال أبو محمد", [("أبو محمد", "PER")]),
    ]


def test_a_row_whose_tags_do_not_fit_its_tokens_is_rejected_alone(tmp_path: Path):
    rows = [{"tokens": ["قصف", "حلب"], "tags": ["O", "S-LOC"]}, {"tokens": ["قصف", "حلب"], "tags": ["O"]}]
    datasets.Dataset.from_list(rows).to_parquet(str(tmp_path / "d.parquet"))
    result = import_files("datasets", [tmp_path / "d.parquet"], tmp_path / "new.jsonl")
    assert (result.imported, dict(result.rejected)) == (1, {"no annotated row": 1})


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}"])
def test_what_is_no_dataset_is_one_line(content: bytes, tmp_path: Path):
    (tmp_path / "d.parquet").write_bytes(content)
    for path in (tmp_path / "d.parquet", tmp_path):
        with pytest.raises(MarsadError) as refused:
            list(huggingface.read(path))
        assert len(str(refused.value).splitlines()) == 1


def test_columns_without_annotated_text_are_refused(tmp_path: Path):
    datasets.Dataset.from_list([{"a": 1}]).to_parquet(str(tmp_path / "d.parquet"))
    with pytest.raises(MarsadError, match="has the columns a; expected"):
        list(huggingface.read(tmp_path / "d.parquet"))


# --- all -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["labelstudio", "doccano", "brat", "prodigy", "inception", "conll", "datasets"])
def test_a_file_that_is_not_there_is_one_line(name: str, tmp_path: Path):
    with pytest.raises(MarsadError, match="no such file"):
        import_files(name, [tmp_path / "none.xmi"], tmp_path / "new.jsonl")
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_is_refused(tmp_path: Path):
    with pytest.raises(MarsadError, match="unknown format 'spacy'; known are labelstudio"):
        import_files("spacy", [tmp_path], tmp_path / "new.jsonl")


def test_rejects_are_no_reports_of_the_folder(tmp_path: Path):
    from marsad.annotations.jsonl import document_files

    for name in ("a.jsonl", "rejects.jsonl"):
        (tmp_path / name).write_text("{}")
    assert document_files([tmp_path]) == [tmp_path / "a.jsonl"]


# --- what must not come in as something else --------------------------------------------------------------


def dataset_of(rows: list[dict[str, Any]], features: dict[str, Any], path: Path) -> Path:
    datasets.Dataset.from_list(rows, features=datasets.Features(features)).to_parquet(str(path))
    return path


STRING = datasets.Value("string")
TAGS = datasets.List(datasets.ClassLabel(names=["O", "B-LOCATION", "I-LOCATION"]))


@pytest.mark.parametrize("tag", [-1, -100])
def test_a_tag_that_says_unlabelled_is_no_entity(tag: int, tmp_path: Path):
    rows = [
        {"id": "a", "tokens": ["قصف", "حلب"], "ner_tags": [0, 1], "url": "x"},
        {"id": "b", "tokens": ["قصف", "حلب"], "ner_tags": [tag, tag], "url": None},
    ]
    plain = datasets.List(datasets.Value("int64"))
    table = datasets.Dataset.from_list(
        rows,
        features=datasets.Features({"id": STRING, "tokens": datasets.List(STRING), "ner_tags": plain, "url": STRING}),
    )
    if tag == -1:  # a larger one does not fit the feature
        table = table.cast_column("ner_tags", TAGS)
        table.to_parquet(str(tmp_path / "d.parquet"))
        result = import_files("datasets", [tmp_path / "d.parquet"], tmp_path / "new.jsonl")
        assert (result.imported, result.rejected.total()) == (1, 1)
        (document,) = read_documents(tmp_path / "new.jsonl")
        assert surfaces(document) == [("حلب", "LOCATION")] and document.metadata == {"url": "x"}
    else:
        with pytest.raises(ValueError, match="the tag -100 is none of the 3"):
            huggingface._tag(tag, ["O", "B-LOCATION", "I-LOCATION"])


def test_spans_in_the_shapes_of_hubs(tmp_path: Path):
    label = datasets.ClassLabel(names=["ACTOR", "LOCATION"])
    spans = [{"start": 4, "end": 7, "label": 1}]
    one = {"start": datasets.Value("int64"), "end": datasets.Value("int64"), "label": label}
    shapes = [
        (spans, [one]),
        (
            {"start": [4], "end": [7], "label": ["LOCATION"]},
            {
                "start": datasets.List(datasets.Value("int64")),
                "end": datasets.List(datasets.Value("int64")),
                "label": datasets.List(STRING),
            },
        ),
        (json.dumps([{"start": 4, "end": 7, "label": "LOCATION"}]), STRING),
    ]
    for number, (entities, kind) in enumerate(shapes):
        path = dataset_of(
            [{"id": "a", "text": "قصف حلب", "entities": entities}],
            {"id": STRING, "text": STRING, "entities": kind},
            tmp_path / f"{number}.parquet",
        )
        import_files("datasets", [path], tmp_path / "new.jsonl")
        assert surfaces(read_documents(tmp_path / "new.jsonl")[0]) == [("حلب", "LOCATION")]
    path = dataset_of(
        [{"text": "قصف", "entities": ["حلب"]}], {"text": STRING, "entities": [STRING]}, tmp_path / "s.parquet"
    )
    with pytest.raises(MarsadError, match="expected an object with start, end and label"):
        import_files("datasets", [path], tmp_path / "none.jsonl")


def test_splits_whose_ids_begin_anew_are_all_read(tmp_path: Path):
    rows = [{"id": str(number), "text": "قصف حلب", "entities": "[]"} for number in range(3)]
    split = datasets.Dataset.from_list(rows)
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(str(tmp_path / "d"))
    assert import_files("datasets", [tmp_path / "d"], tmp_path / "new.jsonl").imported == 6
    assert {one.id for one in read_documents(tmp_path / "new.jsonl")} >= {"train:0", "test:0"}


def test_a_binary_answer_is_no_report(tmp_path: Path):
    span = {"start": 4, "end": 7, "label": "LOCATION"}
    rows = [
        {"text": "قصف حلب", "spans": [span], "answer": "accept", "url": "x", "_input_hash": 1},
        {"text": "قصف دير حلب", "spans": [], "answer": "accept", "_is_binary": True},
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = import_files("prodigy", [tmp_path / "p.jsonl"], tmp_path / "new.jsonl")
    assert (result.imported, dict(result.left_out)) == (1, {"binary answer": 1})
    assert read_documents(tmp_path / "new.jsonl")[0].metadata == {"url": "x"}


def test_an_alias_in_brackets_comes_back_from_doccano(tmp_path: Path):
    text = "🔴 قوات سوريا الديمقراطية (قسد) تنسحب"
    document = Document("r1", text, (Entity(2, text.index(" تنسحب"), "ACTOR"),))
    doccano.write([document], tmp_path / "d.jsonl")
    import_files("doccano", [tmp_path / "d.jsonl"], tmp_path / "new.jsonl")
    assert read_documents(tmp_path / "new.jsonl")[0].entities == document.entities


def test_an_input_is_never_written_over_and_nothing_unannotated_goes_out(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": "a", "text": "قصف حلب"}) + "\n", encoding="utf-8")
    before = path.read_bytes()
    for work in (import_files, export_files):
        inputs: Any = ("prodigy", [path], path)
        with pytest.raises(MarsadError, match="is an input too"):
            work(*inputs)
    with pytest.raises(MarsadError, match="no 'entities'"):
        export_files("prodigy", [path], tmp_path / "b.jsonl")
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_encodings_and_archives_that_hold_no_text_are_named(tmp_path: Path):
    with pytest.raises(MarsadError, match="--encoding hex: no such encoding"):
        import_files("doccano", [tmp_path / "a.jsonl"], tmp_path / "new.jsonl", encoding="hex")
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("all.jsonl", "{}")
    with pytest.raises(MarsadError, match="is a zip archive; unpack it"):
        import_files("doccano", [tmp_path / "e.zip"], tmp_path / "new.jsonl")
