"""``marsad import`` and ``marsad export``: between a tool's files and ours, with everything accounted for."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from marsad.annotations.formats.checking import Checked, Overlaps, check_report
from marsad.annotations.formats.doccano import Offsets
from marsad.annotations.formats.raw import LeftOut, RawReport, check_encoding
from marsad.annotations.jsonl import document_to_record, read_documents, write_records
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.files import check_apart

# The name of each format on the command line, and its module.
FORMATS = {
    "labelstudio": "labelstudio",
    "doccano": "doccano",
    "brat": "brat",
    "prodigy": "prodigy",
    "inception": "inception",
    "conll": "conll",
    "datasets": "huggingface",
}

Unannotated = Literal["leave", "empty"]


@dataclass(slots=True)
class Import:
    """What an import read, and what became of it.

    ``read`` = ``imported`` + the ``rejected`` + the ``left_out`` records; ``entities_read`` = ``entities`` +
    ``entities_lost`` by reason. ``repaired``, ``dropped`` and ``changed`` name, by record, the spans that were mended,
    the ones that were dropped for another, and what else was changed. ``ignored`` counts what has no place here.
    """

    output: Path
    rejects: Path
    read: int = 0
    imported: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    without_entity: int = 0
    entities_read: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    entities_lost: Counter[str] = field(default_factory=Counter)
    repaired: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    first_rejects: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when every record was taken or meant to be left out, 3 when some were rejected."""
        return 3 if self.rejected else 0

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "output": str(self.output),
            "read": self.read,
            "imported": self.imported,
            "without_entity": self.without_entity,
            "rejected": dict(self.rejected),
            "left_out": dict(self.left_out),
            "entities_read": self.entities_read,
            "entities": dict(self.entities),
            "entities_lost": dict(self.entities_lost),
            "ignored": dict(self.ignored),
            "repaired": self.repaired,
            "dropped": self.dropped,
            "changed": self.changed,
        }

    def table(self, most: int = 10) -> str:
        """Counts as text, and the first of what was rejected, mended, dropped and changed."""
        lines = [f"{'records read':44} {self.read:7d}", f"{'  imported':44} {self.imported:7d}"]
        lines.append(f"{'    of these without an entity':44} {self.without_entity:7d}")
        for name, counts in (("  left out", self.left_out), ("  rejected", self.rejected)):
            lines.append(f"{name:44} {counts.total():7d}")
            lines += [f"    {reason:40} {count:7d}" for reason, count in counts.most_common()]
        lines.append(f"{'entities read':44} {self.entities_read:7d}")
        lines.append(f"{'  imported':44} {self.entities.total():7d}")
        lines += [f"    {label:40} {count:7d}" for label, count in sorted(self.entities.items())]
        lines += [f"  {reason:42} {count:7d}" for reason, count in sorted(self.entities_lost.items())]
        lines.append(f"{'  repaired, of those imported':44} {len(self.repaired):7d}")
        lines += [f"not taken over: {name:28} {count:7d}" for name, count in sorted(self.ignored.items())]
        for name, entries in (
            ("rejected", self.first_rejects),
            ("repaired", self.repaired),
            ("dropped", self.dropped),
            ("changed", self.changed),
        ):
            total = self.rejected.total() if name == "rejected" else len(entries)
            lines += [f"{name}: {entry}" for entry in entries[:most]]
            if total > most:
                where = self.rejects if name == "rejected" else "--report lists all"
                lines.append(f"{name}: … and {total - most} more ({where})")
        return "\n".join(lines)


def import_files(
    name: str,
    paths: Sequence[Path],
    output: Path,
    labels: Path | None = None,
    encoding: str = "utf-8",
    overlaps: Overlaps = "reject",
    unannotated: Unannotated = "leave",
    offsets: Offsets = "auto",
) -> Import:
    """Read files of the format ``name`` and write their reports to ``output`` as JSON Lines.

    Records that can't be taken go to ``rejects.jsonl`` beside it, which is there only if there are any. ``labels`` is
    a YAML file of the tool's labels and ours. ``unannotated``: records that nobody has looked at are left out, or taken
    as reports without entities.

    Raises MarsadError, with nothing written to ``output``, for a file that can't be read as the format at all, a
    mapping that leaves out a label, or when no record could be taken.
    """
    encoding = check_encoding(encoding)
    check_apart(paths, output)
    mapping = read_mapping(labels) if labels else None
    result = Import(output, output.with_name("rejects.jsonl"))
    if output.name == result.rejects.name:
        raise MarsadError(f"{output}: is where rejected records go; choose another name")
    found = _records(name, paths, encoding, offsets)
    rejects: list[dict[str, Any]] = []
    try:
        write_records(_documents(found, mapping, overlaps, unannotated, result, rejects), output)
    finally:
        if rejects:
            write_records(rejects, result.rejects)
    if not rejects:  # what stands there is of an earlier import, whose faults are mended
        result.rejects.unlink(missing_ok=True)
    return result


