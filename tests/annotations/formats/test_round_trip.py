"""What is exported and imported again is equal, entity for entity, with id, date, source and metadata."""

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.annotations.formats.importing import FORMATS, export_files, import_files
from marsad.annotations.jsonl import read_documents, write_documents
from marsad.documents import Document, Entity

ENDINGS = {
    "labelstudio": [".json"],
    "doccano": [".jsonl"],
    "brat": [""],
    "prodigy": [".jsonl"],
    "inception": [""],
    "conll": [".conll"],
    "datasets": ["", ".parquet"],
}
CASES = [(name, ending) for name, endings in ENDINGS.items() for ending in endings]

# What UTF-8 and XML can hold, with much of what Arabic reports and careless software put between letters.
LETTERS = (
    "ابتحلسق ـ\u064b\u0651\u0670\u200f\u200e\u202b\u202c\u200c\ufeff\u00a0😀🇸🇾👨\u200d👩ﷺﻻ٣,12."
    "#\"'\\\t\n\u2028\u0085&<>"
)
TEXTS = st.text(st.sampled_from(LETTERS), max_size=30)
ANY_TEXT = st.text(st.characters(), max_size=12).filter(
    lambda text: not re.search("[\ud800-\udbff][\udc00-\udfff]", text)
)
NAMES = st.sampled_from(["ACTOR", "LOCATION", "DATE", "B-X"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
METADATA = st.dictionaries(st.sampled_from(["conflict", "event", "نوع", "list"]), VALUES, max_size=3)
# Formats that hold all strings, scores and further keys of entities.
WHOLE = ("prodigy", "conll")


@st.composite
def documents(draw: st.DrawFn, text: st.SearchStrategy[str], whole: bool) -> Document:
    content = draw(text)
    cuts = sorted(draw(st.lists(st.integers(0, len(content)), max_size=8)))
    scores = st.none() | st.floats(0, 1)
    extra = st.dictionaries(st.sampled_from(["value", "قيمة"]), VALUES, max_size=2)
    entities = tuple(
        Entity(
            start,
            end,
            draw(NAMES),
            draw(scores) if whole else None,
            draw(extra) if whole else {},
        )
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
        if start < end
    )
    return Document(
        draw(text.filter(bool)),
        content,
        entities,
        draw(st.none() | st.dates()),
        draw(st.none() | text),
        draw(METADATA),
    )


def reports(whole: bool, text: st.SearchStrategy[str] = TEXTS) -> Any:
    return st.lists(documents(text, whole), min_size=1, max_size=3, unique_by=lambda document: document.id)


def round_trip(name: str, ending: str, given: list[Document], folder: Path, **options: Any) -> list[Document]:
    source, there, back = folder / "given.jsonl", folder / f"there{ending}", folder / "back.jsonl"
    write_documents(given, source)
    export_files(name, [source], there)
    result = import_files(name, [there], back, **options)
    assert result.read == result.imported == len(given)
    assert result.exit_code == 0
    assert result.repaired == result.dropped == result.changed == []
    assert not (folder / "rejects.jsonl").exists()
    return read_documents(back)


@pytest.mark.parametrize(("name", "ending"), CASES)
def test_reports_of_the_corpus_come_back_equal(name: str, ending: str, tmp_path: Path):
    corpus = [*read_documents(ROOT / "data" / "dev.jsonl"), *read_documents(ROOT / "data" / "train.jsonl")]
    emoji = [one for one in corpus if max(one.text) > "\uffff"]
    sample = list(dict.fromkeys([*emoji[:15], *corpus[::15]]))
    assert len(sample) >= 40
    assert round_trip(name, ending, sample, tmp_path) == sample


@pytest.mark.parametrize("name", ["labelstudio", "doccano", "brat", "inception"])
def test_any_report_comes_back_equal(name: str, tmp_path_factory: pytest.TempPathFactory):
    options = {"offsets": "codepoints"} if name == "doccano" else {}

    @settings(max_examples=25, deadline=None)
    @given(reports(whole=False))
    def check(given: list[Document]) -> None:
        assert round_trip(name, ENDINGS[name][0], given, tmp_path_factory.mktemp("any"), **options) == given

    check()


@pytest.mark.parametrize("name", ["labelstudio", "doccano", *WHOLE])
def test_any_string_comes_back_equal(name: str, tmp_path_factory: pytest.TempPathFactory):
    options = {"offsets": "codepoints"} if name == "doccano" else {}

    @settings(max_examples=30, deadline=None)
    @given(reports(whole=name in WHOLE, text=ANY_TEXT | TEXTS))
    def check(given: list[Document]) -> None:
        assert round_trip(name, ENDINGS[name][0], given, tmp_path_factory.mktemp("any"), **options) == given

    check()


@settings(max_examples=15, deadline=None)
@given(reports(whole=True))
def test_any_report_comes_back_equal_from_datasets(tmp_path_factory: pytest.TempPathFactory, given: list[Document]):
    for ending in ("", ".parquet"):
        assert round_trip("datasets", ending, given, tmp_path_factory.mktemp("any")) == given


def test_every_format_is_tested():
    assert set(ENDINGS) == set(FORMATS)


def test_two_exports_are_the_same_bytes(tmp_path: Path):
    dev = ROOT / "data" / "dev.jsonl"
    for name in ("labelstudio", "doccano", "prodigy", "conll"):
        for number in (1, 2):
            export_files(name, [dev], tmp_path / f"{name}{number}")
        assert (tmp_path / f"{name}1").read_bytes() == (tmp_path / f"{name}2").read_bytes()
