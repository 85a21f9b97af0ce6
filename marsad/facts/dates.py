"""What a date says, as days: ``الـ 7 من آذار الفائت`` in a report of 2019-04-02 is 2019-03-07.

The words of a span become tokens by the tables in ``rules/months.yaml`` and ``rules/dates.yaml``, each with a one-letter
code; times of day are taken out, the rest is a selector in a container (the seventh *of* March, the beginning *of* the
year), a count from a day (three days ago) or a reference to a date read before (the next day). Ranges are read end first.

Conventions, where the language leaves a choice: a weekday alone is the last one not after the report; the beginning of
a year is January, of a month its first ten days; its middle June and July, or the days 11 to 20; its end likewise; a night
between two days is both; a week runs from Monday to Sunday; a month without a year is the last one not after the report.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

import regex

from marsad.documents import Document, Entity
from marsad.facts.folding import fold_words, load_rules
from marsad.facts.intervals import (
    HIJRI_YEARS,
    Calendar,
    HijriRangeError,
    Interval,
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
from marsad.facts.numbers import Number, is_number_word, read_number

# A day this little after the report was written is no reason to look a year back: clocks differ, and posts are dated late.
_SLACK = timedelta(days=1)
_SENTENCE_END = regex.compile(r"[.!?؟…]+(?=\s|$)|[\n\r\u000b\u000c\u0085\u2028\u2029]")
_CLAUSE_ENDS = frozenset("،,؛;:()«»\"“”")
# How many characters before a date are looked at for its preposition, a verb of reporting or a future tense.
_REACH = 80


@dataclass(frozen=True, slots=True)
class DateValue:
    """``start`` to ``end``, both included, and the ``grain`` that the text speaks in; or nothing and ``why``.

    Reasons: ``no_publication_date``, ``no_date_to_refer_to`` (the same period, of the first date), ``impossible_date``,
    ``hijri_out_of_range``, ``months_disagree``, ``weekday_contradicts_date``, ``ambiguous_month``, ``ambiguous_calendar``,
    ``ambiguous_festival``, ``ambiguous_winter``, ``ambiguous_part``, ``duration_without_anchor``, ``open_interval``
    (before or after a date), ``relative_to_undated_event``, ``vague_number_of_days`` (and of the other units),
    ``reversed_range``, ``not_understood``.
    """

    start: date | None
    end: date | None
    grain: str | None = None
    why: str | None = None

    def record(self) -> dict[str, Any]:
        """As a JSON record: ``start``, ``end`` and ``grain``, or nulls and ``why``."""
        if self.start is None or self.end is None:
            return {"start": None, "end": None, "why": self.why}
        return {"start": self.start.isoformat(), "end": self.end.isoformat(), "grain": self.grain}


def read_dates(document: Document, entities: Sequence[Entity]) -> list[DateValue]:
    """The value of each entity, in the order given; the entities are DATE spans of ``document``.

    They are read in the order of the text, since a date may refer to those before it. Never raises, whatever the text.
    """
    if not entities:
        return []
    text = _Text(document.text)
    report = _Report(document.published)
    values: list[DateValue] = [DateValue(None, None, why="not_understood")] * len(entities)
    for place in sorted(range(len(entities)), key=lambda i: (entities[i].start, entities[i].end)):
        sentence = text.sentence(entities[place].start)
        before, words = text.words(entities[place].start, entities[place].end)
        try:
            read = _read(_tokenize(words), _anchor(report, sentence, before))
        except _UnreadableError as reason:
            values[place] = DateValue(None, None, why=str(reason))
        except HijriRangeError:
            values[place] = DateValue(None, None, why="hijri_out_of_range")
        except (ValueError, OverflowError):  # from the calendars: no such day, or none that they can hold
            values[place] = DateValue(None, None, why="impossible_date")
        else:
            values[place] = DateValue(read.start, read.end, read.grain)
            report.remember(read, sentence, before)
    return values


class _UnreadableError(Exception):
    """A reason of :class:`DateValue` on its way out."""


# The report around a date


class _Text:
    """A report's text, cut into sentences, and folded only around its dates."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.breaks = [match.end() for match in _SENTENCE_END.finditer(text)]

    def sentence(self, offset: int) -> int:
        """The number of the sentence that ``offset`` lies in."""
        return bisect_right(self.breaks, offset)

    def words(self, start: int, end: int) -> tuple[list[str], list[str]]:
        """The words before ``start`` in its sentence, nearest first, and those of the span itself."""
        sentence = self.sentence(start)
        first = max(self.breaks[sentence - 1] if sentence else 0, start - _REACH)
        before = [word.text for word in fold_words(self.text[first:start])]
        if first == start - _REACH and before:
            del before[0]  # perhaps cut
        return before[::-1], [word.text for word in fold_words(self.text[start:end])]


