"""Casualty spans as values, in sentences of every shape: [casualty] {actor} <place>."""

from datetime import date

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.documents import Document, Entity
from marsad.facts.casualties import CasualtyValue, casualty_value, read_casualties, read_count
from marsad.facts.folding import load_rules
from marsad.facts.numbers import Number, Unread

LABELS = {"[": "CASUALTY", "{": "ACTOR", "<": "LOCATION"}


def marked(text: str) -> Document:
    """A document from a text whose entities stand in brackets."""
    plain, entities = "", []
    for piece in regex.split(r"(\[[^\]]+\]|\{[^}]+\}|<[^>]+>)", text):
        if piece and piece[0] in LABELS:
            entities.append(Entity(len(plain), len(plain) + len(piece) - 2, LABELS[piece[0]]))
            piece = piece[1:-1]
        plain += piece
    return Document("r1", plain, tuple(entities), date(2019, 4, 2))


def values(text: str) -> list[CasualtyValue]:
    return read_casualties(marked(text))


def outcomes(text: str) -> str:
    """The outcomes of a text's spans, as letters: k, i, m, x for mixed, - for none."""
    letters = {"killed": "k", "injured": "i", "missing": "m", "mixed": "x", None: "-"}
    return "".join(letters[value.outcome] for value in values(text))


def test_a_report_with_a_breakdown():
    document = marked("استشهاد [47] مدنياً على الأقل بينهم [12] طفلاً و[5] مواطنات")
    total, children, women = read_casualties(document)
    whole = (document.entities[0].start, document.entities[0].end)
    assert total == CasualtyValue(47, None, "at_least", "killed", "civilians")
    assert children == CasualtyValue(12, 12, "exact", "killed", "children", whole)
    assert women == CasualtyValue(5, 5, "exact", "killed", "women", whole)
    assert women.record() == {
        "low": 5,
        "high": 5,
        "bound": "exact",
        "outcome": "killed",
        "group": "women",
        "part_of": list(whole),
    }


@pytest.mark.parametrize(
    ("text", "low", "high", "bound"),
    [
        ("مقتل [نحو 40] شخصاً", 40, 40, "about"),
        ("مقتل [ما لا يقل عن ستة] عمال", 6, None, "at_least"),
        ("إصابة [أكثر من 15 جريحاً] في السوق", 15, None, "more_than"),
        ("قتل [قرابة العشرين] مسافراً", 20, 20, "about"),
        ("قتل [9 على الأقل] في الحريق", 9, None, "at_least"),
        ("مقتل [أقل من عشرة] عمال", 0, 10, "at_most"),
        ("مقتل [ما بين 3 و8] عمال", 3, 8, "range"),
    ],
)
def test_a_bound_inside_the_span_is_read_as_one_outside(text: str, low: int, high: int | None, bound: str):
    [value] = values(text)
    assert (value.low, value.high, value.bound, value.why) == (low, high, bound, None)


@pytest.mark.parametrize(
    "text",
    [
        "قتل [20] شخصاً. ومن بين القتلى [5] أطفال و[3] نساء.",
        "قتل [20] شخصاً وجرح [30]. وكان من بين القتلى [5] أطفال و[3] نساء.",
        "قتل [20] شخصاً بما في ذلك [5] أطفال و[3] نساء.",
        "قتل [20] شخصاً، [5] منهم أطفال و[3] منهم نساء.",
    ],
)
def test_parts_whose_total_stands_before(text: str):
    document = marked(text)
    total = (document.entities[0].start, document.entities[0].end)
    children, women = read_casualties(document)[-2:]
    assert children == CasualtyValue(5, 5, "exact", "killed", "children", total)
    assert women == CasualtyValue(3, 3, "exact", "killed", "women", total)


