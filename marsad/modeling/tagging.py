"""Spans ↔ tags: exact inverses over the words of a document."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from marsad.documents import Document, Entity
from marsad.labels import LabelSet
from marsad.text.words import Words, words_in_span

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WordSpan:
    """A typed half-open range ``[first, last)`` of word indices."""

    first: int
    last: int
    label: str


@dataclass(frozen=True, slots=True)
class Alignment:
    """A document's entities on its words, and what had to be changed to put them there.

    ``spans`` are ordered and disjoint, each with its ``entities`` entry. ``widened`` began or ended inside
    a word and were widened to it. ``dropped`` could not be kept: their span holds no word, or it meets
    another one once both are widened. They count as missed when a model is scored.
    """

    spans: tuple[WordSpan, ...]
    entities: tuple[Entity, ...]
    widened: tuple[Entity, ...]
    dropped: tuple[tuple[Entity, str], ...]

    def problems(self) -> list[tuple[Entity, str]]:
        """Each entity that was widened or dropped, and what happened to it."""
        widened = [(entity, "was widened to whole words") for entity in self.widened]
        return widened + [(entity, f"is left out: it {why}") for entity, why in self.dropped]


def log_problems(document: Document, alignment: Alignment) -> None:
    """Name in the log every entity that had to be widened or left out."""
    for entity, problem in alignment.problems():
        where = f"[{entity.start}, {entity.end})"
        logger.warning("%s: entity %s %s %s", document.id, where, entity.label, problem)


def align_entities(document: Document, words: Words) -> Alignment:
    """Put the entities of a document on its words."""
    spans: list[WordSpan] = []
    kept: list[Entity] = []
    widened: list[Entity] = []
    dropped: list[tuple[Entity, str]] = []
    paragraph_starts = {first for first, _ in words.paragraphs}
    for entity in document.entities:
        first, last = words_in_span(words.words, entity.start, entity.end)
        if first == last:
            dropped.append((entity, "holds no word"))
            continue
        if spans and first < spans[-1].last:
            dropped.append((entity, "stands in the same word as the entity before it"))
            continue
        if any(index in paragraph_starts for index in range(first + 1, last)):
            dropped.append((entity, "crosses the end of a line"))
            continue
        spans.append(WordSpan(first, last, entity.label))
        kept.append(entity)
        if _cuts_word(entity, words, first, last):
            widened.append(entity)
    return Alignment(tuple(spans), tuple(kept), tuple(widened), tuple(dropped))


def _cuts_word(entity: Entity, words: Words, first: int, last: int) -> bool:
    return words.words[first].start < entity.start or words.words[last - 1].end > entity.end


def encode_tags(spans: Sequence[WordSpan], length: int) -> list[str]:
    """IOB2 tags of ``length`` words. The inverse of :func:`decode_tags`.

    Raises ValueError when spans overlap or leave the document.
    """
    tags = ["O"] * length
    for span in spans:
        if not 0 <= span.first < span.last <= length or any(tag != "O" for tag in tags[span.first : span.last]):
            raise ValueError(f"span {span} overlaps another one or lies outside the {length} words")
        tags[span.first : span.last] = [f"B-{span.label}"] + [f"I-{span.label}"] * (span.last - span.first - 1)
    return tags


def decode_tags(tags: Sequence[str]) -> list[WordSpan]:
    """The spans of valid IOB2 tags. Raises ValueError where an ``I-`` follows no span of its type."""
    spans: list[WordSpan] = []
    for index, tag in enumerate(tags):
        if tag.startswith("B-"):
            spans.append(WordSpan(index, index + 1, tag[2:]))
        elif tag.startswith("I-"):
            if not spans or spans[-1].last != index or spans[-1].label != tag[2:]:
                raise ValueError(f"tag {tag} at word {index} follows no {tag[2:]}")
            spans[-1] = WordSpan(spans[-1].first, index + 1, tag[2:])
        elif tag != "O":
            raise ValueError(f"tag {tag!r} at word {index} is not IOB2")
    return spans


def word_spans_to_entities(spans: Sequence[WordSpan], scores: Sequence[float | None], words: Words) -> Iterator[Entity]:
    """Spans of words as entities on the original text."""
    for span, score in zip(spans, scores, strict=True):
        yield Entity(words.words[span.first].start, words.words[span.last - 1].end, span.label, score)


def tag_ids(spans: Sequence[WordSpan], length: int, labels: LabelSet) -> list[int]:
    """The ids of :func:`encode_tags`. Raises ValueError for a span whose label is not in the set."""
    ids = {tag: index for index, tag in enumerate(labels.tags)}
    tags = encode_tags(spans, length)
    unknown = sorted({tag for tag in tags if tag not in ids})
    if unknown:
        raise ValueError(f"tags {unknown} are not of the label set {list(labels.types)}")
    return [ids[tag] for tag in tags]
