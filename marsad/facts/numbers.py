"""Arabic numbers as they are written: digits of three scripts, words in every case and gender, ranges, vague words.

``اثنين وثلاثين`` is 32, ``١٬٢٠٠`` is 1200, ``3 آلاف`` is 3000, ``ما بين 10 و15`` is 10 to 15, ``عشرات`` is 20 to 99.
The words stand in ``rules/numbers.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

import regex

from marsad.facts.folding import fold, fold_words, load_rules, stems
from marsad.text.normalization import TATWEEL
from marsad.text.words import Word

# More than all people; what is larger is no count of them.
_LARGEST = 10**10
_FATHATAN = "\u064b"
_SCALES = frozenset({"scale", "scales", "two_scale"})
_THOUSANDS = regex.compile(r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:\.\d{3})+")
_DECIMAL = regex.compile(r"(\d+)[.,](\d+)")
# Proclitics that may be written onto digits: و7, الـ20, بـ15.
_DIGIT_CLITICS = regex.compile("[وفبلك]|[وف]?[بك]?ال|[وف]?لل|[وف][بلك]")

Form = Literal["cardinal", "ordinal", "range", "vague"]


@dataclass(frozen=True, slots=True)
class Number:
    """``low`` to ``high``, both included; they differ for ranges and vague words alone."""

    low: int
    high: int
    form: Form = "cardinal"

    def record(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return {"low": self.low, "high": self.high, "form": self.form}


@dataclass(frozen=True, slots=True)
class Unread:
    """No value, and why:

    ``no_number`` (no number word in it), ``not_one_number`` (number words that make no single number),
    ``stray_letters`` (``4x7``), ``unclear_separator`` (``12,34``), ``not_whole`` (``2.5``), ``too_large``,
    ``contradictory_range`` (``10-5``).
    """

    why: str


@dataclass(frozen=True, slots=True)
class _Token:
    """One number word: what it is, its value, and whether و joins it to the one before."""

    kind: str
    value: Any
    joined: bool = False


def read_number(text: str, between: bool = False) -> Number | Unread:
    """The number that ``text`` is; ``text`` must hold nothing but it.

    ``between``: the word بين stands before it, so that و parts the ends of a range (``عشرين وثلاثين``).
    Never raises, whatever the string.
    """
    return read_words(fold_words(text).words, text, between)


def read_words(words: Sequence[Word], text: str, between: bool = False) -> Number | Unread:
    """As :func:`read_number`, for folded words of ``text`` (:func:`~marsad.facts.folding.fold_words`)."""
    try:
        return _read(_tokens(words, text), between)
    except _UnreadError as reason:
        return Unread(str(reason))


def is_number_word(word: str) -> bool:
    """Whether a folded word is, or begins with a proclitic and is, a number word or digits."""
    return word[0].isdecimal() or _look_up(word) is not None


def is_scale(word: str) -> bool:
    """Whether a folded word multiplies a number right before it: ألف, ألفا, آلاف, مليون."""
    token = _look_up(word)
    return token is not None and token.kind in _SCALES and not token.joined


class _UnreadError(Exception):
    """A reason of :class:`Unread` on its way out."""


def _read(tokens: Sequence[_Token], between: bool) -> Number:
    if not tokens:
        raise _UnreadError("no_number")
    if tokens[0].kind == "opener":
        between = between or any(token.value == "بين" for token in tokens if token.kind == "opener")
        tokens = [token for token in tokens if token.kind != "opener"]
        if not tokens:
            raise _UnreadError("no_number")
    ordinal = _ordinal(tokens)
    if ordinal is not None:
        return Number(ordinal, ordinal, "ordinal")
    vague = _vague(tokens)
    if vague is not None:
        return Number(*_checked(*vague), "vague")
    value = _cardinal(tokens)
    if value is None or between:
        range_ = _range(tokens)
        if range_ is not None:
            return Number(*_checked(*range_), "range")
    if value is None:
        raise _UnreadError("not_one_number")
    return Number(*_checked(value, value))


def _checked(low: Fraction, high: Fraction) -> tuple[int, int]:
    if low.denominator != 1 or high.denominator != 1:
        raise _UnreadError("not_whole")
    if high > _LARGEST:
        raise _UnreadError("too_large")
    return int(low), int(high)


# Words to tokens


@lru_cache(maxsize=1)
def _table() -> Mapping[str, _Token]:
    """Folded word → what it is."""
    rules = load_rules("numbers")
    table: dict[str, _Token] = {}

    def add(words: Sequence[str], kind: str, value: Any) -> None:
        for word in words:
            table[fold(word)] = _Token(kind, value)

    add(rules["zero"], "zero", 0)
    add(rules["ten"], "ten", 10)
    add(rules["hundred"], "hundred", 100)
    add(rules["one_of"], "one_of", 1)
    add(rules["ordinal_one"], "ordinal_one", 1)
    add(rules["few"], "few", (3, 9))
    add(rules["odd"], "odd", None)
    add(rules["range_marks"], "mark", None)
    for word, (above, below) in rules["parts"].items():
        table[fold(word)] = _Token("part", Fraction(above, below))
    for word in rules["range_openers"]:
        table[fold(word)] = _Token("opener", word)
    for kind, name in (
        ("unit", "units"),
        ("teen", "teens"),
        ("tens", "tens"),
        ("hundreds", "hundreds"),
        ("ordinal", "ordinals"),
    ):
        for value, words in rules[name].items():
            add(words, kind, value)
    for entry in rules["vague"].values():
        add(entry["words"], "vague", (entry["low"], entry["high"], entry["step"]))
    for value, forms in rules["scales"].items():
        add(forms["one"], "scale", value)
        add(forms["many"], "scales", value)
        add(forms["two"], "two_scale", value)
    return table


@lru_cache(maxsize=4096)
def _look_up(word: str) -> _Token | None:
    table = _table()
    for stem in stems(word):
        token = table.get(stem)
        # Proclitics and pronouns belong to numbers, not to the little words between them.
        if token is not None and (stem == word or token.kind not in {"mark", "opener"}):
            # Folded, وأحد (عشر) looks like واحد: it may join.
            joined = word == "واحد" or (stem != word and word[0] in "وف" and not word.startswith(stem))
            return _Token(token.kind, token.value, joined)
    return None


def _tokens(words: Sequence[Word], text: str) -> list[_Token]:
    tokens: list[_Token] = []
    joined = False  # by a و that stands alone, or on the digits after it
    i = 0
    while i < len(words):
        word = words[i]
        if word.text[0].isdecimal():
            last = _digits_end(words, i)
            value = _digits([part.text for part in words[i:last]])
            if last < len(words) and words[last].start == words[last - 1].end and _is_letter(words[last]):
                raise _UnreadError("stray_letters")
            tokens.append(_Token("digits", value, joined))
            joined, i = False, last
            continue
        i += 1
        before_digits = i < len(words) and words[i].text[0].isdecimal()
        if word.text == "و" or (before_digits and _DIGIT_CLITICS.fullmatch(word.text)):
            joined = joined or word.text[0] in "وف"
            continue
        if before_digits and words[i].start == word.end and _is_letter(word):
            raise _UnreadError("stray_letters")
        if word.text in {"ال", "ل", "ب", "ف", "لل", "بال"}:
            continue
        read = word.text
        accusative = _FATHATAN in text[word.start : word.end] or (bool(tokens) and not joined and is_scale(read))
        if read.endswith("ا") and accusative:
            read = read[:-1]  # ألفاً and 20 ألفا are thousands in the accusative, ألفا alone is two thousand
        token = _look_up(read)
        if token is None:
            raise _UnreadError("no_number" if not tokens else "not_one_number")
        tokens.append(_Token(token.kind, token.value, token.joined or joined))
        joined = False
    return tokens


def _digits_end(words: Sequence[Word], first: int) -> int:
    """Where a run of digits ends that an Arabic comma or a narrow gap cuts into thousands (1،200 or 1 200)."""
    last = first + 1
    if "." in words[first].text or "," in words[first].text or len(words[first].text) > 3:
        return last
    while last < len(words):
        word = words[last]
        if word.text in {"،", "'", "’"} and last + 1 < len(words) and words[last + 1].start == word.end:
            if word.start == words[last - 1].end and _is_thousand(words[last + 1].text):
                last += 2
                continue
        elif _is_thousand(word.text) and word.start - words[last - 1].end == 1:
            last += 1
            continue
        return last
    return last


def _is_letter(word: Word) -> bool:
    return word.text[0].isalpha() and word.text != TATWEEL


def _is_thousand(text: str) -> bool:
    return len(text) == 3 and text.isdecimal()


def _digits(parts: Sequence[str]) -> Fraction:
    text = "".join(part for part in parts if part[0].isdecimal())
    if len(text) > 24:
        raise _UnreadError("too_large")
    if text.isdecimal():
        return Fraction(int(text))
    if _THOUSANDS.fullmatch(text) and text[0] != "0":
        return Fraction(int(text.replace(",", "").replace(".", "")))
    decimal = _DECIMAL.fullmatch(text)
    if decimal is None or ("," in text and len(decimal.group(2)) > 1):
        raise _UnreadError("unclear_separator")
    return Fraction(text.replace(",", "."))


# Tokens to values


def _cardinal(tokens: Sequence[_Token]) -> Fraction | None:
    """The value of tokens that make one number, or None.

    A number is groups of up to three digits, each with its scale, the largest first; a group is hundreds, units and
    tens. Every part but the first is joined by و, save where it multiplies or makes a teen.
    """
    if len(tokens) == 1 and tokens[0].kind in {"zero", "one_of"}:
        return Fraction(tokens[0].value)
    total = Fraction(0)
    above = 10 * _LARGEST  # the scale of the last group
    group: dict[str, Fraction] = {}  # hundreds, tens, unit, or digits
    for place, token in enumerate(tokens):
        kind, value, joined = token.kind, token.value, token.joined
        previous = tokens[place - 1].kind if place else ""
        if kind in {"scale", "scales"} and group and not joined:
            if not value < above:
                return None
            total, above, group = total + sum(group.values()) * value, value, {}
            continue
        if kind == "part":
            if previous in {"scale", "two_scale"} and joined:
                total += above * value  # مليون ونصف
            elif not group and not place:
                group["digits"] = value
            else:
                return None
            continue
        if kind == "scale" and previous == "part" and value == above and not joined and not group:
            continue  # مليون ونصف المليون
        if kind == "ten" and previous in {"unit", "one_of"} and not joined and "tens" not in group:
            group["tens"] = Fraction(10)
            continue
        if kind == "hundred" and not joined and set(group) in ({"unit"}, {"digits"}):
            group = {"hundreds": 100 * sum(group.values(), Fraction())}
            continue
        if place and not joined:
            return None
        match kind:
            case "unit" | "one_of" if not group.keys() & {"unit", "tens", "digits"}:
                group["unit"] = Fraction(value)
            case "tens" if not group.keys() & {"tens", "digits"} and (
                "unit" not in group or previous in {"unit", "one_of"}
            ):
                group["tens"] = Fraction(value)
            case "ten" | "teen" if not group.keys() & {"unit", "tens", "digits"}:
                group["tens"] = Fraction(value)
            case "hundred" | "hundreds" if not group:
                group["hundreds"] = Fraction(value)
            case "digits" if not group and value < above:
                group["digits"] = value
            # مئة ألف وألف: the same scale once more, after hundreds of it.
            case "scale" | "two_scale" if not group and (value < above or value == above <= total / 100):
                total, above = total + value * (2 if kind == "two_scale" else 1), value
            case _:
                return None
    return total + sum(group.values())


def _ordinal(tokens: Sequence[_Token]) -> int | None:
    first = tokens[0]
    if first.kind not in {"ordinal", "ordinal_one"}:
        return None
    if len(tokens) == 1:
        return int(first.value) if first.kind == "ordinal" else None
    second = tokens[1]
    if len(tokens) > 2 or first.value > 9:
        return None
    if second.kind == "ten" and not second.joined:
        return int(first.value) + 10
    return int(first.value + second.value) if second.kind == "tens" and second.joined else None


def _vague(tokens: Sequence[_Token]) -> tuple[Fraction, Fraction] | None:
    first, rest = tokens[0], list(tokens[1:])
    if any(token.kind == "odd" for token in tokens):
        # نيف وعشرون and عشرون ونيف: a round number and less than its last place more.
        value = _cardinal([token for token in tokens if token.kind != "odd"])
        if not value or value.denominator != 1 or value % 10:
            return None
        place = 10
        while value % (place * 10) == 0:
            place *= 10
        return value + 1, value + place - 1
    if first.kind == "few":
        low, high = first.value
        if not rest:
            return Fraction(low), Fraction(high)
        step = rest.pop(0)
        if step.kind in {"ten", "tens"} and not rest:  # بضعة عشر, بضع وعشرون
            return Fraction(step.value + low), Fraction(step.value + high)
        if step.joined or step.kind not in {"vague", "scales"}:
            return None
        width = step.value[2] if step.kind == "vague" else step.value
        bounds = Fraction(low * width), Fraction((high + 1) * width - 1)
    elif first.kind == "vague":
        bounds = Fraction(first.value[0]), Fraction(first.value[1])
    elif first.kind == "scales":
        bounds = Fraction(2 * first.value), Fraction(10 * first.value - 1)
    else:
        return None
    for token in rest:
        if token.kind not in {"scale", "scales"} or token.joined:
            return None
        bounds = bounds[0] * token.value, (bounds[1] + 1) * token.value - 1
    return bounds


def _range(tokens: Sequence[_Token]) -> tuple[Fraction, Fraction] | None:
    """The two ends: parted by a dash or a word, or by و where the two make no one number or بين stands before."""
    marks = [i for i, token in enumerate(tokens) if token.kind == "mark"]
    if len(marks) == 1:
        ends = _ends(tokens[: marks[0]], tokens[marks[0] + 1 :])
        if ends is None:
            raise _UnreadError("not_one_number")
        return ends
    if marks:
        raise _UnreadError("not_one_number")
    for i in range(1, len(tokens)):
        if tokens[i].joined:
            ends = _ends(tokens[:i], tokens[i:], strict=False)
            if ends is not None:
                return ends
    return None


def _ends(first: Sequence[_Token], second: Sequence[_Token], strict: bool = True) -> tuple[Fraction, Fraction] | None:
    """Both ends as values; a scale on the second holds for the first where that alone makes sense (3 أو 4 آلاف)."""
    if not first or not second:
        return None
    low = _cardinal(first)
    high = _cardinal([_Token(second[0].kind, second[0].value), *second[1:]])
    if low is None or high is None:
        return None
    last = second[-1]
    if last.kind in {"scale", "scales"} and len(second) > 1 and low * last.value < high:
        low *= last.value
    if low >= high:
        if strict:
            raise _UnreadError("contradictory_range")
        return None
    return low, high
