"""One normalisation for training and inference, with an exact map back to the caller's text.

Arabic posts and reports spell one word in many ways: stretched by tatweel, with or without
diacritics, in presentation forms copied out of PDFs, with bidi marks around numbers, and broken by
tatweel and spaces to get past the filters of social networks (``قـ ـصـ ـف`` for ``قصف``). All of them are
read as the word, and every normalised character knows which code points of the original it stands for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import regex
from pydantic import BaseModel, ConfigDict

TATWEEL = "\u0640"

# Letters that do not join to the one after them: a word broken after one of these carries no tatweel there.
_NON_JOINING = frozenset("اأإآٱدذرزژوؤةىء")
# Single letters that are words: "and", and "on" as the dialects write it.
_LETTER_WORDS = frozenset("وع")
_ARABIC_MARKS = (
    r"\u0610-\u061A\u064B-\u065F\u0670\u06D6-\u06DC\u06DF-\u06E4\u06E7\u06E8"
    r"\u06EA-\u06ED\u08CA-\u08E1\u08E3-\u08FF"
)
# Hamza and madda of a decomposed letter (NFD): of أ, not above its alef as vowel signs are.
_HAMZA_MARKS = "\u0653\u0654\u0655"
_INVISIBLE = r"\u00AD\u061C\u200B-\u200F\u202A-\u202E\u2060-\u206F\uFE00-\uFE0F\uFEFF"
_MARK = regex.compile(f"[{_ARABIC_MARKS}]")
_INVISIBLE_CHAR = regex.compile(f"[{_INVISIBLE}]")
# A piece of a possibly broken word: Arabic letters with their marks, tatweel and invisible characters.
_PIECE = regex.compile(rf"[[\p{{Arabic}}&&\p{{L}}]{TATWEEL}{_ARABIC_MARKS}{_INVISIBLE}]+", regex.V1)
# A tatweel at the edge of a piece, but for marks and invisible characters; linear however many there are.
_TATWEEL_LAST = regex.compile(rf"{TATWEEL}[{_ARABIC_MARKS}{_INVISIBLE}]*+$")
_TATWEEL_FIRST = regex.compile(rf"[{_ARABIC_MARKS}{_INVISIBLE}]*+{TATWEEL}")
# What may stand between two pieces: up to two blanks, or marks put there to break the word.
_BLANK_GAP = regex.compile(r"[ \u00A0\u202F]{1,2}")
_MARK_GAP = regex.compile(r"[ \u00A0]?[.*•·|/\\_-][.,،*•·|/\\_-]{0,2}")
_ARTICLE = regex.compile("[وف]?(?:[بك]?ال|لل)")

_ALEF_HAMZA = dict.fromkeys("أإآٱ", "ا") | {"ؤ": "و", "ئ": "ي"}
# Persian and Urdu keyboards, and the Egyptian habit of a final ya without dots.
_YA_KAF = {"ی": "ي", "ې": "ي", "ے": "ي", "ى": "ي", "ک": "ك", "ڪ": "ك"}


class TextConfig(BaseModel):
    """Which spellings are read as one. Saved with the model: training and inference use the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tatweel: bool = True
    """Drop tatweel inside words (``قصــف`` is ``قصف``)."""
    diacritics: bool = True
    """Drop vowel signs, shadda, tanwin and Quranic marks; the hamza of a letter written in two code points is none."""
    presentation_forms: bool = True
    """Read ``ﻗﺼﻒ`` (U+FB50–FDFF, U+FE70–FEFF) as the letters that they show."""
    alef_hamza: bool = False
    """Read أ إ آ ٱ as ا, ؤ as و and ئ as ي (older newspapers and posts leave the hamza out)."""
    ya_kaf: bool = False
    """Read ى and the Persian ی as ي, and the Persian ک as ك."""
    digits: bool = True
    """Read Arabic-Indic and Persian digits as 0–9 and ٫ ٬ as . and ,."""
    invisible: bool = True
    """Drop bidi marks, joiners, soft hyphens, variation selectors and byte order marks."""
    broken_words: bool = True
    """Join words broken by tatweel and spaces (``قـ ـصـ ـف``)."""


