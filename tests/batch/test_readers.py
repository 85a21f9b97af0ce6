"""Every kind of input gives the same rows, and what is no report is named, not lost."""

from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import lzma
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marsad.batch.readers import Reading, Reject, Row, SeenIds, check_tables, column_types, list_sources, read_rows
from marsad.errors import MarsadError

REPORTS = [
    ("r1", "قتل طفلين في حلب"),
    ("r2", 'قال: "انسحبوا"، ثم عادوا\nإلى درعا'),
    ("r3", "نص\u0640\u200f 🙂"),
    ("4", "خبر"),
]


def rows(*inputs: str | Path, reading: Reading | None = None) -> list[Row | Reject]:
    reading = reading or Reading()
    return list(read_rows(list_sources([str(one) for one in inputs], reading), reading))


def pairs(items: list[Row | Reject]) -> list[tuple[str, str]]:
    return [(item.id, item.text) for item in items if isinstance(item, Row)]


def rejects(items: list[Row | Reject]) -> list[str]:
    return [str(item) for item in items if isinstance(item, Reject)]


def as_jsonl() -> bytes:
    return "".join(json.dumps({"id": one, "text": text}) + "\n" for one, text in REPORTS).encode()


def as_csv(delimiter: str = ",") -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([("text", "id"), *((text, one) for one, text in REPORTS)])
    return ("\ufeff" + buffer.getvalue()).encode()


def as_parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    ids, texts = zip(*REPORTS, strict=True)
    pq.write_table(pa.table({"id": ids, "text": texts} | columns), buffer)
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


