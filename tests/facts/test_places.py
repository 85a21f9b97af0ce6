from pathlib import Path

import pytest
from marking import marked

from marsad.facts.gazetteer import Gazetteer, load_gazetteer
from marsad.facts.places import REASONS, PlaceValue, read_places

ROWS = """name\tid\tlat\tlon\tparent\tlevel\tcountry\tpopulation
بلاد النخيل\tN\t\t\t\tcountry\tN1\t
بلاد الأرز\tR\t\t\t\tcountry\tR1\t
نخلستان\tN-1\t\t\tN\tgovernorate\tN1\t
أرزستان\tR-1\t\t\tR\tgovernorate\tR1\t
نخلستان\tN-1-c\t10\t10\tN-1\tcity\tN1\t500000
عين الصفا\tN-2\t11\t11\tN-1\tvillage\tN1\t
عين الصفا\tR-2\t50\t50\tR-1\tvillage\tR1\t
عين الصفا الفوقا\tR-3\t51\t51\tR-1\tvillage\tR1\t
بانور\tN-4\t12\t12\tN-1\tvillage\tN1\t
مدينة العهد\tN-5\t13\t13\tN-1\tcity\tN1\t
العروس\tN-6\t14\t14\tN-1\tvillage\tN1\t
"""


@pytest.fixture(scope="module")
def gazetteer(tmp_path_factory: pytest.TempPathFactory) -> Gazetteer:
    path: Path = tmp_path_factory.mktemp("gazetteer") / "places.tsv"
    path.write_text(ROWS, encoding="utf-8")
    gazetteer = Gazetteer()
    gazetteer.read(path, {})
    return gazetteer


def read(text: str, gazetteer: Gazetteer) -> list[PlaceValue]:
    document = marked(text)
    return read_places(document, document.entities, gazetteer)


def found(text: str, gazetteer: Gazetteer) -> list[str | None]:
    return [value.place and value.place.id for value in read(text, gazetteer)]


def test_the_country_named_beside_a_place_decides(gazetteer: Gazetteer) -> None:
    assert found("في [L عين الصفا]، [L بلاد الأرز]، وفي [L نخلستان]", gazetteer)[0] == "R-2"
    assert found("في [L عين الصفا] ([L بلاد النخيل]) وفي [L أرزستان]", gazetteer)[0] == "N-2"
    assert found("في [L عين الصفا] [L وبلاد الأرز] وفي [L نخلستان]", gazetteer)[0] != "R-2"  # joined, not within


@pytest.mark.parametrize(
    ("span", "name", "kind", "relation", "place"),
    [
        ("بنخلستان", "نخلستان", None, "is", "N-1-c"),
        ("وبانور", "بانور", None, "is", "N-4"),
        ("بانور", "بانور", None, "is", "N-4"),
        ("لقرية بانور", "بانور", "village", "is", "N-4"),
        ("في قرية بانور", "بانور", "village", "is", "N-4"),
        ("إلى نخلستان", "نخلستان", None, "is", "N-1-c"),
        ("حي الزهور بمحافظة نخلستان", "الزهور بمحافظة نخلستان", "neighbourhood", "in", "N-1"),
        ("معصرة الزيت بنخلستان", "معصرة الزيت بنخلستان", None, "in", "N-1-c"),
        ("قرية الزهور شرق نخلستان", "الزهور شرق نخلستان", "village", "in", "N-1-c"),
        ("بانور بنخلستان", "بانور بنخلستان", None, "is", "N-4"),
        ("بمحافظة نخلستان", "نخلستان", "governorate", "is", "N-1"),
        ("بريف نخلستان الشرقي", "ريف نخلستان الشرقي", None, "in", "N-1"),
        ("شمال غرب محافظة نخلستان", "شمال غرب محافظة نخلستان", None, "in", "N-1"),
        ("مدينة العهد", "مدينة العهد", "town", "is", "N-5"),
        ("للعروس", "العروس", None, "is", "N-6"),
        ("عروس", "عروس", None, "is", "N-6"),
        ("نخلـستـان", "نخلستان", None, "is", "N-1-c"),
    ],
)
def test_a_name_is_freed_of_proclitics_and_type_nouns(
    span: str, name: str, kind: str | None, relation: str, place: str, gazetteer: Gazetteer
):
    (value,) = read(f"انفجار [L {span}]", gazetteer)
    assert value.place is not None
    assert (value.name, value.kind, value.relation, value.place.id) == (name, kind, relation, place)
    assert 0.5 <= (value.score or 0) <= 1


