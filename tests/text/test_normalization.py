"""Normalisation over any text: the offsets lead back to what the caller gave, each switch does its one thing."""

import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from marsad.text.normalization import TATWEEL, NormalizedText, TextConfig, find_broken_words, normalize_text

DEFAULT = TextConfig()
OFF = TextConfig(**dict.fromkeys(TextConfig.model_fields, False))

# Pieces that meet each other in every order: that is where offsets go wrong.
PIECES = [
    *"ابتجدرزسصعفقكلمنهويةىءأإآؤئٱیېےکڪ",
    *[TATWEEL] * 12,
    *"\u064b\u064e\u064f\u0651\u0652\u0670\u06d6\u0301",
    *"\u200e\u200f\u061c\u202b\u202c\u2066\u2069\u200c\u200d\u00ad\ufeff\ufe0f\u2060",
    *"ﻗﺼﻒﻻﻵﷲﷺ﷽﷼ﹰﹷﹽﱠﳲ﴿﴾",
    *"٠٣٩۴۷07٫٬,.",
    *[" "] * 10,
    *"\u00a0\u202f\t\n\r\u2028",
    *"_-*•/|«»()،؟😀🚩a\u00e9\U00010437\ud83d\ude00\x00",
]
TEXTS = st.one_of(st.text(st.characters()), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
CONFIGS = st.builds(TextConfig, **dict.fromkeys(TextConfig.model_fields, st.booleans()))


def _readings(char: str) -> set[str]:
    """Every character that ``char`` may be read as, worked out without the package."""
    if 0xD800 <= ord(char) <= 0xDFFF:
        return {"\ufffd"}
    read = {char, *unicodedata.normalize("NFKC", char)}
    for letter in tuple(read):
        if letter in "أإآؤئ":
            read.add(unicodedata.normalize("NFD", letter)[0])
        if unicodedata.decimal(letter, None) is not None:
            read.add(str(unicodedata.decimal(letter)))
        read |= {"ٱ": {"ا"}, "٫": {"."}, "٬": {","}}.get(letter, set())
        read |= {"ي"} if letter in "یېےى" else {"ك"} if letter in "کڪ" else set()
    return read | ({"ي"} if "ئ" in read else set())


def _is_visible(char: str) -> bool:
    """Whether a reader sees a letter, digit or symbol of its own: no mark (in any of its forms), blank or control."""
    shown = unicodedata.normalize("NFKC", char).strip()
    return unicodedata.category(char)[0] in "LNSP" and not all(
        unicodedata.category(part)[0] == "M" or part == TATWEEL for part in shown
    )


@settings(max_examples=200, deadline=None)
@given(TEXTS, CONFIGS)
def test_offsets_are_ordered_and_inside_the_text(text: str, config: TextConfig):
    result = normalize_text(text, config)
    assert len(result.text) == len(result.starts) == len(result.ends)
    assert list(result.starts) == sorted(result.starts)
    assert list(result.ends) == sorted(result.ends)
    assert all(0 <= start < end <= len(text) for start, end in zip(result.starts, result.ends, strict=True))


@settings(max_examples=200, deadline=None)
@given(TEXTS, CONFIGS)
def test_every_character_maps_to_an_original_that_shows_it(text: str, config: TextConfig):
    result = normalize_text(text, config)
    for char, start, end in zip(result.text, result.starts, result.ends, strict=True):
        assert any(char in _readings(original) for original in text[start:end]), (char, text[start:end])


@settings(max_examples=200, deadline=None)
@given(TEXTS, CONFIGS)
def test_nothing_visible_is_lost(text: str, config: TextConfig):
    result = normalize_text(text, config)
    kept = {i for start, end in zip(result.starts, result.ends, strict=True) for i in range(start, end)}
    gaps = {i for start, end in find_broken_words(text) for i in range(start, end)} if config.broken_words else set()
    assert [text[i] for i in range(len(text)) if i not in kept | gaps and _is_visible(text[i])] == []


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_normalising_twice_changes_nothing(text: str):
    once = normalize_text(text, DEFAULT).text
    assert normalize_text(once, DEFAULT).text == once


@settings(max_examples=200, deadline=None)
@given(st.text("اويهةىأإآؤئلبسـ َّ .", max_size=20), st.booleans())
@example("مُؤَسَّسة", False)
def test_letters_with_hamza_are_one_however_they_are_written(text: str, alef_hamza: bool):
    config = TextConfig(alef_hamza=alef_hamza)
    whole = normalize_text(unicodedata.normalize("NFC", text), config)
    decomposed = unicodedata.normalize("NFD", text)
    parts = normalize_text(decomposed, config)
    assert parts.text == whole.text
    for at, char in enumerate(parts.text):
        if char in "أإآؤئ" and not alef_hamza:
            shown = decomposed[slice(*parts.original_span(at, at + 1))]
            assert char in unicodedata.normalize("NFC", "".join(c for c in shown if c not in "َّـ"))


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_all_switches_off_leave_the_text_alone(text: str):
    places = tuple(range(len(text)))
    assert normalize_text(text, OFF) == NormalizedText(text, places, tuple(i + 1 for i in places))


@settings(max_examples=200, deadline=None)
@given(TEXTS)
@example("مﹷن")
def test_what_is_switched_on_is_gone(text: str):
    result = normalize_text(text, TextConfig(alef_hamza=True, ya_kaf=True)).text
    assert not set(result) & set("أإآٱؤئىیکڪٱ٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹٫٬\u064b\u064e\u0651\u200f\u200e\ufeff\u00ad")
    assert not any(0xD800 <= ord(char) <= 0xDFFF for char in result)
    # A tatweel that touches a letter is never kept.
    for place, char in enumerate(result):
        if char == TATWEEL:
            around = result[max(place - 1, 0) : place] + result[place + 1 : place + 2]
            assert not any(other.isalpha() for other in around)


@pytest.mark.parametrize(
    ("switch", "text", "on", "off"),
    [
        ("tatweel", "حـلــب", "حلب", "حـلــب"),
        ("diacritics", "مُدَرِّسٌ", "مدرس", "مُدَرِّسٌ"),
        ("presentation_forms", "ﺣﻠﺐ", "حلب", "ﺣﻠﺐ"),
        ("presentation_forms", "ﺍﻟﻼﺟﺊ", "اللاجئ", "ﺍﻟﻼﺟﺊ"),
        ("alef_hamza", "أإآٱؤئ", "ااااوي", "أإآٱؤئ"),
        ("ya_kaf", "علی مصطفى کرکوک", "علي مصطفي كركوك", "علی مصطفى کرکوک"),
        ("digits", "٣۴ و١٬٢٠٠ و٢٫٥", "34 و1,200 و2.5", "٣۴ و١٬٢٠٠ و٢٫٥"),
        ("invisible", "\u200fحل\u200cب\u202c\u00ad\ufeff", "حلب", "\u200fحل\u200cب\u202c\u00ad\ufeff"),
        ("broken_words", "حـ ـمـ ـص", "حمص", "ح م ص"),
    ],
)
def test_each_switch_on_and_off(switch: str, text: str, on: str, off: str):
    assert normalize_text(text, DEFAULT.model_copy(update={switch: True})).text == on
    assert normalize_text(text, DEFAULT.model_copy(update={switch: False})).text == off
    if switch != "broken_words":
        assert normalize_text(text, OFF.model_copy(update={switch: True})).text == on


def test_only_the_hamza_and_ya_switches_are_off_by_default():
    assert {name for name, on in DEFAULT.model_dump().items() if not on} == {"alef_hamza", "ya_kaf"}


def test_marks_and_tatweel_belong_to_the_letter_beside_them():
    text = "\u064eحـَـلب\u0652 "
    result = normalize_text(text, DEFAULT)
    assert result.text == "حلب "
    assert [text[start:end] for start, end in zip(result.starts, result.ends, strict=True)] == [
        "\u064eحـَـ",
        "ل",
        "ب\u0652",
        " ",
    ]
    assert result.original_span(0, 3) == (0, len(text) - 1)


def test_both_letters_of_a_ligature_stand_for_it():
    result = normalize_text("xﻻy", DEFAULT)
    assert result == NormalizedText("xلاy", (0, 1, 1, 2), (1, 2, 2, 3))
    assert normalize_text("ﻷ", TextConfig(alef_hamza=True)).text == "لا"
    assert normalize_text("ﻷ", DEFAULT).text == "لأ"


def test_a_phrase_in_one_code_point_stays_one_symbol():
    assert normalize_text("ﷺ ﷽", DEFAULT).text == "ﷺ ﷽"
    assert normalize_text("ﷲ", DEFAULT).text == "الله"


@pytest.mark.parametrize("mark", [*"ﹱﹷﹹﹻﹽﹿﳲﳳﳴ"])
def test_a_vowel_sign_set_on_a_tatweel_is_dropped_with_it(mark: str):
    assert normalize_text(f"م{mark}ن", DEFAULT).text == "من"
    assert normalize_text(f"م{mark}ن", TextConfig(tatweel=False)).text == "مـن"
    kept = normalize_text(f"م{mark}ن", TextConfig(diacritics=False)).text
    assert TATWEEL not in kept and all(unicodedata.category(sign) == "Mn" for sign in kept[1:-1]) and len(kept) > 2


def test_a_tatweel_that_touches_no_letter_is_a_dash():
    text = "جو ــ جو"
    result = normalize_text(text, DEFAULT)
    assert result.text == "جو ـ جو"
    assert result.original_span(3, 4) == (3, 5)


def test_a_lone_surrogate_is_read_as_the_replacement_character():
    result = normalize_text("حلب\ud83d ", DEFAULT)
    assert result.text == "حلب\ufffd "
    result.text.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("قـ ـصـ ـف", "قصف"),
        ("الـ زلـ ـز ا ل", "الزلزال"),
        ("مـ ـسـ ـيـ ـرة تركية", "مسيرة تركية"),
        ("قـ.ـصـ*ـف", "قصف"),
        ("قـ\u00a0ـصـ  ـف", "قصف"),
        ("قُـ ـصِـ ـف", "قصف"),
        ("\u200fقـ\u200f \u200fـصـ ـف", "قصف"),
        ("الـ مطار", "المطار"),
        ("لـ حماس", "ل حماس"),
        ("1445 هـ الموافق", "1445 ه الموافق"),
        ("ارض ـ ارض", "ارض ـ ارض"),
        ("المدينـــة المجاورة", "المدينة المجاورة"),
        ("تصعيـــــد المعارضة", "تصعيد المعارضة"),
        ("قـ\nـصـ\nـف", "ق\nص\nف"),
        ("قـ   ـصـ   ـف", "ق   ص   ف"),
        ("قـ،ـصف", "ق،صف"),
        ("وم ـقـ ـتـ ـل اثنان", "ومقتل اثنان"),
        ("عـ.ـملية مـ.ـداهمة", "عملية مداهمة"),
        ("قـ..ـصف", "قصف"),
        ("قذيـ ـفة هـ ـاون", "قذيفة هاون"),
        ("حـ ـربـ ـيـ ـة تـ ـقصف", "حربية تقصف"),
        # A tatweel on one side is a dash or a stretched letter.
        ("في السوقـ وقال", "في السوق وقال"),
        ("هذا القول ـوهو غريب", "هذا القول وهو غريب"),
        ("قرب تل ـأخضر", "قرب تل أخضر"),
        ("الـ العاشر", "ال العاشر"),
        ("والـ ب هناك", "وال ب هناك"),
    ],
)
def test_broken_words_are_joined_and_others_are_not(text: str, read: str):
    assert normalize_text(text, DEFAULT).text == read


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_gaps_of_broken_words_are_ordered_and_hold_no_letter(text: str):
    gaps = list(find_broken_words(text))
    for start, end in gaps:
        assert start < end and not any(char.isalnum() for char in text[start:end])
    assert all(left[1] < right[0] for left, right in pairwise(gaps))
    if TATWEEL not in text:
        assert gaps == []


def test_a_flood_of_marks_takes_linear_time():
    text = "ب" + "\u064e" * 40_000 + "بـ ـب" + "\u064e" * 40_000 + "ب"
    begin = time.perf_counter()
    result = normalize_text(text, DEFAULT)
    assert time.perf_counter() - begin < 5
    assert result.text == "بببب"
    assert result.original_span(0, 4) == (0, len(text))
