"""The commands of docs/retrain.md, run as they stand there in a small project."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from marsad.annotations.jsonl import read_documents, write_documents
from marsad.modeling.artifacts import read_manifest

PAGE = (ROOT / "docs" / "retrain.md").read_text(encoding="utf-8")


def commands(number: int) -> list[list[str]]:
    """The shell lines of the page's ``number``-th block."""
    block = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)[number]
    return [shlex.split(line) for line in block.splitlines()]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "marsad"] if words[0] == "marsad" else [sys.executable]
    return subprocess.run([*program, *words[1:]], cwd=folder, text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, corpus: Path, write_tiny_config: Callable[..., Path]) -> Path:
    """A project as a clone has it, with a tiny config and corpus."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("configs", "data"):
        (folder / name).mkdir()
    data = {name: f"data/{name}.jsonl" for name in ("train", "dev")}
    write_tiny_config(folder / "configs" / "marsad.yaml", data=data)
    (folder / "configs" / "gate.yaml").write_text("minimum: {f1: 0.1}\nmaximum_drop: {f1: 0.9}\n")
    seen: set[str] = set()
    for name in ("test", "dev", "train"):  # the synthetic reports are short enough to be equal now and then
        documents = [one for one in read_documents(corpus / f"{name}.jsonl") if one.text not in seen]
        write_documents(documents, folder / "data" / f"{name}.jsonl")
        seen |= {one.text for one in documents}
    export = commands(0)[0][3]
    (folder / export).parent.mkdir(parents=True)
    shutil.copy(ROOT / export, folder / export)
    shutil.copy(ROOT / "train.py", folder)
    return folder


def test_from_an_export_to_a_promoted_model(project: Path) -> None:
    before = {name: read_documents(project / "data" / f"{name}.jsonl") for name in ("train", "dev", "test")}
    take, split, train, promote = commands(0)
    done = run(take, project)
    assert done.returncode in {0, 3}, done.stderr
    new = read_documents(project / "out" / "new.jsonl")
    rejects = project / "out" / "rejects.jsonl"
    assert (done.returncode == 3) == rejects.exists()
    assert new

    assert run(split, project).returncode == 0
    after = {name: read_documents(project / "data" / f"{name}.jsonl") for name in ("train", "dev", "test")}
    for name, documents in before.items():
        assert {one.id for one in documents} <= {one.id for one in after[name]}
    assert sum(map(len, after.values())) == sum(map(len, before.values())) + len(new)

    assert run(train, project).returncode == 0
    done = run(promote, project)
    assert done.returncode == 0, done.stderr
    assert "promoted: models/current is now models/new (the first)" in done.stdout
    first = read_manifest(project / "models" / "current").fingerprint
    assert first == read_manifest(project / "models" / "new").fingerprint
    assert {path.name for path in (project / "out" / "promotion").iterdir()} == {
        "report.html",
        "report.json",
        "report.md",
    }

    # And again, going on from it.
    audit, [go_on], [rollback] = commands(1)[0], commands(2), commands(3)
    assert run(audit, project).returncode == 0
    assert (project / "out" / "audit" / "audit.html").is_file()
    assert "holds another run" in run(go_on, project).stderr
    shutil.rmtree(project / "models" / "new")
    done = run(go_on, project)
    assert done.returncode == 0 and "head rows kept: O, ACTOR, LOCATION, DATE, CASUALTY" in done.stderr
    assert run(promote, project).returncode == 0
    assert read_manifest(project / "models" / "current").fingerprint != first
    assert run(rollback, project).returncode == 0
    assert read_manifest(project / "models" / "current").fingerprint == first
    history = (project / "models" / "HISTORY.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["action"] for line in history] == ["promote", "promote", "rollback"]


def test_a_model_that_fails_the_gate_exits_with_3(project: Path) -> None:
    gate = project / "strict.yaml"
    gate.write_text("minimum: {f1: 1.0, by_type: {ACTOR: 1.0}}\n")
    shutil.rmtree(project / "models" / "other", ignore_errors=True)
    arguments = ["train.py", "configs/marsad.yaml", "output=models/other", "training.epochs=1", "training.seed=5"]
    assert run(["python", *arguments, "training.head_learning_rate=1e-9"], project).returncode == 0
    done = run(["marsad", "promote", "models/other", "--gate", "strict.yaml"], project)
    assert done.returncode == 3
    assert "minimum.f1: F1 is" in done.stdout and "not promoted; models/current stays as it is" in done.stdout
    missing = run(["marsad", "promote", "models/none"], project)
    assert missing.returncode == 2 and missing.stderr.startswith("marsad: error: models/none: no such model folder")
    assert len(missing.stderr.splitlines()) == 1
