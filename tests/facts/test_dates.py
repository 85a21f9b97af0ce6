"""Dates as days: every naming of every day reads back, every rule does what it says, and nothing ever raises."""

from datetime import date, timedelta

import pytest
from hijridate import Gregorian
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.documents import Document, Entity
from marsad.facts.dates import REASONS, DateValue, read_dates
from marsad.facts.folding import load_rules

TUESDAY = date(2019, 4, 2)  # the day of the report in most tests
MONTHS = load_rules("months")


def _read(text: str, published: date | None = TUESDAY, before: str = "") -> DateValue:
    """The value of ``text`` as a span, after the words ``before``."""
    document = Document("r", before + text, published=published)
    return read_dates(document, [Entity(len(before), len(before + text), "DATE")])[0]


def _days(value: DateValue) -> str | None:
    """``start..end``, or one day where they are the same, or the reason in brackets."""
    if value.start is None or value.end is None:
        return f"({value.why})"
    return f"{value.start}" if value.start == value.end else f"{value.start}..{value.end}"


def _read_all(text: str, published: date | None = TUESDAY) -> list[str | None]:
    """The values of the spans in [brackets]."""
    plain, entities = "", []
    for part in text.split("["):
        if "]" in part:
            span, part = part.split("]", 1)
            entities.append(Entity(len(plain), len(plain + span), "DATE"))
            plain += span
        plain += part
    return [_days(value) for value in read_dates(Document("r", plain, published=published), entities)]


# Round trips: every day of three years


def _three_years() -> list[date]:
    return [date(2015, 1, 1) + timedelta(days=i) for i in range(3 * 365 + 1)]  # 2016 is a leap year


@pytest.mark.parametrize("naming", ["levantine", "mashriqi", "maghrebi", "latin"])
def test_every_day_in_every_month_name_reads_back(naming: str):
    for day in _three_years():
        names = MONTHS[naming][day.month]
        name = names[day.day % len(names)]
        for text in (f"{day.day} {name} {day.year}", f"الـ {day.day} من {name} عام {day.year}"):
            assert _days(_read(text, None)) == str(day), text


def test_every_day_in_a_doubled_month_reads_back():
    for day in _three_years():
        one, other = MONTHS["levantine"][day.month][0], MONTHS["mashriqi"][day.month][0]
        for text in (f"{day.day} {one}/{other} {day.year}", f"{day.day} {other} ({one}) {day.year}"):
            assert _days(_read(text, None)) == str(day), text


def test_every_hijri_day_reads_back():
    for day in _three_years():
        hijri = Gregorian(day.year, day.month, day.day).to_hijri()
        names = MONTHS["hijri"][hijri.month]
        text = f"{hijri.day} {names[hijri.day % len(names)]} {hijri.year} هـ"
        assert _days(_read(text, None)) == str(day), text


@pytest.mark.parametrize(
    "form",
    ["{d}/{m}/{y}", "{d:02}-{m:02}-{y}", "{d}.{m}.{y}", "{y}-{m:02}-{d:02}", "{y}/{m}/{d}", "{d} / {m} / {y}"],
)
@pytest.mark.parametrize("digits", ["0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹"])
def test_every_day_in_numbers_reads_back(form: str, digits: str):
    table = str.maketrans("0123456789", digits)
    for day in _three_years():
        text = form.format(d=day.day, m=day.month, y=day.year).translate(table)
        assert _days(_read(text, None)) == str(day), text


UNITS = ("الثاني", "الثالث", "الرابع", "الخامس", "السادس", "السابع", "الثامن", "التاسع")
ORDINALS = [
    *("الأول", *UNITS, "العاشر"),
    *(f"{unit} عشر" for unit in ("الحادي", *UNITS)),
    *("العشرين", *(f"{unit} والعشرين" for unit in ("الحادي", *UNITS))),
    *("الثلاثين", "الحادي والثلاثين"),
]


