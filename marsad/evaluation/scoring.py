"""Strict entity scores: counted by seqeval's strict IOB2, ratios derived from the counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqeval.scheme import IOB2, Entities

from marsad.documents import Document, Entity
from marsad.labels import LabelSet
from marsad.modeling.tagging import Alignment, align_entities, encode_tags
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words


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
    def macro_f1(self) -> float:
        """Mean F1 of the types that have gold or predicted entities; 0 where none has."""
        seen = [counts.f1 for counts in self.by_type.values() if counts.gold or counts.predicted]
        return sum(seen) / len(seen) if seen else 0.0

    def record(self) -> dict[str, Any]:
        """For JSON: ``overall``, ``macro`` and ``by_type``."""
        return {
            "overall": self.overall.record(),
            "macro": {"f1": self.macro_f1},
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


def score_documents(
    documents: Sequence[Document], predicted: Sequence[Sequence[Entity]], labels: LabelSet, text: TextConfig
) -> StrictScores:
    """Score the predicted entities of each document against its gold ones, strictly.

    Both are put on the same words. A gold entity that can't be put on words counts as missed, a predicted
    one as spurious. Entity extraction is seqeval's strict IOB2 (``seqeval.scheme``), a sequence a paragraph.
    """
    gold_tags: list[list[str]] = []
    predicted_tags: list[list[str]] = []
    for document, entities in zip(documents, predicted, strict=True):
        words = split_words(document.text, text)
        gold = align_entities(document, words)
        found = align_entities(Document(document.id, document.text, tuple(entities)), words)
        gold_tags += _paragraph_tags(gold, words)
        predicted_tags += _paragraph_tags(found, words)
        for entity, _ in gold.dropped:
            gold_tags.append([f"B-{entity.label}"])
            predicted_tags.append(["O"])
        for entity, _ in found.dropped:
            gold_tags.append(["O"])
            predicted_tags.append([f"B-{entity.label}"])
    return count_tags(gold_tags, predicted_tags, labels)


def _paragraph_tags(alignment: Alignment, words: Words) -> list[list[str]]:
    tags = encode_tags(alignment.spans, len(words))
    return [tags[start:end] for start, end in words.paragraphs]


def count_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], labels: LabelSet) -> StrictScores:
    """Count the entities of IOB2 tag sequences as seqeval does with ``mode="strict"``.

    Raises ValueError when a pair of sequences differs in length or holds a type that is not in ``labels``.
    """
    for index, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(one) != len(other):
            raise ValueError(f"sequence {index} has {len(one)} gold and {len(other)} predicted tags")
    gold_entities = Entities(gold, IOB2)
    predicted_entities = Entities(predicted, IOB2)
    unknown = (gold_entities.unique_tags | predicted_entities.unique_tags) - set(labels.types)
    if unknown:
        raise ValueError(f"entity types {sorted(unknown)} are not in the label set {list(labels.types)}")
    by_type = {}
    for name in labels.types:
        right, found = gold_entities.filter(name), predicted_entities.filter(name)
        by_type[name] = Counts(len(right & found), len(found), len(right))
    return StrictScores(by_type)