KINDS = {
    "a.jsonl": as_jsonl,
    "a.ndjson.gz": lambda: gzip.compress(as_jsonl()),
    "a.jsonl.xz": lambda: lzma.compress(as_jsonl()),
    "a.jsonl.zst": lambda: zstd(as_jsonl()),
    "two-frames.jsonl.zst": lambda: zstd(as_jsonl()[:30]) + zstd(as_jsonl()[30:]),
    "two-members.jsonl.gz": lambda: gzip.compress(as_jsonl()[:30]) + gzip.compress(as_jsonl()[30:]),
    "a.csv": as_csv,
    "a.csv.gz": lambda: gzip.compress(as_csv()),
    "a.tsv": lambda: as_csv("\t"),
    "a.parquet": as_parquet,
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_holds_the_same_reports(name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(KINDS[name]())
    assert pairs(rows(tmp_path / name)) == REPORTS
    assert rejects(rows(tmp_path / name)) == []


def test_the_same_at_an_address():
    system = fsspec.filesystem("memory")
    for name, content in KINDS.items():
        system.pipe(f"/years/{name}", content())
    for name in KINDS:
        assert pairs(rows(f"memory://years/{name}")) == REPORTS
    found = list_sources(["memory://years"], Reading())
    assert len(found) == len(KINDS)
    assert [source.path for source in found] == sorted(source.path for source in found)
    assert len(list_sources(["memory://years/*.gz"], Reading())) == 3
    for wrong in ("memory://years/none.jsonl", "memory://nowhere/*.jsonl", "nothing://x/y.jsonl"):
        with pytest.raises(MarsadError, match=re.escape(wrong)):
            list_sources([wrong], Reading())


def test_plain_text_is_a_report_a_file_or_a_line(tmp_path: Path):
    path = tmp_path / "week.txt"
    path.write_bytes("خبر أول\r\n\n خبر ثان".encode())
    assert pairs(rows(path)) == [("week", "خبر أول\r\n\n خبر ثان")]
    assert pairs(rows(path, reading=Reading(per_line=True))) == [("week:1", "خبر أول"), ("week:3", " خبر ثان")]


def test_folders_and_globs_are_read_in_order_of_their_paths(tmp_path: Path):
    for name in (
        "2016/b.txt",
        "2015/a.txt",
        "2015/c.txt.gz",
        "2015/.hidden.txt",
        "old.jsonl.partial/x.jsonl",
        "notes.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(b"x") if name.endswith(".gz") else b"x")
    assert [row.id for row in rows(tmp_path)] == ["a", "c", "b"]
    assert [row.id for row in rows(str(tmp_path / "**" / "*.txt"))] == ["a", "b"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MarsadError, match="is a folder that holds no report files"):
        rows(tmp_path / "empty")
    with pytest.raises(MarsadError, match="no file fits"):
        rows(str(tmp_path / "*.csv"))
    with pytest.raises(MarsadError, match="is an input twice"):
        rows(tmp_path / "2015", tmp_path / "2015" / "a.txt")


def test_columns_bear_the_names_that_are_given(tmp_path: Path):
    (tmp_path / "a.csv").write_text("key;body;day\n1;خبر;أمس\n", encoding="utf-8")
    reading = Reading(text_column="body", id_column="key", delimiter=";", carry=("day",))
    (row,) = rows(tmp_path / "a.csv", reading=reading)
    assert (row.id, row.text, row.columns) == ("1", "خبر", {"day": "أمس"})
    for column, changed, hint in (
        ("words", "text_column", ", where the text is looked for"),
        ("name", "id_column", "; see --id-column or --line-ids"),
        ("place", "carry", "; see --carry"),
    ):
        value = (column,) if changed == "carry" else column
        wrong = Reading(**({"text_column": "body", "id_column": "key", "delimiter": ";"} | {changed: value}))
        with pytest.raises(MarsadError, match=f"has no column '{column}', only key, body, day{hint}"):
            rows(tmp_path / "a.csv", reading=wrong)


def test_ids_can_be_made_of_lines_and_integers_are_ids(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"text": "خبر"}\n\n{"id": 7, "text": "خبر"}\n', encoding="utf-8")
    assert [item.id for item in rows(tmp_path / "a.jsonl", reading=Reading(line_ids=True))] == ["a:1", "a:3"]
    first, second = rows(tmp_path / "a.jsonl")
    assert "no 'id'" in str(first)
    assert second.id == "7"


BAD_LINES = {
    b'{"id": "x", "text": ': "not JSON",
    b"[1]": "a JSON list, expected an object",
    b'{"id": "x"}': r"\(id 'x'\): no 'text', where the text is looked for$",
    b'{"text": "x"}': "no 'id'",
    b'{"id": "x", "text": null}': "text is empty, expected a string",
    b'{"id": "x", "text": 5}': "text is int, expected a string",
    b'{"id": "", "text": "x"}': "id is ''",
    b'{"id": true, "text": "x"}': "id is True",
    b'{"id": "x", "text": "\xff"}': "invalid UTF-8 at byte 21 of the line",
    b"[" * 100_000: "not JSON",
    b'{"id": "x", "n": ' + b"9" * 5000 + b', "text": "x"}': "not JSON",
    b'{"id": "x", "text": "' + b"a" * 300_000 + b'"}': "is larger than 200000 bytes; raise --max-bytes",
    b'{"id": "good", "text": "x"}': r"\(id 'good'\): id 'good' already stands at .*a.jsonl:1",
}


@pytest.mark.parametrize(("line", "message"), BAD_LINES.items(), ids=range(len(BAD_LINES)))
def test_a_bad_line_is_a_reject_and_its_neighbours_are_read(line: bytes, message: str, tmp_path: Path):
    good = b'{"id": "good", "text": "x"}\n'
    (tmp_path / "a.jsonl").write_bytes(good + line + b"\n" + good.replace(b"good", b"next"))
    items = rows(tmp_path / "a.jsonl", reading=Reading(max_bytes=200_000))
    assert [type(item) for item in items] == [Row, Reject, Row]
    assert (items[0].id, items[2].id, items[2].line) == ("good", "next", 3)
    assert re.search(rf"a\.jsonl:2.*{message}", str(items[1]))


def test_bad_rows_of_tables(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(b'id,text\n1,a\n2\n3,b,c\n\n4,"d\n5,e\n' + b"6," + b"x" * 900 + b'\n7,f"g\n8,h\n')
    items = rows(tmp_path / "a.csv", reading=Reading(max_bytes=500))
    assert pairs(items) == [("1", "a"), ("7", 'f"g'), ("8", "h")]
    named = "\n".join(rejects(items))
    assert "a.csv:3: has 1 fields, the header 2" in named
    assert "a.csv:4: has 3 fields" in named
    assert "a.csv:6: lines 6 to 8: is larger than 500 bytes" in named
    (tmp_path / "open.csv").write_bytes(b'id,text\n1,a\n2,"never closed\n3,b\n')
    items = rows(tmp_path / "open.csv")
    assert pairs(items) == [("1", "a")]
    assert "lines 3 to 4: not CSV" in rejects(items)[0]
    bad = pa.array([b"\xff", b"good", None, b"x" * 600], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"id": ["1", "2", "3", "4"], "text": bad}), tmp_path / "a.parquet")
    items = rows(tmp_path / "a.parquet", reading=Reading(max_bytes=500))
    assert pairs(items) == [("2", "good")]
    assert [item.line for item in items if isinstance(item, Reject)] == [1, 3, 4]


def test_a_broken_file_is_a_reject_and_the_next_file_is_read(tmp_path: Path):
    lines = b"".join(b'{"id": "%d", "text": "%d"}\n' % (number, number**7) for number in range(20_000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines)[:-5000])
    (tmp_path / "b.jsonl.zst").write_bytes(zstd(lines.replace(b'"id": "', b'"id": "b'))[:-5000])
    (tmp_path / "c.jsonl.xz").write_bytes(b"no xz at all")
    (tmp_path / "d.jsonl").write_bytes(b'{"id": "last", "text": "x"}\n')
    items = rows(tmp_path)
    named = rejects(items)
    assert len(named) == 3
    for name, one in zip("abc", named, strict=True):
        assert re.search(rf"{name}\.jsonl\.\w+:\d+: is broken behind this line", one)
    assert pairs(items)[-1] == ("last", "x")
    assert len(pairs(items)) > 1000


def test_an_empty_file_among_others_is_named(tmp_path: Path):
    for name in ("a.jsonl", "b.txt", "c.csv"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d.txt").write_text("خبر", encoding="utf-8")
    items = rows(tmp_path)
    assert [item.reason for item in items if isinstance(item, Reject)] == ["holds no report"] * 3
    assert pairs(items) == [("d", "خبر")]


def test_what_is_no_table_is_an_error_at_once(tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(MarsadError, match="is no Parquet file"):
        rows(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("id,text,id\n1,a,2\n")
    with pytest.raises(MarsadError, match="has the column 'id' twice"):
        rows(tmp_path / "a.csv")


def test_types_of_carried_columns(tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(as_parquet(n=[1, 2, 3, 4]))
    (tmp_path / "b.csv").write_bytes(as_csv())
    every = Reading(carry=None)
    assert column_types(list_sources([str(tmp_path / "a.parquet")], every), every) == {"n": pa.int64()}
    (tmp_path / "c.csv").write_text("id,text,n\n9,a,1\n")
    with pytest.raises(MarsadError, match=r"c\.csv: the column 'n' is string, before int64"):
        column_types(list_sources([str(tmp_path / "a.parquet"), str(tmp_path / "c.csv")], every), every)
    (tmp_path / "d.jsonl").write_bytes(as_jsonl())
    with pytest.raises(MarsadError, match=r"d\.jsonl: which columns"):
        column_types(list_sources([str(tmp_path / "d.jsonl")], every), every)


def test_a_line_of_a_hundred_megabytes_is_never_held(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"id": "a", "text": "')
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n{"id": "b", "text": "x"}\n')
    tracemalloc.start()
    items = rows(path, reading=Reading(max_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(item) for item in items] == [Reject, Row]
    assert peak < 16 << 20


def test_ids_are_told_apart_in_little_memory():
    seen = SeenIds()
    count = 200_000
    tracemalloc.start()
    assert all(seen.add(f"id-{number}", 3, number + 1) is None for number in range(count))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < count * 100
    assert [seen.add(f"id-{number}", 9, 9) for number in (0, 77_777, count - 1)] == [(3, 1), (3, 77_778), (3, count)]


# --- files that can't be reached, and files within folders -----------------------------------------------------


def test_a_folder_that_cannot_be_looked_into_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "locked").mkdir(parents=True)
    (tmp_path / "in" / "a.jsonl").write_bytes(as_jsonl())
    scan = os.scandir

    def refused(path: Any) -> Any:  # as it is for anybody but root
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(MarsadError, match=r"locked: can't be read \(Permission denied\)"):
        list_sources([str(tmp_path / "in")], Reading())


def test_a_text_in_place_of_a_file_is_one_line() -> None:
    with pytest.raises(MarsadError, match=r"…: can't be read \(File name too long\)") as refused:
        list_sources(["قتل طفلين في حلب " * 40], Reading())
    assert len(str(refused.value)) < 200


def test_a_broken_page_of_parquet_loses_the_rest_of_the_file_by_name(tmp_path: Path) -> None:
    table = pa.table({"id": [f"p{at}" for at in range(4000)], "text": [f"قصف {at}" * 5 for at in range(4000)]})
    path = tmp_path / "broken.parquet"
    pq.write_table(table, path, row_group_size=1000, compression="snappy")
    content = bytearray(path.read_bytes())
    begin = pq.ParquetFile(path).metadata.row_group(2).column(1).data_page_offset + 60
    content[begin : begin + 400] = b"\xff" * 400
    path.write_bytes(bytes(content))
    (tmp_path / "sound.jsonl").write_bytes(as_jsonl())
    items = rows(path, tmp_path / "sound.jsonl")
    assert len(pairs(items)) >= 1000 + len(REPORTS) and pairs(items)[-1][0] == REPORTS[-1][0]
    [broken] = rejects(items)
    assert "broken.parquet" in broken and "is broken behind this line" in broken


def test_bytes_of_a_fixed_width_are_carried_as_bytes(tmp_path: Path) -> None:
    column = pa.array([bytes([0xFF, 0, 1, 2])] * len(REPORTS), pa.binary(4))
    (tmp_path / "in.parquet").write_bytes(as_parquet(u=column))
    items = rows(tmp_path / "in.parquet", reading=Reading(carry=("u",)))
    assert not rejects(items)
    assert [item.columns["u"] for item in items if isinstance(item, Row)] == column.to_pylist()


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_the_inputs_own_ids_are_carried_beside_made_ones(kind: str, tmp_path: Path) -> None:
    content = {"jsonl": as_jsonl, "csv": as_csv, "parquet": as_parquet}[kind]()
    (tmp_path / f"in.{kind}").write_bytes(content)
    items = rows(tmp_path / f"in.{kind}", reading=Reading(line_ids=True, carry=None))
    assert [item.columns["id"] for item in items if isinstance(item, Row)] == [name for name, _ in REPORTS]


def test_headers_are_looked_at_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(as_csv())
    (tmp_path / "b.csv").write_bytes(as_csv(";"))
    (tmp_path / "c.jsonl").write_text("no JSON at all")
    sources = list_sources([str(tmp_path)], Reading())
    with pytest.raises(MarsadError, match=r"b\.csv: has no column 'text'.* then say --delimiter ';'"):
        check_tables(sources, Reading())
    check_tables([source for source in sources if "b.csv" not in source.path], Reading())


def test_a_json_list_is_told_how_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('[{"id": "a", "text": "ب"}]')
    assert "write one object a line" in rejects(rows(tmp_path / "a.jsonl"))[0]