def test_every_day_as_an_ordinal_without_a_year_is_the_last_one():
    report = date(2017, 12, 31)
    for offset in range(364):  # the first of January would be tomorrow
        day = report - timedelta(days=offset)
        text = f"{ORDINALS[day.day - 1]} من {MONTHS['levantine'][day.month][0]}"
        assert _days(_read(text, report)) == str(day), text


def test_every_weekday_with_its_date_reads_back():
    names = ["الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "الأحد"]
    for day in _three_years():
        text = f"يوم {names[day.weekday()]} {day.day} {MONTHS['levantine'][day.month][0]} {day.year}"
        assert _days(_read(text, None)) == str(day), text
        assert _days(_read(names[day.weekday()], day + timedelta(days=day.day % 7))) == str(day)


# Rules, group by group; the report is of Tuesday 2019-04-02


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("اليوم", "2019-04-02"),
        ("أمس", "2019-04-01"),
        ("امبارح", "2019-04-01"),
        ("أول أمس", "2019-03-31"),
        ("أول من أمس", "2019-03-31"),
        ("أمس الأول", "2019-03-31"),
        ("غداً", "2019-04-03"),
        ("بعد غد", "2019-04-04"),
        ("قبل قليل", "2019-04-02"),
        ("الليلة الماضية", "2019-04-01"),
        ("وصباح أمس", "2019-04-01"),
        ("لليوم الثالث على التوالي", "2019-04-02"),
        ("اليوم الثلاثاء 2 نيسان", "2019-04-02"),
        ("أمس الاثنين (1 أبريل)", "2019-04-01"),
    ],
)
def test_days_from_the_report(text: str, expected: str):
    assert _days(_read(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("الثلاثاء", "2019-04-02"),
        ("الأربعاء", "2019-03-27"),
        ("مساء الاثنين", "2019-04-01"),
        ("الثلاثاء الماضي", "2019-03-26"),
        ("الجمعة الفائت", "2019-03-29"),
        ("الخميس المقبل", "2019-04-04"),
        ("الثلاثاء القادم", "2019-04-09"),
        ("الأحد من الأسبوع الماضي", "2019-03-31"),
        ("الأربعاء من الأسبوع الماضي", "2019-03-27"),
        ("عقب صلاة الجمعة", "2019-03-29"),
        ("ليل السبت – الأحد", "2019-03-30..2019-03-31"),
        ("ليل الاثنين ـ الثلاثاء", "2019-04-01..2019-04-02"),
        ("بعد منتصف ليل الجمعة - السبت", "2019-03-29..2019-03-30"),
        ("ليل الأحد الاثنين", "2019-03-31..2019-04-01"),
        ("من مساء الخميس حتى فجر السبت الماضيين", "2019-03-28..2019-03-30"),
    ],
)
def test_weekdays(text: str, expected: str):
    assert _days(_read(text)) == expected


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("ستنطلق القافلة ", "الخميس", "2019-04-04"),
        ("وسيعقد الوسطاء جلسة ", "الثلاثاء", "2019-04-09"),
        ("من المقرر أن يفتح المعبر في ", "حزيران", "2019-06-01..2019-06-30"),
        ("الانتخابات المقررة في ", "الخامس من أيار", "2019-05-05"),
        ("كان من المقرر أن يفتح المعبر ", "الخميس", "2019-03-28"),
        ("ستعود القافلة، وقد وصلت ", "الخميس", "2019-03-28"),
        ("انفجرت سيارة مفخخة ", "الخميس", "2019-03-28"),
        ("سيدخل المراقبون البلدة ", "الخميس", "2019-04-04"),
        ("سيطرت الفصائل على البلدة ", "الخميس", "2019-03-28"),
        ("قتلت ستة مدنيين ", "الخميس", "2019-03-28"),
        ("تستمر الهدنة حتى ", "10 نيسان", "2019-04-10"),
        ("من المقرر أن تبدأ الهدنة ", "الأحد", "2019-04-07"),
        ("والمقرر أن تبدأ الهدنة ", "الأحد", "2019-04-07"),
        ("من المقرر بدء الهدنة ", "الأحد", "2019-04-07"),
        ("سيطرح المبعوث خطته ", "الأحد", "2019-04-07"),
        ("تقرر تأجيل المباراة إلى ", "الثلاثاء", "2019-04-09"),
        ("تنتهي المهلة ", "الخميس", "2019-04-04"),
        # They look like the future, and are none.
        ("وقال المقرر الأممي الخاص ", "الأحد", "2019-03-31"),
        ("استهدفت مسيّرة سيارتهم ", "الأحد", "2019-03-31"),
        ("انسحبوا من مناطق سيطرتهم ", "الأحد", "2019-03-31"),
    ],
)
def test_the_words_before_turn_a_date_to_the_future(before: str, text: str, expected: str):
    assert _days(_read(text, before=before)) == expected


