"""Averages of weights, of one training or of several: what they are, and that a run broken off goes on with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import TrainerCallback

from marsad.annotations.jsonl import read_documents
from marsad.config import load_config
from marsad.modeling import training as training_module
from marsad.modeling.artifacts import load_network_of, load_tagger
from marsad.modeling.averaging import WeightAverage
from marsad.modeling.training import encode_split, train


def test_it_is_the_moving_average_and_gives_the_weights_back(tmp_path: Path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    average = WeightAverage(network, decay=0.6)
    expected: dict[str, torch.Tensor] = {}
    for step in range(30):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.on_optimizer_step()
        decay = min(0.6, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            before = expected.get(name, tensor)
            expected[name] = decay * before + (1 - decay) * tensor
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with average.applied():
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, expected[name])
            assert not torch.equal(tensor, own[name])
    assert all(torch.equal(tensor, own[name]) for name, tensor in network.state_dict().items())

    average.save(tmp_path)
    other = WeightAverage(network, decay=0.6)
    other.load(tmp_path)
    for one in (average, other):  # the count of steps comes back too, else the first would be a copy
        one.on_optimizer_step()
    average.save(tmp_path)
    again = load_file(tmp_path / "average.safetensors")
    other.save(tmp_path)
    assert all(torch.equal(tensor, again[name]) for name, tensor in load_file(tmp_path / "average.safetensors").items())
    other.adopt()
    assert all(torch.equal(tensor, again[f"module.{name}"]) for name, tensor in network.state_dict().items())


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[..., Path]) -> Path:
    return write_tiny_config(
        tmp_path_factory.mktemp("averaged") / "config.yaml", training={"epochs": 3, "averaging": 0.9, "r_drop": 0.5}
    )


def test_the_average_is_scored_saved_and_resumed(
    averaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = training_module.save_artifacts
    checkpoints: dict[str, Any] = {}

    def listen(folder: Path, network: nn.Module, *given: Any) -> Any:
        for path in folder.parent.glob("checkpoint-*"):
            checkpoints[path.name] = (
                load_file(path / "model.safetensors"),
                load_file(path / "average.safetensors"),
            )
        return save(folder, network, *given)

    with monkeypatch.context() as patch:
        patch.setattr(training_module, "save_artifacts", listen)
        whole = train(load_config(averaged, [f"output={tmp_path / 'whole'}"]))
    saved = load_network_of(whole.folder).state_dict()
    taken = [
        all(torch.equal(saved[name], average[f"module.{name}"]) for name in saved)
        for _, average in checkpoints.values()
    ]
    assert taken.count(True) == 1
    assert not any(all(torch.equal(saved[name], raw[name]) for name in raw) for raw, _ in checkpoints.values())
    assert whole.dev.overall.f1 > 0.5

    # Broken off in the second epoch, after the first one's checkpoint.
    config = load_config(averaged, [f"output={tmp_path / 'broken'}"])
    update = WeightAverage.on_optimizer_step
    steps = []

    def break_off(self: WeightAverage, *args: Any, **kwargs: Any) -> None:
        steps.append(1)
        if any(config.output_folder.with_name("broken.partial").glob("checkpoint-*/trainer_state.json")):
            raise KeyboardInterrupt
        update(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(WeightAverage, "on_optimizer_step", break_off)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    assert len(steps) > 3
    train(config, resume=True)
    for name, tensor in load_network_of(config.output_folder).state_dict().items():
        assert torch.equal(tensor, saved[name]), name


# --- the average of several trainings ----------------------------------------------------------------------


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, torch.Tensor]]]:
    """The weights of each training, as they came to be averaged, for every call of ``train``."""
    seen: list[list[dict[str, torch.Tensor]]] = []
    average = training_module._average_runs

    def listen(network: Any, encoder: Any, config: Any, dev: Any, weights: list[dict[str, torch.Tensor]]) -> None:
        seen.append(weights)
        average(network, encoder, config, dev, weights)

    monkeypatch.setattr(training_module, "_average_runs", listen)
    return seen


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_network_of(folder).state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class BreakOff(TrainerCallback):
    """Ends the process, as it were, in the given epoch, counted over all trainings."""

    def __init__(self, epoch: int) -> None:
        self.left = epoch

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_trainings_from_one_start_are_averaged_and_resumed(
    tiny_config: Path, tiny_model: Path, tmp_path: Path, runs: list[Any]
) -> None:
    # They go on from a trained model, a little: then they lie in one basin and their mean is no worse.
    settings = [f"model.init_from={tiny_model}", "training.epochs=2", "training.learning_rate=1e-4"]
    settings += ["training.head_learning_rate=1e-4"]
    alone = train(load_config(tiny_config, [*settings, f"output={tmp_path / 'alone'}"]))
    settings.append("training.runs=3")
    whole = train(load_config(tiny_config, [*settings, f"output={tmp_path / 'whole'}"]))
    [weights] = runs
    assert len(weights) == 3 and same(weights[0], weights_of(alone.folder))
    assert not same(weights[0], weights[1]) and not same(weights[1], weights[2])
    saved = weights_of(whole.folder)
    for name, tensor in saved.items():
        torch.testing.assert_close(tensor, sum(one[name] for one in weights) / 3)
    assert whole.dev.overall.f1 >= alone.dev.overall.f1
    metrics = json.loads((whole.folder / "metrics.json").read_text(encoding="utf-8"))
    assert [run["seed"] for run in metrics["runs"]] == [13, 14, 15]
    assert metrics["history"] == metrics["runs"][0]["history"] != metrics["runs"][1]["history"]
    assert {path.name for path in (whole.folder / "logs").iterdir()} == {"run-1", "run-2", "run-3"}

    # Broken off in the second training, once before and once after its first checkpoint.
    config = load_config(tiny_config, [*settings, f"output={tmp_path / 'broken'}"])
    for resume, epoch in ((False, 3), (True, 2)):
        with pytest.raises(KeyboardInterrupt):
            train(config, resume=resume, callbacks=[BreakOff(epoch)])
    counted = BreakOff(100)
    train(config, resume=True, callbacks=[counted])
    assert counted.left == 97  # of the second training the last epoch, and the third
    assert same(weights_of(config.output_folder), saved)
    assert [path.name for path in tmp_path.iterdir() if "broken" in path.name] == ["broken"]


def test_where_one_training_is_better_than_the_average_it_is_kept(
    tiny_config: Path, tiny_model: Path, corpus: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    config, tagger, network = load_config(tiny_config), load_tagger(tiny_model), load_network_of(tiny_model)
    dev = encode_split(read_documents(corpus / "dev.jsonl"), tagger.encoder, config.label_set, config.text)
    good = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    far = {name: -tensor if tensor.is_floating_point() else tensor for name, tensor in good.items()}
    training_module._average_runs(network, tagger.encoder, config, dev, [far, good, far])
    assert same(network.state_dict(), good)
    assert any("so the best of them is kept" in line for line in caplog.messages)
