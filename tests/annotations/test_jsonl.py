"""JSON Lines: what is written is read back equal, and every bad input is told in one line."""

import gzip
import json
import lzma
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.annotations.jsonl import read_documents, read_records, write_documents, write_records
from marsad.documents import Document, Entity
from marsad.errors import MarsadError

GOOD = {"id": "r1", "text": "قصف حلب", "published": None, "entities": [{"start": 4, "end": 7, "label": "LOCATION"}]}

# A high surrogate right before a low one is no lone surrogate: JSON itself reads the two as one character.
STRINGS = st.text(st.characters(), max_size=12).filter(
    lambda text: not re.search("[\ud800-\udbff][\udc00-\udfff]", text)
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=6,
)


def _others(*reserved: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(STRINGS.filter(lambda key: key not in reserved), VALUES, max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(STRINGS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    entities = tuple(
        Entity(
            start,
            end,
            draw(STRINGS.filter(bool)),
            draw(st.none() | st.floats(0, 1)),
            draw(_others("start", "end", "label", "score")),
        )
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
        if start < end
    )
    return Document(
        draw(STRINGS.filter(bool)),
        text,
        entities,
        draw(st.none() | st.dates()),
        draw(st.none() | STRINGS),
        draw(_others("id", "text", "published", "source", "entities")),
    )


def _write(path: Path, *lines: str | bytes | dict[str, Any]) -> Path:
    """A file of lines: raw ones as they are, records as JSON."""
    raw = [json.dumps(line, ensure_ascii=False) if isinstance(line, dict) else line for line in lines]
    path.write_bytes(b"\n".join(line.encode("utf-8") if isinstance(line, str) else line for line in raw))
    return path


def _refusal(*paths: Path, labels: Any = None) -> str:
    with pytest.raises(MarsadError) as refused:
        read_documents(paths, labels)
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    return message


@settings(max_examples=80, deadline=None)
@given(st.lists(documents(), min_size=1, max_size=3, unique_by=lambda document: document.id))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, reports: list[Document]):
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    write_documents(reports, path)
    first = path.read_bytes()
    assert first.count(b"\n") == len(reports)
    again = read_documents(path)
    assert again == reports
    write_documents(again, path)
    assert path.read_bytes() == first


def test_arabic_stays_readable_in_the_file(tmp_path: Path):
    write_documents([Document("r1", "حلب")], tmp_path / "new" / "a.jsonl")
    assert '"text": "حلب"' in (tmp_path / "new" / "a.jsonl").read_text(encoding="utf-8")


def test_a_record_is_read_whole(tmp_path: Path):
    record = GOOD | {"published": "2016-05-04", "source": "وكالة", "conflict": {"name": "x"}, "tags": [1, None]}
    record["entities"] = [{"start": 4, "end": 7, "label": "LOCATION", "score": 1, "value": "حلب"}]
    assert read_documents(_write(tmp_path / "a.jsonl", record)) == [
        Document(
            "r1",
            "قصف حلب",
            (Entity(4, 7, "LOCATION", 1.0, {"value": "حلب"}),),
            date(2016, 5, 4),
            "وكالة",
            {"conflict": {"name": "x"}, "tags": [1, None]},
        )
    ]


@pytest.mark.parametrize("absent", [{}, {"entities": None}, {"entities": []}, {"published": None, "source": None}])
def test_entities_date_and_source_may_be_missing(tmp_path: Path, absent: dict[str, Any]):
    assert read_documents(_write(tmp_path / "a.jsonl", {"id": "r", "text": ""} | absent)) == [Document("r", "")]


def test_offsets_count_code_points(tmp_path: Path):
    record = {"id": "r", "text": "😀 حلب", "entities": [{"start": 2, "end": 5, "label": "LOCATION"}]}
    (document,) = read_documents(_write(tmp_path / "a.jsonl", record))
    assert document.text[document.entities[0].start : document.entities[0].end] == "حلب"


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_taken(tmp_path: Path):
    path = _write(
        tmp_path / "a.jsonl", "\ufeff" + json.dumps(GOOD) + "\r", "\r", "   ", '{"id": "r2", "text": ""}\r', ""
    )
    assert [document.id for document in read_documents(path)] == ["r1", "r2"]
    assert [where for where, _ in read_records(path)] == [f"{path}:1", f"{path}:4"]


def test_only_a_line_feed_ends_a_line(tmp_path: Path):
    text = "سطر\u2028سطر\u0085سطر"
    path = _write(tmp_path / "a.jsonl", f'{{"id": "r", "text": "{text}"}}')
    assert read_documents(path)[0].text == text


def test_one_path_or_many(tmp_path: Path):
    one, two = _write(tmp_path / "1.jsonl", GOOD), _write(tmp_path / "2.jsonl", GOOD | {"id": "r2"})
    assert [document.id for document in read_documents([str(one), two])] == ["r1", "r2"]
    assert read_documents(str(one)) == read_documents(one) == read_documents([one])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder, expected a file"),
        (lambda path: path.write_bytes(b""), "holds no report; expected one JSON object a line"),
        (lambda path: path.write_bytes(b"\xef\xbb\xbf\n \n"), "holds no report"),
    ],
)
def test_a_file_that_holds_no_reports(tmp_path: Path, make: Any, expected: str):
    path = tmp_path / "a.jsonl"
    make(path)
    message = _refusal(path)
    assert message.startswith(f"{path}: ") and expected in message