def test_a_name_is_no_verb_of_the_future():
    document = Document("r", "وقال ستيفان الأحد", published=TUESDAY)
    name, day = Entity(5, 11, "ACTOR"), Entity(12, 17, "DATE")
    assert [_days(value) for value in read_dates(document, [day], names=[name])] == ["2019-03-31"]
    assert [_days(value) for value in read_dates(document, [day])] == ["2019-04-07"]


def test_a_weekday_that_contradicts_the_report_wins_and_moves_what_follows():
    assert _read_all("قصفت القرية [اليوم الأحد]، وكانت قصفت [أمس].") == ["2019-03-31", "2019-03-30"]
    assert _read_all("قصفت القرية [اليوم (أمس)]، وتقصف [غداً].") == ["2019-04-01", "2019-04-02"]
    assert _days(_read("اليوم الثلاثاء (2 نيسان 2018)")) == "2019-04-02"
    # The report is dated a day early, not told six days late.
    assert _read_all("قصفت القرية [اليوم الأربعاء]، وكانت قصفت [أمس].") == ["2019-04-03", "2019-04-02"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("الـ 7 من آذار الفائت", "2019-03-07"),
        ("الأسبوع قبل الماضي", "2019-03-18..2019-03-24"),
        ("الجمعة ما قبل الماضية", "2019-03-22"),
        ("العام قبل الماضي", "2017-01-01..2017-12-31"),
        ("آذار قبل الماضي", "2018-03-01..2018-03-31"),
        ("الليلة قبل الماضية", "2019-03-31"),
        ("7 آذار", "2019-03-07"),
        ("آذار 7", "2019-03-07"),
        ("3 نيسان", "2019-04-03"),  # a post dated a day late
        ("4 نيسان", "2018-04-04"),
        ("2 نيسان الماضي", "2018-04-02"),
        ("1 نيسان الجاري", "2019-04-01"),
        ("15 أيار المقبل", "2019-05-15"),
        ("29 شباط", "2016-02-29"),
        ("آذار", "2019-03-01..2019-03-31"),
        ("نيسان", "2019-04-01..2019-04-30"),
        ("أيار", "2018-05-01..2018-05-31"),
        ("نيسان الماضي", "2018-04-01..2018-04-30"),
        ("شهر كانون الأول الفائت", "2018-12-01..2018-12-31"),
        ("تموز المقبل", "2019-07-01..2019-07-31"),
        ("12 جانفي", "2019-01-12"),
        ("3 غشت 2018", "2018-08-03"),
        ("5 مارس (آذار)", "2019-03-05"),
        ("10 شباط من العام الماضي", "2018-02-10"),
        ("السابع من شهر شباط الفائت من العام الجاري", "2019-02-07"),
        ("الفاتح من نوفمبر 1954", "1954-11-01"),
        ("الثالث من الشهر الماضي", "2019-03-03"),
        ("الأول من الشهر المقبل", "2019-05-01"),
        ("2 الشهر الجاري", "2019-04-02"),
        ("25 من الشهر", "2019-03-25"),  # a report on the month before
        ("يوم 28", "2019-03-28"),
        ("21-3", "2019-03-21"),
        ("6/25/2017", "2017-06-25"),
        ("3/3/18", "2018-03-03"),
        ("June 25, 2018", "2018-06-25"),
        ("تاريخ كانون الأول عام 2017", "2017-12-01..2017-12-31"),
        ("الشهر الثامن من عام 2018", "2018-08-01..2018-08-31"),
        ("شهر 8", "2018-08-01..2018-08-31"),
    ],
)
def test_days_and_months(text: str, expected: str):
    assert _days(_read(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("عام 2011", "2011-01-01..2011-12-31"),
        ("2014", "2014-01-01..2014-12-31"),
        ("سنة الـ 48", "1948-01-01..1948-12-31"),
        ("العام الماضي", "2018-01-01..2018-12-31"),
        ("هذا العام", "2019-01-01..2019-12-31"),
        ("السنة المقبلة", "2020-01-01..2020-12-31"),
        ("الشهر الجاري", "2019-04-01..2019-04-30"),
        ("الشهر الفائت", "2019-03-01..2019-03-31"),
        ("الأسبوع الماضي", "2019-03-25..2019-03-31"),
        ("هذا الأسبوع", "2019-04-01..2019-04-07"),
        ("وقت سابق من هذا الأسبوع", "2019-04-01..2019-04-02"),
        ("صيف 2014", "2014-06-01..2014-08-31"),
        ("الصيف الماضي", "2018-06-01..2018-08-31"),
        ("خريف العام الماضي", "2018-09-01..2018-11-30"),
        ("الشتاء الفائت", "2018-12-01..2019-02-28"),
        ("شتاء 2013-2014", "2013-12-01..2014-02-28"),
        ("التسعينيات", "1990-01-01..1999-12-31"),
        ("ثمانينات القرن الماضي", "1980-01-01..1989-12-31"),
        ("القرن التاسع عشر", "1801-01-01..1900-12-31"),
    ],
)
def test_longer_times(text: str, expected: str):
    assert _days(_read(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("مطلع العام 2018", "2018-01-01..2018-01-31"),
        ("بداية العام", "2019-01-01..2019-01-31"),
        ("منتصف 2016", "2016-06-01..2016-07-31"),
        ("أواخر عام 2012", "2012-12-01..2012-12-31"),
        ("مطلع آذار", "2019-03-01..2019-03-10"),
        ("منتصف شباط الماضي", "2019-02-11..2019-02-20"),
        ("نهاية شباط", "2019-02-19..2019-02-28"),
        ("أول الشهر", "2019-04-01..2019-04-10"),
        ("مطلع الشهر الجاري نيسان", "2019-04-01..2019-04-10"),
        ("أواخر رمضان 1439", "2018-06-05..2018-06-14"),
        ("مطلع التسعينات", "1990-01-01..1993-12-31"),
        ("مطلع الصيف الماضي", "2018-06-01..2018-06-30"),
        ("النصف الأول من عام 2018", "2018-01-01..2018-06-30"),
        ("الربع الأخير من العام الماضي", "2018-10-01..2018-12-31"),
        ("النصف الثاني من آذار", "2019-03-16..2019-03-31"),
        ("الأسبوع الأول من آذار", "2019-03-01..2019-03-07"),
        ("الأسبوع الأخير من شباط", "2019-02-22..2019-02-28"),
        ("اليوم الأخير من شباط", "2019-02-28"),
        ("الأيام الثلاثة الأولى من آذار", "2019-03-01..2019-03-03"),
        ("الأشهر الثلاثة الأولى من عام 2018", "2018-01-01..2018-03-31"),
    ],
)
def test_parts(text: str, expected: str):
    assert _days(_read(text)) == expected


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("", "قبل ثلاثة أيام", "2019-03-30"),
        ("", "قبل يومين", "2019-03-31"),
        ("", "قبل نحو أسبوعين", "2019-03-19"),
        ("", "قبل شهر ونصف", "2019-02-16"),
        ("", "قبل نصف قرن", "1969-04-02"),
        ("قبل نحو ", "5 أيام", "2019-03-28"),
        ("منذ ", "5 أيام", "2019-03-28..2019-04-02"),
        ("منذ أكثر من ", "أربع سنوات", "2015-04-02..2019-04-02"),
        ("منذ ", "سنة ونصف", "2017-10-02..2019-04-02"),
        ("", "خلال يومين", "2019-03-31..2019-04-02"),
        ("خلال ", "الساعات الـ 24 الماضية", "2019-04-01..2019-04-02"),
        ("خلال ", "الـ48 ساعة الماضية", "2019-03-31..2019-04-02"),
        ("", "الأيام الأربعة الأخيرة", "2019-03-29..2019-04-02"),
        ("", "الشهرين الماضيين", "2019-02-02..2019-04-02"),
        ("", "الأسبوعين المقبلين", "2019-04-02..2019-04-16"),
        ("سيغادرون ", "بعد يومين", "2019-04-04"),
        ("توقف القصف ", "بعد ساعتين", "2019-04-02"),
    ],
)
def test_counts(before: str, text: str, expected: str):
    assert _days(_read(text, before=before)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("من 5 إلى 9 آذار", "2019-03-05..2019-03-09"),
        ("7 و9 آذار", "2019-03-07..2019-03-09"),
        ("9 و7 آذار", "2019-03-07..2019-03-09"),
        ("28 و3 آذار 2016", "2016-03-03..2016-03-28"),
        ("20 - 26 آذار 2018", "2018-03-20..2018-03-26"),
        ("ليل 10 – 11 آذار", "2019-03-10..2019-03-11"),
        ("الفترة من 23 فيفري إلى 1 مارس 2018", "2018-02-23..2018-03-01"),
        ("25 كانون الأول و8 كانون الثاني", "2018-12-25..2019-01-08"),
        ("بين كانون الأول وشباط 2017", "2016-12-01..2017-02-28"),
        ("آذار وتموز من العام الماضي", "2018-03-01..2018-07-31"),
        ("شهري كانون الثاني وآذار", "2019-01-01..2019-03-31"),
        ("عامي 2013 و2015", "2013-01-01..2015-12-31"),
        ("2015 و2012", "2012-01-01..2015-12-31"),
        ("1-3-2019 إلى 15-3-2019", "2019-03-01..2019-03-15"),
        ("2019/3/1 - 2019/3/15", "2019-03-01..2019-03-15"),
        ("ليلة 15/16 تموز 2016", "2016-07-15..2016-07-16"),
        ("أيار 2018 وحتى كانون الأول من العام نفسه", "2018-05-01..2018-12-31"),
        ("2011-2014", "2011-01-01..2014-12-31"),
        ("حزيران/تموز 2014", "2014-06-01..2014-07-31"),
        ("أمس واليوم", "2019-04-01..2019-04-02"),
        ("أواخر شباط ومطلع آذار", "2019-02-19..2019-03-10"),
        ("مطلع شباط حتى نهاية آذار", "2019-02-01..2019-03-31"),
    ],
)
def test_ranges(text: str, expected: str):
    assert _days(_read(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "فجر اليوم",
        "ليلاً",
        "الصباح الباكر",
        "الساعة الخامسة",
        "الساعة 14:30",
        "الساعة 20.30 بتوقيت غرينتش",
        "الثامنة والنصف صباحاً",
        "الساعة الرابعة وعشر دقائق فجراً",
        "حوالي الثالثة من عصر اليوم",
        "الساعة الثانية إلا ربعاً ظهراً",
        "ساعات الفجر الأولى",
        "بعد منتصف الليل",
        "قبيل غروب الشمس",
        "بعد أذان المغرب بعشر دقائق",
        "ساعة متأخرة من مساء اليوم",
    ],
)
def test_a_time_of_day_alone_is_of_the_day_of_the_report(text: str):
    assert _days(_read(text)) == "2019-04-02"


