"""Scores of judged reports: counts first, ratios derived from them.

Strict entities are seqeval's (strict IOB2). The SemEval-2013 family (Segura-Bedmar et al., task 9.1) and the errors are
counted from the pairs of gold and predicted entities, the confusion of types over words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from seqeval.scheme import IOB2, Entities

from marsad.evaluation.judging import KINDS, JudgedDocument
from marsad.labels import LabelSet
from marsad.modeling.tagging import WordSpan, encode_tags

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Tags = tuple[str, ...]

# The last axis of an array of counts.
CORRECT, PREDICTED, GOLD = range(3)


@dataclass(frozen=True, slots=True)
class Counts:
    """Entities of one type (or of all): right, predicted and gold. Counts add up; ratios are derived."""

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.correct + other.correct, self.predicted + other.predicted, self.gold + other.gold)

    @property
    def precision(self) -> float:
        """Share of the predicted entities that are right; 0 where none is predicted."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold entities that are found; 0 where there are none."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.correct / (self.predicted + self.gold) if self.correct else 0.0

    def record(self) -> dict[str, Any]:
        """The counts and their ratios, for JSON."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "support": self.gold,
            "predicted": self.predicted,
            "correct": self.correct,
        }


@dataclass(frozen=True, slots=True)
class StrictScores:
    """Strict scores per entity type, in the label set's order: span and type must both be right."""

    by_type: Mapping[str, Counts]

    @property
    def overall(self) -> Counts:
        """All types together (micro average)."""
        return sum(self.by_type.values(), Counts())

    @property
    def macro(self) -> dict[str, float]:
        """Mean precision, recall and F1 of the types that have gold or predicted entities; 0 where none has."""
        seen = [counts for counts in self.by_type.values() if counts.gold or counts.predicted]
        return {
            name: sum(getattr(counts, name) for counts in seen) / len(seen) if seen else 0.0
            for name in ("precision", "recall", "f1")
        }

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the types that have gold or predicted entities; 0 where none has."""
        return self.macro["f1"]

    def record(self) -> dict[str, Any]:
        """For JSON: ``overall``, ``macro`` and ``by_type``."""
        return {
            "overall": self.overall.record(),
            "macro": self.macro,
            "by_type": {name: counts.record() for name, counts in self.by_type.items()},
        }

    def table(self) -> str:
        """A plain-text table, a line per type and one over all."""
        rows = [*self.by_type.items(), ("all (micro)", self.overall)]
        width = max(len(name) for name, _ in rows)
        lines = [f"{'':{width}}  precision  recall      F1  support"]
        lines += [
            f"{name:{width}}  {counts.precision:9.4f}  {counts.recall:6.4f}  {counts.f1:6.4f}  {counts.gold:7d}"
            for name, counts in rows
        ]
        return "\n".join(lines)


def score_documents(judged: Sequence[JudgedDocument], labels: LabelSet) -> StrictScores:
    """The strict scores of judged reports. Raises ValueError for an entity type that is not in ``labels``."""
    return strict_scores(count_documents(judged, labels), labels)


def strict_scores(counts: IntArray, labels: LabelSet) -> StrictScores:
    """Scores from counts per report, [reports, types, 3]."""
    rows = counts.sum(axis=0).tolist()
    return StrictScores({name: Counts(*row) for name, row in zip(labels.types, rows, strict=True)})


def count_documents(judged: Sequence[JudgedDocument], labels: LabelSet) -> IntArray:
    """Strict counts of each report, [reports, types, 3]: right, predicted and gold entities of each type.

    Entity extraction is seqeval's strict IOB2, a sequence a paragraph. A gold entity that can't be put on words counts
    as missed, a predicted one as spurious. Raises ValueError for an entity type that is not in ``labels``.
    """
    gold: list[Sequence[str]] = []
    predicted: list[Sequence[str]] = []
    owners: list[int] = []
    for index, report in enumerate(judged):
        gold_tags = encode_tags(report.gold.spans, len(report.words))
        predicted_tags = encode_tags(report.predicted.spans, len(report.words))
        for start, end in report.words.paragraphs:
            gold.append(gold_tags[start:end])
            predicted.append(predicted_tags[start:end])
        for entity, _ in report.gold.dropped:
            gold.append([f"B-{entity.label}"])
            predicted.append(["O"])
        for entity, _ in report.predicted.dropped:
            gold.append(["O"])
            predicted.append([f"B-{entity.label}"])
        owners += [index] * (len(gold) - len(owners))
    counts = np.zeros((len(judged), len(labels.types), 3), dtype=np.int64)
    np.add.at(counts, np.array(owners, dtype=np.intp), count_tags(gold, predicted, labels))
    return counts


def count_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], labels: LabelSet) -> IntArray:
    """Count the entities of IOB2 tag sequences as seqeval does with ``mode="strict"``: [sequences, types, 3].

    No entity crosses a word that is O on both sides, so sequences are cut there, and each pair of pieces is shown to
    seqeval once, however often it occurs.

    Raises ValueError when a pair of sequences differs in length or holds a type that is not in ``labels``.
    """
    pieces: dict[tuple[Tags, Tags], int] = {}
    owners: list[int] = []
    kinds: list[int] = []
    for index, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(one) != len(other):
            raise ValueError(f"sequence {index} has {len(one)} gold and {len(other)} predicted tags")
        for piece in _pieces(one, other):
            owners.append(index)
            kinds.append(pieces.setdefault(piece, len(pieces)))
    counts = np.zeros((len(gold), len(labels.types), 3), dtype=np.int64)
    if pieces:
        of_piece = _count_pieces(list(pieces), labels)
        np.add.at(counts, np.array(owners, dtype=np.intp), of_piece[np.array(kinds, dtype=np.intp)])
    return counts


def _pieces(gold: Sequence[str], predicted: Sequence[str]) -> list[tuple[Tags, Tags]]:
    """The longest runs of words without one that is O on both sides."""
    pieces = []
    begin: int | None = None
    for index, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if one == "O" and other == "O":
            if begin is not None:
                pieces.append((tuple(gold[begin:index]), tuple(predicted[begin:index])))
                begin = None
        elif begin is None:
            begin = index
    if begin is not None:
        pieces.append((tuple(gold[begin:]), tuple(predicted[begin:])))
    return pieces


def _count_pieces(pieces: Sequence[tuple[Tags, Tags]], labels: LabelSet) -> IntArray:
    gold = Entities([one for one, _ in pieces], IOB2)
    predicted = Entities([other for _, other in pieces], IOB2)
    unknown = (gold.unique_tags | predicted.unique_tags) - set(labels.types)
    if unknown:
        raise ValueError(f"entity types {sorted(unknown)} are not in the label set {list(labels.types)}")
    counts = np.zeros((len(pieces), len(labels.types), 3), dtype=np.int64)
    place = {name: index for index, name in enumerate(labels.types)}
    for index, (right, found) in enumerate(zip(gold.entities, predicted.entities, strict=True)):
        for column, entities in ((CORRECT, set(right) & set(found)), (PREDICTED, found), (GOLD, right)):
            for entity in entities:
                counts[index, place[entity.tag], column] += 1
    return counts


# --- ratios of many counts at once ----------------------------------------------------------------------


def ratios(counts: NDArray[Any]) -> dict[str, FloatArray]:
    """Precision, recall and F1 of counts [..., 3], each [...]; 0 where there is nothing to divide by."""
    correct, predicted, gold = (counts[..., column].astype(np.float64) for column in (CORRECT, PREDICTED, GOLD))
    return {
        "precision": _share(correct, predicted),
        "recall": _share(correct, gold),
        "f1": _share(2 * correct, predicted + gold),
    }


def metric_values(counts: NDArray[Any], labels: LabelSet) -> dict[str, FloatArray]:
    """Every metric of counts [..., types, 3], each [...]: ``f1``, ``macro_f1``, ``f1 ACTOR`` and their like.

    The macro average is over the types that have gold or predicted entities in these counts.
    """
    overall, by_type = ratios(counts.sum(axis=-2)), ratios(counts)
    seen = (counts[..., PREDICTED] + counts[..., GOLD]) > 0
    values = dict(overall)
    for name, value in by_type.items():
        values[f"macro_{name}"] = _share(value.sum(axis=-1), seen.sum(axis=-1).astype(np.float64))
    for index, label in enumerate(labels.types):
        values |= {f"{name} {label}": value[..., index] for name, value in by_type.items()}
    return values


def metric_support(counts: NDArray[Any], labels: LabelSet) -> dict[str, NDArray[np.bool_]]:
    """Whether each metric of :func:`metric_values` is a share of anything in counts [..., types, 3], each [...]."""
    predicted, gold = counts[..., PREDICTED] > 0, counts[..., GOLD] > 0
    found: dict[str, NDArray[np.bool_]] = {}
    for name, seen in (("precision", predicted), ("recall", gold), ("f1", predicted | gold)):
        found |= {name: np.asarray(seen.any(axis=-1)), f"macro_{name}": np.asarray((predicted | gold).any(axis=-1))}
        found |= {f"{name} {label}": seen[..., index] for index, label in enumerate(labels.types)}
    return found


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


# --- errors and the SemEval-2013 family -------------------------------------------------------------------

Scheme = Literal["strict", "exact", "partial", "type"]
SCHEMES: tuple[Scheme, ...] = ("strict", "exact", "partial", "type")


@dataclass(frozen=True, slots=True)
class SemEvalCounts:
    """SemEval-2013 counts of one scheme. Gold = all but ``spurious``, predicted = all but ``missing``.

    A partial match counts half, and there is none but in the scheme ``partial``.
    """

    correct: int = 0
    incorrect: int = 0
    partial: int = 0
    missing: int = 0
    spurious: int = 0

    def __add__(self, other: SemEvalCounts) -> SemEvalCounts:
        return SemEvalCounts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(SemEvalCounts)))

    @property
    def gold(self) -> int:
        """Gold entities (POSSIBLE)."""
        return self.correct + self.incorrect + self.partial + self.missing

    @property
    def predicted(self) -> int:
        """Predicted entities (ACTUAL)."""
        return self.correct + self.incorrect + self.partial + self.spurious

    @property
    def precision(self) -> float:
        """Of the predicted entities; 0 where there are none."""
        return (self.correct + 0.5 * self.partial) / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Of the gold entities; 0 where there are none."""
        return (self.correct + 0.5 * self.partial) / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        whole = self.gold + self.predicted
        return (2 * self.correct + self.partial) / whole if whole else 0.0

    def record(self) -> dict[str, Any]:
        """The counts and their ratios, for JSON."""
        counts = {one.name: getattr(self, one.name) for one in fields(self)}
        return counts | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Pairs of gold and predicted entities by kind (see ``judging.Pair``)."""

    correct: int = 0
    boundary: int = 0
    type: int = 0
    both: int = 0
    missed: int = 0
    spurious: int = 0

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(*(getattr(self, kind) + getattr(other, kind) for kind in KINDS))

    def record(self) -> dict[str, int]:
        """For JSON."""
        return {kind: getattr(self, kind) for kind in KINDS}

    def semeval(self, scheme: Scheme) -> SemEvalCounts:
        """What the pairs are under a scheme of SemEval-2013.

        ``strict``: words and label right. ``exact``: words right, whatever the label. ``partial``: as exact, and an
        overlap counts half. ``type``: label right, the words overlap.
        """
        paired = self.correct + self.boundary + self.type + self.both
        partial = 0
        match scheme:
            case "strict":
                correct = self.correct
            case "exact":
                correct = self.correct + self.type
            case "partial":
                correct = self.correct + self.type
                partial = paired - correct
            case "type":
                correct = self.correct + self.boundary
        return SemEvalCounts(correct, paired - correct - partial, partial, self.missed, self.spurious)


def count_errors(judged: Sequence[JudgedDocument], labels: LabelSet) -> dict[str, ErrorCounts]:
    """Pairs by type and kind. A pair counts under its gold type, a spurious entity under its own.

    Raises ValueError for an entity type that is not in ``labels``.
    """
    found = Counter((pair.label, pair.kind) for report in judged for pair in report.pairs)
    unknown = {label for label, _ in found} - set(labels.types)
    if unknown:
        raise ValueError(f"entity types {sorted(unknown)} are not in the label set {list(labels.types)}")
    return {name: ErrorCounts(*(found[name, kind] for kind in KINDS)) for name in labels.types}


def confuse_words(judged: Sequence[JudgedDocument], labels: LabelSet) -> IntArray:
    """Words by gold type (rows) and predicted type (columns), [types + 1, types + 1]; O is the last of each.

    An entity that can't be put on words is no part of it.
    """
    place = {name: index for index, name in enumerate(labels.types)}
    size = len(place) + 1
    confusion = np.zeros(size * size, dtype=np.int64)
    for report in judged:
        gold, predicted = (
            _word_types(alignment.spans, len(report.words), place) for alignment in (report.gold, report.predicted)
        )
        confusion += np.bincount(gold * size + predicted, minlength=size * size)
    return confusion.reshape(size, size)


def _word_types(spans: Sequence[WordSpan], length: int, place: Mapping[str, int]) -> IntArray:
    types = np.full(length, len(place), dtype=np.int64)
    for span in spans:
        types[span.first : span.last] = place[span.label]
    return types