def test_numbers_behind_a_colon_are_parts_where_they_make_up_the_total():
    parts = [value.part_of is not None for value in values("قتل [9] أشخاص: [4] في <حلب> و[5] في <حماة>")]
    assert parts == [False, True, True]
    parts = [value.part_of is not None for value in values("قتل [9] أشخاص: [40] في <حلب> و[5] في <حماة>")]
    assert parts == [False, False, False]


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("قتل [20] شخصاً نصفهم أطفال", None),
        ("قتل [خمسة] أشخاص أحدهم طفل", None),
        ("قتل [شقيقه]", None),
        ("قتل [شقيقة] له", "women"),
        ("مقتل [رجل] عجوز", None),
        ("مقتل [شاب] ابن عم القتيل", None),
    ],
)
def test_groups_of_the_counted_alone(text: str, group: str | None):
    assert values(text)[0].group == group


def test_a_thousand_behind_a_span_counts():
    assert [(value.low, value.outcome) for value in values("قتل [30] ألف مدني و[3] آلاف جندي")] == [
        (30_000, "killed"),
        (3_000, "killed"),
    ]


@pytest.mark.parametrize("text", ["عدة", "العديد", "عدد", "بعض", "عائلة"])
def test_words_for_some_are_no_one(text: str):
    assert read_count(text) == Unread("plural_alone")


def test_people_who_met_another_fate_have_no_outcome():
    assert outcomes("قتل [تسعة] جنود وأسر [4] آخرين") == "k-"
    assert outcomes("أصيب [عاملان] ونجا [ثلاثة]، وقتل [حارس]") == "i-k"
    assert values("قتل [تسعة] جنود وأسر [4]")[1] == CasualtyValue(4, 4, "exact", why="no_outcome")


def test_several_nouns_in_a_span_are_no_one_number():
    assert read_count("بائع وزبونه") == Unread("not_one_number")
    assert read_count("معلمة و طفلها") == Unread("not_one_number")
    assert read_count("مساعد وزير") == Number(1, 1)
    assert values("مقتل [بائع وزبونه]")[0].outcome == "killed"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("طفلان", 2),
        ("طفلين", 2),
        ("وطفلتان", 2),
        ("مدنيتين", 2),
        ("مدنيين", 2),
        ("قتيلين", 2),
        ("جثتي", 2),
        ("وولديه", 2),
        ("وابنتاها", 2),
        ("وبائعتا", 2),
        ("شهيـ ـدين", 2),
        ("آخران", 2),
        ("آخرين", 2),
        ("مدنيين اثنين", 2),
        ("شخص", 1),
        ("طفلاً", 1),
        ("طفلا", 1),
        ("وامرأة", 1),
        ("فتاة", 1),
        ("وفتاته", 1),
        ("فتى", 1),
        ("صحافية", 1),
        ("جنين", 1),
        ("سجين", 1),
        ("وراعٍ", 1),
        ("آخر", 1),
        ("رابع", 1),
        ("وثالثاً", 1),
        ("أحدهم", 1),
        ("قتيل واحد", 1),
        ("ثلاثة", 3),
        ("47 مدنياً", 47),
        ("أحد عشر", 11),
    ],
)
def test_how_many_a_span_counts(text: str, count: int):
    assert read_count(text) == Number(count, count)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("أطفال", "plural_alone"),
        ("مدنيون", "plural_alone"),
        ("شبان", "plural_alone"),
        ("4x7", "stray_letters"),
        ("12,34 مدنياً", "unclear_separator"),
        ("،", "no_number"),
        ("10-5", "contradictory_range"),
    ],
)
def test_a_span_that_counts_nobody_knows_how_many(text: str, why: str):
    assert read_count(text) == Unread(why)