def test_a_time_of_day_is_of_the_day_named_in_its_sentence():
    read = _read_all("اقتحموا القرية [الأحد] عند [الساعة الخامسة فجراً]. وعاد الهدوء [ظهراً].")
    assert read == ["2019-03-31", "2019-03-31", "2019-04-02"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("خطفوا في [3 آذار] وعادوا في [اليوم التالي].", ["2019-03-03", "2019-03-04"]),
        ("خطفوا في [3 آذار] وقتلوا [مساء اليوم نفسه].", ["2019-03-03", "2019-03-03"]),
        ("خطفوا في [3 آذار]. [وبعد ذلك بيومين] عادوا.", ["2019-03-03", "2019-03-05"]),
        ("خطفوا في [3 آذار] وعادوا [بعد أسبوع].", ["2019-03-03", "2019-03-10"]),
        ("عادوا في [3 آذار] بعد أن خطفوا في [اليوم السابق].", ["2019-03-03", "2019-03-02"]),
        ("حصيلة [شباط 2018] أعلى من [الشهر السابق].", ["2018-02-01..2018-02-28", "2018-01-01..2018-01-31"]),
        ("قصفت في [4 شباط]، ثم في [19 منه].", ["2019-02-04", "2019-02-19"]),
        ("قصفت في [4 شباط 2015]، ثم في [آب من العام نفسه].", ["2015-02-04", "2015-08-01..2015-08-31"]),
        ("حصيلة [شباط 2018]. وفي [الفترة ذاتها] نزح المئات.", ["2018-02-01..2018-02-28"] * 2),
        (
            "نزحوا خلال [الساعات الـ 24 الماضية]، وقتل ثلاثة [أمس] وجرح خمسة في [المدة نفسها].",
            ["2019-04-01..2019-04-02", "2019-04-01", "2019-04-01..2019-04-02"],
        ),
        (
            "حصيلة [النصف الأول من 2018] أعلى من [الفترة نفسها من العام 2017].",
            ["2018-01-01..2018-06-30", "2017-01-01..2017-06-30"],
        ),
        ("أشار المرصد في [20 آذار] إلى هدوء مستمر منذ [3 أيام].", ["2019-03-20", "2019-03-17..2019-03-20"]),
        ("قالت الشرطة [الأحد] إنها أوقفت ثلاثة [الليلة الماضية].", ["2019-03-31", "2019-03-30"]),
        ("قال الجيش [أمس] إن طائراته قصفت القرية [أمس].", ["2019-04-01", "2019-04-01"]),
    ],
)
def test_dates_read_before_are_anchors(text: str, expected: list[str]):
    assert _read_all(text) == expected