@dataclass(slots=True)
class _Report:
    """What has been read so far. ``today`` is the day of the report, as far as is known."""

    today: date | None
    last: Interval | None = None
    last_day: date | None = None
    last_period: Interval | None = None
    sentence: int = -1  # of last_day
    reported: bool = False  # whether a verb of reporting stands before last_day

    def remember(self, read: Interval, sentence: int, before: Sequence[str]) -> None:
        self.last = read
        if read.start == read.end and read.grain == "day":
            verbs = _rules().reporting
            self.reported = any(form in verbs for word in before for form in _joined(word))
            self.last_day, self.sentence = read.start, sentence
        else:
            self.last_period = read


@dataclass(slots=True)
class _Anchor:
    """What a date may lean on.

    ``bound``: the day that a weekday or a month without a year must not come after, the report's if None. ``told``: the
    day that the sentence tells from (المرصد أشار أمس إلى أن …), from which it counts. ``lead``: what the preposition
    before the span makes of a count or a month: "since", "before", "after", "until" or "".
    """

    report: _Report
    today: date | None
    bound: date | None
    same_sentence: date | None
    told: date | None
    future: bool
    lead: str

    def need_today(self) -> date:
        if self.today is None:
            raise _UnreadableError("no_publication_date")
        return self.today

    def need_bound(self) -> date:
        return self.need_today() if self.bound is None else self.bound

    def need_told(self) -> date:
        return self.need_today() if self.told is None else self.told

    def need_last(self) -> Interval:
        if self.report.last is None:
            raise _UnreadableError("no_date_to_refer_to")
        return self.report.last

    def need_last_day(self) -> date:
        if self.report.last_day is None:
            raise _UnreadableError("no_date_to_refer_to")
        return self.report.last_day

    def move_today(self, day: date) -> None:
        """The text itself says which day it is told on."""
        self.today = self.bound = self.report.today = day


def _joined(word: str) -> tuple[str, ...]:
    """A word as it stands and without a و or ف written onto it."""
    return (word, word[1:]) if word[0] in "وف" else (word,)


def _anchor(report: _Report, sentence: int, before: Sequence[str]) -> _Anchor:
    rules = _rules()
    lead = next((rules.leads[form] for word in before[:4] for form in _joined(word) if form in rules.leads), "")
    future = False
    for word in before:
        if word in _CLAUSE_ENDS:
            break
        if any(form in rules.past_auxiliaries for form in _joined(word)):
            future = False
            break
        future = future or any(rules.is_future(form) for form in _joined(word))
    here = report.last_day if sentence == report.sentence else None
    return _Anchor(report, report.today, None, here, here if report.reported else None, future, lead)


# Words to tokens


@dataclass(slots=True)
class _Token:
    """One expression of a date: its code, what it says, and the modifier that belongs to it.

    Codes: ``a`` day, ``w`` week, ``m`` month, ``y`` year, ``k`` decade, ``c`` century, ``h`` hour, ``i`` minute, all as nouns
    with how many they are as ``value`` (0: a plural); ``N`` number, ``O`` ordinal, ``Y`` year as a number, ``M`` month name,
    ``W`` weekday, ``D`` day counted from the report, ``L`` last night, ``P`` part of day, ``E`` beginning, middle or end, ``Q`` half, third or
    quarter, ``Z`` season, ``K`` decade as a name, ``V`` festival, ``G`` period, ``U`` earlier in, ``I`` of it, ``s`` that day,
    ``n`` the next day, ``B`` before, ``R`` after, ``J`` before or after that, ``T`` o'clock, ``x`` modifier, ``X`` modifier
    before its noun, ``e`` Hijri era, ``-`` to, ``&`` and, ``=`` equals, ``/`` ``:`` as written, ``!`` a reason to stop, ``?``
    unknown.
    """

    code: str
    value: Any = None
    definite: bool = False
    streak: bool = False  # written with ل: لليوم الثاني
    modifier: str = ""


_UNITS = {"a": "day", "w": "week", "m": "month", "y": "year", "k": "decade", "c": "century", "h": "hour", "i": "minute"}
_UNIT_CODES = {unit: code for code, unit in _UNITS.items()}


@dataclass(frozen=True)
class _Rules:
    """The tables, folded: ``words`` maps a first word to what may follow it and what the whole is."""

    words: Mapping[str, Sequence[tuple[tuple[str, ...], str, Any]]]
    leads: Mapping[str, str]
    fillers: frozenset[str]
    future_words: frozenset[str]
    future_verb: regex.Pattern[str]
    no_future: tuple[str, ...]
    past_auxiliaries: frozenset[str]
    reporting: frozenset[str]

    def is_future(self, word: str) -> bool:
        return word in self.future_words or (
            self.future_verb.fullmatch(word) is not None and not word.startswith(self.no_future)
        )


