"""The average of the weights: what it is by definition, and that a run that broke off goes on with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from marsad.config import load_config
from marsad.modeling import training as training_module
from marsad.modeling.artifacts import load_network_of
from marsad.modeling.averaging import WeightAverage
from marsad.modeling.training import train


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
