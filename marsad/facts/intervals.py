"""Days from the first to the last, both included: months, years and their parts, Gregorian and Hijri."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from hijridate import Gregorian, Hijri

Grain = Literal["day", "week", "month", "season", "year", "decade", "century"]
Part = Literal["beginning", "middle", "end"]
Calendar = Literal["gregorian", "hijri"]

# The span that hijridate's Umm al-Qura tables cover.
HIJRI_YEARS = range(1343, 1501)
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "winter": 12}


class HijriRangeError(ValueError):
    """A Hijri date outside the years that the tables of Umm al-Qura cover."""


@dataclass(frozen=True, slots=True)
class Interval:
    """``start`` to ``end``, both included, and the ``grain`` that the text speaks in."""

    start: date
    end: date
    grain: Grain
    calendar: Calendar = "gregorian"


def day_interval(day: date) -> Interval:
    """One day."""
    return Interval(day, day, "day")


def week_interval(day: date) -> Interval:
    """The week of ``day``, Monday to Sunday as in ISO 8601."""
    monday = day - timedelta(days=day.weekday())
    return Interval(monday, monday + timedelta(days=6), "week")


def month_interval(year: int, month: int, kind: Calendar = "gregorian") -> Interval:
    """A month; raises ValueError where there is none such."""
    if kind == "hijri":
        start = hijri_day(year, month, 1)
        length = Hijri(year, month, 1).month_length()
    else:
        start = date(year, month, 1)
        length = calendar.monthrange(year, month)[1]
    return Interval(start, start + timedelta(days=length - 1), "month", kind)


def year_interval(year: int, kind: Calendar = "gregorian") -> Interval:
    """A year; raises ValueError where there is none such."""
    return Interval(month_interval(year, 1, kind).start, month_interval(year, 12, kind).end, "year", kind)


def decade_interval(year: int) -> Interval:
    """Ten years from ``year`` on."""
    return Interval(date(year, 1, 1), date(year + 9, 12, 31), "decade")


def century_interval(number: int) -> Interval:
    """The century ``number``: the twentieth is 1901 to 2000."""
    return Interval(date(number * 100 - 99, 1, 1), date(number * 100, 12, 31), "century")


def season_interval(year: int, season: str) -> Interval:
    """The three months of a season; a winter begins in December of ``year``."""
    first = _SEASONS[season]
    after = year + (first + 2) // 13
    return Interval(date(year, first, 1), month_interval(after, (first + 1) % 12 + 1).end, "season")


def hijri_day(year: int, month: int, day: int) -> date:
    """The Gregorian day of a Hijri one, by the calendar of Umm al-Qura; raises ValueError where there is none such."""
    if year not in HIJRI_YEARS:
        raise HijriRangeError(f"the Hijri year {year} is outside {HIJRI_YEARS[0]} to {HIJRI_YEARS[-1]}")
    found = Hijri(year, month, day).to_gregorian()
    return date(found.year, found.month, found.day)


def hijri_year(day: date) -> int:
    """The Hijri year that a day lies in; raises HijriRangeError outside the tables."""
    try:
        return int(Gregorian(day.year, day.month, day.day).to_hijri().year)
    except (ValueError, OverflowError) as error:
        raise HijriRangeError(f"{day} is outside the Hijri tables") from error


def day_of(container: Interval, number: int) -> Interval:
    """The day ``number`` (from 1) of a month; raises ValueError where it has no such day."""
    day = container.start + timedelta(days=number - 1)
    if container.grain != "month" or number < 1 or day > container.end:
        raise ValueError(f"no day {number} in {container.start} to {container.end}")
    return day_interval(day)


def part_of(container: Interval, part: Part) -> Interval | None:
    """Beginning, middle or end by the project's convention; None where none is agreed on.

    Of a year its first month, its sixth and seventh, its last. Of a month its first ten days, the days 11 to 20, its
    last ten. Of a season its first, second or third month. Of a decade the years 0 to 3, 4 to 6, 7 to 9.
    """
    start, end = container.start, container.end
    match container.grain:
        case "month":
            ten = timedelta(days=9)
            spans = {
                "beginning": (start, start + ten),
                "middle": (start + timedelta(days=10), start + timedelta(days=19)),
                "end": (end - ten, end),
            }
            return Interval(*spans[part], "day")
        case "year":
            year = hijri_year(start) if container.calendar == "hijri" else start.year
            first, last = {"beginning": (1, 1), "middle": (6, 7), "end": (12, 12)}[part]
            kind = container.calendar
            return Interval(month_interval(year, first, kind).start, month_interval(year, last, kind).end, "month")
        case "decade":
            first, last = {"beginning": (0, 3), "middle": (4, 6), "end": (7, 9)}[part]
            return Interval(date(start.year + first, 1, 1), date(start.year + last, 12, 31), "year")
        case "season":
            month = shift(start, {"beginning": 0, "middle": 1, "end": 2}[part], "month")
            return month_interval(month.year, month.month)
        case _:
            return None


def fraction_of(container: Interval, number: int, parts: int) -> Interval | None:
    """Half, third or quarter ``number`` (from 1) of a year, or half or third of a month; None of anything else."""
    if not 1 <= number <= parts:
        return None
    if container.grain == "year" and container.calendar == "gregorian":
        months = 12 // parts
        year = container.start.year
        return Interval(date(year, months * (number - 1) + 1, 1), month_interval(year, months * number).end, "month")
    if container.grain == "month" and parts in (2, 3):
        length = 30 // parts
        start = container.start + timedelta(days=length * (number - 1))
        return Interval(start, container.end if number == parts else start + timedelta(days=length - 1), "day")
    return None


def week_of_month(container: Interval, number: int) -> Interval | None:
    """Days 1–7, 8–14, 15–21 or 22–28 of a month; number -1 is its last seven days."""
    if container.grain != "month" or number not in (-1, 1, 2, 3, 4):
        return None
    start = container.end - timedelta(days=6) if number == -1 else container.start + timedelta(days=7 * (number - 1))
    return Interval(start, start + timedelta(days=6), "week")


def shift(day: date, count: int, unit: str) -> date:
    """``day`` moved by ``count`` days, weeks, months, years, decades or centuries.

    A day that the month arrived at lacks becomes its last one. Raises ValueError or OverflowError outside the years
    1 to 9999.
    """
    if unit in ("day", "week"):
        return day + timedelta(days=count * (7 if unit == "week" else 1))
    months = count * {"month": 1, "year": 12, "decade": 120, "century": 1200}[unit]
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise ValueError(f"{day} and {count} {unit}s leave the calendar")
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
