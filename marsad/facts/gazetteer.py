"""A gazetteer: names of places with ids, coordinates and what they lie in, looked up by any spelling.

The default, ``places.tsv`` beside this file, is built by :mod:`marsad.facts.geonames`; a user's own comes before it.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import regex

from marsad.errors import MarsadError
from marsad.facts.folding import fold

logger = logging.getLogger(__name__)

# The columns that are read, each by the first of these headings that a file has.
HEADINGS: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "name_ar", "arabic"),
    "id": ("id", "pcode", "code", "geonameid"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "lng", "long", "longitude"),
    "parent": ("parent", "parent_id"),
    "aliases": ("aliases", "alternatenames", "alternate_names"),
    "level": ("level", "type"),
    "country": ("country", "countrycode", "country_code"),
    "population": ("population",),
}
_DEEPEST = 6
_NOT_LETTERS = regex.compile(r"[^\p{L}\p{N}]+|\u0640")
_SEPARATORS = regex.compile("[|;,،]")


@dataclass(frozen=True, slots=True)
class Place:
    """A place as the gazetteer has it; ``parent`` is the name of what it lies in. None for what the file lacks."""

    id: str
    name: str
    lat: float | None = None
    lon: float | None = None
    parent: str | None = None
    level: str | None = None
    country: str | None = None

    def record(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return {name: getattr(self, name) for name in ("id", "name", "lat", "lon", "parent", "level", "country")}


class _Keys(dict[int, str]):
    """For ``str.translate``: each character folded, and dropped where it is no letter or digit."""

    def __missing__(self, code: int) -> str:
        read = self[code] = _NOT_LETTERS.sub("", fold(chr(code)))
        return read


_KEYS = _Keys()


def place_key(name: str) -> str:
    """What a name is looked up by: folded, letters and digits only, so that كفر نبل and كفرنبل are one."""
    return name.translate(_KEYS)


class Gazetteer:
    """Places by name, in columns; a place is known by its row number. The rows of an earlier file come first."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.ids: list[str] = []
        self.lats: list[float | None] = []
        self.lons: list[float | None] = []
        self.parents: list[str] = []
        self.levels: list[str] = []
        self.countries: list[str] = []
        self.populations: list[float] = []
        self.files: list[int] = []
        """Which file, counted from 0, each row is from."""
        self._read = 0
        self._by_key: dict[str, tuple[int, ...]] = {}
        self._by_id: dict[str, int] = {}
        self._ancestors: dict[int, tuple[int, ...]] = {}
        self._around: dict[int, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def find(self, key: str) -> tuple[int, ...]:
        """The rows that bear a name; ``key`` as :func:`place_key` makes it."""
        return self._by_key.get(key, ())

    def place(self, row: int) -> Place:
        """The place of a row."""
        above = self.ancestors(row)
        return Place(
            id=self.ids[row],
            name=self.names[row],
            lat=self.lats[row],
            lon=self.lons[row],
            parent=(self.names[above[0]] if above else self.parents[row]) or None,
            level=self.levels[row] or None,
            country=self.countries[row] or None,
        )

    def ancestors(self, row: int) -> tuple[int, ...]:
        """The rows that a row lies in, the nearest first, as far as its file tells."""
        found = self._ancestors.get(row)
        if found is None:
            chain: list[int] = []
            above = self._parent(row)
            while above is not None and above != row and above not in chain and len(chain) < _DEEPEST:
                chain.append(above)
                above = self._parent(above)
            found = self._ancestors[row] = tuple(chain)
        return found

    def around(self, row: int) -> frozenset[str]:
        """The keys of the names of what a row lies in, but for its country."""
        found = self._around.get(row)
        if found is None:
            named = (self.names[one] for one in self.ancestors(row) if self.levels[one] != "country")
            found = self._around[row] = frozenset(map(place_key, (*named, self.parents[row]))) - {""}
        return found

    def _parent(self, row: int) -> int | None:
        """The row that the parent's id or name means; of several of that name the nearest one before this row."""
        parent, level = self.parents[row], self.levels[row]
        if not parent:
            return None
        if parent in self._by_id:
            return self._by_id[parent]
        named = [
            other
            for other in self.find(place_key(parent))
            if other != row
            and self.countries[other] == self.countries[row]
            and not (level and self.levels[other] == level)
        ]
        before = [other for other in named if other < row]
        return before[-1] if before else named[0] if named else None

    def read(self, path: Path, columns: Mapping[str, str]) -> None:
        """Add the rows of a file; see :func:`load_gazetteer`."""
        lines = _read_lines(path)
        heading = next(lines, (1, []))[1]
        at = _columns(path, heading, columns)
        width = len(heading)
        by_key, by_id = self._by_key, self._by_id
        name_at, id_at, alias_at = at["name"], at.get("id"), at.get("aliases")
        texts = [(self.parents, at.get("parent")), (self.levels, at.get("level")), (self.countries, at.get("country"))]
        unnamed = 0
        number = len(self.names)
        for line, fields in lines:
            if len(fields) != width:
                raise MarsadError(f"{path}:{line}: {len(fields)} fields, but the heading has {width}")
            name = fields[name_at].strip()
            key = name.translate(_KEYS)
            if not key:
                unnamed += 1
                continue
            self.names.append(name)
            by_key[key] = (*by_key.get(key, ()), number)
            identifier = "" if id_at is None else fields[id_at]
            self.ids.append(identifier)
            if identifier:
                by_id.setdefault(identifier, number)
            for values, place in texts:
                values.append("" if place is None else fields[place])
            try:
                self.lats.append(_number(fields, at.get("lat"), 90))
                self.lons.append(_number(fields, at.get("lon"), 180))
                self.populations.append(_number(fields, at.get("population"), 10**11) or 0.0)
            except ValueError as error:
                raise MarsadError(f"{path}:{line}: {error}") from None
            if alias_at is not None and fields[alias_at]:
                for alias in _SEPARATORS.split(fields[alias_at]):
                    other = alias.translate(_KEYS)
                    if other and (rows := by_key.get(other, ()))[-1:] != (number,):
                        by_key[other] = (*rows, number)
            number += 1
        self.files += [self._read] * (number - len(self.files))
        self._read += 1
        if unnamed:
            logger.warning("%s: %d rows without a name are left out", path, unnamed)


def _number(fields: Sequence[str], place: int | None, largest: int) -> float | None:
    if place is None or not (text := fields[place]):
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -largest <= value <= largest:
        raise ValueError(f"{text!r} stands where a number up to {largest} is expected")
    return value


def load_gazetteer(path: str | Path | None = None, columns: Mapping[str, str] | None = None) -> Gazetteer:
    """The user's gazetteer at ``path``, if any, and after it the default one.

    ``path``: a table with a heading line, tabs between its fields (commas in a ``.csv`` file). ``columns``: heading of
    each column to read, by the names of :data:`HEADINGS`; the usual headings are found without.

    Raises MarsadError naming file and line: no such file, no column ``name``, a missing heading, a coordinate that is
    none, a line with other fields than the heading.
    """
    gazetteer = Gazetteer()
    if path is not None:
        gazetteer.read(Path(path), columns or {})
    with as_file(files("marsad.facts") / "places.tsv") as default:
        gazetteer.read(default, {})
    return gazetteer


def _read_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that is not blank, with its number."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                reader = csv.reader(file)
                for fields in reader:
                    if fields:
                        yield reader.line_num, fields
                return
            for number, line in enumerate(file, 1):
                text = line.rstrip("\r\n")
                if text:
                    yield number, text.split("\t")
    except FileNotFoundError:
        raise MarsadError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise MarsadError(f"{path}: is a folder, expected a table of places") from None
    except UnicodeDecodeError:
        raise MarsadError(f"{path}: invalid UTF-8; save the file as UTF-8") from None
    except csv.Error as error:
        raise MarsadError(f"{path}: no table ({error})") from None
    except OSError as error:
        raise MarsadError(f"{path}: can't be read ({error.strerror or error})") from None


def _columns(path: Path, heading: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    """The place of each column in a line."""
    unknown = sorted(set(columns) - set(HEADINGS))
    if unknown:
        raise MarsadError(f"a gazetteer has no column {unknown[0]!r}; expected {', '.join(HEADINGS)}")
    known = [name.strip().casefold() for name in heading]
    at = {}
    for name, usual in HEADINGS.items():
        given = columns.get(name)
        if given is not None and given.casefold() not in known:
            raise MarsadError(f"{path}: no column {given!r}; its heading has {', '.join(heading)}")
        for one in usual if given is None else (given.casefold(),):
            if one in known:
                at[name] = known.index(one)
                break
    if "name" not in at:
        raise MarsadError(f"{path}: no column 'name' in its heading ({', '.join(heading)[:80]})")
    return at
