"""Gold and predicted entities of a report side by side: what every score, slice and error list is counted from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from marsad.documents import Document, Entity
from marsad.modeling.tagging import Alignment, WordSpan, align_entities
from marsad.text.words import Words

Kind = Literal["correct", "boundary", "type", "both", "missed", "spurious"]
KINDS: tuple[Kind, ...] = ("correct", "boundary", "type", "both", "missed", "spurious")


@dataclass(frozen=True, slots=True)
class Pair:
    """A gold and a predicted entity that belong together, or one that stands alone.

    ``correct``: same words, same label. ``type``: same words, another label. ``boundary``: the words overlap, same
    label. ``both``: they overlap, another label. ``missed`` has no ``predicted``, ``spurious`` no ``gold``. The
    entities are as they were given, not as widened to words.
    """

    kind: Kind
    gold: Entity | None
    predicted: Entity | None

    @property
    def label(self) -> str:
        """The type that the pair is counted under: the gold one, of a spurious entity the predicted one."""
        entity = self.gold or self.predicted
        if entity is None:
            raise ValueError("a pair without an entity")
        return entity.label

    @property
    def start(self) -> int:
        """Where the pair begins in the text."""
        return min(entity.start for entity in (self.gold, self.predicted) if entity is not None)


@dataclass(frozen=True, slots=True)
class JudgedDocument:
    """A report with its gold and its predicted entities on the same words.

    ``document`` is the gold one. Every gold and every predicted entity stands in exactly one of ``pairs``, which are in
    text order. One that can't be put on words is missed or spurious.
    """

    document: Document
    words: Words
    gold: Alignment
    predicted: Alignment
    pairs: tuple[Pair, ...]


def judge_documents(
    documents: Iterable[Document], predicted: Iterable[Sequence[Entity]], words: Iterable[Words]
) -> list[JudgedDocument]:
    """Judge the predicted entities of each document against its gold ones, on its ``words``.

    Raises ValueError when the three are not equally many, or predicted entities overlap or leave the text.
    """
    return [
        judge_document(document, entities, split)
        for document, entities, split in zip(documents, predicted, words, strict=True)
    ]


def judge_document(document: Document, predicted: Sequence[Entity], words: Words) -> JudgedDocument:
    """As :func:`judge_documents`, for one document."""
    gold = align_entities(document, words)
    found = align_entities(Document(document.id, document.text, tuple(predicted)), words)
    pairs = sorted(_pair(gold, found), key=lambda pair: pair.start)
    return JudgedDocument(document, words, gold, found, tuple(pairs))


def _pair(gold: Alignment, predicted: Alignment) -> Iterator[Pair]:
    """Pairs one to one: equal spans first (they overlap no other), then the same label, then the larger overlap."""
    found = {(span.first, span.last): index for index, span in enumerate(predicted.spans)}
    left_gold, left_predicted = [], set(range(len(predicted.spans)))
    for index, span in enumerate(gold.spans):
        other = found.get((span.first, span.last))
        if other is None:
            left_gold.append(index)
            continue
        left_predicted.discard(other)
        kind: Kind = "correct" if predicted.spans[other].label == span.label else "type"
        yield Pair(kind, gold.entities[index], predicted.entities[other])
    paired_gold, paired_predicted = set(), set()
    for other_label, _, one, other in sorted(_overlaps(gold.spans, left_gold, predicted.spans, sorted(left_predicted))):
        if one not in paired_gold and other not in paired_predicted:
            paired_gold.add(one)
            paired_predicted.add(other)
            yield Pair("both" if other_label else "boundary", gold.entities[one], predicted.entities[other])
    for index in left_gold:
        if index not in paired_gold:
            yield Pair("missed", gold.entities[index], None)
    for index in left_predicted - paired_predicted:
        yield Pair("spurious", None, predicted.entities[index])
    for entity, _ in gold.dropped:
        yield Pair("missed", entity, None)
    for entity, _ in predicted.dropped:
        yield Pair("spurious", None, entity)


def _overlaps(
    gold: Sequence[WordSpan], left_gold: Sequence[int], predicted: Sequence[WordSpan], left_predicted: Sequence[int]
) -> Iterator[tuple[bool, int, int, int]]:
    """Which spans share words: whether their labels differ, minus the words shared, and the two indices."""
    begin = 0
    for one in left_gold:
        span = gold[one]
        while begin < len(left_predicted) and predicted[left_predicted[begin]].last <= span.first:
            begin += 1
        for other in left_predicted[begin:]:
            found = predicted[other]
            if found.first >= span.last:
                break
            shared = min(span.last, found.last) - max(span.first, found.first)
            yield span.label != found.label, -shared, one, other