def test_entities_are_read_in_the_order_of_the_text_and_given_back_in_theirs():
    document = Document("r", "في 3 آذار، وفي اليوم التالي", published=TUESDAY)
    first, second = Entity(3, 9, "DATE"), Entity(14, 27, "DATE")
    values = read_dates(document, [second, first])
    assert [_days(value) for value in values] == ["2019-03-04", "2019-03-03"]
    assert read_dates(document, []) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("عيد الأضحى 1439", "2018-08-21..2018-08-24"),
        ("ثاني أيام عيد الأضحى", "2018-08-22"),  # the last one
        ("اليومين الأول والثاني من عيد الأضحى 1439", "2018-08-21..2018-08-22"),
        ("رأس السنة الهجرية", "2018-09-11"),
        ("عيد العمال", "2019-05-01"),  # or one that is near
        ("27/7/1440 هـ", "2019-04-03"),
        ("نوروز", "2019-03-21"),
        ("رمضان", "2018-05-16..2018-06-14"),
        ("رمضان 2017", "2017-05-27..2017-06-24"),
        ("عام 1436 هـ", "2014-10-25..2015-10-13"),
        ("7 شوال 1434 هـ الموافق 14 آب 2013", "2013-08-14"),
        ("14 آب 2013 الموافق 7 شوال 1434 هـ", "2013-08-14"),
    ],
)
def test_hijri_dates_and_festivals(text: str, expected: str):
    assert _days(_read(text)) == expected