@lru_cache(maxsize=1)
def _rules() -> _Rules:
    months, dates = load_rules("months"), load_rules("dates")
    words: dict[str, list[tuple[tuple[str, ...], str, Any]]] = {}

    def folded(phrase: str) -> tuple[str, ...]:
        return tuple(word.text for word in fold_words(phrase.lower()))

    def add(phrases: Iterable[str], code: str, value: Any = None) -> None:
        for phrase in phrases:
            first, *rest = folded(phrase)
            entry = (tuple(rest), code, value)
            if entry not in words.setdefault(first, []):
                words[first].append(entry)

    def flat(phrases: Iterable[str]) -> frozenset[str]:
        return frozenset(" ".join(folded(phrase)) for phrase in phrases)

    # Where two tables hold the same word, the one added first counts.
    add(months.pop("ambiguous"), "!", "ambiguous_month")
    for naming, names in months.items():
        for number, forms in names.items():
            add(forms, "M", ("hijri" if naming == "hijri" else "gregorian", number, naming))
    for number, forms in dates["weekdays"].items():
        add(forms, "W", number - 1)
    for offset, forms in dates["days"].items():
        add(forms, "D", offset)
    add(dates["last_night"], "L")
    for forms in dates["parts_of_day"]:
        add(forms, "P")
    for unit, forms in dates["units"].items():
        for count, form in enumerate(("many", "one", "two")):
            add(forms[form], _UNIT_CODES[unit], count)
    for year, forms in dates["decades"].items():
        add(forms, "K", year)
    for part, forms in dates["parts"].items():
        add(forms, "E", part)
    for parts, name in enumerate(("half", "third", "quarter"), 2):
        add(dates["fractions"][name], "Q", parts)
    for season, forms in dates["seasons"].items():
        add(forms, "Z", season)
    for modifier, forms in dates["modifiers"].items():
        add(forms, "x", modifier)
    for modifier, forms in dates["leading_modifiers"].items():
        add(forms, "X", modifier)
    for festival in dates["festivals"]:
        add(festival["names"], "V", (festival["calendar"], festival["month"], festival["day"], festival["days"]))
    add(dates["unfixed_festivals"], "!", "ambiguous_festival")
    add(dates["after_that"], "J", 1)
    add(dates["before_that"], "J", -1)
    add(dates["first_of_month"], "O", 1)
    for code, name in (
        *(("U", "earlier"), ("s", "same_day"), ("n", "next_day"), ("I", "of_it"), ("B", "before"), ("R", "after")),
        *(("G", "period"), ("-", "to"), ("&", "and"), ("=", "equals"), ("e", "hijri_era")),
    ):
        add(dates[name], code)
    for forms in dates["fillers"]:
        add(forms, "")
    add(dates["dashes"], "-")
    add(("/", "\\"), "/")
    add((":",), ":")
    leads = {form: lead for lead in ("since", "before", "after", "until") for form in flat(dates[lead])}
    future = dates["future"]
    return _Rules(
        words={first: sorted(entries, key=lambda entry: -len(entry[0])) for first, entries in words.items()},
        leads=leads,
        fillers=frozenset(dates["punctuation"]),
        future_words=flat(future["words"]),
        future_verb=regex.compile(future["pattern"]),
        no_future=tuple(flat(future["not"])),
        past_auxiliaries=flat(future["past"]),
        reporting=flat(dates["reporting"]),
    )


def _tokenize(words: Sequence[str]) -> list[_Token]:
    rules = _rules()
    tokens: list[_Token] = []
    i = 0
    while i < len(words):
        word = words[i]
        if word[0].isdecimal():
            tokens += _digits(word)
            i += 1
            continue
        found = _look_up(words, i)
        number = None if found is not None and found[2] > 1 else _number(words, i)
        if found is None and number is None:
            if word not in rules.fillers:
                tokens.append(_Token("?", word))
            i += 1
            continue
        joined = word[0] == "و" and len(word) > 1
        if found is not None and (number is None or found[0].code not in "?"):
            token, proclitic, length = found
            if proclitic.startswith("و"):
                tokens.append(_Token("&"))
            if token.code:
                tokens.append(token)
            i += length
        elif number is not None:
            token, length = number
            if joined and not word.startswith("واحد"):
                tokens.append(_Token("&"))
            tokens.append(token)
            i += length
    return tokens


