from datetime import date
from pathlib import Path

import pytest
from marking import marked

from marsad.errors import MarsadError
from marsad.facts.actors import REASONS, ActorValue, load_actors, read_actors

BEFORE, AFTER = date(2019, 4, 2), date(2025, 2, 1)


def read(text: str, published: date | None = BEFORE, path: Path | None = None) -> list[ActorValue]:
    document = marked(text, published)
    return read_actors(document, document.entities, load_actors(path))


@pytest.mark.parametrize(
    ("span", "actor", "side"),
    [
        ("النظام", "sy-government-2024", "syrian_government"),
        ("لقوات النظام", "sy-army-2024", "syrian_government"),
        ("والجيش السوري", "sy-army-2024", "syrian_government"),
        ("تنظيم “الدولة الإسلامية”", "islamic-state", "islamic_state"),
        ("داعـــش", "islamic-state", "islamic_state"),
        ("تنظيم داعش", "islamic-state", "islamic_state"),
        ("قوات سوريا الديمقراطية (قسد)", "sy-sdf", "sdf"),
        ("ميليشيا قسد", "sy-sdf", "sdf"),
        ("بقسد", "sy-sdf", "sdf"),
        ("والطائرات الحربية التركية", "tr-forces", "turkey"),
        ("مسيرة إسرائيلية", "il-forces", "israel"),
        ("هيئه تحرير الشام", "sy-hts", "hts"),
        ("للحوثيين", "houthis", "houthi"),
        ("قوات الدعم السريع", "sd-rsf", "rsf"),
        ("المرصد السوري لحقوق الإنسان", "sohr", "neutral"),
        ("المرصد", "sohr", "neutral"),
        ("الأمم المتحدة", "un", "neutral"),
    ],
)
def test_names_of_the_main_parties(span: str, actor: str, side: str):
    (value,) = read(f"قال [A {span}]")
    assert (value.actor, value.side, value.why) == (actor, side, None)


def test_a_name_may_mean_another_after_a_day():
    assert read("[A الجيش السوري]", BEFORE)[0].side == "syrian_government"
    assert read("[A الجيش السوري]", AFTER)[0].side == "syrian_transitional"
    assert read("[A الجيش السوري]", None)[0].why == "ambiguous"


def test_short_forms_mean_the_last_one_that_they_fit():
    values = read("[A تنظيم القاعدة] و[A هيئة تحرير الشام]. وقال [A التنظيم] إن [A الهيئة] انسحبت")
    assert [value.actor for value in values] == ["al-qaeda", "sy-hts", "al-qaeda", "sy-hts"]
    assert [value.short_for is None for value in values] == [True, True, False, False]
    values = read("[A كتيبة الفرسان] و[A سعيد الجبلي]، ثم [A الكتيبة] [A والجبلي]")
    assert [value.name for value in values] == ["كتيبة الفرسان", "سعيد الجبلي"] * 2
    assert values[2].short_for == (0, len("كتيبة الفرسان"))


def test_a_short_form_that_stands_for_nobody():
    (value,) = read("قالت [A الكتيبة] ذلك")
    assert (value.name, value.actor, value.why) == ("الكتيبة", None, "no_antecedent")


@pytest.mark.parametrize(
    ("span", "name"),
    [
        ("ومسلحين مجهولين", "مسلحين مجهولين"),
        ("لوكالة النسر", "وكالة النسر"),
        ("للواء “الفهد”", "لواء الفهد"),
        ("وزارة الري", "وزارة الري"),
        ("والفرسان", "الفرسان"),
        ("للفرسان", "الفرسان"),
    ],
)
def test_others_keep_their_cleaned_surface(span: str, name: str):
    (value,) = read(f"قال [A {span}]")
    assert (value.name, value.actor, value.side, value.why) == (name, None, None, "not_in_table")
    assert value.why in REASONS


def test_an_organ_of_a_party_is_not_the_party():
    assert read("[A المركز الإعلامي لقوات سوريا الديمقراطية]")[0].actor is None


TABLE = """
kinds: {group: g}
sides: {one: s}
heads: [رابطة]
forces: [طائرات]
epithets: []
actors:
  - {id: a, name: رابطة الصقور, name_en: A, side: one, kind: group, aliases: [الصقور], until: 2020}
"""


def test_a_table_of_the_user(tmp_path: Path):
    path = tmp_path / "actors.yaml"
    path.write_text(TABLE, encoding="utf-8")
    values = read("[A الصقور] ثم [A الرابطة] و[A داعش]", BEFORE, path)
    assert [value.actor for value in values] == ["a", "a", None]
    assert read("[A الصقور]", date(2021, 1, 1), path)[0].actor is None
    assert read("[A الصقور]", date(2020, 12, 31), path)[0].actor == "a"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("side: one", "side: two", "'a' has 'two', which is not among the sides"),
        ("kind: group", "kind: gang", "'gang', which is not among the kinds"),
        ("name_en: A, ", "", "actors.0.name_en: Field required"),
        ("until: 2020", "untl: 2020", "actors.0.untl: Extra inputs"),
        ("heads: [رابطة]", "heads: [رابطة", "not YAML"),
        ("actors:", "actors:\n  - {id: a, name: ب, name_en: B, side: one, kind: group}", "'a' stands twice"),
    ],
)
def test_mistakes_in_a_table_are_one_line(old: str, new: str, message: str, tmp_path: Path):
    path = tmp_path / "actors.yaml"
    path.write_text(TABLE.replace(old, new), encoding="utf-8")
    with pytest.raises(MarsadError, match=r"^[^\n]*$") as error:
        load_actors(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_a_name_of_several_is_that_of_the_fuller_one_or_of_the_conflict_told_of():
    table = load_actors()

    def actors(text: str) -> list[str | None]:
        document = marked(text)
        return [value.actor for value in read_actors(document, document.entities, table)]

    assert actors("هاجم [A الجيش الوطني الليبي] البلدة، ثم قصف [A الجيش الوطني] الميناء") == ["ly-lna", "ly-lna"]
    assert actors("هاجم [A الجيش الوطني] مواقع [A قسد]") == ["sy-sna", "sy-sdf"]
    assert actors("صدت [A القوات المشتركة] هجوم [A قوات الدعم السريع]") == ["sd-joint", "sd-rsf"]
    document = marked("هاجم [A الجيش الوطني] البلدة")
    assert read_actors(document, document.entities, table)[0].why == "ambiguous"


def test_the_table_that_ships_uses_every_side_and_says_which_names_are_of_several():
    table = load_actors()
    assert {actor.side for actor in table.actors} == set(table.sides)
    several = {
        " ".join(name)
        for name, numbers in table.by_name.items()
        for day in (BEFORE, AFTER)
        if len({table.actors[n].side for n in numbers if table.actors[n].speaks_on(day)}) > 1
    }
    assert several == {"الجيش الوطني", "القوات المشتركه", "العدوان"}