# What cannot be known


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("31 نيسان", "impossible_date"),
        ("31 نيسان 2018", "impossible_date"),
        ("29 شباط 2019", "impossible_date"),
        ("30/2/2018", "impossible_date"),
        ("0/0/2018", "impossible_date"),
        ("2018-13-01", "impossible_date"),
        ("الـ 42 من آذار", "impossible_date"),
        ("قبل 99999999 يوماً", "impossible_date"),
        ("30 صفر 1600", "hijri_out_of_range"),
        ("رمضان 1300", "hijri_out_of_range"),
        ("أيار / يونيو", "months_disagree"),
        ("الأحد 14 آذار 2016", "weekday_contradicts_date"),
        ("تشرين 2018", "ambiguous_month"),
        ("عام 1436", "ambiguous_calendar"),
        ("شتاء 2019", "ambiguous_winter"),
        ("نهاية الأسبوع", "ambiguous_part"),
        ("العقد الماضي", "ambiguous_part"),
        ("ثالث أيام العيد", "ambiguous_festival"),
        ("عيد الفطر", "ambiguous_festival"),
        ("الفترة ذاتها", "no_date_to_refer_to"),
        ("اليوم التالي", "no_date_to_refer_to"),
        ("19 منه", "no_date_to_refer_to"),
        ("بعد يومين", "relative_to_undated_event"),
        ("قبل وفاته بأسبوع", "relative_to_undated_event"),
        ("يوم الحادثة", "relative_to_undated_event"),
        ("اليوم الثاني من العملية", "relative_to_undated_event"),
        ("ثلاثة أشهر", "duration_without_anchor"),
        ("قبل أيام", "vague_number"),
        ("الساعات الماضية", "vague_number"),
        ("الفترة الماضية", "vague_period"),
        ("قبل نهاية نيسان", "open_interval"),
        ("بعد 21 آب", "open_interval"),
        ("من 2015 إلى 2012", "reversed_range"),
        ("من 9 إلى 7 آذار 2016", "reversed_range"),
        ("حلب", "not_understood"),
        ("،", "not_understood"),
    ],
)
def test_what_cannot_be_known_is_null_with_the_reason(text: str, why: str):
    assert _read(text) == DateValue(None, None, None, why)
    assert why in REASONS