@pytest.mark.parametrize(
    ("text", "bound", "low", "high"),
    [
        ("مقتل [30] شخصاً", "exact", 30, 30),
        ("مقتل ما لا يقل عن [30] شخصاً", "at_least", 30, None),
        ("مقتل [30] شخصاً على الأقل في القصف", "at_least", 30, None),
        ("ارتفع إلى [30]، على الأقل، عدد القتلى", "at_least", 30, None),
        ("مقتل أكثر من [30] شخصاً", "more_than", 30, None),
        ("وأكثر من [30] جريحاً", "more_than", 30, None),
        ("تجاوز عدد القتلى [30]", "more_than", 30, None),
        ("تجاوزت حصيلة الضحايا [30]", "more_than", 30, None),
        ("لا يقل عدد القتلى عن [30]", "at_least", 30, None),
        ("يزيد عدد الجرحى على [30]", "more_than", 30, None),
        ("ارتفع عدد القتلى إلى [30]", "exact", 30, 30),
        ("قتل بحدود [30] عاملاً", "about", 30, 30),
        ("قتل في حدود [30] عاملاً", "about", 30, 30),
        ("قتل ما يصل إلى [30] عاملاً", "at_most", 0, 30),
        ("قتل [30] أو يزيد", "at_least", 30, None),
        ("قتل ما يزيد على الـ[30] شخصاً", "more_than", 30, None),
        ("مقتل نحو [30] شخصاً", "about", 30, 30),
        ("لنحو [30] جريحاً", "about", 30, 30),
        ("وحوالي [30] جريحاً", "about", 30, 30),
        ("إصابة [30] شخصاً تقريباً", "about", 30, 30),
        ("مقتل ما لا يزيد على [30] شخصاً", "at_most", 0, 30),
        ("مقتل [30] شخصاً على الأكثر", "at_most", 0, 30),
        ("مقتل ما بين [10 و15] شخصاً", "range", 10, 15),
        ("ما بين [عشرين وثلاثين] قتيلاً", "range", 20, 30),
        ("من بين [خمسة وعشرين] قتيلاً", "exact", 25, 25),
        ("[عشرات] القتلى", "vague", 20, 99),
        ("أكثر من [مئة] قتيل", "more_than", 100, None),
        ("مقتل [بضعة] أشخاص", "vague", 3, 9),
        ("مقتل [آلاف] المدنيين", "vague", 2000, 9999),
        ("إصابة [طفلين]", "exact", 2, 2),
    ],
)
def test_bounds(text: str, bound: str, low: int, high: int | None):
    (value,) = values(text)
    assert (value.bound, value.low, value.high) == (bound, low, high)


