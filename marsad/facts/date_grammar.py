"""From the tokens of a date to its days.

Times of day are taken out and modifiers put to their nouns; what is left is cut at "to" and "and" and read from the
end, since the end of a range says when. Each part is a day counted from the report's (yesterday), a count (three days
ago), a reference (the next day) or a selector in a container (the seventh *of* March, the beginning *of* the year).
The patterns are regular expressions over the codes of :class:`marsad.facts.date_words.Token`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import cast

import regex

from marsad.facts.date_words import UNITS, Token
from marsad.facts.intervals import (
    HIJRI_YEARS,
    Calendar,
    Grain,
    Interval,
    century_interval,
    day_interval,
    day_of,
    decade_interval,
    fraction_of,
    hijri_year,
    month_interval,
    part_of,
    season_interval,
    shift,
    week_interval,
    week_of_month,
    year_interval,
)

# A day this little after the report is no reason to look a year back: clocks differ, and posts are dated late.
_SLACK = timedelta(days=1)
# A date with its weekday may be an announcement, this long ahead.
_NEAR = timedelta(days=60)


class UnreadableError(Exception):
    """No value, and the reason as the message; see :class:`marsad.facts.dates.DateValue`."""


@dataclass(slots=True)
class Report:
    """What has been read so far. ``today`` is the day of the report, as far as is known."""

    today: date | None
    last: Interval | None = None
    last_day: date | None = None
    last_period: Interval | None = None
    sentence: int = -1  # of last_day
    reported: bool = False  # whether a verb of reporting stands before last_day

    def remember(self, read: Interval, sentence: int, reported: bool) -> None:
        """A date was read in the sentence; ``reported``: after a verb of reporting."""
        self.last = read
        if read.start == read.end and read.grain == "day":
            self.last_day, self.sentence, self.reported = read.start, sentence, reported
        else:
            self.last_period = read


@dataclass(slots=True)
class Anchor:
    """What a date may lean on; the ``need_…`` methods raise :class:`UnreadableError` where it is not there."""

    report: Report
    today: date | None
    same_sentence: date | None = None
    """The day last read in the sentence."""
    told: date | None = None
    """The day that the sentence tells from, and so counts from (المرصد أشار أمس إلى أن …)."""
    future: bool = False
    """Whether the clause is in the future tense."""
    lead: str = ""
    """What the preposition before the span makes of it: "since", "before", "after", "until" or nothing."""
    bound: date | None = None
    """The day that a weekday or a month without a year must not come after: where the next part of a range begins."""

    def need_today(self) -> date:
        """The day of the report."""
        if self.today is None:
            raise UnreadableError("no_publication_date")
        return self.today

    def need_bound(self) -> date:
        """The day that a weekday or a month without a year must not come after."""
        return self.need_today() if self.bound is None else self.bound

    def need_told(self) -> date:
        """The day that is counted from."""
        return self.need_today() if self.told is None else self.told

    def need_last(self) -> Interval:
        """The date last read."""
        if self.report.last is None:
            raise UnreadableError("no_date_to_refer_to")
        return self.report.last

    def need_last_day(self) -> date:
        """The day last read."""
        if self.report.last_day is None:
            raise UnreadableError("no_date_to_refer_to")
        return self.report.last_day

    def move_today(self, day: date) -> None:
        """The text itself says which day it is told on."""
        self.today = self.report.today = day


# Times of day, as codes: o'clock, hours and minutes, parts of day with what stands before them.
_TIMES = regex.compile(
    r"[BR]?T[NOY](?:[:/]N)?(?:&(?:[NO]i?|Q))?"
    r"|[BR]?N:N"
    r"|[NO]&[NO]i"
    r"|[BR]?(?<!a)[NO](?:&(?:[NO]i|Q))?(?=[BR]?P)"
    r"|hO?(?:P+O?|(?=[DLW]))"
    r"|[BR]P+N?[hi]"
    r"|[BR]?E?P+"
)
# Dates in numbers, or half in numbers: year-month-day, day/month/year, day/month, month day year.
_NUMERIC = regex.compile(
    r"Y([/-])N\1N|N([/-])[NM]\2[YN](?![/-])|N[/-]N(?![-/&:]?[NOMYhawmyki])|N/M|N?M[/-]Y|MN(?![-/&:]?[hiP])Y?"
)


def read_tokens(tokens: list[Token], anchor: Anchor) -> Interval:
    """The days that the tokens of one span stand for; may move ``anchor.report.today``.

    Raises UnreadableError with the reason, ValueError and OverflowError where a calendar has no such day.
    """
    for token, after in pairwise(tokens):
        if token.code == "h" and token.value == 1 and after.code in "NOY" and (token.definite or after.value != 1):
            token.code = "T"  # الساعة 5; an hour is ساعة واحدة
    tokens = _read_numeric(_merge_months(_drop_equals(tokens)), anchor)
    kept, timed = _drop_times(tokens)
    kept = _attach_modifiers(kept)
    unknown = [token for token in kept if token.code == "?"]
    if unknown:
        if not regex.search("[NO]m?M", _codes(kept)):
            linked = any(token.code in "awmykhBRJWDPE" for token in tokens)
            raise UnreadableError("relative_to_undated_event" if linked else "not_understood")
        kept = [token for token in kept if token.code != "?"]
    for token in kept:
        if token.code == "!":
            raise UnreadableError(token.value)
    parts = _split(kept)
    if not parts:
        if not timed:
            raise UnreadableError("not_understood")
        return day_interval(anchor.same_sentence or anchor.need_today())
    _share(parts)
    return _span(parts, anchor, ordered=not any(token.code == "&" for token in kept))


def _codes(tokens: Iterable[Token]) -> str:
    return "".join(token.code for token in tokens)


def _drop_equals(tokens: list[Token]) -> list[Token]:
    """Of a date given in both calendars the Gregorian stays."""
    places = [i for i, token in enumerate(tokens) if token.code == "="]
    for i in reversed(places):
        sides = tokens[:i], tokens[i + 1 :]
        hijri = [any(t.code == "e" or (t.code == "M" and t.value[0] == "hijri") for t in side) for side in sides]
        dated = [any(t.code in "MY" for t in side) for side in sides]
        if all(dated) and hijri[0] != hijri[1]:
            kept = sides[hijri[0]]
            tokens = [token for token in sides[0] if token.code in "DW" and kept is not sides[0]] + kept
        else:
            tokens = sides[0] + sides[1]
    return tokens


def _merge_months(tokens: list[Token]) -> list[Token]:
    """``أيار / مايو`` is one month, ``حزيران/تموز`` two."""
    merged: list[Token] = []
    for token in tokens:
        before = _codes(merged[-2:])
        if token.code == "M" and (before.endswith("M") or before in ("M/", "M-")):
            other = merged[-1] if merged[-1].code == "M" else merged[-2]
            if other.value[:2] == token.value[:2]:
                del merged[merged.index(other) + 1 :]
                continue
            if before.endswith("M") or (other.value[2] != token.value[2] and before == "M/"):
                raise UnreadableError("months_disagree")
            merged[-1] = Token("-")
        merged.append(token)
    return merged


def _read_numeric(tokens: list[Token], anchor: Anchor) -> list[Token]:
    """4/5/2016, 2016-05-04, 21-6 and 24/آب/2017 as day, month name and year."""
    codes = _codes(tokens)
    winter = regex.search("Zy?(Y[/-]Y)", codes)
    if winter and tokens[winter.start(1)].value + 1 == tokens[winter.end() - 1].value:
        tokens[winter.start()].modifier = "two_years"  # شتاء 2013-2014
        del tokens[winter.start(1) + 1 : winter.end()]
        return tokens
    for match in reversed(list(_NUMERIC.finditer(codes))):
        first, last = match.span()
        if codes[:first].endswith("T"):
            continue  # الساعة 20.30
        found = [token for token in tokens[first:last] if token.code in "NMY"]
        if found[0].code == "Y":
            found.reverse()
        elif found[0].code == "M" and found[1].code == "N":
            found[:2] = found[1::-1]  # June 25, 2023
        if len(found) == 3 and found[2].code == "N":
            found[2] = Token("Y", _short_year(found[2].value, anchor.today))
        if len(found) == 3 and found[2].value in HIJRI_YEARS and found[1].code == "N" and codes[last : last + 1] != "e":
            raise UnreadableError("ambiguous_calendar")
        if [token.code for token in found[:2]] == ["N", "N"]:
            day, month = found[0].value, found[1].value
            if month > 12 >= day and codes[first] != "Y":
                day, month = month, day  # 6/25/2017 has one reading only
            if not 1 <= month <= 12:
                raise UnreadableError("impossible_date")
            found[:2] = [Token("N", day), Token("M", ("gregorian", month, "number"))]
        tokens[first:last] = found
    return tokens


def _short_year(value: int, today: date | None) -> int:
    if value > 99:
        return value
    latest = today.year + 1 if today else 2069
    return 2000 + value if 2000 + value <= latest else 1900 + value


def _drop_times(tokens: list[Token]) -> tuple[list[Token], bool]:
    codes = _codes(tokens)
    dropped = {i for match in _TIMES.finditer(codes) for i in range(*match.span())}
    return [token for i, token in enumerate(tokens) if i not in dropped], bool(dropped)


def _attach_modifiers(tokens: list[Token]) -> list[Token]:
    """Each modifier goes to the noun that it belongs to: the one before it, or after هذا and ذلك."""
    kept: list[Token] = []
    leading = ""
    for i, token in enumerate(tokens):
        if token.code == "X" and i + 1 < len(tokens) and tokens[i + 1].code in "awmykchiMWZVKGD":
            leading = token.value
        elif token.code in "xX":
            noun = next((other for other in reversed(kept) if other.code in "awmykchiMWZVKGDsQ"), None)
            if noun is None:
                if token.value != "same":
                    raise UnreadableError("not_understood")
                kept.append(Token("s"))
            else:
                _as_noun(noun)
                noun.modifier = token.value
                if token.value == "last" and (noun.code == "Q" or (noun.code in "aw" and noun.value == 1)):
                    kept.append(Token("O", -1, True))
        else:
            if kept and (token.code == "O" or (token.code == "N" and _codes(tokens[i + 1 : i + 2]) in ("", "?"))):
                _as_noun(kept[-1])
            if leading:
                _as_noun(token)
                token.modifier, leading = leading, ""
            kept.append(token)
    return kept


def _as_noun(token: Token) -> None:
    """اليوم is today, but the noun in اليوم التالي and اليوم الثاني."""
    if token.code == "D" and token.value == 0:
        token.code, token.value, token.definite = "a", 1, True


def _split(tokens: list[Token]) -> list[list[Token]]:
    """The parts between "to" and "and"; half a unit more stays with the unit (شهر ونصف)."""
    parts: list[list[Token]] = [[]]
    i = 0
    while i < len(tokens):
        token = tokens[i]
        ahead = _codes(tokens[i + 1 : i + 3])
        if token.code == "&" and parts[-1] and parts[-1][-1].code in "mykch" and ahead[:1] == "Q":
            parts[-1][-1].half = True
            i += 3 if ahead[1:2] == parts[-1][-1].code else 2
            continue
        if token.code in ">&-/:":
            parts.append([])
        elif token.code == "W" and parts[-1] and parts[-1][-1].code == "W":
            parts.append([token])  # ليل السبت الأحد
        elif token.code != "e" or parts[-1]:
            parts[-1].append(token)
        i += 1
    parts = [part for part in parts if part]
    # A noun before a range says only what it is: الفترة من … إلى …, شهري آذار ونيسان, خلال يومين من … حتى ….
    if len(parts) > 1:
        head = parts[0]
        while len(head) > 1 and (head[0].code == "G" or (head[0].code in "awmy" and head[0].value != 1)):
            if head[1].code in "NO" and head[0].code != "G":
                break
            del head[0]
    return parts


_CONTAINER = "MmyYZVKIwkc"
_YEAR = regex.compile("(?:yY|yN|y|Y)e?$")


def _share(parts: list[list[Token]]) -> None:
    """What is said once holds for all parts: the month in ``7 و9 آذار``, the year in ``آذار وتموز 2014``."""
    for i in range(len(parts) - 2, -1, -1):
        part, after = parts[i], parts[i + 1]
        if regex.fullmatch("a?[NO]|[aw]O|E", _codes(part)):
            tail = next((j for j, token in enumerate(after) if token.code in _CONTAINER), None)
            if tail is not None and _codes(after[tail:])[:1] not in "wyY":
                part += [replace(token, shared=True) for token in after[tail:]]
    for earlier, part in pairwise(parts):
        if part[-1].code == "y" and part[-1].modifier == "same" and earlier[-1].code == "Y":
            part[-1] = replace(earlier[-1])  # آذار 2018 وحتى تموز من العام نفسه
    years = [_YEAR.search(_codes(part)) for part in parts]
    for i, part in enumerate(parts):
        if years[i] is None and regex.search("[MZVK]e?$|[QO]O$|E$", _codes(part)):
            near = sorted((j for j in range(len(parts)) if years[j] is not None), key=lambda j: (abs(i - j), -j))
            for j in near[:1]:
                length = len(_YEAR.findall(_codes(parts[j]))[0])
                part += [replace(token, shared=True) for token in parts[j][-length:]]


def _span(parts: list[list[Token]], anchor: Anchor, ordered: bool) -> Interval:
    """The hull of the parts, read from the last to the first, since the last says when.

    ``ordered``: no و joins them, so that one must not begin after the next.
    """
    hull = _read_part(parts[-1], anchor)
    for part in reversed(parts[:-1]):
        same_month = any(token.code == "M" and token.shared for token in part)
        # 9 و7 آذار are of one month, so that the ninth may come after the seventh.
        from_here = replace(anchor, bound=hull.start + timedelta(days=29 * same_month))
        read = _read_part(part, from_here)
        years = [token for token in part if token.code == "Y" and token.shared]
        if read.start > hull.end and years and not same_month:
            years[0].value -= 1  # كانون الأول وشباط 2017
            read = _read_part(part, from_here)
        if read.start > hull.end and ordered:
            raise UnreadableError("reversed_range")
        hull = Interval(min(read.start, hull.start), max(read.end, hull.end), read.grain)
    return hull


def _read_part(tokens: Sequence[Token], anchor: Anchor) -> Interval:
    """One date: a count, a reference, or a weekday and day counted from the report, with or without a calendar date."""
    weekdays = [token for token in tokens if token.code == "W"]
    days = [token for token in tokens if token.code in "DL"]
    earlier = any(token.code == "U" for token in tokens)
    rest = [token for token in tokens if token.code not in "WDLU"]
    if len(weekdays) > 1:
        raise UnreadableError("not_understood")
    weekday = weekdays[0] if weekdays else None
    # يوم before a name of a day adds nothing.
    if (weekday or days) and rest and rest[0].code == "a" and not rest[0].modifier:
        rest = rest[1:]
    codes = _codes(rest)
    if codes in ("", "a", "E") and (weekday or days):
        return _named_day(days, weekday, anchor)
    counted = None if weekday or days else _counted(rest, anchor)
    if counted is not None:
        return counted
    if codes[:1] in ("B", "R", "J"):
        raise UnreadableError("open_interval")
    if codes and codes[0] in "sn":
        return _reference(rest, anchor)
    fixed = _calendar(rest, weekday, anchor)
    if days:
        return _settle(fixed, days, weekday, anchor)
    if weekday and fixed.grain == "week":
        return day_interval(fixed.start + timedelta(days=weekday.value))
    if weekday and fixed.start != fixed.end:
        raise UnreadableError("not_understood")
    if weekday and fixed.start.weekday() != weekday.value:
        raise UnreadableError("weekday_contradicts_date")
    if earlier:
        today = anchor.need_today()
        if fixed.start <= today < fixed.end:
            return replace(fixed, end=today)
    return fixed


def _named_day(days: Sequence[Token], weekday: Token | None, anchor: Anchor) -> Interval:
    """اليوم, أمس الأحد, الجمعة المقبل …"""
    if weekday is not None and not days:
        return day_interval(_weekday(weekday, anchor))
    if days[-1].code == "L":
        return day_interval(anchor.need_told() - timedelta(days=1))
    offset = days[-1].value
    if len(days) > 1 and days[0].value == 0 and offset != 0:
        # اليوم (أمس): the paper quotes what was said a day before it came out.
        anchor.move_today(anchor.need_today() + timedelta(days=offset))
        offset = 0
    day = anchor.need_today() + timedelta(days=offset)
    if weekday is not None and day.weekday() != weekday.value:
        back = (day.weekday() - weekday.value) % 7
        # Told to be the day after: a clock's slip, as in _SLACK, not a report of six days ago.
        ahead = timedelta(days=7 - back)
        day += ahead if offset > 0 or ahead <= _SLACK else -timedelta(days=back)
        if offset == 0:
            anchor.move_today(day)
    return day_interval(day)


def _weekday(token: Token, anchor: Anchor) -> date:
    bound = anchor.need_bound()
    last_day = anchor.report.last_day
    if token.modifier == "same" and last_day is not None and last_day.weekday() == token.value:
        return last_day
    back = (bound.weekday() - token.value) % 7
    if token.modifier in ("future", "next") or (anchor.future and not token.modifier and anchor.bound is None):
        return bound + timedelta(days=7 - back)
    if token.modifier in ("past", "last", "previous") and anchor.bound is None:
        back = back or 7
    if token.modifier == "before_last":
        back = (back or 7) + 7
    return bound - timedelta(days=back)


def _settle(fixed: Interval, days: Sequence[Token], weekday: Token | None, anchor: Anchor) -> Interval:
    """A calendar date beside اليوم or أمس: the calendar date counts, unless its weekday speaks for the other."""
    if days[-1].code == "L":
        raise UnreadableError("not_understood")
    offset = timedelta(days=days[-1].value)
    if fixed.start != fixed.end:
        named = _named_day(days, weekday, anchor)
        if not fixed.start <= named.start <= fixed.end:
            raise UnreadableError("not_understood")
        return named
    if weekday is not None and fixed.start.weekday() != weekday.value:
        if anchor.today is None:
            raise UnreadableError("weekday_contradicts_date")
        return _named_day(days, weekday, anchor)
    if anchor.today is None or fixed.start - offset != anchor.today:
        anchor.move_today(fixed.start - offset)
    return fixed


def _reference(tokens: Sequence[Token], anchor: Anchor) -> Interval:
    if len(tokens) > 1:
        raise UnreadableError("not_understood")
    if tokens[0].code == "n":
        return day_interval(anchor.need_last_day() + timedelta(days=1))
    return day_interval(anchor.report.last_day) if anchor.report.last_day else anchor.need_last()


_COUNTED = regex.compile("(?P<way>[BRJ])?(?:(?P<number>N)|(?P<fraction>Q))?(?P<unit>[awmykchi])(?P<after>N)?")


def _counted(tokens: Sequence[Token], anchor: Anchor) -> Interval | None:
    """قبل ثلاثة أيام, الساعات الـ 24 الماضية, (منذ) 5 أيام; None where nothing is counted."""
    match = _COUNTED.fullmatch(_codes(tokens))
    if match is None:
        return None
    noun = tokens[match.start("unit")]
    way, unit = match["way"], UNITS[noun.code]
    if match["after"] and noun.value == 1 and tokens[match.start("after")].value != 1:
        return None  # شهر 8, سنة 48
    if match["number"] and noun.value == 1 and noun.definite and noun.code in "mwy":
        return None  # 12 من الشهر
    number = next((token.value for token in tokens if token.code == "N"), None)
    if number is None:
        counted = (
            noun.value != 1 or way or match["fraction"] or (not noun.definite and not noun.modifier and anchor.lead)
        )
        if not counted and not noun.half:
            return None
        if noun.value == 0:
            if noun.modifier in ("same", "current"):
                return _period(anchor)
            raise UnreadableError("vague_number")
        number = noun.value
    if unit == "day" and noun.value == 1 and noun.modifier in ("same", "next", "previous") and not way:
        return None
    count, unit = _smaller_unit(number, unit, tokens[match.start("fraction")].value if match["fraction"] else 0, noun)
    if way == "J":
        return _moved(anchor.need_last_day(), count * tokens[0].value, unit)
    if way is None and not noun.modifier:
        way = {"before": "B", "after": "R", "since": "since"}.get(anchor.lead)
    elif way is None:
        way = {"past": "since", "last": "since", "previous": "since", "future": "until", "next": "until"}.get(
            noun.modifier
        )
    match way:
        case "B":
            return _moved(anchor.need_told(), -count, unit)
        case "R":
            if unit in ("hour", "minute") and count < 24:
                return day_interval(anchor.same_sentence or anchor.need_today())
            if anchor.future:
                return _moved(anchor.need_today(), count, unit)
            if anchor.same_sentence is not None:
                return _moved(anchor.same_sentence, count, unit)
            raise UnreadableError("relative_to_undated_event")
        case "since" | "until":
            today = anchor.need_told()
            if unit in ("hour", "minute"):
                count, unit = -(-count // (24 if unit == "hour" else 1440)), "day"
            other = _moved(today, -count if way == "since" else count, unit)
            return Interval(min(today, other.start), max(today, other.start), other.grain)
        case _:
            if noun.modifier == "same":
                return _period(anchor)
            raise UnreadableError("duration_without_anchor")


def _smaller_unit(number: int, unit: str, fraction: int, noun: Token) -> tuple[int, str]:
    """Halves in whole smaller units: half a century is 50 years, a month and a half 45 days."""
    smaller = {"century": (100, "year"), "decade": (10, "year"), "year": (12, "month"), "month": (30, "day")}
    if noun.half:
        if unit not in smaller:
            return number, unit
        size, unit = smaller[unit]
        return number * size + size // 2, unit
    if fraction:
        if unit not in smaller:
            return 0, "hour"
        size, unit = smaller[unit]
        return size // fraction, unit
    return number, unit


def _moved(day: date, count: int, unit: str) -> Interval:
    if unit in ("hour", "minute"):
        return day_interval(day + timedelta(days=int(count / (24 if unit == "hour" else 1440))))
    moved = shift(day, count, unit)
    return Interval(moved, moved, cast(Grain, unit))


def _period(anchor: Anchor) -> Interval:
    return anchor.report.last_period or anchor.need_last()


# Calendar dates: a selector in a container

_CALENDAR = regex.compile(
    r"(?P<pick>a?[NO]|Oa|E|[wamy]O|[am]NO|QO)?"
    r"(?P<head>mM|M|mN|m(?!O)|V|Z|Kc?|I|w(?!O)|k|cO?|G|a(?!O))?"
    r"(?P<year>yY|yN|y(?!O)|Y)?(?P<era>e)?"
)


def _calendar(tokens: Sequence[Token], weekday: Token | None, anchor: Anchor) -> Interval:
    match = _CALENDAR.fullmatch(_codes(tokens))
    if match is None:
        raise UnreadableError("not_understood")

    def group(name: str) -> list[Token]:
        return list(tokens[match.start(name) : match.end(name)]) if match[name] else []

    pick, head = group("pick"), group("head")
    year = _year(group("year"), anchor)
    hijri = bool(match["era"]) or (head and head[-1].code == "M" and head[-1].value[0] == "hijri")

    def select(container: Interval) -> Interval:
        return _select(pick, container)

    if not head:
        if match["year"]:
            return select(_whole_year(year, bool(match["era"])))
        if len(pick) == 2 and pick[0].code in "awmy":
            return _bare_number(pick, anchor)
        if pick and pick[0].code == "a":
            raise UnreadableError("relative_to_undated_event")
        raise UnreadableError("not_understood")
    noun = head[-1]
    modifier = head[0].modifier or noun.modifier
    match noun.code:
        case "M" | "V":
            kind: Calendar = "hijri" if hijri else noun.value[0]
            exact = bool(pick) and pick[0].code in "NOa"
            return _in_some_year(noun, kind, year, modifier, select, exact, weekday, anchor)
        case "N":
            if not 1 <= noun.value <= 12:
                raise UnreadableError("impossible_date")
            named = Token("M", ("gregorian", noun.value, "number"))
            return _in_some_year(named, "gregorian", year, modifier, select, bool(pick), weekday, anchor)
        case "m":
            if year is not None and not pick and modifier not in ("same", "past", "previous", "future"):
                raise UnreadableError("not_understood")
            day = _move_by_modifier(modifier, "month", anchor)
            chosen = select(month_interval(year if year is not None else day.year, day.month))
            plain = _codes(pick) in ("N", "O") and not modifier and not anchor.future
            if plain and chosen.start > anchor.need_bound():
                day = shift(day, -1, "month")  # a monthly report, out on the first of the next month
                chosen = select(month_interval(day.year, day.month))
            return chosen
        case "I":
            last = anchor.need_last().start
            return select(month_interval(last.year, last.month))
        case "w":
            return select(week_interval(_move_by_modifier(modifier, "week", anchor)))
        case "k":  # العقد الماضي: the last ten years, or those before the last round one
            raise UnreadableError("ambiguous_part")
        case "K":
            return select(decade_interval(noun.value))
        case "c" | "O":
            if head[0].code == "K":
                return select(decade_interval(head[0].value))
            if noun.code == "O":
                return select(century_interval(noun.value))
            return select(century_interval((_move_by_modifier(modifier, "century", anchor).year + 99) // 100))
        case "Z":
            return select(_season(noun.value, modifier, year, anchor))
        case "G":
            if modifier != "same":
                raise UnreadableError("vague_period")
            period = _period(anchor)
            return period if year is None else _in_year(period, year)
        case _:  # اليوم ذاته, اليوم التالي
            steps = {"previous": -1, "same": 0, "next": 1}
            if modifier not in steps or pick:
                raise UnreadableError("relative_to_undated_event")
            return day_interval(anchor.need_last_day() + timedelta(days=steps[modifier]))


def _in_year(period: Interval, year: int) -> Interval:
    months = (year - period.start.year) * 12
    return replace(period, start=shift(period.start, months, "month"), end=shift(period.end, months, "month"))


def _select(pick: Sequence[Token], container: Interval) -> Interval:
    """What the selector picks out of the container: the seventh, the beginning, the first week, the second half."""
    codes = _codes(pick)
    if not codes:
        return container
    numbers = [token for token in pick if token.code in "NO"]
    value = numbers[-1].value if numbers else 0
    chosen: Interval | None
    if codes == "E" or (codes == "O" and value == 1 and not numbers[0].definite and container.grain != "day"):
        chosen = part_of(container, pick[0].value if codes == "E" else "beginning")
    elif codes == "wO":
        chosen = week_of_month(container, value)
    elif codes == "QO":
        chosen = fraction_of(container, pick[0].value if value == -1 else value, pick[0].value)
    elif codes == "mO":
        if container.grain != "year" or not 1 <= value <= 12:
            raise UnreadableError("impossible_date")
        chosen = month_interval(container.start.year, value)
    elif codes == "mNO":
        last = month_interval(container.start.year, numbers[0].value)
        chosen = Interval(container.start, last.end, "month") if value == 1 and container.grain == "year" else None
    elif codes == "aNO":
        last = day_of(container, numbers[0].value)
        chosen = Interval(container.start, last.end, "day") if value == 1 else None
    elif container.grain == "month":
        chosen = day_interval(container.end) if value == -1 else day_of(container, value)
    elif container.grain == "day" and 1 <= value <= (container.end - container.start).days + 1:
        chosen = day_interval(container.start + timedelta(days=value - 1))  # the second day of the feast
    else:
        chosen = None
    if chosen is None:
        raise UnreadableError("ambiguous_part")
    return chosen


def _year(tokens: Sequence[Token], anchor: Anchor) -> int | None:
    """The year as a number, by either calendar; None where none is said."""
    if not tokens:
        return None
    last = tokens[-1]
    if last.code == "Y":
        return int(last.value)
    if last.code == "N":
        if last.value > 99:
            raise UnreadableError("not_understood")
        return _short_year(last.value, anchor.today)
    if not last.modifier and not last.definite:
        raise UnreadableError("not_understood")
    return _move_by_modifier(last.modifier, "year", anchor).year


def _whole_year(year: int | None, hijri: bool) -> Interval:
    if year is None:
        raise UnreadableError("not_understood")
    if not hijri and year in HIJRI_YEARS:
        raise UnreadableError("ambiguous_calendar")
    return year_interval(year, "hijri" if hijri else "gregorian")


def _move_by_modifier(modifier: str, unit: str, anchor: Anchor) -> date:
    """A day in this, the last, the next, the same or the following week, month, year …"""
    if modifier in ("same", "next"):
        return shift(anchor.need_last().start, int(modifier == "next"), unit)
    if modifier == "previous" and anchor.report.last is not None:
        return shift(anchor.report.last.start, -1, unit)
    steps = {"before_last": -2, "past": -1, "last": -1, "previous": -1, "future": 1}.get(modifier, 0)
    # From the first of the month, so that the last day of a long month does not skip a short one.
    today = anchor.need_today()
    return shift(today if unit == "week" else today.replace(day=1), steps, unit)


def _season(season: str, modifier: str, year: int | None, anchor: Anchor) -> Interval:
    if year is not None:
        if season == "winter" and modifier != "two_years":
            raise UnreadableError("ambiguous_winter")
        return season_interval(year, season)
    today = anchor.need_bound()
    options = [season_interval(y, season) for y in range(today.year + 2, today.year - 3, -1)]
    if modifier == "future" or (anchor.future and not modifier):
        return next(option for option in reversed(options) if option.start > today)
    if modifier in ("past", "last", "previous"):
        return next(option for option in options if option.end < today)
    if modifier == "before_last":
        return [option for option in options if option.end < today][1]
    return next(option for option in options if option.start <= today)


def _bare_number(pick: Sequence[Token], anchor: Anchor) -> Interval:
    """يوم 28 of no month; لليوم الثاني على التوالي, which is the day of the report; الأسبوع الأخير."""
    noun, number = pick
    if number.code == "O" and noun.streak:
        around = {"a": day_interval, "w": week_interval}
        today = anchor.need_today()
        if noun.code in around:
            return around[noun.code](today)
        return month_interval(today.year, today.month) if noun.code == "m" else year_interval(today.year)
    if noun.code == "w" and number.value == -1:
        day = anchor.need_told()
        return Interval(day - timedelta(days=7), day, "week")
    if number.code == "O" or noun.code != "a" or noun.definite:
        raise UnreadableError("relative_to_undated_event")
    month = anchor.need_bound()
    if number.value > month.day:
        month = month.replace(day=1) - timedelta(days=1)
    return day_of(month_interval(month.year, month.month), number.value)


def _in_some_year(
    token: Token,
    kind: Calendar,
    year: int | None,
    modifier: str,
    select: Callable[[Interval], Interval],
    exact: bool,
    weekday: Token | None,
    anchor: Anchor,
) -> Interval:
    """A month, a day of one or a festival, in the year said or else in the one that the report means."""

    def build(in_year: int) -> Interval:
        if token.code == "M":
            return select(month_interval(in_year, token.value[1], kind))
        _, month, day, days = token.value
        start = day_of(month_interval(in_year, month, kind), day).start
        return select(Interval(start, start + timedelta(days=days - 1), "day"))

    if year is not None and kind == "hijri" and year not in range(1200, 1700):
        # رمضان 2017: the one that begins in the Gregorian year.
        first = hijri_year(date(year, 1, 1))
        options = [option for option in map(build, (first, first + 1)) if option.start.year == year]
        if len(options) != 1:
            raise UnreadableError("ambiguous_calendar")
        return options[0]
    if year is not None:
        return build(year)
    bound = anchor.need_bound()
    this = hijri_year(bound) if kind == "hijri" else bound.year
    options = []
    # Eight years back reach a leap day from anywhere; the latest comes first.
    for in_year in range(this + 1, this - 9, -1):
        try:
            options.append(build(in_year))
        except ValueError:
            continue
    if not options:
        raise UnreadableError("impossible_date")
    future = modifier in ("future", "next") or (anchor.future and not modifier)
    later = [option for option in options if option.start > bound]
    # With a day, "past" may be a day of this month; without one, the month is over.
    past = [option for option in options if (option.start if exact else option.end) < bound]
    sofar = [option for option in options if option.start <= bound]
    if weekday is not None and exact:
        near = [option for option in later if anchor.future or option.start - bound <= _NEAR]
        fits = [option for option in (*near[-1:], *sofar[:1]) if option.start.weekday() == weekday.value]
        if len(fits) != 1:
            raise UnreadableError("weekday_contradicts_date")
        return fits[0]
    if modifier == "same" and anchor.report.last is not None:
        return min(options, key=lambda option: abs(option.start - anchor.need_last().start))
    if token.code == "V" and not modifier and not future:
        # The last one, or one that is being prepared for.
        return next((option for option in options if option.start - bound <= _NEAR), options[-1])
    nearest = anchor.lead == "until" and anchor.bound is None
    if modifier == "current" or (nearest and not modifier and not future):
        return min(options, key=lambda option: abs(option.start - bound))
    if future and later:
        return later[-1]
    if modifier in ("past", "last", "previous") and past:
        return past[0]
    if modifier == "before_last" and len(past) > 1:
        return past[1]
    if exact and anchor.bound is None and later and later[-1].start - bound <= _SLACK:
        return later[-1]
    if not sofar:
        raise UnreadableError("impossible_date")
    return sofar[0]