@pytest.mark.parametrize(
    "text",
    [
        *("اليوم", "أمس", "مساء الأحد", "7 آذار", "آذار", "الشهر الماضي", "قبل يومين", "الساعات الـ 24 الماضية"),
        *("مطلع العام", "الصيف الماضي", "ليلاً", "الساعة الخامسة", "عيد الأضحى", "لليوم الثاني على التوالي"),
    ],
)
def test_without_a_day_of_publication_what_counts_from_it_is_null(text: str):
    assert _read(text, None) == DateValue(None, None, None, "no_publication_date")


def test_without_a_day_of_publication_absolute_dates_resolve_and_may_give_the_day():
    assert _days(_read("7 آذار 2019", None)) == "2019-03-07"
    assert _days(_read("مطلع العام 2019", None)) == "2019-01-01..2019-01-31"
    assert _read_all("قصفت [اليوم الثلاثاء 2 نيسان 2019] وقصفت [أمس].", None) == ["2019-04-02", "2019-04-01"]


def test_a_value_is_a_record_of_iso_dates():
    assert _read("7 آذار").record() == {"start": "2019-03-07", "end": "2019-03-07", "grain": "day"}
    assert _read("قبل شهرين").record() == {"start": "2019-02-02", "end": "2019-02-02", "grain": "month"}
    assert _read("31 نيسان").record() == {"start": None, "end": None, "why": "impossible_date"}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("الـ 7 من آذار الفائت", "الـــ٧ مِن آذارَ الفائت"),
        ("أول أمس", "اول امس"),
        ("ليلة الجمعة", "ليله الجمعه"),
        ("15 كانون الثاني 2016", "١٥ كانون الثانى ۲۰۱۶"),
        ("مساء أمس الاثنين", "\u200fمساء أمس\u00a0الإثنين\u202c"),
        ("5 آذار 2018", "(5 آذار، 2018)"),
    ],
)
def test_spelling_changes_nothing(text: str, same: str):
    assert _read(same) == _read(text)
    assert _read(text).start is not None


