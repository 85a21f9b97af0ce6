"""Damaged files: everything wrong is listed, nothing sound is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marsad.annotations.damaged import read_damaged
from marsad.annotations.jsonl import read_documents
from marsad.errors import MarsadError

TEXT = "قصف سرمين أمس"
SOUND = {"id": "a", "text": TEXT, "entities": [{"start": 4, "end": 9, "label": "LOCATION"}]}


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def span(start: Any, end: Any, label: Any = "LOCATION") -> dict[str, Any]:
    return {"start": start, "end": end, "label": label}


def test_a_sound_file_reads_as_the_strict_reader_reads_it(corpus: Path):
    paths = [corpus / "train.jsonl", corpus / "dev.jsonl"]
    files, problems = read_damaged(paths)
    assert files == [read_documents(path) for path in paths]
    assert problems == []


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("{", "unreadable line", "not JSON"),
        ("[1]", "unreadable line", "a JSON list"),
        ({"id": "b"}, "report without a text", "text is None"),
        ({"text": TEXT, "entities": []}, "report without an id", "id is None"),
        ({"id": 7, "text": TEXT, "entities": []}, "report without an id", "id is 7"),
        (SOUND, "id stands twice", "id 'a' already stands at"),
        ({"id": "b", "text": TEXT, "entities": [], "published": "4 May"}, "broken field", "published is '4 May'"),
        ({"id": "b", "text": TEXT, "entities": [], "source": 3}, "broken field", "source is 3"),
        ({"id": "b", "text": TEXT}, "report that was never annotated", "no 'entities'"),
        ({"id": "b", "text": TEXT, "entities": {}}, "broken field", "entities is a dict"),
        ({"id": "b", "text": TEXT, "entities": [span("4", 9)]}, "broken entity", "entity start is '4'"),
        ({"id": "b", "text": TEXT, "entities": [{"start": 4}]}, "broken entity", "has no 'end'"),
        ({"id": "b", "text": TEXT, "entities": [span(9, 4)]}, "broken entity", "empty or negative"),
        ({"id": "b", "text": TEXT, "entities": [span(4, 90)]}, "span outside the text", "[4, 90) LOCATION"),
        (
            {"id": "b", "text": TEXT, "entities": [span(6, 13, "DATE"), span(4, 9)]},
            "overlapping spans",
            "[4, 9) LOCATION 'سرمين' and [6, 13) DATE 'مين أمس'",
        ),
    ],
)
def test_each_problem_is_named_with_its_line_and_the_other_reports_stay(
    tmp_path: Path, line: dict[str, Any] | str, kind: str, message: str
):
    path = write(tmp_path / "new.jsonl", SOUND, line, {**SOUND, "id": "c"})
    (documents,), (problem,) = read_damaged([path])
    assert (problem.kind, problem.where.split(" ")[0]) == (kind, f"{path}:2")
    assert message in problem.message
    assert {"a", "c"} <= {document.id for document in documents}


def test_all_problems_of_a_file_are_listed_and_sound_entities_kept(tmp_path: Path):
    spans = [span(0, 3, "ACTOR"), span(2, 5), span(4, 9), span(-1, 2), span(10, 13, "DATE"), span(10, 99)]
    path = write(tmp_path / "new.jsonl", "{", {**SOUND, "entities": spans}, "", "null")
    path.write_bytes(path.read_bytes() + b"\xff\xfe\n")
    (documents,), problems = read_damaged([path])
    assert [problem.kind for problem in problems] == [
        "unreadable line",
        "broken entity",
        "span outside the text",
        "overlapping spans",
        "unreadable line",
        "unreadable line",
    ]
    assert [(one.start, one.end) for one in documents[0].entities] == [(0, 3), (4, 9), (10, 13)]


def test_a_byte_order_mark_and_carriage_returns_are_no_damage(tmp_path: Path):
    path = write(tmp_path / "new.jsonl", SOUND, {**SOUND, "id": "b"})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    files, problems = read_damaged([path])
    assert len(files[0]) == 2 and problems == []


def test_a_file_without_a_line_and_a_missing_one_are_errors(tmp_path: Path):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(MarsadError, match=r"empty\.jsonl: holds no report"):
        read_damaged([tmp_path / "empty.jsonl"])
    with pytest.raises(MarsadError, match="no such file"):
        read_damaged([tmp_path / "none.jsonl"])


SCALARS = st.none() | st.booleans() | st.integers(-3, 20) | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
ENTITIES = st.lists(st.fixed_dictionaries({"start": SCALARS, "end": SCALARS, "label": SCALARS}) | VALUES, max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"id": VALUES, "text": VALUES, "published": VALUES, "source": VALUES, "entities": ENTITIES}
        )
        | VALUES,
        min_size=1,
        max_size=4,
    )
)
def test_whatever_the_lines_hold_they_are_read_or_listed(tmp_path: Path, lines: list[Any]):
    path = tmp_path / "any.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (documents,), problems = read_damaged([path])
    left_out = [one for one in problems if one.kind in {"unreadable line", "report without a text"}]
    assert len(documents) + len(left_out) == len(lines)
    if not problems:
        assert read_documents(path) == documents
    else:
        with pytest.raises(MarsadError):
            read_documents(path)
