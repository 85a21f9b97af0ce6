import json
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marking import marked

from marsad.documents import Document, Entity
from marsad.facts.casualties import CasualtyValue
from marsad.facts.facts import CASUALTY_COLUMNS, VALUE_LABELS, Facts, FactTables, read_facts
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words


@pytest.fixture(scope="module")
def tables() -> FactTables:
    return FactTables.load()


def read(text: str, tables: FactTables, published: date | None = date(2019, 4, 2)) -> Facts:
    document = marked(text, published)
    return read_facts(document, document.entities, tables)


def test_a_report_as_facts(tables: FactTables):
    facts = read(
        "منذ [D الـ 7 من آذار الفائت] وثق [A المرصد السوري] استشهاد [C 47] مدنياً على الأقل "
        "بينهم [C 12] طفلاً و[C 5] مواطنات "
        "في قصف [A لقوات النظام] على [L مدينة سراقب] [L بريف إدلب].",
        tables,
    )
    (incident,) = facts.incident_records()
    total = incident["casualty"]["value"]
    assert (total["low"], total["high"], total["bound"]) == (47, None, "at_least")
    assert (total["outcome"], total["group"]) == ("killed", "civilians")
    span = [incident["casualty"]["start"], incident["casualty"]["end"]]
    parts = [part["value"] for part in incident["parts"]]
    assert [(part["low"], part["high"], part["group"], part["part_of"]) for part in parts] == [
        (12, 12, "children", span),
        (5, 5, "women", span),
    ]
    assert incident["date"]["value"]["start"] == incident["date"]["value"]["end"] == "2019-03-07"
    assert incident["place"]["value"]["place"]["name"] == "سراقب"
    assert [actor["value"]["actor"] for actor in incident["actors"]] == ["sy-army-2024"], "who reports is no party"
    for linked in (incident["casualty"], *incident["parts"], incident["place"], incident["date"], *incident["actors"]):
        assert facts.text[linked["start"] : linked["end"]] == linked["text"]
    assert all(0 < one["confidence"] < 1 for one in (incident["place"], incident["date"], *incident["actors"]))


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("قتل [C 3] عناصر من [A قوات النظام]", "counted"),
        ("قتل [C 3] في صفوف [A قوات النظام]", "counted"),
        ("قتل [C 3] مدنيين برصاص عناصر من [A قوات النظام]", "named"),
        ("قتل [C 3] على يد عناصر [A تنظيم داعش]", "named"),
        ("قتل [C 3] بقصف من [A قوات النظام]", "named"),
    ],
)
def test_who_did_it_is_not_who_was_counted(text: str, role: str, tables: FactTables):
    (incident,) = read(text, tables).incident_records()
    assert [actor["role"] for actor in incident["actors"]] == [role]


def test_a_sentence_ends_without_a_blank(tables: FactTables):
    facts = read("قتل [C 3] في [L سراقب] [D أمس].وأصيب [C 5] مدنيين بانفجار لغم.", tables)
    first, second = facts.incident_records()
    assert (first["place"]["near"], second["place"]["near"]) == ("clause", "paragraph")


def test_rows_are_flat_and_a_breakdown_has_the_links_of_its_total(tables: FactTables):
    facts = read("قتل [C 9] أشخاص بينهم [C طفلان] في [L بغداد]. وأصيب [C 3] في [L دمشق] [D أمس].", tables)
    rows = facts.casualty_rows()
    assert [list(row) for row in rows] == [list(CASUALTY_COLUMNS)] * 3
    assert [(row["low"], row["outcome"], row["place"]) for row in rows] == [
        (9, "killed", "بغداد"),
        (2, "killed", "بغداد"),
        (3, "injured", "دمشق"),
    ]
    assert (rows[1]["part_of_start"], rows[1]["part_of_end"]) == (rows[0]["start"], rows[0]["end"])
    assert rows[2]["date_start"] == "2019-04-01"
    assert rows[2]["date_confidence"] > rows[0]["date_confidence"]
    for row in rows:
        for name, value in row.items():
            assert value is None or isinstance(value, CASUALTY_COLUMNS[name])


def test_links_are_the_nearest_by_clause(tables: FactTables):
    facts = read("[A روسيا] قصفت [L حلب]، فيما قتل [C خمسة] بقصف [A تركي] على [L عفرين].", tables)
    (incident,) = facts.incidents
    texts = [
        facts.text[facts.entities[link.entity].start : facts.entities[link.entity].end] for link in incident.actors
    ]
    assert texts == ["تركي", "روسيا"]
    assert [link.near for link in incident.actors] == ["clause", "sentence"]
    assert incident.place is not None
    assert facts.text[facts.entities[incident.place.entity].start :].startswith("عفرين")