# Whatever the text

PIECES = """
الـ و من إلى حتى بين في قبل بعد منذ خلال – - / . : ، ( ) هـ م الموافق ٣ 7 31 48 2016 1436 99999999999 0 2,40 13.5.2017
اليوم أمس غداً يوم أيام يومين الأسبوع شهر الشهر أشهر عام العام سنوات ساعة الساعات عقود قرن نصف ربع مطلع منتصف نهاية
الماضي المقبل الجاري ذاته التالي الأخير هذا ذلك فجر ليل الليلة الماضية الأحد الجمعة آذار تشرين الأول كانون الثاني رمضان
صفر شتاء صيف التسعينات عيد الأضحى العيد الفترة ذاتها منه بعدها ليلتها ثلاثة والعشرين لليوم السابع قال إن ستبدأ حلب 😀
"""
WORDS = st.sampled_from([*PIECES.split(), "\ud83d", "\x00"])
TEXTS = st.one_of(st.text(st.characters(), max_size=40), st.lists(WORDS, max_size=14).map(" ".join))
DAYS = st.one_of(st.none(), st.dates(), st.sampled_from([date.min, date.max, TUESDAY]))


@settings(max_examples=300, deadline=None)
@given(TEXTS, DAYS, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40)), max_size=4))
def test_any_span_of_any_text_has_a_value_or_a_reason(text: str, published: date | None, spans: list[tuple[int, int]]):
    entities = [Entity(start, start + length, "DATE") for start, length in spans]
    values = read_dates(Document("r", text, published=published), entities)
    assert len(values) == len(entities)
    for value in values:
        if value.why is None:
            assert value.start is not None and value.end is not None and value.grain
            assert value.start <= value.end
        else:
            assert value.why in REASONS
            assert (value.start, value.end, value.grain) == (None, None, None)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=8).map(" ".join), DAYS)
def test_any_words_of_dates_have_a_value_or_a_reason(text: str, published: date | None):
    value = _read(text, published)
    assert (value.why in REASONS) if value.start is None else (value.start <= value.end)


@settings(max_examples=200, deadline=None)
@given(st.dates(date(1950, 1, 1), date(2070, 12, 31)), st.integers(0, 400))
def test_counting_back_and_naming_the_day_agree(day: date, count: int):
    counted = _read(f"قبل {count} يوماً", day)
    other = day - timedelta(days=count)
    named = _read(f"{other.day}/{other.month}/{other.year}", None)
    assert (counted.start, counted.end) == (named.start, named.end)


def test_words_of_the_tables_are_all_read():
    rules = load_rules("dates")
    for offset, names in rules["days"].items():
        for name in names:
            assert _days(_read(name)) == str(TUESDAY + timedelta(days=offset)), name
    for number, names in rules["weekdays"].items():
        for name in names:
            value = _read(name)
            assert value.start is not None and value.start.isoweekday() == number, name
    for naming, months in MONTHS.items():
        if naming not in ("ambiguous", "hijri"):
            for number, names in months.items():
                for name in names:
                    assert _read(f"{name} 2018", None).start == date(2018, number, 1), name
    for names in rules["parts_of_day"]:
        for name in names:
            assert _days(_read(name)) == str(TUESDAY), name
