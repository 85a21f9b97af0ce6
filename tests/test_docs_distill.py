"""The commands of docs/distill.md, run as they stand there in a small project."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, synthetic_reports, write_jsonl

from marsad.modeling.artifacts import read_manifest

PAGE = (ROOT / "docs" / "distill.md").read_text(encoding="utf-8")


def commands(number: int) -> list[list[str]]:
    """The shell lines of the page's ``number``-th block."""
    block = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)[number]
    return [shlex.split(line) for line in block.splitlines()]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "marsad"] if words[0] == "marsad" else [sys.executable]
    return subprocess.run([*program, *words[1:]], cwd=folder, text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, corpus: Path, tiny_model: Path, write_tiny_config: Callable[..., Path]
) -> Path:
    """A project as a clone has it, with tiny configs and corpus, and an archive."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("configs", "data", "archive"):
        (folder / name).mkdir()
    for name in ("train", "dev"):
        shutil.copy(corpus / f"{name}.jsonl", folder / "data")
    shutil.copy(ROOT / "train.py", folder)
    data = {name: f"data/{name}.jsonl" for name in ("train", "dev")}
    shutil.copytree(tiny_model, folder / "models" / "marsad")
    shipped = yaml.safe_load((ROOT / "configs" / "student.yaml").read_text(encoding="utf-8"))
    model = {key: shipped["model"][key] for key in ("teacher", "init_from")} | {"layers": 1}
    write_tiny_config(
        folder / "configs" / "student.yaml",
        data=data,
        model=model,
        distillation=shipped["distillation"],
        output=f"models/{shipped['name']}",
        training={"epochs": 1},
    )
    write_tiny_config(folder / "configs" / "marsad.yaml", data=data, training={"epochs": 1})
    write_jsonl(folder / "archive" / "old.jsonl", [{"text": one["text"]} for one in synthetic_reports(40, seed=51)])
    return folder


def test_a_student_is_trained_judged_and_exported(project: Path) -> None:
    student, evaluate, export = commands(0)
    done = run(student, project)
    assert done.returncode == 0, done.stderr
    assert "teacher: read 80 reports" in done.stderr
    done = run(evaluate, project)
    assert done.returncode == 0, done.stderr
    assert (project / "out" / "student" / "report.html").is_file()
    done = run(export, project)
    assert done.returncode in {0, 3}, done.stderr  # 3: int8 lost more than it may
    assert (project / "models" / "student" / "model.int8.onnx").is_file()
    manifest = read_manifest(project / "models" / "student")
    teacher = read_manifest(project / "models" / "marsad").fingerprint
    assert manifest.teacher == {"models": {"models/marsad": teacher}, "unlabelled": None}
    settings = json.loads((project / "models" / "student" / "config.json").read_text(encoding="utf-8"))
    assert settings["num_hidden_layers"] == 1

    [taught] = commands(1)
    done = run(taught, project)
    assert done.returncode == 0, done.stderr
    assert "teacher: read 120 reports" in done.stderr
    counts = json.loads((project / "models" / "taught" / "metrics.json").read_text(encoding="utf-8"))["distillation"]
    assert counts["unlabelled"]["reports"] == 40


def test_a_model_teaches_one_of_its_own_size(project: Path) -> None:
    train, evaluate = commands(2)
    done = run(train, project)
    assert done.returncode == 0, done.stderr
    assert "teacher: read 120 reports" in done.stderr
    done = run(evaluate, project)
    assert done.returncode == 0, done.stderr
    assert "against models/marsad" in done.stdout
