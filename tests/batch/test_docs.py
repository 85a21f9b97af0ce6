"""The commands of docs/batch.md do what stands there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from conftest import ROOT, write_jsonl

from marsad.cli import _parser, main

DOC = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")


def commands(language: str) -> list[list[str]]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", DOC, flags=re.DOTALL | re.MULTILINE)
    lines = [line for name, text in blocks if name == language for line in text.splitlines()]
    return [shlex.split(line.split("marsad predict ", 1)[1].rstrip("'")) for line in lines if "marsad predict " in line]


def test_commands_run_in_order(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    records = [{"id": name, "text": f"قتل {name} مدنيين في حلب"} for name in "123"]
    for folder in ("models", "reports", "old"):
        (tmp_path / folder).mkdir()
    (tmp_path / "models" / "marsad").symlink_to(tiny_model)
    write_jsonl(tmp_path / "reports.jsonl", records)
    write_jsonl(tmp_path / "reports" / "a.jsonl", records)
    write_jsonl(tmp_path / "old" / "b.jsonl", [{"id": "4", "text": "خبر"}])
    (tmp_path / "table.csv").write_text("key,body,source,day\n1,خبر,موقع,2016-05-04\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("خبر\nخبر آخر\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = commands("sh")
    assert len(found) >= 10
    for arguments in found:
        assert main(["predict", *arguments]) == 0, arguments
        summary = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert summary["reports"] >= 1 or summary["status"] == "share"
    outputs = {arguments[arguments.index("--output") + 1] for arguments in found}
    assert {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "out").iterdir()} == {
        *outputs,
        "out/marsad.prom",
    }
    row = json.loads((tmp_path / "out" / "table.jsonl").read_text(encoding="utf-8"))
    assert list(row) == ["id", "source", "published", "entities"]


def test_commands_for_other_places_are_understood():
    found = commands("")
    assert len(found) >= 5
    for arguments in found:
        text = [re.sub(r"\$SLURM_ARRAY_TASK_ID", "3", one) for one in arguments]
        assert _parser().parse_args(["predict", *text]).output