def test_a_path_through_a_file_or_with_an_endless_name(tmp_path: Path):
    inside = _write(tmp_path / "a.jsonl", GOOD) / "b.jsonl"
    assert _refusal(inside).startswith(f"{inside}: can't be read")
    assert "can't be read" in _refusal(tmp_path / ("x" * 400))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"id": "r2", "text": "\xc3("}', "invalid UTF-8 at byte 22 of the line; save the file as UTF-8"),
        ('{"id": "r2", "text": "\u0642"}'.encode("cp1256"), "invalid UTF-8"),
        ('{"id": "r2", "text": ', "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("r2", "not JSON"),
        ('{"id": "r2", "text": "", "n": ' + "1" * 5000 + "}", "not JSON"),
        ("[" * 200_000 + "]" * 200_000, "not JSON"),
        ('{"id": "r2", "text": "", "x": ' + "[" * 200_000 + "]" * 200_000 + "}", "not JSON"),
        ('[{"id": "r2"}]', "a JSON list, expected an object with id and text"),
        ('"قصف"', "a JSON str, expected an object"),
        ("null", "expected an object"),
        ({"text": "قصف"}, "no 'id'; expected an object with id and text"),
        ({"id": "r2"}, "no 'text'; expected an object with id and text"),
    ],
)
def test_a_line_that_is_no_report(tmp_path: Path, line: Any, expected: str):
    path = _write(tmp_path / "a.jsonl", GOOD, line)
    message = _refusal(path)
    assert message.startswith(f"{path}:2: ")
    assert expected in message
    assert "expected" in message or "save the file" in message


def _entity(**changes: Any) -> dict[str, Any]:
    entity = {"start": 4, "end": 7, "label": "LOCATION"} | changes
    return {"entities": [{key: value for key, value in entity.items() if value is not ...}]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"text": None}, "text is NoneType, expected a string"),
        ({"text": ["قصف"]}, "text is list, expected a string"),
        ({"published": "04/05/2016"}, "published is '04/05/2016', expected YYYY-MM-DD or null"),
        ({"published": "2016-02-30"}, "expected YYYY-MM-DD or null"),
        ({"published": "20160504"}, "expected YYYY-MM-DD or null"),
        ({"published": "2016-W05-1"}, "expected YYYY-MM-DD or null"),
        ({"published": "2016-05-04T10:00:00"}, "expected YYYY-MM-DD or null"),
        ({"published": "٢٠١٦-٠٥-٠٤"}, "expected YYYY-MM-DD or null"),
        ({"published": ""}, "expected YYYY-MM-DD or null"),
        ({"published": 20160504}, "expected YYYY-MM-DD or null"),
        ({"published": [2016, 5, 4, 0, 0, 0, 0, 0, 0, 0]}, "expected YYYY-MM-DD or null"),
        ({"source": 5}, "source is 5, expected a string or null"),
        ({"entities": {}}, "entities is a dict, expected a list"),
        ({"entities": "x"}, "entities is a str, expected a list"),
        ({"entities": [[4, 7, "LOCATION"]]}, "expected an object with start, end and label"),
        (_entity(start=...), "has no 'start'"),
        (_entity(end=...), "has no 'end'"),
        (_entity(label=...), "has no 'label'"),
        (_entity(start="4"), "entity start is '4', expected an integer"),
        (_entity(end=7.0), "entity end is 7.0, expected an integer"),
        (_entity(start=True), "entity start is True, expected an integer"),
        (_entity(start=None), "entity start is None, expected an integer"),
        (_entity(label=3), "entity label is 3, expected a non-empty string"),
        (_entity(label=""), "entity label is '', expected a non-empty string"),
        (
            _entity(label="CITY"),
            "label 'CITY', which is not in the set LOCATION, ACTOR; mend the label, or take a config",
        ),
        (_entity(label="A\nB"), "not in the set"),
        (_entity(score="0.5"), "score '0.5', expected a number"),
        (_entity(score=True), "expected a number"),
        (_entity(start=-1), "[-1, 7) is empty or negative, expected 0 <= start < end"),
        (_entity(start=7), "[7, 7) is empty or negative, expected 0 <= start < end"),
        (_entity(start=9, end=8), "expected 0 <= start < end"),
        (_entity(end=8), "ends outside the text of 7 code points; offsets count code points, not bytes"),
        (_entity(end=8, label="A\nB"), "ends outside the text"),
        (_entity(end=10**30), "ends outside the text"),
        (
            {"entities": [{"start": 0, "end": 5, "label": "A\r\nB"}, {"start": 4, "end": 7, "label": "LOCATION"}]},
            "overlap; keep one of them",
        ),
        (
            {"entities": [{"start": 0, "end": 7, "label": "ACTOR"}, {"start": 4, "end": 6, "label": "LOCATION"}]},
            "[0, 7) 'ACTOR' and [4, 6) 'LOCATION' overlap; keep one of them",
        ),
        ({"entities": [GOOD["entities"][0], GOOD["entities"][0]]}, "overlap; keep one of them"),
    ],
)
def test_a_bad_report_is_named_by_file_line_and_id(tmp_path: Path, changes: dict[str, Any], expected: str):
    path = _write(tmp_path / "a.jsonl", GOOD, "", GOOD | {"id": "r\n2"} | changes)
    message = _refusal(path, labels=("LOCATION", "ACTOR"))
    assert message.startswith(f"{path}:3 (id 'r\\n2'): ")
    assert expected in message


