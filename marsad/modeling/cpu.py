"""Training on CPUs: two parts of a network that compute the same there in far less time.

PyTorch's fused attention is as fast as plain products and a softmax forward, but takes several times as long backward.
And it draws dropout's masks one number at a time, by a single core; one draw serves four values here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

_STEPS = 1 << 16


class DrawnDropout(nn.Module):
    """Dropout whose mask has 16 random bits a value: zero with probability ``p``, to within 1/65536, else over 1 - p.

    The bits come from torch's global generator, a fourth of a 64-bit number each.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """``given`` with its values dropped in training, as it is else; of any shape."""
        dropped = min(round(self.p * _STEPS), _STEPS - 1)
        if not self.training or not dropped:
            return given
        drawn = torch.empty(-(-given.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.int16)[: given.numel()].view(given.shape) >= dropped - _STEPS // 2
        return given * kept.to(given.dtype).mul_(_STEPS / (_STEPS - dropped))

    def extra_repr(self) -> str:
        """For printing a network."""
        return f"p={self.p}"


@contextmanager
def fast_training(network: PreTrainedModel, device: torch.device) -> Iterator[None]:
    """While the block runs, a network that lies on a CPU trains faster; on another device nothing is changed."""
    if device.type != "cpu":
        yield
        return
    attention: str = network.config._attn_implementation
    dropouts = [
        (parent, name, part)
        for parent in network.modules()
        for name, part in parent.named_children()
        if type(part) is nn.Dropout
    ]
    network.set_attn_implementation("eager")
    for parent, name, part in dropouts:
        setattr(parent, name, DrawnDropout(part.p).train(part.training))
    try:
        yield
    finally:
        network.set_attn_implementation(attention)
        for parent, name, part in dropouts:
            setattr(parent, name, part.train(parent.training))
