"""What is minimised: cross-entropy over words, and what keeps two readings of a word alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from marsad.config import Config
from marsad.errors import MarsadError

IGNORED = -100
"""The label of sub-tokens that stand for no word."""


def check_finite(loss: float, step: int) -> None:
    """Raises MarsadError for a loss that is no number. To resume would not help: it repeats what was computed."""
    if not math.isfinite(loss):
        raise MarsadError(
            f"the loss is no number any more at step {step}; start anew with a lower training.learning_rate and "
            "--overwrite"
        )


def token_loss(config: Config) -> Callable[..., torch.Tensor]:
    """Cross-entropy over the words' first sub-tokens, with the config's class weights and smoothing.

    The result takes the network's output, labels [batch, tokens] and the number of labelled tokens in the
    optimizer's whole step (all processes and accumulated batches), by which the sum is divided.
    """
    weights = None
    if config.training.class_weights is not None:
        weights = torch.tensor(
            [config.training.class_weights.get(tag if tag == "O" else tag[2:], 1.0) for tag in config.label_set.tags]
        )
    smoothing = config.training.label_smoothing

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        logits = outputs["logits"].float()
        total = nn.functional.cross_entropy(
            logits.view(-1, logits.shape[-1]),
            labels.view(-1),
            weight=None if weights is None else weights.to(logits.device),
            ignore_index=IGNORED,
            reduction="sum",
            label_smoothing=smoothing,
        )
        return total / (num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum())

    return loss


def paired_loss(single: Callable[..., torch.Tensor], weight: float) -> Callable[..., torch.Tensor]:
    """R-Drop (Liang et al. 2021): the ``single`` loss of two readings of each window, and how far they are apart.

    The batch holds each window twice, [2 × windows, tokens], first all and then all again, which dropout reads
    differently. The loss is the mean of both single losses plus ``weight`` times the mean of the two
    Kullback-Leibler divergences between the words' distributions. The number of labelled tokens is that of one reading.
    """

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        first, second = (labels != IGNORED).chunk(2)
        count = num_items_in_batch if num_items_in_batch is not None else first.sum()
        one, other = (half.float().log_softmax(-1) for half in outputs["logits"].chunk(2))
        one, other = one[first], other[second]  # [words, tags]
        apart = ((one.exp() - other.exp()) * (one - other)).sum() / 2  # the two divergences, added up
        total: torch.Tensor = single(outputs, labels, count) / 2 + weight * apart / count
        return total

    return loss