def test_a_qualifier_holds_for_its_own_number():
    assert [value.bound for value in values("مقتل نحو [30] شخصاً وإصابة [40]")] == ["about", "exact"]
    assert [value.bound for value in values("مقتل [30] وإصابة [40] على الأقل")] == ["exact", "at_least"]
    assert [value.bound for value in values("أكثر من [30] قتيلاً و[5] جرحى")] == ["more_than", "exact"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What stands directly before.
        ("مقتل [3] وإصابة [5] بينهم [طفلان]", "kii"),
        ("قُتل [جندي] وأصيب [آخر]", "ki"),
        ("لقي [ثلاثة] مزارعين حتفهم", "k"),
        ("أودى الانفجار بحياة [سبعة] عمال", "k"),
        ("أعدم {التنظيم} [شاباً] في الساحة", "k"),
        ("خطف مسلحون [أربعة] سائقين", "m"),
        ("استشهد [رجل] وجُرحت [امرأتان] وفُقد [ثالث]", "kim"),
        ("وفاة [ثلاثة] جرحى في المشفى", "k"),
        ("مقتل وإصابة [سبعة] أشخاص", "x"),
        ("وقتل وجرح [12] شخصاً", "x"),
        ("وقالت الشرطة إن حارساً قتل وجرح [خمسة] من المارة", "i"),
        # The counted noun.
        ("[12] قتيلاً و[30] جريحاً و[4] مفقودين", "kim"),
        ("سقوط [قتيلين] و[ثلاثة] مصابين", "ki"),
        ("أوقعت الغارة [14] شخصاً بين قتيل وجريح", "x"),
        ("سقط [20] عنصراً من {قوات الجبل} ما بين قتيل وجريح", "x"),
        ("[20] ضحية بين قتيل وجريح", "x"),
        ("مقتل وجرح [30] عاملاً", "x"),
        ("استشهاد أو جرح [30] عاملاً", "x"),
        ("[26] شهيداً و[51] إصابة", "ki"),
        ("قتل [4] وسجلت [22] إصابة", "ki"),
        ("مقتل [4] وإصابة [22]", "ki"),
        ("[عشرات] القتلى والجرحى", "x"),
        ("[3] قتلى و[جريح]", "ki"),
        ("سُجلت [9] حالات وفاة", "k"),
        ("انتشال [6] جثث من تحت الأنقاض", "k"),
        # What follows its subject.
        ("وقالت الوكالة إن [ثلاثة] جنود قُتلوا وإن [خمسة] أصيبوا", "ki"),
        ("قال الطبيب إن [رضيعاً] توفي فجراً", "k"),
        ("بعد المعارك [ثلاثة] مقاتلين و[طبيب] ما زالوا مفقودين", "mm"),
        ("لا يزال [أربعة] عمال في عداد المفقودين", "m"),
        ("وتعرض [أربعة] عمال في الورشة لإصابات", "i"),
        ("كان [17] مدنياً، [ستة] منهم أطفال، قد لقوا حتفهم", "kk"),
        ("مقتل [تسعة]، إضافة إلى [ستة] مدنيين، منهم [رجل] وابنه أصيبا بقذيفة", "kki"),
        ("فيما فُقد [رابع] أثناء إخلاء الجرحى", "m"),
        ("سلّم المسلحون رفات [ثلاثة] جنود كانوا مفقودين", "k"),
        ("سيول تودي بحياة [طفل]، والبحث جار عن [ثلاثة] مفقودين", "km"),
        # Coordination and parts.
        ("مقتل [رجل] و[امرأة] و[طفلين]", "kkk"),
        ("أصيب [عشرة] مدنيين، [اثنان] منهم بحالة خطرة", "ii"),
        ("مقتل [20] عنصراً، [أحدهم] قائد", "kk"),
        ("[9] إصابات بينها [3] خطيرة", "ii"),
        ("قتل [40] مدنياً بينهم [9] أطفال، وأصيب [60] آخرون بينهم [11] طفلاً", "kkii"),
        ("أصيب [عشرة] أشخاص بينهم [ثلاثة] توفوا لاحقاً", "ik"),
        # Totals.
        ("ارتفع عدد القتلى إلى [318]", "k"),
        ("يرتفع إلى [19] عدد من استشهدوا تحت التعذيب", "k"),
        ("القتلى: [12]، والجرحى: [30]", "ki"),
        ("حصيلة القتلى والجرحى: [45]", "x"),
        # What died of wounds was not wounded only.
        ("توفي [شاب] متأثراً بجراح أصيب بها قبل شهر ليرتفع العدد إلى [11]", "kk"),
        # Names say nothing.
        ("قصف قرب <ساحة الشهداء> أدى إلى جرح [ثلاثة]", "i"),
        ("جُرح في <شارع الجرحى> [رجل]", "i"),
        ("فقد قُتل في الهجوم [خمسة]", "k"),
        # To lose one's own, or one's life.
        ("فقدت العجوز [ثلاثة] من أحفادها في غارة", "k"),
        ("فقد [طفل] حياته وبُترت يدا أخيه", "k"),
        ("فُقد [ثلاثة] من أبناء القرية", "m"),
        # Nothing tells.
        ("وصل [ثلاثة] أشخاص إلى البلدة", "-"),
    ],
)
def test_outcomes(text: str, expected: str):
    assert outcomes(text) == expected


def test_names_would_tell_the_wrong_outcome_if_they_were_read():
    assert outcomes("قصف أصاب المدنيين قرب <ساحة الشهداء> و[ثلاثة] عمال") == "i"
    assert outcomes("قصف أصاب المدنيين قرب ساحة الشهداء و[ثلاثة] عمال") == "k"


ROUNDUP = """قُتل خلال الشهر [158] شخصاً وأصيب [89]، على النحو التالي:
- [21] مدنياً بينهم [4] أطفال
- [34] من {قوات النظام}، [أحدهم] ضابط
- [5] جرحى

الإصابات:
1. [49] طفلاً
2. [رجل]
"""


