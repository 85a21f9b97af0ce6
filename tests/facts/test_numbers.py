"""Numbers as they are written: every integer up to 9,999 in words, digits of three scripts, ranges, vague words."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from num2words import num2words

from marsad.facts.folding import fold, load_rules
from marsad.facts.numbers import Number, Unread, is_number_word, read_number

# As said of masculine and of feminine nouns, from 3 to 10.
OF_MASCULINE = ["ثلاثة", "أربعة", "خمسة", "ستة", "سبعة", "ثمانية", "تسعة", "عشرة"]
OF_FEMININE = ["ثلاث", "أربع", "خمس", "ست", "سبع", "ثماني", "تسع", "عشر"]
HUNDRED_STEMS = ["ثلاث", "أربع", "خمس", "ست", "سبع", "ثمان", "تسع"]
TENS = ["عشر", "ثلاث", "أربع", "خمس", "ست", "سبع", "ثمان", "تسع"]


def spell(number: int, feminine: bool, oblique: bool, hundred: str = "مئة", apart: bool = False, gap: str = "") -> str:
    """``number`` (1 to 999,999) in words. ``apart``: ثلاث مئة; ``gap``: what stands between و and its word."""
    parts = []
    thousands, rest = divmod(number, 1000)
    if thousands == 1:
        parts.append("ألف")
    elif thousands == 2:
        parts.append("ألفين" if oblique else "ألفان")
    elif 3 <= thousands % 100 <= 10:
        parts.append(spell(thousands, False, oblique, hundred, apart, gap) + " آلاف")
    elif thousands:
        parts.append(spell(thousands, False, oblique, hundred, apart, gap) + " ألفاً")
    hundreds, rest = divmod(rest, 100)
    if hundreds == 1:
        parts.append(hundred)
    elif hundreds == 2:
        parts.append(hundred[:-1] + ("تين" if oblique else "تان"))
    elif hundreds:
        parts.append(HUNDRED_STEMS[hundreds - 3] + (" " if apart else "") + hundred)
    if rest:
        parts.append(spell_below_hundred(rest, feminine, oblique, gap))
    return f" و{gap}".join(parts)


def spell_below_hundred(number: int, feminine: bool, oblique: bool, gap: str) -> str:
    tens, units = divmod(number, 10)
    if tens == 1 and units:
        ten = "عشرة" if feminine else "عشر"
        if units == 1:
            return ("إحدى " if feminine else "أحد ") + ten
        if units == 2:
            return {(0, 0): "اثنا ", (0, 1): "اثني ", (1, 0): "اثنتا ", (1, 1): "اثنتي "}[feminine, oblique] + ten
        return (OF_FEMININE if feminine else OF_MASCULINE)[units - 3] + " " + ten
    if tens == 1:
        return "عشر" if feminine else "عشرة"
    if units == 1:
        unit = ("إحدى" if feminine else "واحد") if tens else ("واحدة" if feminine else "واحد")
    elif units == 2:
        unit = {(0, 0): "اثنان", (0, 1): "اثنين", (1, 0): "اثنتان", (1, 1): "اثنتين"}[feminine, oblique]
    else:
        unit = (OF_FEMININE if feminine else OF_MASCULINE)[units - 3] if units else ""
    ten = TENS[tens - 2] + ("ين" if oblique else "ون") if tens else ""
    return f" و{gap}".join(part for part in (unit, ten) if part)


def test_every_integer_to_9999_reads_back_in_both_genders_and_cases():
    wrong = []
    for feminine, oblique in product((False, True), repeat=2):
        for number in range(1, 10_000):
            # All spellings, turn about: each meets every number in some gender and case.
            turn = number + 2 * feminine + oblique
            words = spell(
                number, feminine, oblique, ("مئة", "مائة")[turn % 2], bool(turn // 2 % 2), ("", " ")[turn // 4 % 2]
            )
            if read_number(words) != Number(number, number):
                wrong.append((number, words, read_number(words)))
    assert wrong == []


def test_every_integer_of_the_library_reads_back():
    # It spells 101 thousand «مائة و ألف ألف», which nobody writes; the others are usual.
    numbers = [*range(10_000), *(n for n in range(10_000, 1_000_000, 997) if n // 1000 % 100 != 1)]
    numbers += [1_000_000, 2_000_000, 3_500_001, 12_345_678]
    assert [n for n in numbers if read_number(num2words(n, lang="ar")) != Number(n, n)] == []


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 999_999), st.booleans(), st.booleans(), st.sampled_from(["مئة", "مائة"]), st.booleans())
def test_integers_to_a_million_read_back(number: int, feminine: bool, oblique: bool, hundred: str, apart: bool):
    assert read_number(spell(number, feminine, oblique, hundred, apart)) == Number(number, number)
    assert read_number("و" + spell(number, feminine, oblique, hundred, apart)) == Number(number, number)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 10**10),
    st.sampled_from(["0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹"]),
    st.sampled_from(["", ",", ".", "٬", "،"]),
)
def test_digits_read_back_in_every_script_and_with_separators(number: int, digits: str, separator: str):
    if separator in {".", "،"} and number >= 1_000_000:
        separator = ","
    text = f"{number:,}".replace(",", separator).translate(str.maketrans("0123456789", digits))
    assert read_number(text) == Number(number, number)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("أحد", 1),
        ("أحدهم", 1),
        ("إحداهن", 1),
        ("واحد", 1),
        ("وواحد", 1),
        ("واحداً", 1),
        ("تلاتة", 3),
        ("اتنين", 2),
        ("وتنين", 2),
        ("تمانية", 8),
        ("خمسطعش", 15),
        ("وحداشر", 11),
        ("طنعش", 12),
        ("تلتعش", 13),
        ("مية", 100),
        ("ميتين", 200),
        ("مية وخمسين", 150),
        ("مئتي", 200),
        ("مئتا", 200),
        ("ألفا", 2000),
        ("ألفاً", 1000),
        ("ثمان مئة", 800),
        ("ثماني مائة", 800),
        ("ستمئة وثمانية وعشرين", 628),
        ("الأربعة", 4),
        ("السبعة عشر", 17),
        ("بأربعة", 4),
        ("فثمانية", 8),
        ("للخمسة", 5),
        ("خمسة  و عشرين", 25),
        ("خَمْسَةٌ وَعِشْرُونَ", 25),
        ("خمســة", 5),
        ("تلـ ـاتة", 3),
        ("و7", 7),
        ("الـ20", 20),
        ("بـ15", 15),
        ("\u200f٤٧\u200f", 47),
        ("3 آلاف", 3000),
        ("37 الف", 37000),
        ("3 آلاف و500", 3500),
        ("1.5 مليون", 1_500_000),
        ("١٫٥ مليون", 1_500_000),
        ("2,5 مليون", 2_500_000),
        ("نصف مليون", 500_000),
        ("مليون ونصف المليون", 1_500_000),
        ("مليونين وربع", 2_250_000),
        ("1 200", 1200),
        ("1،200", 1200),
        ("مئة ألف وألف", 101_000),
        ("مئتي ألف وألفين وخمسة", 202_005),
        ("صفر", 0),
        ("0", 0),
    ],
)
def test_numbers(text: str, value: int):
    assert read_number(text) == Number(value, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ثالث", 3),
        ("الثالث", 3),
        ("وثانية", 2),
        ("رابعاً", 4),
        ("ثالثهم", 3),
        ("الحادي عشر", 11),
        ("الثاني عشر", 12),
        ("الحادية والعشرين", 21),
        ("الثالث والثلاثون", 33),
    ],
)
def test_ordinals(text: str, value: int):
    assert read_number(text) == Number(value, value, "ordinal")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("10 و15", 10, 15),
        ("بين 10 و15", 10, 15),
        ("ما بين 900 و950", 900, 950),
        ("من 3 إلى 5", 3, 5),
        ("3-5", 3, 5),
        ("3 – 5", 3, 5),
        ("٣ـ٥", 3, 5),
        ("3 أو 4", 3, 4),
        ("ثلاثة أو أربعة", 3, 4),
        ("ما بين عشرين وثلاثين", 20, 30),
        ("3 إلى 4 آلاف", 3000, 4000),
        ("500 ألف إلى مليون", 500_000, 1_000_000),
    ],
)
def test_ranges(text: str, low: int, high: int):
    assert read_number(text) == Number(low, high, "range")


def test_and_parts_a_range_only_after_between():
    assert read_number("خمسة وعشرين") == Number(25, 25)
    assert read_number("خمسة وعشرين", between=True) == Number(5, 20, "range")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("عشرات", 20, 99),
        ("والعشرات", 20, 99),
        ("مئات", 200, 999),
        ("آلاف", 2000, 9999),
        ("بضعة", 3, 9),
        ("بضع", 3, 9),
        ("بضعة عشر", 13, 19),
        ("بضع وعشرون", 23, 29),
        ("بضع عشرات", 30, 99),
        ("بضع مئات", 300, 999),
        ("بضعة آلاف", 3000, 9999),
        ("عشرات الآلاف", 20_000, 99_999),
        ("مئات الآلاف", 200_000, 999_999),
        ("نيف وعشرون", 21, 29),
        ("مئتين ونيف", 201, 299),
    ],
)
def test_vague_words(text: str, low: int, high: int):
    assert read_number(text) == Number(low, high, "vague")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no_number"),
        ("طفل", "no_number"),
        ("،", "no_number"),
        ("بين", "no_number"),
        ("و", "no_number"),
        ("4x7", "stray_letters"),
        ("12أ", "stray_letters"),
        ("ك12س", "stray_letters"),
        ("أ12", "stray_letters"),
        ("12,34", "unclear_separator"),
        ("1,2,3", "unclear_separator"),
        ("1.2.3", "unclear_separator"),
        ("2.5", "not_whole"),
        ("نصف", "not_whole"),
        ("1.2345 ألف", "not_whole"),
        ("9" * 5000, "too_large"),
        ("99999999999", "too_large"),
        ("مليار مليار", "not_one_number"),
        ("10-5", "contradictory_range"),
        ("من خمسة إلى ثلاثة", "contradictory_range"),
        ("3-5-7", "not_one_number"),
        ("ثلاثة خمسة", "not_one_number"),
        ("مئة مئة", "not_one_number"),
        ("ألف وألف", "not_one_number"),
        ("47 مدنياً", "not_one_number"),
    ],
)
def test_what_is_no_number_says_why(text: str, why: str):
    assert read_number(text) == Unread(why)


NUMBER_WORDS = [
    *("واحد", "اثنين", "ثلاثة", "عشر", "عشرون", "مئة", "ألف", "آلاف", "مليون", "عشرات", "بضعة", "نيف", "نصف", "الثالث"),
    *("بين", "إلى", "و", "-", "0", "3", "1,200", "2.5", "ال", "x"),
]


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(st.text(st.characters()), st.lists(st.sampled_from(NUMBER_WORDS), max_size=7).map(" ".join)),
    st.booleans(),
)
def test_any_text_is_a_number_or_a_reason(text: str, between: bool):
    number = read_number(text, between)
    if isinstance(number, Number):
        assert 0 <= number.low <= number.high
        assert (number.low < number.high) == (number.form in {"range", "vague"})
        assert number.record() == {"low": number.low, "high": number.high, "form": number.form}
    else:
        assert number.why


def test_no_word_of_the_table_has_two_meanings():
    rules = load_rules("numbers")
    seen: dict[str, str] = {}
    for kind, entries in rules.items():
        lists = [entries] if isinstance(entries, list) else entries.values()
        if kind == "scales":
            lists = [words for forms in entries.values() for words in forms.values()]
        if kind == "parts":
            lists = [[word] for word in entries]
        if kind == "vague":
            lists = [entry["words"] for entry in entries.values()]
        for number, words in enumerate(lists):
            for word in {fold(word) for word in words}:
                place = f"{kind} {number}"
                assert seen.setdefault(word, place) == place, word
                assert is_number_word(word)
