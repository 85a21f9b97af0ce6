"""The search for a recipe: resumed where it was killed, judged on dev, every mistake named; and docs/recipe.md."""

import csv
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
import yaml
from conftest import ROOT
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from marsad.cli import main
from marsad.config import Config, apply_values, load_config
from marsad.errors import MarsadError
from marsad.modeling import search as search_module
from marsad.modeling.search import SearchRange, _write, load_search, search
from marsad.modeling.training import train

SPACE = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "training.layer_decay": {"choices": [None, 0.8]},
    "training.epochs": {"low": 1, "high": 2},
}


def write_search(folder: Path, write_tiny_config: Callable[..., Path], **values: Any) -> Path:
    base = folder / "base.yaml"
    if not base.exists():
        write_tiny_config(base)
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump({"base": str(base), "trials": 3, "seed": 5, "space": SPACE} | values))
    return path


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_search_goes_on_where_it_was_killed(
    write_tiny_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_search(tmp_path, write_tiny_config)
    whole = search(path, tmp_path / "whole")
    rows = rows_of(tmp_path / "whole")
    assert [row["state"] for row in rows] == ["complete"] * 3
    assert sorted(row["trial"] for row in rows) == ["1", "2", "3"]
    f1s = [float(row["dev_f1"]) for row in rows]
    assert f1s == sorted(f1s, reverse=True) and f1s[0] > f1s[-1]
    assert len({row["training.learning_rate"] for row in rows}) == 3

    # best.yaml is a whole config that gives what the table says.
    best = load_config(whole.best, [f"output={tmp_path / 'again'}"])
    assert best.training.learning_rate == pytest.approx(float(rows[0]["training.learning_rate"]), rel=1e-3)
    assert f"{train(best).dev.overall.f1:.4f}" == rows[0]["dev_f1"]
    assert {one.name for one in (tmp_path / "whole").iterdir()} == {
        "best.yaml",
        "journal.log",
        "search.json",
        "trials.tsv",
    }

    # Killed before its second training, and then between a training and its entry in the journal.
    broken = tmp_path / "broken"
    runs: list[int] = []

    def break_off(after: bool) -> Callable[..., Any]:
        def run(*given: Any, **more: Any) -> Any:
            runs.append(1)
            result = train(*given, **more) if after or len(runs) == 1 else None
            if len(runs) > 1:
                raise KeyboardInterrupt
            return result

        return run

    for after in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(search_module, "train", break_off(after))
            with pytest.raises(KeyboardInterrupt):
                search(path, broken)
    search(path, broken)
    assert rows_of(broken) == rows
    assert (broken / "best.yaml").read_bytes() == whole.best.read_bytes()

    more = write_search(tmp_path, write_tiny_config, trials=4)
    search(more, broken)
    assert len(rows_of(broken)) == 4
    assert [row for row in rows_of(broken) if row["trial"] != "4"] == rows
    with pytest.raises(MarsadError, match=r"holds another search \(search differ\)"):
        search(write_search(tmp_path, write_tiny_config, seed=6), broken)


def test_what_judges_is_not_varied(write_tiny_config: Callable[..., Path], tmp_path: Path):
    path = write_search(tmp_path, write_tiny_config, space={"data.dev_seed": {"low": 1, "high": 9}})
    with pytest.raises(MarsadError, match=r"search\.yaml: space: data\.dev_seed: .* can't be varied"):
        search(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_trials_that_fall_behind_are_ended(write_tiny_config: Callable[..., Path], tmp_path: Path):
    # The fourth cannot be above the median of equal ones unless it learns; with no learning rate it does not.
    space = {
        "training.learning_rate": {"choices": [5e-3, 1e-9]},
        "training.head_learning_rate": {"choices": [1e-2, 1e-9]},
    }
    path = write_search(tmp_path, write_tiny_config, space=space, trials=7, prune_after=2)
    search(path, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    states = {row["state"] for row in rows}
    assert states == {"complete", "pruned"}
    assert all(float(row["dev_f1"]) < float(rows[0]["dev_f1"]) for row in rows if row["state"] == "pruned")


def test_a_trial_that_was_ended_is_never_the_best(write_tiny_config: Callable[..., Path], tmp_path: Path):
    # Thresholds may cost a whole trial dev F1 in the end, which one that was ended did not come to.
    study = optuna.create_study(direction="maximize")
    space = {"training.epochs": IntDistribution(1, 9)}
    for epochs, state, value, last in ((3, "COMPLETE", 0.7, 0.86), (4, "PRUNED", None, 0.8)):
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[state],
                value=value,
                params={"training.epochs": epochs},
                distributions=space,
                intermediate_values={1: 0.5, 2: last},
            )
        )
    base = load_config(write_tiny_config(tmp_path / "c.yaml"))
    rows = _write(study, base, tmp_path / "search.yaml", tmp_path)
    assert [(row["state"], row["dev_f1"]) for row in rows] == [("complete", "0.7000"), ("pruned", "0.8000")]
    assert load_config(tmp_path / "best.yaml").training.epochs == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"space": {"training.epoch": {"choices": [1]}}}, r"space: .*did you mean 'training\.epochs'\?"),
        (
            {"space": {"training.epochs": {"low": 0, "high": 3}}},
            r"space: training\.epochs: .*greater than or equal to 1",
        ),
        ({"space": {"training.epochs": {"choices": [1], "low": 1}}}, "choices stand alone"),
        ({"space": {"training.epochs": {"low": 1}}}, "expected choices, or low and high"),
        ({"space": {"training.epochs": {"low": 3, "high": 1}}}, "expected low <= high"),
        ({"space": {}}, "space: "),
        ({"trials": 0}, "trials: "),
        ({"tries": 3}, "did you mean 'trials'"),
        ({"base": "none.yaml"}, r"none\.yaml: no such config file"),
    ],
)
def test_mistakes_are_named(
    write_tiny_config: Callable[..., Path], tmp_path: Path, values: dict[str, Any], message: str
):
    with pytest.raises(MarsadError, match=message) as refused:
        search(write_search(tmp_path, write_tiny_config, **values), tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_settings_that_do_not_go_together_cost_one_trial(
    write_tiny_config: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    space = {
        "training.epochs": {"choices": [1]},
        "training.batch_size": {"choices": [4, 8]},
        "training.gradient_accumulation": {"choices": [1, 8]},
    }
    path = write_search(tmp_path, write_tiny_config, space=space, trials=8, seed=5)
    search(path, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    failed = {
        (row["training.batch_size"], row["training.gradient_accumulation"]) for row in rows if row["state"] == "fail"
    }
    assert failed == {("4", "8")}
    assert rows[0]["state"] == "complete" and rows[-1]["state"] == "fail"
    assert "batch_size 4 can't be shared out" in caplog.text
    assert not list((tmp_path / "out").glob("trial-*"))


def test_a_trial_that_runs_out_of_memory_is_over(
    write_tiny_config: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    def short(config: Config, *args: Any, **kwargs: Any) -> Any:
        if config.training.batch_size == 8:
            raise torch.OutOfMemoryError("out of memory")
        return train(config, *args, **kwargs)

    monkeypatch.setattr("marsad.modeling.search.train", short)
    space = {"training.epochs": {"choices": [1]}, "training.batch_size": {"choices": [4, 8]}}
    path = write_search(tmp_path, write_tiny_config, space=space, trials=5, seed=5)
    for _ in range(6):
        try:
            search(path, tmp_path / "out")
        except MarsadError as error:
            assert "out of memory" in str(error)
        else:
            break
    states = {(row["training.batch_size"], row["state"]) for row in rows_of(tmp_path / "out")}
    assert states == {("4", "complete"), ("8", "fail")}


def test_a_search_in_which_nothing_can_be_trained_stops(write_tiny_config: Callable[..., Path], tmp_path: Path):
    path = write_search(tmp_path, write_tiny_config, space={"model.layers": {"choices": [40]}}, trials=2)
    for _ in range(2):
        with pytest.raises(MarsadError, match=r"model\.layers is 40"):
            search(path, tmp_path / "out")
    with pytest.raises(MarsadError, match="none of the 2 trials could be trained"):
        search(path, tmp_path / "out")


def test_a_missing_optuna_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["search", str(ROOT / "configs" / "search.yaml"), "--output", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'marsad[search]'" in line


def test_what_may_be_tried():
    assert SearchRange(low=1, high=3).distribution() == IntDistribution(1, 3)
    assert SearchRange(low=1e-5, high=1, log=True).distribution() == FloatDistribution(1e-5, 1.0, log=True)
    assert SearchRange(choices=(None, 0.5)).distribution() == CategoricalDistribution((None, 0.5))


def test_the_shipped_search_fits_its_base():
    shipped = load_search(ROOT / "configs" / "search.yaml")
    base = load_config(ROOT / shipped.base)
    for key, one in shipped.space.items():
        for value in one.choices or (one.low, one.high):
            assert apply_values(base, {key: value}) is not None


def test_the_commands_of_the_page_run(
    write_tiny_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    write_tiny_config(tmp_path / "configs" / "marsad.yaml", training={"epochs": 1})
    shutil.copy(ROOT / "configs" / "search.yaml", tmp_path / "configs")
    shown = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)[0])
    (tmp_path / "configs" / "search.yaml").write_text(yaml.safe_dump(shown | {"trials": 1}))
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert main(arguments if program == "marsad" else ["train", *arguments[1:]]) == 0, line
    assert (tmp_path / "models" / "better" / "marsad.json").is_file()