def _module(name: str) -> Any:
    if name not in FORMATS:
        raise MarsadError(f"unknown format {name!r}; known are {', '.join(FORMATS)}")
    return importlib.import_module(f"marsad.annotations.formats.{FORMATS[name]}")


def _records(name: str, paths: Sequence[Path], encoding: str, offsets: Offsets) -> Iterator[RawReport | LeftOut]:
    module = _module(name)
    if offsets != "auto" and name != "doccano":
        raise MarsadError("--offsets is for doccano alone; the other formats tell what their offsets count")
    for path in paths:
        if name == "doccano":
            yield from module.read(path, encoding, offsets)
        else:
            yield from module.read(path, encoding)


def _documents(
    found: Iterable[RawReport | LeftOut],
    mapping: Mapping[str, str | None] | None,
    overlaps: Overlaps,
    unannotated: Unannotated,
    result: Import,
    rejects: list[dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    places: dict[str, str] = {}
    unmapped: Counter[str] = Counter()
    for one in found:
        result.read += 1
        result.entities_read += one.spans if isinstance(one, LeftOut) else len(one.spans)
        checked = _take(one, mapping, overlaps, unannotated, places)
        if isinstance(checked, LeftOut):
            _leave_out(checked, result, rejects)
            continue
        unmapped += Counter(checked.unmapped)
        _count(checked, one, result)
        yield document_to_record(checked.document)
    if unmapped:
        named = ", ".join(f"{label} ({count})" for label, count in unmapped.most_common())
        raise MarsadError(
            f"the mapping of labels does not name {named}; name each (to null, if its entities shall be left out)"
        )
    if not result.imported:
        first = f"; the first: {result.first_rejects[0]}" if result.first_rejects else ""
        left = ", ".join(f"{count} {reason}" for reason, count in (result.left_out + result.rejected).items())
        raise MarsadError(f"no record of {result.read} could be imported ({left}){first}")


def _take(
    one: RawReport | LeftOut,
    mapping: Mapping[str, str | None] | None,
    overlaps: Overlaps,
    unannotated: Unannotated,
    places: dict[str, str],
) -> Checked | LeftOut:
    if isinstance(one, LeftOut):
        return one
    if not one.annotated and unannotated == "leave":
        return LeftOut(one.where, one.record, one.id, "not annotated", "nobody has annotated it", rejected=False)
    checked = check_report(one, mapping, overlaps)
    if isinstance(checked, LeftOut):
        return checked
    name = checked.document.id
    if name in places:
        reason = f"id {name!r} already stands at {places[name]}"
        return LeftOut(one.where, one.record, name, "id stands twice", reason, spans=len(one.spans))
    places[name] = one.where
    return checked


def _leave_out(one: LeftOut, result: Import, rejects: list[dict[str, Any]]) -> None:
    if not one.rejected:
        result.left_out[one.kind] += 1
        if one.spans:
            result.entities_lost["in records left out"] += one.spans
        return
    result.rejected[one.kind] += 1
    if one.spans:
        result.entities_lost["in rejected records"] += one.spans
    result.first_rejects.append(f"{one.where}: {one.reason}")
    rejects.append({"where": one.where, "id": one.id, "kind": one.kind, "reason": one.reason, "record": one.record})


def _count(checked: Checked, one: RawReport | LeftOut, result: Import) -> None:
    result.imported += 1
    result.without_entity += not checked.document.entities
    result.entities += Counter(entity.label for entity in checked.document.entities)
    where = one.where
    for reason, number in (
        ("dropped by the mapping of labels", sum(checked.without.values())),
        ("dropped for a longer one", len(checked.overlapping)),
        ("dropped as a twin", len(checked.twice)),
        ("not in the mapping of labels", sum(checked.unmapped.values())),
    ):
        if number:
            result.entities_lost[reason] += number
    result.repaired += [f"{where}: {what}" for what in checked.repaired]
    result.dropped += [f"{where}: {what}" for what in (*checked.overlapping, *checked.twice)]
    result.changed += [f"{where}: {what}" for what in checked.changed]
    if isinstance(one, RawReport):
        result.ignored += Counter(one.ignored)


def read_mapping(path: Path) -> dict[str, str | None]:
    """The labels of a tool and ours for each, from YAML (``PER: ACTOR``); null drops a label.

    Raises MarsadError for a file that is no such mapping.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # NO and ON are names
    except FileNotFoundError:
        raise MarsadError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MarsadError(f"{path}: can't be read ({error})") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise MarsadError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()) or not values:
        raise MarsadError(f"{path}: expected lines such as `PER: ACTOR` or `MISC: null`")
    return {label: None if value in ("", "null", "~") else value for label, value in values.items()}


def export_files(name: str, paths: Sequence[Path], output: Path) -> int:
    """Write annotated reports (JSON Lines) as files of a tool; returns their number.

    Raises MarsadError as :func:`~marsad.annotations.jsonl.read_documents`, and when ``output`` can't be written.
    """
    write: Callable[[Iterable[Document], Path], None] = _module(name).write
    check_apart(paths, output)
    documents = read_documents(paths, annotated=True)
    write(documents, output)
    return len(documents)