def _digits(word: str) -> list[_Token]:
    """13.5.2017 is three numbers, 2,40 and 20.30 two."""
    tokens: list[_Token] = []
    for piece in regex.split("([.,])", word):
        if piece in ".,":
            tokens.append(_Token("/" if piece == "." else ":"))
        elif len(piece) > 8 or not piece.isdecimal():
            tokens.append(_Token("?", piece))
        else:
            tokens.append(_Token(*_year_or_number(int(piece), len(piece) == 4)))
    return tokens


def _year_or_number(value: int, long: bool = True) -> tuple[str, int]:
    return ("Y" if long and 1300 <= value < 2200 else "N"), value


def _number(words: Sequence[str], i: int) -> tuple[_Token, int] | None:
    """The longest number in words from ``i`` on, and how many words it has."""
    last = i
    while last < len(words) and last < i + 8 and not words[last][0].isdecimal():
        if not is_number_word(words[last]) and words[last] != "و":
            break
        last += 1
    while last > i:
        number = read_number(" ".join(words[i:last]))
        if isinstance(number, Number) and number.form in ("cardinal", "ordinal"):
            code, value = _year_or_number(number.low)
            code = "O" if number.form == "ordinal" else code
            return _Token(code, value, definite=words[i].lstrip("وفب").startswith(("ال", "لل"))), last - i
        last -= 1
    return None


def _look_up(words: Sequence[str], i: int) -> tuple[_Token, str, int] | None:
    """The longest entry of the tables at ``i``: its token, the proclitics taken off, and how many words it has."""
    table = _rules().words
    best: tuple[_Token, str, int] | None = None
    for form, proclitic, definite in _forms(words[i].lower()):
        for rest, code, value in table.get(form, ()):
            length = len(rest) + 1
            if (best is None or length > best[2]) and tuple(words[i + 1 : i + length]) == rest:
                best = _Token(code, value, definite, proclitic.endswith("ل")), proclitic, length
    return best


@lru_cache(maxsize=4096)
def _forms(word: str) -> tuple[tuple[str, str, bool], ...]:
    """A word as it stands, then without proclitics, then without the article: (form, proclitics, definite)."""
    forms = [(word, "")]
    for proclitic in ("و", "ف", "ب", "ل", "ك", "وب", "ول", "فب"):
        if word.startswith(proclitic) and len(word) > len(proclitic) + 1:
            rest = word[len(proclitic) :]
            forms.append((rest, proclitic))
            if proclitic[-1] == "ل" and rest.startswith("ل"):
                forms.append(("ا" + rest, proclitic))  # لليوم is ل and اليوم
    return tuple(
        [(form, proclitic, form.startswith("ال")) for form, proclitic in forms]
        + [(form[2:], proclitic, True) for form, proclitic in forms if form.startswith("ال") and len(form) > 3]
    )


# Tokens to an interval

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
_NUMERIC = regex.compile(r"Y([/-])N\1N|N([/-])[NM]\2[YN](?![/-])|N[/-]N(?![-/&:]?[NOMYhawmyki])|N/M|N?M[/-]Y|MN(?![-/&:]?[hiP])Y?")


def _read(tokens: list[_Token], anchor: _Anchor) -> Interval:
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
            raise _UnreadableError("relative_to_undated_event" if linked else "not_understood")
        kept = [token for token in kept if token.code != "?"]
    for token in kept:
        if token.code == "!":
            raise _UnreadableError(token.value)
    parts = _split(kept)
    if not parts:
        if not timed:
            raise _UnreadableError("not_understood")
        return day_interval(anchor.same_sentence or anchor.need_today())
    _share(parts)
    return _span(parts, anchor)


def _codes(tokens: Iterable[_Token]) -> str:
    return "".join(token.code for token in tokens)


def _drop_equals(tokens: list[_Token]) -> list[_Token]:
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


def _merge_months(tokens: list[_Token]) -> list[_Token]:
    """``أيار / مايو`` is one month, ``حزيران/تموز`` two."""
    merged: list[_Token] = []
    for token in tokens:
        before = _codes(merged[-2:])
        if token.code == "M" and (before.endswith("M") or before in ("M/", "M-")):
            other = merged[-1] if merged[-1].code == "M" else merged[-2]
            if other.value[:2] == token.value[:2]:
                del merged[merged.index(other) + 1 :]
                continue
            if before.endswith("M") or (other.value[2] != token.value[2] and before == "M/"):
                raise _UnreadableError("months_disagree")
            merged[-1] = _Token("-")
        merged.append(token)
    return merged


