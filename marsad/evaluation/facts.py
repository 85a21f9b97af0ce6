"""Values scored, not only spans: was the date read as the right days, the number as the right count.

A gold entity may have a ``value``: for CASUALTY ``low``, ``high``, ``bound`` and ``outcome``, for DATE ``start`` and
``end`` (both null where the text can't tell). Values of other types, and keys that gold lacks, are not scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsad import __version__
from marsad.annotations.gold import read_gold
from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.judging import JudgedDocument
from marsad.facts.facts import FactTables, read_facts

# What is scored of each type: a name, and the keys of the value that must all be as in gold. The first is "the value".
_PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "CASUALTY": {
        "low, high and outcome": ("low", "high", "outcome"),
        "low": ("low",),
        "high": ("high",),
        "bound": ("bound",),
        "outcome": ("outcome",),
    },
    "DATE": {"start and end": ("start", "end")},
}


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """Of one part of one type: gold values, those whose span was found, those of them read right; and all predicted.

    ``gold`` counts the gold entities that have the part, ``found`` those of them with exactly that span predicted,
    ``right`` those with the right value too. ``predicted`` counts all predicted entities of the type.
    """

    gold: int = 0
    found: int = 0
    right: int = 0
    predicted: int = 0

    @property
    def accuracy(self) -> float:
        """How many values are right where the span is: ``right / found``."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """End to end: how many gold values were found, span and value right."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def precision(self) -> float:
        """End to end: how many predicted entities have span and value right."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def f1(self) -> float:
        """End to end: the harmonic mean of precision and recall."""
        return 2 * self.right / (self.gold + self.predicted) if self.gold + self.predicted else 0.0

    def record(self) -> dict[str, Any]:
        """The counts, and what follows from them."""
        counts = {"gold": self.gold, "found": self.found, "right": self.right, "predicted": self.predicted}
        ratios = {"accuracy": self.accuracy, "precision": self.precision, "recall": self.recall, "f1": self.f1}
        return counts | {name: round(ratio, 6) for name, ratio in ratios.items()}


@dataclass(frozen=True, slots=True)
class WrongValue:
    """A span that was found whose value is another than the gold one."""

    id: str
    entity: Entity
    text: str
    gold: Mapping[str, Any]
    predicted: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """As a plain dictionary."""
        place = {"id": self.id, "start": self.entity.start, "end": self.entity.end, "label": self.entity.label}
        return place | {"text": self.text, "gold": dict(self.gold), "predicted": dict(self.predicted)}


@dataclass(frozen=True, slots=True)
class FactScores:
    """The counts by type and part, the values that are wrong, and whether the spans were the gold ones."""

    by_type: Mapping[str, Mapping[str, ValueCounts]]
    wrong: tuple[WrongValue, ...]
    gold_spans: bool

    def record(self) -> dict[str, Any]:
        """As ``facts`` of ``report.json``."""
        return {
            "spans": "gold" if self.gold_spans else "predicted",
            "by_type": {
                label: {part: counts.record() for part, counts in parts.items()}
                for label, parts in self.by_type.items()
            },
            "wrong": [one.record() for one in self.wrong],
        }

    def lines(self) -> Iterator[str]:
        """As a table."""
        spans = "gold spans" if self.gold_spans else "span right"
        rows = [(label, part, counts) for label, parts in self.by_type.items() for part, counts in parts.items()]
        width = max(len(f"{label} {part}") for label, part, _ in rows)
        ends = "" if self.gold_spans else "   end to end: precision  recall      F1"
        yield f"{'values':{width}}  right of {spans}  accuracy{ends}"
        for label, part, counts in rows:
            line = f"{f'{label} {part}':{width}}  {counts.right:8d} of {counts.found:5d}  {counts.accuracy:8.4f}"
            if not self.gold_spans:
                line += f"               {counts.precision:9.4f}  {counts.recall:6.4f}  {counts.f1:6.4f}"
            yield line


@dataclass(frozen=True, slots=True)
class FactEvaluation:
    """Values read on the gold spans of some files."""

    files: tuple[str, ...]
    reports: int
    facts: FactScores

    def table(self) -> str:
        """As text for a terminal."""
        return "\n".join(
            [f"values on the gold spans of {', '.join(self.files)}, {self.reports} reports", *self.facts.lines()]
        )

    def record(self) -> dict[str, Any]:
        """For JSON."""
        data = {"files": list(self.files), "reports": self.reports}
        return {"marsad": __version__, "data": data, "facts": self.facts.record()}


def evaluate_gold_spans(files: Sequence[str | Path], tables: FactTables | None = None) -> FactEvaluation:
    """Read the values of the gold spans of annotated reports and score them; no model is needed.

    Raises MarsadError for a file that can't be read, and where no gold entity has a value.
    """
    paths = [Path(file) for file in files]
    documents = read_gold(paths, None)
    scores = score_facts(documents, [document.entities for document in documents], tables, gold_spans=True)
    return FactEvaluation(tuple(str(path) for path in paths), len(documents), scores)


def score_judged(judged: Sequence[JudgedDocument], tables: FactTables | None = None) -> FactScores:
    """Score the values of a system's entities. Raises MarsadError where no gold entity has a value."""
    predicted = []
    for report in judged:
        found = [pair.predicted for pair in report.pairs if pair.predicted is not None]
        predicted.append(tuple(sorted(found, key=lambda entity: entity.start)))
    return score_facts([report.document for report in judged], predicted, tables)


