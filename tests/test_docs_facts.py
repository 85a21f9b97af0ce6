"""Each command in docs/facts.md is run as it stands there."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from conftest import ROOT, write_jsonl

from marsad.cli import main
from marsad.documents import Entity
from marsad.facts.facts import CASUALTY_COLUMNS

PAGE = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in block.splitlines()
]
TEXT = "قصفت قوات النظام منازل في حلب أمس الأحد مما أدى إلى مقتل 3 مدنيين."


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "marsad").symlink_to(tiny_model)
    (tmp_path / "report.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "places.tsv").write_text("name\tid\nحلب\tmine\n", encoding="utf-8")
    table = (ROOT / "marsad" / "facts" / "rules" / "actors.yaml").read_text(encoding="utf-8")
    (tmp_path / "actors.yaml").write_text(table, encoding="utf-8")
    write_jsonl(tmp_path / "reports.jsonl", [{"id": "a", "text": TEXT, "published": "2016-02-15"}])
    start = TEXT.index("3")
    value = {"low": 3, "high": 3, "bound": "exact", "outcome": "killed"}
    entity = {"start": start, "end": start + 1, "label": "CASUALTY", "value": value}
    write_jsonl(tmp_path / "gold.jsonl", [{"id": "a", "text": TEXT, "entities": [entity]}])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_runs(project: Path, capsys: pytest.CaptureFixture[str]):
    for program, *arguments in COMMANDS:
        assert program == "marsad"
        assert main(arguments) == 0, arguments
    (line,) = (project / "facts.jsonl").read_text(encoding="utf-8").splitlines()
    record = json.loads(line)
    assert isinstance(record["incidents"], list)
    for entity in record["entities"]:
        assert isinstance(entity["value"], dict)
        assert TEXT[entity["start"] : entity["end"]] == entity["text"]
    content = (project / "casualties.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    header, *rows = csv.reader(content.decode("utf-8-sig").splitlines())
    assert header == ["id", *CASUALTY_COLUMNS]
    assert len(rows) == sum(entity["label"] == "CASUALTY" for entity in record["entities"])


def test_parquet_holds_the_same(project: Path):
    import pyarrow.parquet as pq

    assert main(["predict", "models/marsad", "reports.jsonl", "--facts", "--output", "facts.parquet"]) == 0
    assert main(["predict", "models/marsad", "reports.jsonl", "--facts", "--output", "facts.jsonl"]) == 0
    (row,) = pq.read_table(project / "facts.parquet").to_pylist()
    record = json.loads((project / "facts.jsonl").read_text(encoding="utf-8"))
    assert json.loads(row["incidents"]) == record["incidents"]
    assert [json.loads(one["value"]) for one in row["entities"]] == [one["value"] for one in record["entities"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--published", "2016-02-15"], "add --facts"),
        (["--facts", "--published", "15/2/2016"], "--published is '15/2/2016', expected YYYY-MM-DD"),
        (["--facts", "--gazetteer", "none.tsv"], "none.tsv: no such file"),
        (["--facts", "--actors", "report.txt"], "report.txt: the file"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, project: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["predict", "models/marsad", "report.txt", "--output", "out.jsonl", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (project / "out.jsonl").exists()


def test_a_report_with_a_bad_day_is_rejected(project: Path):
    records = [{"id": "a", "text": TEXT, "published": "gestern"}, {"id": "b", "text": TEXT, "published": None}]
    write_jsonl(project / "reports.jsonl", records)
    assert main(["predict", "models/marsad", "reports.jsonl", "--facts", "--output", "out.jsonl"]) == 3
    assert "published is 'gestern'" in (project / "out.jsonl.rejects.jsonl").read_text(encoding="utf-8")
    assert main(["predict", "models/marsad", "reports.jsonl", "--output", "plain.jsonl"]) == 0, "else it is not read"


def test_the_python_of_the_page_runs(project: Path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(code, {"text": TEXT, "published": None})


def test_keys_of_the_page_are_those_of_the_values():
    from marsad.documents import Document
    from marsad.facts.facts import FactTables, read_facts

    entities = [
        Entity(TEXT.index(one), TEXT.index(one) + len(one), label)
        for one, label in (("قوات النظام", "ACTOR"), ("حلب", "LOCATION"), ("أمس الأحد", "DATE"), ("3", "CASUALTY"))
    ]
    for value in read_facts(Document("r", TEXT), entities, FactTables.load()).value_records():
        assert value is not None
        for key in value:
            assert f"`{key}`" in PAGE or f'"{key}"' in PAGE, key
