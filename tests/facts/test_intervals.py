"""Months, years and their parts: what holds for all of them."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsad.facts.intervals import (
    HijriRangeError,
    day_of,
    fraction_of,
    hijri_day,
    hijri_year,
    month_interval,
    part_of,
    season_interval,
    shift,
    week_interval,
    year_interval,
)

YEARS = st.integers(1, 9998)
MONTHS = st.integers(1, 12)


@given(YEARS, MONTHS)
def test_months_follow_on_one_another(year: int, month: int):
    following = month_interval(year + month // 12, month % 12 + 1)
    assert month_interval(year, month).end + timedelta(days=1) == following.start


@given(st.integers(1343, 1499), MONTHS)
def test_hijri_months_follow_on_one_another(year: int, month: int):
    interval = month_interval(year, month, "hijri")
    following = month_interval(year + month // 12, month % 12 + 1, "hijri")
    assert interval.end + timedelta(days=1) == following.start
    assert hijri_year(interval.start) == hijri_year(interval.end) == year


@given(st.dates(date(1, 1, 8), date(9999, 12, 20)))
def test_a_week_is_seven_days_from_monday(day: date):
    week = week_interval(day)
    assert week.start <= day <= week.end
    assert week.start.weekday() == 0 and week.end - week.start == timedelta(days=6)


@given(YEARS, st.sampled_from(["spring", "summer", "autumn", "winter"]))
def test_a_season_is_three_months(year: int, season: str):
    interval = season_interval(year, season)
    assert interval.start.year == year and interval.start.day == 1
    parts = [part_of(interval, part) for part in ("beginning", "middle", "end")]
    assert [part.grain for part in parts if part] == ["month"] * 3
    assert parts[0].start == interval.start and parts[2].end == interval.end


@given(YEARS, MONTHS, st.sampled_from([2, 3]))
def test_fractions_cover_the_whole(year: int, month: int, parts: int):
    for whole in (month_interval(year, month), year_interval(year)):
        cut = [fraction_of(whole, number, parts) for number in range(1, parts + 1)]
        assert cut[0].start == whole.start and cut[-1].end == whole.end
        for before, after in pairwise(cut):
            assert before.end + timedelta(days=1) == after.start


@given(st.dates(date(1000, 1, 1), date(3000, 1, 1)), st.integers(-500, 500), st.sampled_from(["day", "week", "month"]))
def test_shifting_there_and_back_loses_three_days_at_most(day: date, count: int, unit: str):
    assert timedelta(0) <= day - shift(shift(day, count, unit), -count, unit) <= timedelta(days=3)


@pytest.mark.parametrize(("year", "month", "day"), [(1342, 1, 1), (1501, 1, 1), (1440, 13, 1), (1440, 1, 31)])
def test_no_hijri_day_outside_the_tables(year: int, month: int, day: int):
    with pytest.raises((ValueError, OverflowError)):
        hijri_day(year, month, day)


def test_no_day_outside_its_month():
    assert day_of(month_interval(2016, 2), 29).start == date(2016, 2, 29)
    for number in (0, 30, -1):
        with pytest.raises(ValueError, match=f"no day {number}"):
            day_of(month_interval(2016, 2), number)
    with pytest.raises(HijriRangeError, match="outside"):
        hijri_year(date(1800, 1, 1))