@pytest.mark.parametrize("bad", ["", True, 7.5, None, ["r2"], {"a": 1}])
def test_an_id_must_be_a_string(tmp_path: Path, bad: Any):
    message = _refusal(_write(tmp_path / "a.jsonl", GOOD, GOOD | {"id": bad}))
    assert ":2 (id " in message and "expected a non-empty string" in message


def test_a_whole_number_is_an_id_as_for_predict(tmp_path: Path):
    documents = read_documents(_write(tmp_path / "a.jsonl", GOOD, GOOD | {"id": 7}))
    assert documents[1].id == "7"
    assert "id '7' already stands at" in _refusal(_write(tmp_path / "b.jsonl", GOOD | {"id": 7}, GOOD | {"id": "7"}))


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_packed_files_are_read(tmp_path: Path, suffix: str):
    plain = _write(tmp_path / "a.jsonl", GOOD)
    packed = tmp_path / f"a.jsonl{suffix}"
    content = plain.read_bytes()
    codecs = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": lambda raw: pa.compress(raw, "zstd", asbytes=True)}
    packed.write_bytes(codecs[suffix](content))
    assert read_documents(packed) == read_documents(plain)
    packed.write_bytes(content)
    assert f"broken or no {suffix[1:]} file" in _refusal(packed)


def test_parquet_is_named_for_what_it_is(tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    assert "is Parquet, expected JSON Lines" in _refusal(tmp_path / "a.parquet")


def test_any_label_goes_where_no_set_is_given(tmp_path: Path):
    path = _write(tmp_path / "a.jsonl", GOOD | _entity(label="شيء"))
    assert read_documents(path)[0].entities[0].label == "شيء"


def test_an_id_stands_once_in_a_file_and_across_files(tmp_path: Path):
    one = _write(tmp_path / "1.jsonl", GOOD, GOOD | {"text": "حلب تحترق"})
    assert _refusal(one) == f"{one}:2: id 'r1' already stands at {one}:1; every report needs its own id"
    two, three = _write(tmp_path / "2.jsonl", GOOD), _write(tmp_path / "3.jsonl", GOOD | {"id": "r3"}, GOOD)
    assert _refusal(two, three) == f"{three}:2: id 'r1' already stands at {two}:1; every report needs its own id"


def test_an_empty_file_among_full_ones_is_named(tmp_path: Path):
    empty = _write(tmp_path / "2.jsonl", "")
    assert _refusal(_write(tmp_path / "1.jsonl", GOOD), empty).startswith(f"{empty}: holds no report")


def _failing() -> Iterator[dict[str, Any]]:
    yield {"id": "new"}
    raise RuntimeError("the source broke")


def test_a_failing_source_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text("old\n")
    with pytest.raises(RuntimeError, match="the source broke"):
        write_records(_failing(), path)
    assert path.read_text() == "old\n"
    with pytest.raises(RuntimeError):
        write_records(_failing(), tmp_path / "b.jsonl")
    assert list(tmp_path.iterdir()) == [path]


def test_who_reads_the_old_file_meanwhile_reads_it_whole(tmp_path: Path):
    path = _write(tmp_path / "a.jsonl", GOOD, GOOD | {"id": "r2"})
    before = path.read_bytes()
    with path.open("rb") as reading:
        write_documents([Document("r3", "حلب")], path)
        assert reading.read() == before
    assert [document.id for document in read_documents(path)] == ["r3"]


def test_a_file_may_be_rewritten_from_itself(tmp_path: Path):
    path = _write(tmp_path / "a.jsonl", GOOD, GOOD | {"id": "r2"})
    assert write_records((record | {"seen": True} for _, record in read_records(path)), path) == 2
    assert [(record["id"], record["seen"]) for _, record in read_records(path)] == [("r1", True), ("r2", True)]


@pytest.mark.parametrize("target", ["folder", "file/a.jsonl", "file/deep/a.jsonl", "x" * 400])
def test_what_cannot_be_written_is_told(tmp_path: Path, target: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    with pytest.raises(MarsadError) as refused:
        write_documents([Document("r", "حلب")], tmp_path / target)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / target}: can't be written (") and "\n" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_folder_without_a_name_is_no_file_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MarsadError, match="is a folder"):
        write_documents([Document("r", "حلب")], ".")
    assert list(tmp_path.iterdir()) == []
