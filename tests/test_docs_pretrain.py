"""The commands of docs/pretrain.md, run as they stand there in a small project."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, synthetic_reports

from marsad.cli import main
from marsad.modeling.artifacts import read_saved_config

PAGE = (ROOT / "docs" / "pretrain.md").read_text(encoding="utf-8")


def commands(number: int) -> list[list[str]]:
    """The shell lines of the page's ``number``-th block."""
    block = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)[number]
    return [shlex.split(line) for line in block.splitlines()]


def torchrun(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", *words[1:]]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory,
    corpus: Path,
    encoders: dict[str, Path],
    write_tiny_config: Callable[..., Path],
) -> Path:
    """A project as a clone has it, with tiny encoders, few steps and a small archive."""
    import lzma

    folder = tmp_path_factory.mktemp("project")
    (folder / "configs").mkdir()
    shutil.copytree(corpus, folder / "data")
    shutil.copy(ROOT / "train.py", folder)
    data = {name: f"data/{name}.jsonl" for name in ("train", "dev")}
    write_tiny_config(folder / "configs" / "marsad.yaml", data=data, training={"epochs": 1})
    small = {"batch_size": 8, "evaluate_every": 40, "log_every": 20, "checkpoint_every": 30, "loaders": 0}
    for name in ("pretrain-smoke", "pretrain"):
        values: dict[str, Any] = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
        values["model"] = {"encoder": str(encoders["unigram"]), "max_tokens": 48}
        values["training"] |= small | {"tokens": 48 * 8 * 40, "learning_rate": 1e-2}
        values["data"] |= {"held_out": 0.2, "workers": 1}
        values.pop("probe", None)
        (folder / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    lines = [json.dumps({"text": report["text"]}) + "\n" for report in synthetic_reports(80, seed=31)]
    (folder / "archive.jsonl.xz").write_bytes(lzma.compress("".join(lines).encode()))
    return folder


def test_from_an_archive_to_a_model(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    [smoke], [pretrain, resume, train], [two] = (commands(number) for number in range(3))
    monkeypatch.chdir(project)

    def run(words: list[str]) -> str:
        # train.py is `marsad train`; in this process, since each new one takes seconds to import torch.
        assert words[0] == "marsad" or words[:2] == ["python", "train.py"]
        capsys.readouterr()
        assert main(words[1:] if words[0] == "marsad" else ["train", *words[2:]]) == 0
        return capsys.readouterr().out

    with caplog.at_level("INFO", "marsad"):
        out = run(smoke)
    before, after = (float(one.replace(",", "")) for one in re.findall(r"perplexity ([\d,.]+) \(", out))
    assert after < 0.97 * before
    assert "FLOP in all" in caplog.text

    run(pretrain)
    with caplog.at_level("INFO", "marsad"):
        run(resume)
    assert "models/encoder is whole already" in caplog.text
    run(train)
    assert read_saved_config(project / "models" / "new").model.encoder == "models/encoder"
    done = torchrun(two, project)
    assert done.returncode == 0, done.stderr
    one, both = (
        [json.loads(line) for line in (project / "models" / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("encoder", "two")
    )
    assert both[0]["perplexity"] == pytest.approx(one[0]["perplexity"], rel=1e-2)