def test_what_it_lies_in_decides_between_places_of_one_name(gazetteer: Gazetteer):
    assert found("قصف [L قرية عين الصفا] [L بريف نخلستان]", gazetteer)[0] == "N-2"
    assert found("قصف [L قرية عين الصفا] [L بريف أرزستان]", gazetteer)[0] == "R-2"
    (value,) = read("قصف [L قرية عين الصفا]", gazetteer)
    assert (value.place, value.why) == (None, "ambiguous")
    assert {candidate.place.id for candidate in value.candidates} == {"N-2", "R-2"}
    assert sum(candidate.score for candidate in value.candidates) <= 1


def test_a_name_told_once_where_it_lies_means_the_same_throughout(gazetteer: Gazetteer):
    text = "في [L عين الصفا] قصف. ثم [L بعين الصفا] [L بريف أرزستان] هدوء، و[L نخلستان] بعيدة."
    assert found(text, gazetteer)[:2] == ["R-2", "R-2"]


def test_the_country_of_the_other_places_decides_where_nothing_else_does(gazetteer: Gazetteer):
    assert found("في [L عين الصفا]. وفي [L بانور] و[L العروس]", gazetteer)[0] == "N-2"


def test_what_is_not_known_is_null_with_the_reason(gazetteer: Gazetteer):
    values = read("في [L بجبل الغمام] [L وتلة الوعول] [L وكفرشوم] و [L ***]", gazetteer)
    assert [value.name for value in values] == ["جبل الغمام", "تلة الوعول", "كفرشوم", "***"]
    assert [value.why for value in values] == ["not_in_gazetteer"] * 3 + ["no_name"]
    assert all(value.place is None and value.score is None for value in values)
    assert {value.why for value in values} <= set(REASONS)


def test_a_name_elsewhere_in_the_report_tells_what_is_a_proclitic(gazetteer: Gazetteer):
    values = read("في [L بسقلين] قصف، وقرب [L سقلين] هدوء", gazetteer)
    assert [value.name for value in values] == ["سقلين", "سقلين"]
    assert read("في [L بسقلين] قصف", gazetteer)[0].name == "بسقلين"


def test_adjectives_of_countries_and_the_default_gazetteer():
    gazetteer = load_gazetteer()
    values = read("على [L الحدود السورية] و[L بمدينة الباب] [L بريف حلب الشرقي]", gazetteer)
    places = [value.place for value in values]
    assert [(place.country, place.level) for place in places if place] == [
        ("SY", "country"),
        ("SY", "town"),
        ("SY", "governorate"),
    ]
    assert [value.name for value in values] == ["الحدود السورية", "الباب", "ريف حلب الشرقي"]


SYRIAN = "قصفت [L ريف إدلب] و[L خان شيخون] و[L سراقب] ثم "


@pytest.mark.parametrize("name", ["قرية الجزيرة", "حي القاهرة", "قرية الحديدة", "قرية العثمانية", "قرية النصر"])
def test_a_village_is_no_city_and_none_of_another_country(name: str):
    value = read(f"{SYRIAN}[L {name}]", load_gazetteer())[-1]
    assert (value.place, value.why) == (None, "not_in_gazetteer")


def test_cities_of_other_countries_are_told_of_too():
    assert found(f"{SYRIAN}[L القاهرة]", load_gazetteer())[-1] == "360630"


@pytest.mark.parametrize(
    ("name", "code"), [("كربلاء", "IQ"), ("القدس", "IL"), ("كابول", "AF"), ("الجزائر العاصمة", "DZ"), ("الرباط", "MA")]
)
def test_cities_are_called_by_their_arabic_names(name: str, code: str):
    (value,) = read(f"[L {name}]", load_gazetteer())
    assert value.place is not None and value.place.country == code
    assert value.place.name in {name, "كابل", "الجزائر"}


def test_a_governorate_is_not_the_village_that_has_its_name():
    (value, *_) = read("[L صلاح الدين] و[L تكريت] و[L سامراء]", load_gazetteer())
    assert value.place is not None and value.place.id == "IQ.18"


def test_a_span_of_a_thousand_words_takes_no_time():
    (value,) = read("[L " + "بحلب " * 4000 + "]", load_gazetteer())
    assert value.why == "not_in_gazetteer"


def test_two_files_that_tell_of_one_place_do_not_make_it_ambiguous(tmp_path: Path):
    path = tmp_path / "mine.tsv"
    path.write_text("name\tid\tparent\tlat\tlon\tcountry\nسراقب\tmine\tإدلب\t36\t35\tSY\n", encoding="utf-8")
    (value,) = read("في [L سراقب]", load_gazetteer(path))
    assert value.why is None
