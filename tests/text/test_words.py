"""Words over any text: each visible character in exactly one, whose span leads back to the original."""

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.text.normalization import TATWEEL, TextConfig, find_broken_words, normalize_text
from marsad.text.words import Word, split_words, words_in_span

DEFAULT = TextConfig()
LINE_ENDS = set("\n\r\x0b\x0c\x85\u2028\u2029")
PIECES = [
    *"ابدرزصفقلموةىءأیک",
    *[TATWEEL] * 10,
    *"\u064b\u064e\u0651\u0670\u0301\u20e3",
    *"\u200e\u200f\u061c\u2067\u200c\u200d\u00ad\ufeff\ufe0f",
    *"ﻗﻒﻻﷲﷺ﷼ﹰﹷ",
    *"٣٩۴07٫٬,.",
    *[" "] * 10,
    *"\u00a0\u3000\t",
    *LINE_ENDS,
    *"_-*/«)،؟😀🚩a\u00e9\ud83d\ude00\x00\x1c",
]
TEXTS = st.one_of(st.text(st.characters()), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
CONFIGS = st.builds(TextConfig, **dict.fromkeys(TextConfig.model_fields, st.booleans()))


def _is_visible(char: str) -> bool:
    shown = unicodedata.normalize("NFKC", char).strip()
    return unicodedata.category(char)[0] in "LNSP" and not all(
        unicodedata.category(part)[0] == "M" or part == TATWEEL for part in shown
    )


def _pairs(text: str, config: TextConfig = DEFAULT) -> list[tuple[str, str]]:
    """(the original of a word, what it is read as)"""
    return [(text[word.start : word.end], word.text) for word in split_words(text, config)]


@settings(max_examples=200, deadline=None)
@given(TEXTS, CONFIGS)
def test_words_are_ordered_disjoint_and_not_empty(text: str, config: TextConfig):
    end = 0
    for word in split_words(text, config):
        assert end <= word.start < word.end <= len(text)
        assert word.text and not regex.search(r"\s", word.text)
        end = word.end


@settings(max_examples=200, deadline=None)
@given(TEXTS, CONFIGS)
def test_every_visible_character_is_in_a_word(text: str, config: TextConfig):
    covered = {i for word in split_words(text, config) for i in range(word.start, word.end)}
    assert [char for i, char in enumerate(text) if i not in covered and _is_visible(char)] == []


@settings(max_examples=200, deadline=None)
@given(TEXTS, CONFIGS)
def test_words_hold_every_normalised_character_once(text: str, config: TextConfig):
    assert "".join(split_words(text, config).texts()) == regex.sub(r"\s", "", normalize_text(text, config).text)


@settings(max_examples=200, deadline=None)
@given(TEXTS, CONFIGS)
def test_the_original_of_a_word_is_read_as_the_word(text: str, config: TextConfig):
    # Kept invisible characters are words of their own, so a piece that they cut is not whole in its slice.
    config = config.model_copy(update={"invisible": True})
    for original, read in _pairs(text, config):
        assert normalize_text(original, config).text == read


@settings(max_examples=200, deadline=None)
@given(TEXTS, CONFIGS)
def test_a_word_holds_a_blank_only_where_it_was_broken(text: str, config: TextConfig):
    gaps = {i for start, end in find_broken_words(text) for i in range(start, end)} if config.broken_words else set()
    for word in split_words(text, config):
        assert all(i in gaps for i in range(word.start, word.end) if regex.match(r"\s", text[i]))


@settings(max_examples=200, deadline=None)
@given(TEXTS, CONFIGS)
def test_paragraphs_are_the_lines_that_hold_words(text: str, config: TextConfig):
    words = split_words(text, config)
    line = [sum(char in LINE_ENDS for char in text[: word.start]) for word in words]
    expected = [line.index(number) for number in sorted(set(line))]
    assert [first for first, _ in words.paragraphs] == expected
    assert [last for _, last in words.paragraphs] == [*expected[1:], len(words)][: len(expected)]
    assert not any(set(text[word.start : word.end]) & LINE_ENDS for word in words)


@pytest.mark.parametrize("text", ["", " ", "\n\n \t", "\u200f\u202c", "\u064e\u0651"])
def test_text_without_anything_visible_has_no_words(text: str):
    words = split_words(text, DEFAULT)
    assert (words.words, words.paragraphs, len(words)) == ((), (), 0)


@pytest.mark.parametrize(
    ("broken", "read"),
    [
        ("قـ ـصـ ـف", "قصف"),
        ("الـ زلـ ـز ا ل", "الزلزال"),
        ("مـ ـسـ ـيـ ـرة", "مسيرة"),
        ("شـ.ـهـ.ـيد", "شهيد"),
    ],
)
@pytest.mark.parametrize("after", ["حلب", "في", "تركية", "12", "،", "و"])
def test_a_broken_word_is_one_word_and_the_next_stays_apart(broken: str, read: str, after: str):
    text = f"قبل {broken} {after}"
    assert _pairs(text) == [("قبل", "قبل"), (broken, read), (after, after)]
    assert broken not in [original for original, _ in _pairs(text, TextConfig(broken_words=False))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("و7", ["و", "7"]),
        ("و٧ جرحى", ["و", "7", "جرحى"]),
        ("الـ20", ["ال", "20"]),
        ("١٬٢٠٠", ["1,200"]),
        ("1,200", ["1,200"]),
        ("2.5", ["2.5"]),
        ("٢٫٥", ["2.5"]),
        ("1,200,000.", ["1,200,000", "."]),
        ("3, 4", ["3", ",", "4"]),
        ("2016/05/04", ["2016", "/", "05", "/", "04"]),
        ("بريف", ["بريف"]),
        ("ارض ـ ارض", ["ارض", "ـ", "ارض"]),
        ("1445 هـ الموافق", ["1445", "ه", "الموافق"]),
        ("لـ حماس", ["ل", "حماس"]),
        ("لـحماس", ["لحماس"]),
        ("ﻻﺟﺊ", ["لاجئ"]),
        ("النبي ﷺ قال", ["النبي", "ﷺ", "قال"]),
        ("مُسَيَّرَةٌ", ["مسيرة"]),
        ("می\u200cروم", ["میروم"]),
        ("«حلب»،", ["«", "حلب", "»", "،"]),
        ("(أ)", ["(", "أ", ")"]),
        ("#حلب_الشهباء", ["#", "حلب", "_", "الشهباء"]),
        ("⚠️حلب", ["⚠", "حلب"]),
        ("F16جوي", ["F", "16", "جوي"]),
    ],
)
def test_words(text: str, expected: list[str]):
    assert split_words(text, DEFAULT).texts() == expected


