"""Each command in docs/formats.md is run as it stands there."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import ROOT

from marsad.annotations.jsonl import read_documents
from marsad.cli import main

PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
SECTIONS = {section.split("\n", 1)[0]: section for section in PAGE.split("\n## ")[1:]}


def commands(section: str) -> list[list[str]]:
    """The shell lines of a section, comments left out."""
    blocks = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    lines = (ROOT / "data" / "dev.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:8]
    (tmp_path / "data" / "dev.jsonl").write_text("".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [name for name in SECTIONS if name != "Import"])
def test_commands_of_a_format_run_and_bring_everything_back(name: str, project: Path):
    given = commands(SECTIONS[name])
    assert {words[1] for words in given} == {"export", "import"}
    for program, *arguments in given:
        assert program == "marsad"
        assert main(arguments) == 0
    assert read_documents("data/new.jsonl") == read_documents("data/dev.jsonl")


def test_the_mapping_of_the_page_works(project: Path):
    (mapping,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (project / "map.yaml").write_text(mapping, encoding="utf-8")
    rows = "قوات B-ORG\nالنظام I-ORG\nفي O\nحلب B-LOC\n\nالألعاب B-MISC\n"
    (project / "wikinews.conll").write_text(rows, encoding="utf-8")
    ((program, *arguments),) = commands(SECTIONS["Import"])
    assert program == "marsad"
    assert main(arguments) == 0
    found = [[one.label for one in document.entities] for document in read_documents("data/wikinews.jsonl")]
    assert found == [["ACTOR", "LOCATION"], []]


def test_the_conll_of_the_page_is_what_is_written(project: Path):
    (shown,) = re.findall(r"```\n(-DOCSTART-.*?)```", PAGE, flags=re.DOTALL)
    (project / "shown.conll").write_text(shown, encoding="utf-8")
    assert main(["import", "conll", "shown.conll", "--output", "a.jsonl"]) == 0
    assert main(["export", "conll", "a.jsonl", "--output", "again.conll"]) == 0
    assert (project / "again.conll").read_text(encoding="utf-8").strip() == shown.strip()