def _read_numeric(tokens: list[_Token], anchor: _Anchor) -> list[_Token]:
    """4/5/2016, 2016-05-04, 21-6 and 24/آب/2017 as day, month name and year."""
    codes = _codes(tokens)
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
            found[2] = _Token("Y", _short_year(found[2].value, anchor.today))
        if [token.code for token in found[:2]] == ["N", "N"]:
            day, month = found[0].value, found[1].value
            if month > 12 >= day and codes[first] != "Y":
                day, month = month, day  # 6/25/2017 has one reading only
            if not 1 <= month <= 12:
                raise _UnreadableError("impossible_date")
            found[:2] = [_Token("N", day), _Token("M", ("gregorian", month, "number"))]
        tokens[first:last] = found
    return tokens


def _short_year(value: int, today: date | None) -> int:
    if value > 99:
        return value
    latest = today.year + 1 if today else 2069
    return 2000 + value if 2000 + value <= latest else 1900 + value


def _drop_times(tokens: list[_Token]) -> tuple[list[_Token], bool]:
    codes = _codes(tokens)
    dropped = {i for match in _TIMES.finditer(codes) for i in range(*match.span())}
    return [token for i, token in enumerate(tokens) if i not in dropped], bool(dropped)


def _attach_modifiers(tokens: list[_Token]) -> list[_Token]:
    """Each modifier goes to the noun that it belongs to: the one before it, or after هذا and ذلك."""
    kept: list[_Token] = []
    leading = ""
    for i, token in enumerate(tokens):
        if token.code == "X" and i + 1 < len(tokens) and tokens[i + 1].code in "awmykchiMWZVKGD":
            leading = token.value
        elif token.code in "xX":
            noun = next((other for other in reversed(kept) if other.code in "awmykchiMWZVKGDsQ"), None)
            if noun is None:
                if token.value != "same":
                    raise _UnreadableError("not_understood")
                kept.append(_Token("s"))
            else:
                _as_noun(noun)
                noun.modifier = token.value
                if token.value == "last" and (noun.code == "Q" or (noun.code in "aw" and noun.value == 1)):
                    kept.append(_Token("O", -1, True))
        else:
            if token.code == "O" or (token.code == "N" and _codes(tokens[i + 1 : i + 2]) in ("", "?")):
                for day in kept[-1:]:
                    _as_noun(day)
            if leading:
                _as_noun(token)
                token.modifier, leading = leading, ""
            kept.append(token)
    return kept


def _as_noun(token: _Token) -> None:
    """اليوم is today, but the noun in اليوم التالي and اليوم الثاني."""
    if token.code == "D" and token.value == 0:
        token.code, token.value, token.definite = "a", 1, True


def _split(tokens: list[_Token]) -> list[list[_Token]]:
    """The parts between "to" and "and"; half a unit more (شهر ونصف) stays with it as a number."""
    parts: list[list[_Token]] = [[]]
    i = 0
    while i < len(tokens):
        token = tokens[i]
        ahead = _codes(tokens[i + 1 : i + 3])
        if token.code == "&" and parts[-1] and parts[-1][-1].code in "mykch" and ahead[:1] == "Q":
            unit = parts[-1][-1]
            unit.modifier = unit.modifier or "half"
            i += 3 if ahead[1:2] == unit.code else 2
            continue
        if token.code in "-&/:":
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


def _share(parts: list[list[_Token]]) -> None:
    """What is said once holds for all parts: the month in ``7 و9 آذار``, the year in ``آذار وتموز 2014``."""
    for i in range(len(parts) - 2, -1, -1):
        part, after = parts[i], parts[i + 1]
        if regex.fullmatch("a?[NO]|[aw]O|E", _codes(part)):
            tail = next((j for j, token in enumerate(after) if token.code in _CONTAINER), None)
            if tail is not None and _codes(after[tail:])[:1] not in "wyY":
                part += [replace(token) for token in after[tail:]]
    years = [_YEAR.search(_codes(part)) for part in parts]
    for i, part in enumerate(parts):
        if years[i] is None and regex.search("[MZVK]e?$|[QO]O$|E$", _codes(part)):
            near = sorted((j for j in range(len(parts)) if years[j] is not None), key=lambda j: (abs(i - j), -j))
            if near:
                match = years[near[0]]
                source = parts[near[0]]
                part += [replace(token) for token in source[match.start() : len(_codes(source))]] if match else []


def _span(parts: list[list[_Token]], anchor: _Anchor) -> Interval:
    """The parts read from the last to the first, since the last says when; their hull."""
    last = _read_part(parts[-1], anchor)
    hull = last
    for part in reversed(parts[:-1]):
        read = _read_part(part, replace(anchor, bound=hull.start))
        if read.start > hull.end:
            year = next((token for token in part if token.code == "Y"), None)
            if year is None:
                raise _UnreadableError("reversed_range")
            year.value -= 1  # كانون الأول وشباط 2017
            read = _read_part(part, anchor)
        hull = Interval(min(read.start, hull.start), max(read.end, hull.end), read.grain)
    return hull