@dataclass(frozen=True, slots=True)
class NormalizedText:
    """Normalised text and, for each of its characters, the original code points that it stands for.

    ``starts[i]`` and ``ends[i]`` bound the original of ``text[i]``; dropped marks and tatweel belong to
    the letter beside them. Both are non-decreasing, and ``starts[i] < ends[i]``.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The half-open span of the original text that ``text[start:end]`` (not empty) stands for."""
        return self.starts[start], self.ends[end - 1]


class _CharReader(dict[str, str | None]):
    """:func:`_read_char` of one config, each character looked at once.

    ``plain`` matches a stretch of characters that are read as they stand: nearly all of most texts.
    """

    def __init__(self, config: TextConfig) -> None:
        self._config = config
        changed = "".join(
            chars
            for chars, changes in (
                (r"\ud800-\udfff", True),
                (TATWEEL, config.tatweel),
                (_INVISIBLE, config.invisible),
                (r"\ufb50-\ufdff\ufe70-\ufefe", config.presentation_forms),
                (_ARABIC_MARKS, config.diacritics),
                ("".join(_ALEF_HAMZA), config.alef_hamza),
                ("".join(_YA_KAF), config.ya_kaf),
                (r"\u0660-\u06f9٫٬", config.digits),
            )
            if changes
        )
        self.plain = regex.compile(f"[^{changed}]+")

    def __missing__(self, char: str) -> str | None:
        read = self[char] = _read_char(char, self._config)
        return read


@lru_cache(maxsize=8)
def _char_reader(config: TextConfig) -> _CharReader:
    return _CharReader(config)


def _read_char(char: str, config: TextConfig) -> str | None:
    """What a character is read as: a string, "" for an invisible one, None for a dropped mark."""
    if config.invisible and _INVISIBLE_CHAR.fullmatch(char):
        return ""
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"  # a lone surrogate from a JSON escape: no tokenizer takes it
    if config.presentation_forms and ("\ufb50" <= char <= "\ufdff" or "\ufe70" <= char <= "\ufefe"):
        letters = unicodedata.normalize("NFKC", char).strip()
        # A whole phrase in one code point (ﷺ) stays one symbol: its words would share one place.
        if letters and letters != char and " " not in letters:
            # A vowel sign in its spacing form (ﹰ), or set on a tatweel (ﹷ), is a mark like any other.
            if config.tatweel:
                letters = letters.replace(TATWEEL, "")
            return "".join(_read_char(letter, config) or "" for letter in letters) or None
    if config.diacritics and _MARK.fullmatch(char):
        return None
    if config.alef_hamza and char in _ALEF_HAMZA:
        return _ALEF_HAMZA[char]
    if config.ya_kaf and char in _YA_KAF:
        return _YA_KAF[char]
    if config.digits:
        if char == "٫":
            return "."
        if char == "٬":
            return ","
        if "\u0660" <= char <= "\u06f9" and char.isdecimal():
            return str(unicodedata.decimal(char))
    return char


