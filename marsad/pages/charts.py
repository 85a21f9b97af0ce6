"""Axes for the charts that templates draw as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from ``low`` to ``high`` laid on pixels from ``start`` to ``end``, with ``ticks`` at round values.

    Values outside end at the edge.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    decimals: int

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def label(self, value: float) -> str:
        """A tick's value as text."""
        return f"{value:.{self.decimals}f}".replace("-", "−")


def build_scale(values: Iterable[float], start: float, end: float, most_ticks: int = 6) -> Scale:
    """A scale that holds all values and begins and ends at a tick; 0 to 1 where there are no values."""
    numbers = list(values) or [0.0, 1.0]
    low, high = min(numbers), max(numbers)
    if low == high:
        low, high = low - 0.05, high + 0.05
    step = _round_step((high - low) / (most_ticks - 1))
    # The small amounts keep 0.7000000001 from taking another step.
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], start, end, ticks, max(0, -math.floor(math.log10(step) + 1e-9)))


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10 … times a power of ten that is not below ``least``."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
