"""A running average of the network's weights, which is what is scored and saved in place of the last ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import nn
from torch.optim.swa_utils import AveragedModel
from transformers import TrainerCallback

_FILE = "average.safetensors"
_Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


class WeightAverage(TrainerCallback):
    """The exponential moving average of a network's weights, taken after each optimizer step.

    The average of iterates has less noise than the last one (Polyak and Juditsky 1992; for networks Izmailov et al.
    2018). ``decay`` is the weight of the average so far; in the first steps it is (1 + n) / (10 + n) where that is
    less, so that a short run is not held back at where it began.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network

        def average(averaged: _Tensors, current: _Tensors, steps: torch.Tensor | int) -> None:
            torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + int(steps)) / (10 + int(steps))))

        self._averaged = AveragedModel(network, multi_avg_fn=average)

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take in the weights after a step."""
        self._averaged.update_parameters(self._network)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network with the average as its weights; its own come back, bit for bit, when the block ends."""
        own = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        self._network.load_state_dict(self._averaged.module.state_dict())
        try:
            yield
        finally:
            self._network.load_state_dict(own)

    def save(self, checkpoint: Path) -> None:
        """Write the average into the folder of a checkpoint."""
        save_model(self._averaged, str(checkpoint / _FILE))

    def load(self, checkpoint: Path) -> None:
        """Go on from the average of a checkpoint."""
        load_model(self._averaged, str(checkpoint / _FILE))

    def adopt(self) -> None:
        """Leave the average in the network for good."""
        self._network.load_state_dict(self._averaged.module.state_dict())