def normalize_text(text: str, config: TextConfig) -> NormalizedText:
    """Normalise any string; see :class:`TextConfig` for what is changed and :class:`NormalizedText` for the map."""
    gaps = {i for start, end in find_broken_words(text) for i in range(start, end)} if config.broken_words else set()
    reader = _char_reader(config)
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    # Where the dropped marks before the next letter begin, and whether the last letter is still being written.
    lead: int | None = None
    in_word = False
    tatweel_run: int | None = None

    def keep_lone_tatweel(end: int) -> None:
        # A tatweel that touches no letter is punctuation: newspapers set it as a dash.
        nonlocal tatweel_run
        if tatweel_run is not None:
            chars.append(TATWEEL)
            starts.append(tatweel_run)
            ends.append(end)
            tatweel_run = None

    run_end = 0
    i = 0
    while i < len(text):
        plain = None if gaps else reader.plain.match(text, i)
        char = text[i]
        at, i = i, i + 1
        if at in gaps:
            continue
        if config.tatweel and char == TATWEEL:
            if in_word:
                ends[-1] = i
            else:
                lead = at if lead is None else lead
                tatweel_run = at if tatweel_run is None else tatweel_run
                run_end = i
            continue
        if config.diacritics and char in _HAMZA_MARKS and in_word:
            letter = unicodedata.normalize("NFC", chars[-1][-1] + char)
            if len(letter) == 1:
                chars[-1] = chars[-1][:-1] + (reader[letter] or letter)
                ends[-1] = i
                continue
        read = plain.group() if plain else reader[char]
        if read == "":
            continue
        if read is None:
            if in_word:
                ends[-1] = i
            elif lead is None:
                lead = at
            continue
        in_word = _is_letter(read[0])
        if in_word:
            start = at if lead is None else lead
            tatweel_run = None
        else:
            start = at
            keep_lone_tatweel(run_end)
        lead = None
        chars.append(read)
        starts.append(start)
        if plain:
            i = plain.end()
            starts.extend(range(at + 1, i))
            ends.extend(range(at + 1, i + 1))
            in_word = _is_letter(read[-1])
        else:
            starts.extend([start] * (len(read) - 1))
            ends.extend([i] * len(read))
    keep_lone_tatweel(run_end)
    return NormalizedText("".join(chars), tuple(starts), tuple(ends))


def _is_letter(char: str) -> bool:
    return char.isalpha() or unicodedata.category(char)[0] == "M"


def find_broken_words(text: str) -> Iterator[tuple[int, int]]:
    """The gaps inside words that were broken by tatweel and spaces, as half-open spans of ``text``.

    Two neighbouring pieces are one word when a tatweel reaches out on both sides of the gap (``قـ ـصـ``). One on a
    single side is weak evidence, since dashes, stretched words and set-off prepositions (``لـ حلب``) carry it too: it
    joins after the article (``الـ زلزال``), inside a word that is broken already, and before a short piece that is
    itself broken on its other side (``وم ـقـ``). A break after a letter that does not join carries no tatweel, so
    inside a broken word a single letter after one goes on with it (``ـز ا ل``). Marks break words too (``قـ.ـصف``), but
    only between two tatweels.
    """
    if TATWEEL not in text:
        return
    pieces = [match for match in _PIECE.finditer(text) if _letters(match.group())]
    broken = False
    for left, right in pairwise(pieces):
        start, end = left.end(), right.start()
        gap = text[start:end]
        if _BLANK_GAP.fullmatch(gap):
            joined = broken = _goes_on(left.group(), right.group(), broken)
        else:
            joined = bool(_MARK_GAP.fullmatch(gap)) and _reaches(left.group(), right.group()) == (True, True)
            broken = False  # a word broken by marks ends at a blank
        if joined:
            yield start, end


def _letters(piece: str) -> str:
    return "".join(char for char in piece if char.isalpha() and char != TATWEEL)


def _reaches(left: str, right: str) -> tuple[bool, bool]:
    """Whether the left piece ends, and the right one begins, with a tatweel."""
    return bool(_TATWEEL_LAST.search(left)), bool(_TATWEEL_FIRST.match(right))


def _goes_on(left: str, right: str, broken: bool) -> bool:
    """Whether the piece ``right`` belongs to the word of ``left``; ``broken``: left already goes on with one."""
    before, after = _letters(left), _letters(right)
    short = min(len(before), len(after)) <= 3
    match _reaches(left, right):
        case True, True:
            return True
        case True, False:
            if _ARTICLE.fullmatch(before):
                # Not an article set before a number and its noun (``الـ 7``, ``الـ العاشر``).
                return len(after) > 1 and not after.startswith("ال")
            return broken and short
        case False, True:
            return before[-1] not in _NON_JOINING and short and bool(_TATWEEL_LAST.search(right))
        case _:
            # ة and ى end a word.
            goes_on = before[-1] in _NON_JOINING and before[-1] not in "ةى"
            return broken and goes_on and len(after) == 1 and after not in _LETTER_WORDS
