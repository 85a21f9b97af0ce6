"""Axes hold their values and have round ticks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsad.pages.charts import build_scale


@given(st.lists(st.floats(-1000, 1000).filter(lambda value: value == 0 or abs(value) > 1e-6)), st.integers(2, 10))
def test_a_scale_holds_its_values_in_order(values: list[float], most_ticks: int):
    scale = build_scale(values, 10, 210, most_ticks)
    pixels = [scale(value) for value in sorted(values)]
    assert pixels == sorted(pixels)
    assert all(10 <= pixel <= 210 for pixel in pixels)
    assert (scale(scale.low), scale(scale.high)) == (10, 210)
    assert 2 <= len(scale.ticks) <= most_ticks + 1
    assert len({scale.label(tick) for tick in scale.ticks}) == len(scale.ticks)
    slack = 1e-5 * (scale.high - scale.low)  # less than a pixel
    assert all(scale.low - slack <= value <= scale.high + slack for value in values)


def test_ticks_are_round():
    assert build_scale([0.785, 0.93, 1.0], 0, 100).ticks == (0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
    assert build_scale([-0.0123, 0.021], 0, 100).ticks == (-0.02, -0.01, 0.0, 0.01, 0.02, 0.03)
    assert build_scale([], 0, 100).ticks[-1] == 1.0
    assert build_scale([0.5], 0, 100).low < 0.5 < build_scale([0.5], 0, 100).high
    assert build_scale([-0.02, 0.0], 0, 100).label(-0.02) == "−0.020"


def test_a_downward_scale_turns_round():
    scale = build_scale([0.0, 1.0], 200, 0)
    assert (scale(0.0), scale(0.5), scale(1.0)) == (200, 100, 0)
    assert scale(2.0) == 0 and scale(-1.0) == pytest.approx(200)