def test_a_roundup_with_dashed_breakdowns():
    found = values(ROUNDUP)
    assert outcomes(ROUNDUP) == "kikkkkiii"
    document = marked(ROUNDUP)
    spans = [(entity.start, entity.end) for entity in document.entities if entity.label == "CASUALTY"]
    parts = [None if value.part_of is None else spans.index(value.part_of) for value in found]
    assert parts == [None, None, 0, 2, 0, 4, 1, None, None]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("مقتل [3] وإصابة [5] بينهم [طفلان]", [None, None, 1]),
        ("مقتل [10] مدنيين بينهم [3] أطفال و[سيدة]، وإصابة [20]", [None, 0, 0, None]),
        ("مقتل [10] مدنيين بينهم [3] أطفال، و[20] جريحاً", [None, 0, None]),
        ("قضى [11] مقاتلاً، [ثلاثة] منهم من المدينة و[اثنان] من ريفها", [None, 0, 0]),
        ("مقتل [شخصين]، [أحدهما] عامل", [None, 0]),
        ("مقتل [أربعة] أشخاص (رجل و[ثلاث] نساء)", [None, 0]),
        ("استشهد [أربعة] أشخاص، هم {سامر الحلاق} و[ثلاثة] من أبنائه", [None, 0]),
        ("[50] قتيلاً و[5] جرحى، من بينهم [20] طفلاً قُتلوا", [None, None, 0]),
        ("مقتل [رجل] و[امرأة]", [None, None]),
        ("مقتل [20] شخصاً على الأقل، ثم قصفت الطائرات المسلحين فقتلت [35] منهم", [None, None]),
        ("مقتل [14] مقاتلاً، [سبعة] منهم أجانب، وسقطت قذائف أصابت إحداها [عاملاً]", [None, 0, None]),
        ("تلتها <بغداد> ([152] قتيلاً) ثم <كركوك> ([11])", [None, None]),
    ],
)
def test_parts(text: str, parts: list[int | None]):
    document = marked(text)
    spans = [(entity.start, entity.end) for entity in document.entities if entity.label == "CASUALTY"]
    found = [value.part_of and spans.index(value.part_of) for value in read_casualties(document)]
    assert found == parts


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("مقتل [47] مدنياً", "civilians"),
        ("مقتل [12] طفلاً مدنياً", "children"),
        ("مقتل [طفلين]", "children"),
        ("مقتل [5] مواطنات", "women"),
        ("مقتل [مواطنين]", "civilians"),
        ("مقتل [شابين]", None),
        ("مقتل [ثلاثة] من عناصر {قوات النظام}", "combatants"),
        ("مقتل [جنديين]", "combatants"),
        ("مقتل [مسعف]", "medics"),
        ("إصابة [ثلاثة] صحفيين", "journalists"),
        ("إصابة [اثنين] من متطوعي {الدفاع المدني}", "rescuers"),
        ("إصابة [سبعة] في قصف لقوات النظام", None),
        ("إصابة [30]", None),
    ],
)
def test_groups(text: str, group: str | None):
    assert [value.group for value in values(text)] == [group]


def test_others_are_of_the_same_group():
    assert [value.group for value in values("مقتل [3] جنود وإصابة [5] آخرين")] == ["combatants", "combatants"]
    aside = values("استشهد [9] مدنيين بينهم [4] أطفال، وأصيب [23] آخرون")
    assert [value.group for value in aside] == ["civilians", "children", "civilians"]


@pytest.mark.parametrize(
    ("text", "why", "outcome"),
    [
        ("مقتل [4x7] شخصاً", "stray_letters", "killed"),
        ("مقتل [10-5] أشخاص", "contradictory_range", "killed"),
        ("مقتل ما لا يقل عن [30] شخصاً على الأكثر", "contradictory_bounds", "killed"),
        ("مقتل [أطفال]", "plural_alone", "killed"),
    ],
)
def test_what_cannot_be_known_is_null_with_a_reason(text: str, why: str, outcome: str):
    (value,) = values(text)
    assert value.record() == {
        "low": None,
        "high": None,
        "bound": None,
        "outcome": outcome,
        "group": value.group,
        "part_of": None,
        "why": why,
    }


