from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsad.errors import MarsadError
from marsad.facts.folding import fold
from marsad.facts.gazetteer import load_gazetteer, place_key
from marsad.facts.geonames import build_rows


@given(st.text(st.one_of(st.characters(), st.characters(min_codepoint=0x600, max_codepoint=0x6FF))))
def test_a_key_is_the_letters_of_the_folded_name(name: str):
    assert place_key(name) == place_key(fold(name)) == "".join(place_key(char) for char in name)


def test_spellings_of_one_name_have_one_key():
    assert len({place_key(name) for name in ("كفر نبل", "كفرنبل", "كَفْرَ نُبُّل", "كفـــرنبل", "كفر-نبل")}) == 1
    assert place_key("الحسكة") == place_key("الحسكه") != place_key("حسكة")


def table(folder: Path, text: str, name: str = "places.tsv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_the_user_comes_before_the_default(tmp_path: Path):
    path = table(
        tmp_path,
        "\ufeffname\tid\tlat\tlon\tparent\taliases\n"
        "وادي الريم\tG1\t\t\t\t\n"
        "عين السنديان\tP7\t35.5\t36.25\tG1\tالسنديان|تل السنديان\n"
        "حلب\tmine\t\t\t\t\n",
    )
    gazetteer = load_gazetteer(path)
    (row,) = gazetteer.find(place_key("تل السنديان"))
    place = gazetteer.place(row)
    assert (place.id, place.lat, place.lon, place.parent) == ("P7", 35.5, 36.25, "وادي الريم")
    first, *others = gazetteer.find(place_key("حلب"))
    assert gazetteer.ids[first] == "mine"
    assert others, "the default is there too"


def test_columns_are_found_by_their_usual_headings_or_as_told(tmp_path: Path):
    path = table(tmp_path, "pcode,name_ar,latitude,longitude\nX1,برج الغدير,33,44\n", "places.csv")
    (row,) = load_gazetteer(path).find(place_key("برج الغدير"))
    assert load_gazetteer(path).place(row).lat == 33
    path = table(tmp_path, "مكان\tرمز\nبرج الغدير\tX1\n")
    (row,) = load_gazetteer(path, {"name": "مكان", "id": "رمز"}).find(place_key("برج الغدير"))
    assert row == 0


def test_parents_by_name_are_the_nearest_before_of_another_level(tmp_path: Path):
    path = table(
        tmp_path,
        "name\tlevel\tparent\tcountry\n"
        "ريحانة\tgovernorate\t\tZZ\nريحانة\tdistrict\tريحانة\tZZ\nنبع ريحانة\tvillage\tريحانة\tZZ\n",
    )
    gazetteer = load_gazetteer(path)
    assert [gazetteer.ancestors(row) for row in range(3)] == [(), (0,), (1, 0)]


def test_circles_of_parents_end(tmp_path: Path):
    gazetteer = load_gazetteer(table(tmp_path, "name\tid\tparent\nجب الأول\ta\tb\nجب الثاني\tb\ta\n"))
    assert gazetteer.ancestors(0) == (1,)
    assert gazetteer.ancestors(1) == (0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'name'"),
        ("place\tid\nحلب\t1\n", "no column 'name'"),
        ("name\tlat\nحلب\tشمال\n", ":2: 'شمال' stands where a number up to 90 is expected"),
        ("name\tlat\nحلب\t91\n", ":2: '91' stands where a number up to 90"),
        ("name\tlon\nحلب\tnan\n", ":2: 'nan' stands where a number up to 180"),
        ("name\tid\nحلب\t1\nحماة\n", ":3: 1 fields, but the heading has 2"),
    ],
)
def test_bad_tables_are_one_line(text: str, message: str, tmp_path: Path):
    path = table(tmp_path, text)
    with pytest.raises(MarsadError, match=r"^[^\n]*$") as error:
        load_gazetteer(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_other_files_that_are_none(tmp_path: Path):
    for path in (tmp_path / "none.tsv", tmp_path):
        with pytest.raises(MarsadError, match=r"no such file|is a folder"):
            load_gazetteer(path)
    (tmp_path / "latin.tsv").write_bytes(b"name\n" + "حلب".encode("cp1256") + b"\n")
    with pytest.raises(MarsadError, match="invalid UTF-8"):
        load_gazetteer(tmp_path / "latin.tsv")
    with pytest.raises(MarsadError, match="no column 'Ort'"):
        load_gazetteer(table(tmp_path, "name\nحلب\n"), {"name": "Ort"})
    with pytest.raises(MarsadError, match="a gazetteer has no column 'town'"):
        load_gazetteer(table(tmp_path, "name\nحلب\n"), {"town": "name"})


def test_rows_without_a_name_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    load_gazetteer(table(tmp_path, "name\tid\n\t1\nحلب\t2\n-\t3\n"))
    assert "2 rows without a name are left out" in caplog.text


def test_the_default_knows_the_capitals_and_where_they_lie():
    gazetteer = load_gazetteer()
    for city, country in [("دمشق", "SY"), ("بغداد", "IQ"), ("صنعاء", "YE"), ("بيروت", "LB"), ("الخرطوم", "SD")]:
        towns = [row for row in gazetteer.find(place_key(city)) if gazetteer.levels[row] == "town"]
        assert country in {gazetteer.countries[row] for row in towns}, city
        assert all(gazetteer.lats[row] is not None and gazetteer.ancestors(row) for row in towns)


def test_the_default_is_built_of_towns_with_arabic_names():
    town = {"geonameid": 1, "name": "Ḩalab", "countrycode": "SY", "admin1code": "09", "population": 10}
    town |= {"latitude": 36.2, "longitude": 37.2, "alternatenames": ["Alep", "حەلەب", "هلب", "حلب", "ح لب"]}
    far = town | {"geonameid": 2, "countrycode": "FR", "alternatenames": ["ليون"]}
    rows = [
        row for row in build_rows([town, far, far | {"geonameid": 3, "population": 500_000}]) if row["level"] == "town"
    ]
    assert [(row["id"], row["name"], row["aliases"], row["parent"]) for row in rows] == [
        (3, "ليون", "", "FR"),
        (1, "حلب", "هلب", "SY.09"),
    ]