def _read_part(tokens: Sequence[_Token], anchor: _Anchor) -> Interval:
    """One date: a count, a reference, or a weekday and day counted from the report, with or without a calendar date."""
    weekdays = [token for token in tokens if token.code == "W"]
    days = [token for token in tokens if token.code in "DL"]
    earlier = any(token.code == "U" for token in tokens)
    rest = [token for token in tokens if token.code not in "WDLU"]
    if len(weekdays) > 1:
        raise _UnreadableError("not_understood")
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
        raise _UnreadableError("open_interval")
    if codes and codes[0] in "sn":
        return _reference(rest, anchor)
    fixed = _calendar(rest, weekday, anchor)
    if days:
        return _settle(fixed, days, weekday, anchor)
    if weekday and fixed.grain == "week":
        return day_interval(fixed.start + timedelta(days=weekday.value))
    if weekday and fixed.start == fixed.end and fixed.start.weekday() != weekday.value:
        raise _UnreadableError("weekday_contradicts_date")
    if weekday and fixed.start != fixed.end:
        raise _UnreadableError("not_understood")
    if earlier:
        today = anchor.need_today()
        if fixed.start <= today < fixed.end:
            return replace(fixed, end=today)
    return fixed


def _named_day(days: Sequence[_Token], weekday: _Token | None, anchor: _Anchor) -> Interval:
    """اليوم, أمس الأحد, الجمعة المقبل …"""
    if not days:
        return day_interval(_weekday(weekday, anchor)) if weekday else _unread()
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
        day += timedelta(days=7 - back if offset > 0 else -back)
        if offset == 0:
            anchor.move_today(day)
    return day_interval(day)


def _unread() -> Interval:
    raise _UnreadableError("not_understood")


def _weekday(token: _Token, anchor: _Anchor) -> date:
    bound = anchor.need_bound()
    last_day = anchor.report.last_day
    if token.modifier == "same" and last_day is not None and last_day.weekday() == token.value:
        return last_day
    back = (bound.weekday() - token.value) % 7
    if token.modifier in ("future", "next") or (anchor.future and not token.modifier and anchor.bound is None):
        return bound + timedelta(days=7 - back)
    if token.modifier in ("past", "last") and anchor.bound is None:
        back = back or 7
    return bound - timedelta(days=back)


def _settle(fixed: Interval, days: Sequence[_Token], weekday: _Token | None, anchor: _Anchor) -> Interval:
    """A calendar date beside اليوم or أمس: the calendar date counts, unless its weekday speaks for the other."""
    if days[-1].code == "L":
        raise _UnreadableError("not_understood")
    offset = timedelta(days=days[-1].value)
    if fixed.start != fixed.end:
        # مطلع هذا العام اليوم has no reading; أمس من الأسبوع الماضي neither.
        named = _named_day(days, weekday, anchor)
        return named if fixed.start <= named.start <= fixed.end else _unread()
    if weekday is not None and fixed.start.weekday() != weekday.value:
        if anchor.today is None:
            raise _UnreadableError("weekday_contradicts_date")
        return _named_day(days, weekday, anchor)
    if anchor.today is None or fixed.start - offset != anchor.today:
        anchor.move_today(fixed.start - offset)
    return fixed


def _reference(tokens: Sequence[_Token], anchor: _Anchor) -> Interval:
    if len(tokens) > 1:
        raise _UnreadableError("not_understood")
    if tokens[0].code == "n":
        return day_interval(anchor.need_last_day() + timedelta(days=1))
    return day_interval(anchor.report.last_day) if anchor.report.last_day else anchor.need_last()


_COUNTED = regex.compile("(?P<way>[BRJ])?(?:(?P<number>N)|(?P<fraction>Q))?(?P<unit>[awmykchi])(?P<after>N)?")


