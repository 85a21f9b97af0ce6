"""How far two annotations of the same reports agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from sklearn.metrics import cohen_kappa_score

from marsad.annotations.display import in_label_order, text_around
from marsad.annotations.jsonl import read_records
from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.scoring import Counts
from marsad.modeling.tagging import Alignment, WordSpan, align_entities, word_spans_to_entities
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

# The report, the stretch and what either side says of it.
DecisionKey = tuple[str, int, int, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Entities of the stretch ``[start, end)`` of a report that two annotations do not share; one side may be empty.

    ``kind``: ``boundary`` (one entity on each side, of one type), ``type`` (the same span), ``only first``, ``only
    second``, ``mixed``. ``around`` is the text before the stretch, its own and the text after it. An entity that
    can't be put on words stands alone, with the ``reason``.
    """

    document: str
    start: int
    end: int
    kind: str
    around: tuple[str, str, str]
    first: tuple[Entity, ...]
    second: tuple[Entity, ...]
    reason: str | None = None

    @property
    def key(self) -> DecisionKey:
        """By which a decision names it: report, stretch and what either side says."""
        return self.document, self.start, self.end, tuple(self.shown(self.first)), tuple(self.shown(self.second))

    @property
    def types(self) -> list[str]:
        """The entity types that either annotation gives."""
        return in_label_order({entity.label for entity in chain(self.first, self.second)})

    def shown(self, side: Sequence[Entity]) -> list[str]:
        """The entities of a side as ``[text]LABEL``."""
        note = f" ({self.reason})" if self.reason else ""
        return [f"[{self.surface(entity)}]{entity.label}{note}" for entity in side]

    def surface(self, entity: Entity) -> str:
        """The text of one of the entities."""
        return self.around[1][entity.start - self.start : entity.end - self.start]

    @property
    def context(self) -> str:
        """The stretch and the words around it on one line."""
        return " ".join("".join(self.around).split())

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.document,
            "start": self.start,
            "end": self.end,
            "kind": self.kind,
            "types": self.types,
            "context": self.context,
            "first": self.shown(self.first),
            "second": self.shown(self.second),
        }


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of the ``common`` reports per type: ``strict`` (span and type equal) and ``partial`` (spans meet).

    In the counts the first annotation stands as gold and the second as predicted; F1 does not depend on that.
    ``kappa`` is Cohen's, over the entity types of all words (O counted as one); ``kappas`` the same for each type
    against all else.

    An entity that can't be put on words agrees with none. ``widened``: how many entities of the first and of the second
    cut words and were compared as widened to them.
    """

    common: frozenset[str]
    only_first: int
    only_second: int
    strict: Mapping[str, Counts]
    partial: Mapping[str, Counts]
    kappa: float
    kappas: Mapping[str, float]
    disagreements: tuple[Disagreement, ...]
    widened: tuple[int, int]

    @property
    def reports(self) -> int:
        """How many stand in both."""
        return len(self.common)

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "reports": self.reports,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "strict": {name: counts.record() for name, counts in self.strict.items()},
            "partial": {name: counts.record() for name, counts in self.partial.items()},
            "kappa": self.kappa,
            "kappa_by_type": dict(self.kappas),
            "widened_first": self.widened[0],
            "widened_second": self.widened[1],
            "disagreements": [one.record() for one in self.disagreements],
        }

    def table(self, most: int = 40) -> str:
        """Scores and the first disagreements as text."""
        lines = [
            f"{self.reports} reports in both ({self.only_first} only in the first, {self.only_second} in the second)"
        ]
        width = max(len(name) for name in [*self.strict, "all"])
        lines.append(f"{'':{width}}  strict F1  partial F1  kappa over words  first  second")
        strict, partial = dict(self.strict), dict(self.partial)
        strict["all"] = sum(self.strict.values(), Counts())
        partial["all"] = sum(self.partial.values(), Counts())
        kappas = {**self.kappas, "all": self.kappa}
        for name, counts in strict.items():
            lines.append(
                f"{name:{width}}  {counts.f1:9.4f}  {partial[name].f1:10.4f}  {kappas[name]:16.4f}  {counts.gold:5d}  "
                f"{counts.predicted:6d}"
            )
        if any(self.widened):
            one, other = self.widened
            lines.append(f"spans that cut words, widened to them: {one} in the first, {other} in the second")
        for found in self.disagreements[:most]:
            first, second = (" ".join(found.shown(side)) or "—" for side in (found.first, found.second))
            lines.append(f"  {found.document}: {first} / {second}: {found.context}")
        if len(self.disagreements) > most:
            lines.append(f"  … and {len(self.disagreements) - most} more disagreements")
        return "\n".join(lines)


def compare_annotations(first: Sequence[Document], second: Sequence[Document]) -> Agreement:
    """Compare the reports that stand in both, by id.

    Raises MarsadError when no id stands in both, or a report's text differs between them.
    """
    others = {document.id: document for document in second}
    pairs = [(document, others[document.id]) for document in first if document.id in others]
    if not pairs:
        raise MarsadError("no report stands in both annotations; their ids must be the same")
    strict: dict[str, Counts] = {}
    partial: dict[str, Counts] = {}
    tags: tuple[list[str], list[str]] = ([], [])
    disagreements: list[Disagreement] = []
    widened = [0, 0]
    for one, other in pairs:
        if one.text != other.text:
            raise MarsadError(f"report {one.id!r} has another text in the second annotation; compare the same texts")
        words = split_words(one.text, TextConfig())
        alignments = [align_entities(document, words) for document in (one, other)]
        _count(alignments[0], alignments[1], strict, partial)
        for side, alignment in enumerate(alignments):
            tags[side].extend(_word_types(alignment.spans, len(words)))
            widened[side] += len(alignment.widened)
        disagreements += _disagreements(one, words, alignments[0], alignments[1])
        disagreements += _dropped(one, alignments[0], alignments[1])
    types = in_label_order(strict)
    return Agreement(
        common=frozenset(one.id for one, _ in pairs),
        only_first=len(first) - len(pairs),
        only_second=len(second) - len(pairs),
        strict={name: strict[name] for name in types},
        partial={name: partial[name] for name in types},
        kappa=_kappa(tags[0], tags[1]),
        kappas={name: _kappa(*([tag == name for tag in side] for side in tags)) for name in types},
        disagreements=tuple(disagreements),
        widened=(widened[0], widened[1]),
    )


def _kappa(first: Sequence[str] | Sequence[bool], second: Sequence[str] | Sequence[bool]) -> float:
    return 1.0 if first == second else float(cohen_kappa_score(first, second))


def _count(first: Alignment, second: Alignment, strict: dict[str, Counts], partial: dict[str, Counts]) -> None:
    dropped = [Counter(entity.label for entity, _ in alignment.dropped) for alignment in (first, second)]
    for name in {span.label for span in chain(first.spans, second.spans)} | set(chain(*dropped)):
        one = [span for span in first.spans if span.label == name]
        other = [span for span in second.spans if span.label == name]
        predicted, gold = len(other) + dropped[1][name], len(one) + dropped[0][name]
        strict[name] = strict.get(name, Counts()) + Counts(len(set(one) & set(other)), predicted, gold)
        met = min(_met(one, other), _met(other, one))
        partial[name] = partial.get(name, Counts()) + Counts(met, predicted, gold)


def _met(spans: Sequence[WordSpan], others: Sequence[WordSpan]) -> int:
    """How many of the spans meet one of the others."""
    return sum(any(_meet(span, other) for other in others) for span in spans)


def _meet(one: WordSpan, other: WordSpan) -> bool:
    return one.first < other.last and other.first < one.last


def _word_types(spans: Iterable[WordSpan], length: int) -> list[str]:
    types = ["O"] * length
    for span in spans:
        types[span.first : span.last] = [span.label] * (span.last - span.first)
    return types


def _disagreements(document: Document, words: Words, first: Alignment, second: Alignment) -> Iterator[Disagreement]:
    """Stretches of entities that meet and are not shared, in order; each entity as widened to whole words."""
    left = [span for span in first.spans if span not in second.spans]
    right = [span for span in second.spans if span not in first.spans]
    entities = (
        dict(zip(first.spans, first.entities, strict=True)),
        dict(zip(second.spans, second.entities, strict=True)),
    )
    group: tuple[list[WordSpan], list[WordSpan]] = ([], [])
    end = 0
    spans = sorted([*((span, 0) for span in left), *((span, 1) for span in right)], key=lambda one: one[0].first)
    for span, side in spans:
        if span.first >= end and any(group):
            yield _disagreement(document, words, group, entities)
            group = ([], [])
        group[side].append(span)
        end = max(end, span.last)
    if any(group):
        yield _disagreement(document, words, group, entities)


def _disagreement(
    document: Document,
    words: Words,
    group: tuple[Sequence[WordSpan], Sequence[WordSpan]],
    entities: tuple[Mapping[WordSpan, Entity], Mapping[WordSpan, Entity]],
) -> Disagreement:
    first, second = (
        tuple(
            # Widened to whole words, and with all else that was said of it.
            replace(entity, score=of_side[span].score, extra=of_side[span].extra)
            for span, entity in zip(side, word_spans_to_entities(side, [None] * len(side), words), strict=True)
        )
        for side, of_side in zip(group, entities, strict=True)
    )
    return _around(document, _kind(first, second), first, second)


def _kind(first: Sequence[Entity], second: Sequence[Entity]) -> str:
    if not first or not second:
        return "only second" if second else "only first"
    if len(first) == len(second) == 1:
        if first[0].label == second[0].label:
            return "boundary"
        if (first[0].start, first[0].end) == (second[0].start, second[0].end):
            return "type"
    return "mixed"


def _around(
    document: Document, kind: str, first: tuple[Entity, ...], second: tuple[Entity, ...], reason: str | None = None
) -> Disagreement:
    start = min(entity.start for entity in chain(first, second))
    end = max(entity.end for entity in chain(first, second))
    return Disagreement(document.id, start, end, kind, text_around(document.text, start, end), first, second, reason)


def _dropped(document: Document, first: Alignment, second: Alignment) -> Iterator[Disagreement]:
    """The entities that could not be put on words, each with the reason."""
    for entity, why in first.dropped:
        yield _around(document, "only first", (entity,), (), why)
    for entity, why in second.dropped:
        yield _around(document, "only second", (), (entity,), why)


def read_decisions(path: Path) -> dict[DecisionKey, str]:
    """Decisions as the page of disagreements gives them: ``{"id", "start", "end", "first", "second", "choice"}``.

    Of two on the same disagreement the later counts. Raises MarsadError naming file and line for a record that is none.
    """
    decisions: dict[DecisionKey, str] = {}
    for where, record in read_records(path):
        match record:
            case {
                "id": str(name),
                "start": int(start),
                "end": int(end),
                "first": list(first),
                "second": list(second),
                "choice": "first" | "second" | "neither" as choice,
            }:
                decisions[name, start, end, tuple(map(str, first)), tuple(map(str, second))] = choice
            case _:
                raise MarsadError(
                    f"{where}: not a decision; expected id, start, end, first, second and a choice: first, second or "
                    "neither"
                )
    return decisions


def adjudicate(agreement: Agreement, first: Sequence[Document], decisions: Mapping[DecisionKey, str]) -> list[Document]:
    """The reports of both annotations with what they share and, where they don't, what was decided.

    Everything but the entities is the first annotation's. An entity that was decided on stands on whole words.

    Raises MarsadError for a disagreement without a decision, a decision on something that is none, and choices that
    overlap.
    """
    by_report: dict[str, list[Disagreement]] = defaultdict(list)
    open_ = []
    left = dict(decisions)
    for one in agreement.disagreements:
        by_report[one.document].append(one)
        if left.pop(one.key, None) is None:
            open_.append(one)
    if open_:
        one = open_[0]
        raise MarsadError(
            f"{len(open_)} of {len(agreement.disagreements)} disagreements are not decided, the first "
            f"[{one.start}, {one.end}) of {one.document!r}; decide on them in agreement.html"
        )
    if left:
        name, start, end, *_ = next(iter(left))
        raise MarsadError(
            f"{len(left)} decisions are on no disagreement of these annotations, the first [{start}, {end}) of "
            f"{name!r}; they were made on others"
        )
    return [
        _decided(document, by_report[document.id], decisions) for document in first if document.id in agreement.common
    ]


def _decided(
    document: Document, disagreements: Sequence[Disagreement], decisions: Mapping[DecisionKey, str]
) -> Document:
    chosen = [
        entity
        for one in disagreements
        for entity in {"first": one.first, "second": one.second, "neither": ()}[decisions[one.key]]
    ]
    spans = [(one.start, one.end) for one in disagreements if one.first]
    shared = [
        entity
        for entity in document.entities
        if not any(start < entity.end and entity.start < end for start, end in spans)
    ]
    try:
        return replace(document, entities=(*shared, *chosen))
    except ValueError as error:
        raise MarsadError(f"report {document.id!r}: what was decided does not go together: {error}") from None
