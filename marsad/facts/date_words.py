"""The words of a date as tokens, each with a one-letter code, by ``rules/months.yaml`` and ``rules/dates.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex

from marsad.facts.folding import fold_words, load_rules, stems
from marsad.facts.numbers import Number, is_number_word, read_number


@dataclass(slots=True)
class Token:
    """One expression of a date: its code, what it says, and the modifier that belongs to it.

    - nouns, with how many they are as ``value`` (0: a plural): ``a`` day, ``w`` week, ``m`` month, ``y`` year,
      ``k`` decade, ``c`` century, ``h`` hour, ``i`` minute
    - numbers: ``N`` cardinal, ``O`` ordinal, ``Y`` year, ``Q`` half, third or quarter
    - names: ``M`` month, ``W`` weekday, ``P`` part of day, ``Z`` season, ``K`` decade, ``V`` festival, ``e`` Hijri era
    - places: ``E`` beginning, middle or end of, ``U`` earlier in, ``I`` of it, ``G`` period
    - days: ``D`` counted from the report, ``L`` last night, ``s`` that day, ``n`` the next day
    - relations: ``B`` before, ``R`` after, ``J`` before or after that, ``T`` o'clock, ``>`` to, ``&`` and,
      ``=`` equals, ``-``, ``/`` and ``:`` as written
    - others: ``x`` modifier, ``X`` modifier before its noun, ``!`` a reason to stop, ``?`` unknown
    """

    code: str
    value: Any = None
    definite: bool = False
    streak: bool = False  # written with ل: لليوم الثاني
    modifier: str = ""
    half: bool = False  # and a half
    shared: bool = False  # said of another part of the range


UNITS = {"a": "day", "w": "week", "m": "month", "y": "year", "k": "decade", "c": "century", "h": "hour", "i": "minute"}
_UNIT_CODES = {unit: code for code, unit in UNITS.items()}


@dataclass(frozen=True)
class DateRules:
    """The tables, folded: ``words`` maps a first word to what may follow it and what the whole is."""

    words: Mapping[str, Sequence[tuple[tuple[str, ...], str, Any]]]
    leads: Mapping[str, str]
    approximate: frozenset[str]
    fillers: frozenset[str]
    future_words: frozenset[str]
    planned: frozenset[str]
    future_verb: regex.Pattern[str]
    no_future: frozenset[str]
    past_auxiliaries: frozenset[str]
    reporting: frozenset[str]

    def is_future(self, word: str) -> bool:
        """Whether a word puts its clause in the future."""
        if word in self.future_words:
            return True
        return self.future_verb.fullmatch(word) is not None and self.no_future.isdisjoint(stems(word))


@lru_cache(maxsize=1)
def date_rules() -> DateRules:
    """The tables, read once."""
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
        *(("G", "period"), (">", "to"), ("&", "and"), ("=", "equals"), ("e", "hijri_era")),
    ):
        add(dates[name], code)
    for forms in (*dates["fillers"], dates["approximate"]):
        add(forms, "")
    add(dates["dashes"], "-")
    add(("/", "\\"), "/")
    add((":",), ":")
    leads = {form: lead for lead in ("since", "before", "after", "until") for form in flat(dates[lead])}
    future = dates["future"]
    return DateRules(
        words={first: sorted(entries, key=lambda entry: -len(entry[0])) for first, entries in words.items()},
        leads=leads,
        approximate=flat(dates["approximate"]),
        fillers=frozenset(dates["punctuation"]),
        future_words=flat(future["words"]),
        planned=flat(future["planned"]),
        future_verb=regex.compile(future["pattern"]),
        no_future=flat(word for row in future["not"] for word in row),
        past_auxiliaries=flat(future["past"]),
        reporting=flat(dates["reporting"]),
    )


def tokenize(words: Sequence[str]) -> list[Token]:
    """The tokens of folded words; none is lost but fillers and punctuation."""
    rules = date_rules()
    tokens: list[Token] = []
    i = 0
    while i < len(words):
        word = words[i]
        if word[0].isdecimal():
            tokens += _digits(word)
            i += 1
            continue
        found = _look_up(words, i) or _number(words, i)
        if found is None:
            if word not in rules.fillers:
                tokens.append(Token("?", word))
            i += 1
            continue
        token, joined, length = found
        if joined:
            tokens.append(Token("&"))
        if token.code:
            tokens.append(token)
        i += length
    return tokens


def _digits(word: str) -> list[Token]:
    """13.5.2017 is three numbers, 2,40 and 20.30 two."""
    tokens: list[Token] = []
    for piece in regex.split("([.,])", word):
        if piece in ".,":
            tokens.append(Token("/" if piece == "." else ":"))
        elif len(piece) > 8 or not piece.isdecimal():
            tokens.append(Token("?", piece))
        else:
            tokens.append(Token(*_year_or_number(int(piece), len(piece) == 4)))
    return tokens


def _year_or_number(value: int, long: bool = True) -> tuple[str, int]:
    return ("Y" if long and 1300 <= value < 2200 else "N"), value


def _number(words: Sequence[str], i: int) -> tuple[Token, bool, int] | None:
    """The longest number in words from ``i`` on: its token, whether و joins it, and how many words it has."""
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
            joined = words[i].startswith("و") and words[i] != "و" and not words[i].startswith("واحد")
            return Token(code, value, definite=words[i].lstrip("وفب").startswith(("ال", "لل"))), joined, last - i
        last -= 1
    return None


def _look_up(words: Sequence[str], i: int) -> tuple[Token, bool, int] | None:
    """The longest entry of the tables at ``i``: its token, whether و joins it, and how many words it has."""
    table = date_rules().words
    best: tuple[Token, bool, int] | None = None
    for form, proclitic, definite in _forms(words[i].lower()):
        for rest, code, value in table.get(form, ()):
            length = len(rest) + 1
            if (best is None or length > best[2]) and tuple(words[i + 1 : i + length]) == rest:
                token = Token(code, value, definite, proclitic.endswith("ل"))
                best = token, proclitic.startswith("و"), length
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
