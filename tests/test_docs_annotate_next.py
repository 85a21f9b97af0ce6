"""The commands of docs/annotate-next.md are run as they stand there, on small data."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, synthetic_reports, write_jsonl

from marsad.cli import main

PAGE = (ROOT / "docs" / "annotate-next.md").read_text(encoding="utf-8")


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_tiny_config: Callable[..., Path], tiny_model: Path
) -> Path:
    for name in ("configs", "data", "models"):
        (tmp_path / name).mkdir()
    write_tiny_config(tmp_path / "configs" / "marsad.yaml")
    write_jsonl(tmp_path / "data" / "train.jsonl", synthetic_reports(20, seed=5))
    (tmp_path / "models" / "current").symlink_to(tiny_model)
    pool = synthetic_reports(10, seed=6, prefix="new-")
    write_jsonl(tmp_path / "pool.jsonl", [{key: one[key] for key in ("id", "text")} for one in pool])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_page_run(project: Path):
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    errors, queue = (shlex.split(line) for block in blocks for line in block.splitlines())
    assert (errors[:2], queue[:2]) == (["marsad", "errors"], ["marsad", "queue"])
    assert main(errors[1:]) == 0
    assert json.loads((project / "out/errors/errors.json").read_text(encoding="utf-8"))["epochs"] == 3
    assert (project / "out/errors/errors.html").is_file()
    shutil.rmtree(project / "out")
    assert main(queue[1:]) == 0
    tasks = json.loads((project / "tasks.json").read_text(encoding="utf-8"))
    assert 0 < len(tasks) <= 10
    assert all(task["predictions"] for task in tasks)


def test_every_option_that_the_page_names_exists(capsys: pytest.CaptureFixture[str]):
    known = set()
    for command in ("errors", "queue"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        known |= set(re.findall(r"--[a-z]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z]+", PAGE)) <= known