def test_digits_with_separators_are_one_word_in_their_own_script_too():
    assert split_words("١٬٢٠٠ و٢٫٥", TextConfig(digits=False)).texts() == ["١٬٢٠٠", "و", "٢٫٥"]


def test_marks_stay_with_their_word_when_they_are_kept():
    kept = TextConfig(diacritics=False, tatweel=False, invisible=False)
    assert split_words("مُـدَرَّسٌ ⚠️", kept).texts() == ["مُـدَرَّسٌ", "⚠️"]


@pytest.mark.parametrize("end", sorted(LINE_ENDS))
def test_a_line_end_ends_a_paragraph_and_empty_lines_are_none(end: str):
    words = split_words(f"{end}ألف باء{end}{end} {end}جيم", DEFAULT)
    assert words.texts() == ["ألف", "باء", "جيم"]
    assert words.paragraphs == ((0, 2), (2, 3))


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(0, 30), st.integers(0, 30))
def test_words_in_span_are_those_that_touch_it(text: str, one: int, other: int):
    start, end = sorted((one, other))
    words = split_words(text, DEFAULT).words
    first, last = words_in_span(words, start, end)
    touching = [i for i, word in enumerate(words) if word.start < end and start < word.end]
    if start < end:
        assert list(range(first, last)) == touching
    else:
        assert last - first <= 1


def test_words_in_span_between_words_is_empty():
    words = [Word("ا", 0, 1), Word("ب", 4, 5)]
    assert words_in_span(words, 1, 4) == (1, 1)
    assert words_in_span(words, 5, 9) == (2, 2)
    assert words_in_span([], 0, 3) == (0, 0)