def test_an_outcome_that_nothing_tells_leaves_the_number():
    assert values("وصل [ثلاثة] أشخاص") == [CasualtyValue(3, 3, "exact", None, None, None, "no_outcome")]


@pytest.mark.parametrize(
    "text",
    [
        "مقتل [ثلاثة] أطفال وإصابة [20] على الأقل",
        "مَقْتَلُ [ثَلاثَةِ] أطفالٍ وإصـابة [٢٠] علي الأقل",
        "مقـ ـتل [ثلاثه] اطفال واصابة [۲۰] على الاقل",
        "مقتل [تلاتة] أطفال و إصابة [\u200f20\u200f] عالأقل",
    ],
)
def test_spelling_does_not_matter(text: str):
    assert values(text) == [
        CasualtyValue(3, 3, "exact", "killed", "children"),
        CasualtyValue(20, None, "at_least", "injured"),
    ]


def test_one_entity_of_a_document():
    document = marked("مقتل [3] وإصابة [5] بينهم [طفلان]")
    assert [casualty_value(document, entity) for entity in document.entities] == read_casualties(document)
    assert read_casualties(Document("r1", "مقتل 3")) == []


def test_another_name_of_the_type():
    document = Document("r1", "مقتل 3", (Entity(5, 6, "VICTIMS"),))
    assert read_casualties(document) == []
    assert [value.low for value in read_casualties(document, label="VICTIMS")] == [3]


PIECES = [
    "مقتل",
    "وإصابة",
    "قتلى",
    "جرحى",
    "ثلاثة",
    "12",
    "وخمسة",
    "طفلان",
    "بينهم",
    "منهم",
    "أحدهم",
    "على",
    "الأقل",
    "أكثر",
    "من",
    "نحو",
    "بين",
    "إلى",
    "و",
    "(",
    ")",
    ":",
    ".",
    "،",
    "-",
    "\n",
    "1.",
    "إن",
    "قتلوا",
    "فقد",
    "مفقودين",
    "متأثراً",
    "بجراح",
    "آخرين",
    "مدنياً",
    "10-5",
    "4x7",
    "\x00",
    "�",
    "ـ",
    "🚩",
    "\u200f",
]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_text_and_any_spans_have_values(data: st.DataObject):
    text = data.draw(st.one_of(st.text(min_size=1), st.lists(st.sampled_from(PIECES), min_size=1).map(" ".join)))
    place = st.integers(0, len(text) - 1)
    spans = data.draw(
        st.lists(st.tuples(place, st.integers(1, 12), st.sampled_from(["CASUALTY", "ACTOR"])), max_size=6)
    )
    entities = [Entity(start, min(start + length, len(text)), label) for start, length, label in spans]
    counted = [entity for entity in entities if entity.label == "CASUALTY"]
    found = read_casualties(Document("r1", text), entities)
    assert len(found) == len(counted)
    offsets = {(entity.start, entity.end) for entity in counted}
    for value in found:
        assert (value.low is None) == (value.bound is None)
        assert value.why or (value.low is not None and value.outcome is not None)
        assert value.part_of is None or value.part_of in offsets
        if value.low is not None:
            assert value.high is None or 0 <= value.low <= value.high


def test_a_long_table():
    lines = ["حصيلة القتلى:", *(f"- <حي {i}>: [{i % 50 + 2}] مدنياً بينهم [{i % 2 + 1}] أطفال" for i in range(3000))]
    found = values("\n".join(lines))
    assert {value.outcome for value in found} == {"killed"}
    assert {value.part_of is None for value in found[1::2]} == {False}


@pytest.mark.parametrize("name", ["numbers", "outcomes", "bounds", "groups", "nouns"])
def test_rule_tables_hold_words_only(name: str):
    def check(node: object, path: str) -> None:
        if isinstance(node, dict):
            for key, child in node.items():
                check(child, f"{path}.{key}")
        elif isinstance(node, list) and not all(isinstance(item, int) for item in node):
            assert node and all(isinstance(item, str) and item.strip() == item and item for item in node), path
            assert len(set(node)) == len(node), path

    check(load_rules(name), name)