def score_facts(
    documents: Sequence[Document],
    predicted: Sequence[Sequence[Entity]],
    tables: FactTables | None = None,
    gold_spans: bool = False,
) -> FactScores:
    """Read the values of the predicted entities and compare them with gold's.

    Raises MarsadError where no gold entity has a value, or one has a value of another form.
    """
    tables = FactTables.load() if tables is None else tables
    counts: dict[tuple[str, str], list[int]] = {}
    unscored: dict[tuple[str, str], int] = {}  # entities that gold has without that part of a value, found
    wrong: list[WrongValue] = []
    for document, entities in zip(documents, predicted, strict=True):
        facts = read_facts(document, entities, tables)
        values = {
            (entity.start, entity.end, entity.label): record
            for entity, record in zip(facts.entities, facts.value_records(), strict=True)
        }
        for entity in document.entities:
            gold = _gold_value(document, entity)
            value = values.get((entity.start, entity.end, entity.label))
            for place, (part, keys) in enumerate(_PARTS.get(entity.label, {}).items()):
                if gold is None or not set(keys) <= set(gold):
                    unscored[entity.label, part] = unscored.get((entity.label, part), 0) + (value is not None)
                    continue
                count = counts.setdefault((entity.label, part), [0, 0, 0])
                count[0] += 1
                if value is None:
                    continue
                is_right = all(value[key] == gold[key] for key in keys)
                count[1] += 1
                count[2] += is_right
                if not is_right and place == 0:
                    text = document.text[entity.start : entity.end]
                    wrong.append(WrongValue(document.id, entity, text, gold, value))
    if not counts:
        raise MarsadError("no gold entity has a value of a number or a date; expected the key `value` on some of them")
    by_type: dict[str, dict[str, ValueCounts]] = {}
    for label, parts in _PARTS.items():
        total = sum(entity.label == label for entities in predicted for entity in entities)
        for part in parts:
            if (label, part) in counts:
                supported, found, right = counts[label, part]
                judged = total - unscored.get((label, part), 0)
                by_type.setdefault(label, {})[part] = ValueCounts(supported, found, right, judged)
    return FactScores(by_type, tuple(wrong), gold_spans)


def _gold_value(document: Document, entity: Entity) -> Mapping[str, Any] | None:
    value = entity.extra.get("value")
    if value is None or entity.label not in _PARTS:
        return None
    if not isinstance(value, dict):
        raise MarsadError(
            f"report {document.id!r}: the entity [{entity.start}, {entity.end}) has the value {value!r}, "
            "expected an object"
        )
    return value