def _counted(tokens: Sequence[_Token], anchor: _Anchor) -> Interval | None:
    """قبل ثلاثة أيام, الساعات الـ 24 الماضية, (منذ) 5 أيام; None where nothing is counted."""
    match = _COUNTED.fullmatch(_codes(tokens))
    if match is None:
        return None
    noun = tokens[match.start("unit")]
    way, unit = match["way"], _UNITS[noun.code]
    if match["after"] and noun.value == 1 and tokens[match.start("after")].value != 1:
        return None  # شهر 8, سنة 48
    if match["number"] and noun.value == 1 and noun.definite and noun.code in "mwy":
        return None  # 12 من الشهر
    number = next((token.value for token in tokens if token.code == "N"), None)
    if number is None:
        counted = noun.value != 1 or way or match["fraction"] or (not noun.definite and not noun.modifier and anchor.lead)
        if not counted and noun.modifier != "half":
            return None
        if noun.value == 0:
            if noun.modifier in ("same", "current"):
                return _period(anchor)
            raise _UnreadableError(f"vague_number_of_{unit}s")
        number = noun.value
    if unit == "day" and noun.value == 1 and noun.modifier in ("same", "next") and not way:
        return None
    count, unit = _smaller_unit(number, unit, tokens[match.start("fraction")].value if match["fraction"] else 0, noun)
    if way == "J":
        return _moved(anchor.need_last_day(), count * tokens[0].value, unit)
    if way is None and noun.modifier in ("", "half"):
        way = {"before": "B", "after": "R", "since": "since"}.get(anchor.lead)
    elif way is None:
        way = {"past": "since", "last": "since", "future": "until", "next": "until"}.get(noun.modifier)
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
            raise _UnreadableError("relative_to_undated_event")
        case "since" | "until":
            today = anchor.need_told()
            if unit in ("hour", "minute"):
                count, unit = -(-count // (24 if unit == "hour" else 1440)), "day"
            other = _moved(today, -count if way == "since" else count, unit)
            return Interval(min(today, other.start), max(today, other.start), other.grain)
        case _:
            if noun.modifier == "same":
                return _period(anchor)
            raise _UnreadableError("duration_without_anchor")


def _smaller_unit(number: int, unit: str, fraction: int, noun: _Token) -> tuple[int, str]:
    """Halves in whole smaller units: half a century is 50 years, a month and a half 45 days."""
    smaller = {"century": (100, "year"), "decade": (10, "year"), "year": (12, "month"), "month": (30, "day")}
    if noun.modifier == "half":
        noun.modifier = ""
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
    return Interval(moved, moved, unit)  # type: ignore[arg-type]


def _period(anchor: _Anchor) -> Interval:
    return anchor.report.last_period or anchor.need_last()


# Calendar dates: a selector in a container

_CALENDAR = regex.compile(
    r"(?P<pick>a?[NO]|Oa|E|[wamy]O|aNO|QO)?"
    r"(?P<head>mM|M|mN|m(?!O)|V|Z|Kc?|I|w(?!O)|k|cO?|G|a(?!O))?"
    r"(?P<year>yY|yN|y(?!O)|Y)?(?P<era>e)?"
)


def _calendar(tokens: Sequence[_Token], weekday: _Token | None, anchor: _Anchor) -> Interval:
    match = _CALENDAR.fullmatch(_codes(tokens))
    if match is None:
        raise _UnreadableError("not_understood")

    def group(name: str) -> list[_Token]:
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
            raise _UnreadableError("relative_to_undated_event")
        raise _UnreadableError("not_understood")
    noun = head[-1]
    modifier = head[0].modifier or noun.modifier
    match noun.code:
        case "M" | "V":
            kind: Calendar = "hijri" if hijri else noun.value[0]
            return _in_some_year(noun, kind, year, modifier, select, bool(pick and pick[0].code in "NOa"), weekday, anchor)
        case "N":
            if not 1 <= noun.value <= 12:
                raise _UnreadableError("impossible_date")
            named = _Token("M", ("gregorian", noun.value, "number"))
            return _in_some_year(named, "gregorian", year, modifier, select, bool(pick), weekday, anchor)
        case "m":
            if year is not None and not pick and modifier not in ("same", "past", "future"):
                raise _UnreadableError("not_understood")
            day = _move_by_modifier(modifier, "month", anchor)
            chosen = select(month_interval(year if year is not None else day.year, day.month))
            if pick and not modifier and not anchor.future and chosen.start > anchor.need_bound() and pick[0].code != "E":
                day = shift(day, -1, "month")  # a monthly report, out on the first of the next month
                chosen = select(month_interval(day.year, day.month))
            return chosen
        case "I":
            last = anchor.need_last().start
            return select(month_interval(last.year, last.month))
        case "w":
            return select(week_interval(_move_by_modifier(modifier, "week", anchor)))
        case "k":
            return select(decade_interval(_move_by_modifier(modifier, "decade", anchor).year // 10 * 10))
        case "K":
            return select(decade_interval(noun.value))
        case "c" | "O":
            if head[0].code == "K":
                return select(decade_interval(head[0].value))
            if noun.code == "O":
                return select(decade_interval(noun.value * 100 - 99, 100))
            return select(decade_interval((_move_by_modifier(modifier, "century", anchor).year - 1) // 100 * 100 + 1, 100))
        case "Z":
            return select(_season(noun.value, modifier, year, anchor))
        case "G":
            if modifier != "same":
                raise _UnreadableError("vague_period")
            period = _period(anchor)
            return period if year is None else _in_year(period, year)
        case _:  # اليوم ذاته, اليوم التالي
            if modifier not in ("same", "next") or pick:
                raise _UnreadableError("relative_to_undated_event")
            return day_interval(anchor.need_last_day() + timedelta(days=modifier == "next"))


def _in_year(period: Interval, year: int) -> Interval:
    months = (year - period.start.year) * 12
    return replace(period, start=shift(period.start, months, "month"), end=shift(period.end, months, "month"))


def _select(pick: Sequence[_Token], container: Interval) -> Interval:
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
            raise _UnreadableError("impossible_date")
        chosen = month_interval(container.start.year, value)
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
        raise _UnreadableError("ambiguous_part")
    return chosen


def _year(tokens: Sequence[_Token], anchor: _Anchor) -> int | None:
    """The year as a number, by either calendar; None where none is said."""
    if not tokens:
        return None
    last = tokens[-1]
    if last.code == "Y":
        return int(last.value)
    if last.code == "N":
        if last.value > 99:
            raise _UnreadableError("not_understood")
        return _short_year(last.value, anchor.today)
    if not last.modifier and not last.definite:
        raise _UnreadableError("not_understood")
    return _move_by_modifier(last.modifier, "year", anchor).year


def _whole_year(year: int | None, hijri: bool) -> Interval:
    if year is None:
        raise _UnreadableError("not_understood")
    if not hijri and year in HIJRI_YEARS:
        raise _UnreadableError("ambiguous_calendar")
    return year_interval(year, "hijri" if hijri else "gregorian")


def _move_by_modifier(modifier: str, unit: str, anchor: _Anchor) -> date:
    """A day in this, the last, the next, the same or the following week, month, year …"""
    if modifier in ("same", "next"):
        return shift(anchor.need_last().start, int(modifier == "next"), unit)
    steps = {"past": -1, "last": -1, "future": 1}.get(modifier, 0)
    # From the first of the month, so that the last day of a long month does not skip a short one.
    today = anchor.need_today()
    return shift(today if unit == "week" else today.replace(day=1), steps, unit)


def _season(season: str, modifier: str, year: int | None, anchor: _Anchor) -> Interval:
    if year is not None:
        if season == "winter":
            raise _UnreadableError("ambiguous_winter")
        return season_interval(year, season)
    today = anchor.need_bound()
    options = [season_interval(y, season) for y in range(today.year + 2, today.year - 3, -1)]
    if modifier == "future" or (anchor.future and not modifier):
        return next(option for option in reversed(options) if option.start > today)
    if modifier in ("past", "last"):
        return next(option for option in options if option.end < today)
    return next(option for option in options if option.start <= today)


def _bare_number(pick: Sequence[_Token], anchor: _Anchor) -> Interval:
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
        raise _UnreadableError("relative_to_undated_event")
    month = anchor.need_bound()
    if number.value > month.day:
        month = month.replace(day=1) - timedelta(days=1)
    return day_of(month_interval(month.year, month.month), number.value)


def _in_some_year(
    token: _Token,
    kind: Calendar,
    year: int | None,
    modifier: str,
    select: Callable[[Interval], Interval],
    exact: bool,
    weekday: _Token | None,
    anchor: _Anchor,
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
            raise _UnreadableError("ambiguous_calendar")
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
        raise _UnreadableError("impossible_date")
    future = modifier in ("future", "next") or (anchor.future and not modifier)
    later = [option for option in options if option.start > bound]
    # With a day, "past" may be a day of this month; without one, the month is over.
    past = [option for option in options if (option.start if exact else option.end) < bound]
    sofar = [option for option in options if option.start <= bound]
    if weekday is not None and exact:
        fits = [option for option in (*later[-1:], *sofar[:1]) if option.start.weekday() == weekday.value]
        if len(fits) != 1:
            raise _UnreadableError("weekday_contradicts_date")
        return fits[0]
    if modifier == "same" and anchor.report.last is not None:
        return min(options, key=lambda option: abs(option.start - anchor.need_last().start))
    nearest = token.code == "V" or (anchor.lead == "until" and anchor.bound is None)
    if modifier == "current" or (nearest and not modifier and not future):
        return min(options, key=lambda option: abs(option.start - bound))
    if future and later:
        return later[-1]
    if modifier in ("past", "last") and past:
        return past[0]
    if exact and anchor.bound is None and later and later[-1].start - bound <= _SLACK:
        return later[-1]
    if not sofar:
        raise _UnreadableError("impossible_date")
    return sofar[0]