def test_a_joined_number_has_the_place_behind_it(tables: FactTables):
    facts = read("قتل [C ثلاثة] عمال في [L بغداد] و[C خمسة] في [L البصرة] و[C اثنان] في [L الموصل]", tables)
    assert [row["place"] for row in facts.casualty_rows()] == ["بغداد", "البصرة", "الموصل"]
    facts = read("في [L بغداد] قتل [C ثلاثة] وأصيب [C خمسة] و[C طفل]", tables)
    assert [row["place"] for row in facts.casualty_rows()] == ["بغداد"] * 3


def test_of_a_chain_of_places_the_narrowest_is_linked(tables: FactTables):
    facts = read("في [L قرية الزعفران] [L بريف حماة] قتل [C ثلاثة].", tables)
    (incident,) = facts.incidents
    assert incident.place is not None
    assert incident.place.entity == 0


def test_the_counted_are_told_from_those_beside_them(tables: FactTables):
    facts = read("مقتل [C 4] عناصر من [A قوات النظام] برصاص [A داعش]", tables)
    (incident,) = facts.incidents
    assert [link.role for link in incident.actors] == ["counted", "named"]


def test_nothing_to_link_is_null(tables: FactTables):
    facts = read("قتل [C 4].", tables)
    (incident,) = facts.incidents
    assert (incident.actors, incident.place, incident.date) == ((), None, None)
    assert read("هدوء في [L حلب].", tables).incidents == ()


def test_without_a_day_relative_dates_are_null_with_the_reason(tables: FactTables):
    facts = read("[D أمس] وفي [D 3 أيار 2016] و[D 31 نيسان 2016]", tables, None)
    assert facts.value_records() == [
        {"start": None, "end": None, "why": "no_publication_date"},
        {"start": "2016-05-03", "end": "2016-05-03", "grain": "day"},
        {"start": None, "end": None, "why": "impossible_date"},
    ]


def test_types_without_values_have_none(tables: FactTables):
    facts = read("[X برميل متفجر] على [L حلب]", tables)
    assert facts.values[0] is None
    assert facts.value_records()[0] is None
    assert facts.values[1] is not None


def test_facts_do_not_lean_on_gold_values(tables: FactTables):
    document = Document("r", "قتل 3", (Entity(4, 5, "CASUALTY", extra={"value": {"low": 99}}),))
    (value,) = read_facts(document, document.entities, tables).values
    assert isinstance(value, CasualtyValue)
    assert value.low == 3


WORDS = [
    *(
        "قتل",
        "إصابة",
        "3",
        "و5",
        "عشرات",
        "طفلين",
        "بينهم",
        "نحو",
        "أكثر",
        "من",
        "بين",
        "إلى",
        "مدني",
        "،",
        ".",
        ":",
        "(",
    ),
    *(
        ")",
        "-",
        "/",
        "\n",
        "منذ",
        "أمس",
        "الـ",
        "7",
        "آذار",
        "الفائت",
        "31",
        "نيسان",
        "1445",
        "هـ",
        "مساء",
        "ليل",
        "السبت",
    ),
    *("الأحد", "قبل", "أيام", "النظام", "التنظيم", "لقوات", "“قسد”", "المرصد", "قرية", "بريف", "حلب", "الشرقي", "شمال"),
    *("مدينة", "و", "ب", "لل", "ال", "٣٠٠", "12,34", "4x7", "🇸🇾", "\u202b", "\ud800", "\x00", "ـ", "ً", "ﷺ", "ﻗﺼﻒ"),
]


@st.composite
def tagged(draw: st.DrawFn) -> Document:
    """Any text with any spans, of words that rules look at or of any characters."""
    text = draw(st.one_of(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join), st.text(max_size=60)))
    ends = sorted(draw(st.sets(st.integers(0, len(text)), max_size=20)))
    if draw(st.booleans()):
        words = split_words(text, TextConfig()).words
        ends = sorted({end for word in words if draw(st.booleans()) for end in (word.start, word.end)})
    spans = list(zip(ends[::2], ends[1::2], strict=False))
    entities = tuple(Entity(start, end, draw(st.sampled_from((*VALUE_LABELS, "WEAPON")))) for start, end in spans)
    return Document("any", text, entities, draw(st.none() | st.dates()))


@settings(max_examples=300, deadline=None)
@given(document=tagged())
def test_any_text_has_facts_and_they_are_json(document: Document, tables: FactTables):
    facts = read_facts(document, document.entities, tables)
    assert len(facts.values) == len(document.entities)
    for entity, value in zip(document.entities, facts.value_records(), strict=True):
        assert (value is None) == (entity.label not in VALUE_LABELS)
    counted = [entity for entity in document.entities if entity.label == "CASUALTY"]
    assert sum(1 + len(one.parts) for one in facts.incidents) == len(facts.casualty_rows()) == len(counted)
    json.dumps([facts.value_records(), facts.incident_records(), facts.casualty_rows()], allow_nan=False)
