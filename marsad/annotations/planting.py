"""Known mistakes put into annotated reports: to learn what mistakes look like, and to count how many are found."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.labels import LabelSet
from marsad.modeling.tagging import Alignment, WordSpan, align_entities, word_spans_to_entities
from marsad.text.words import Words

PlantedKind = Literal["missed", "boundary", "type", "spurious"]
# The share of each kind; annotators overlook more than they invent.
MIX: dict[PlantedKind, float] = {"missed": 0.4, "boundary": 0.25, "type": 0.2, "spurious": 0.15}
_LONGEST_INVENTED = 3


@dataclass(frozen=True, slots=True)
class Planted:
    """A mistake in the report ``document``, in the words ``[first, last)``; ``right`` is what stood there before it.

    ``missed``: an entity was dropped. ``boundary``: one end of it was moved by a word. ``type``: it got another type.
    ``spurious``: one to three words outside all entities were annotated.
    """

    kind: PlantedKind
    document: str
    first: int
    last: int
    right: tuple[WordSpan, ...]


def plant_mistakes(
    documents: Sequence[Document], words: Sequence[Words], labels: LabelSet, count: int, seed: int
) -> tuple[list[Document], list[Planted]]:
    """A copy of the reports with ``count`` mistakes in the shares of ``MIX``, at most one a report, and the mistakes.

    Raises MarsadError when the reports have no room for so many.
    """
    draw = random.Random(seed)
    free = list(range(len(documents)))
    draw.shuffle(free)
    changed = list(documents)
    planted: list[Planted] = []
    for kind in planted_kinds(count):
        for index in free:
            made = plant_mistake(documents[index], words[index], kind, labels, draw)
            if made is not None:
                changed[index], mistake = made
                planted.append(mistake)
                free.remove(index)
                break
        else:
            raise MarsadError(f"{len(documents)} reports have no room for {count} mistakes; plant fewer")
    return changed, planted


def planted_kinds(count: int) -> list[PlantedKind]:
    """``count`` kinds in the shares of ``MIX``."""
    kinds = [kind for kind, share in MIX.items() for _ in range(round(share * count))]
    return (kinds + ["missed"] * count)[:count]


def plant_mistake(
    document: Document, words: Words, kind: PlantedKind, labels: LabelSet, draw: random.Random
) -> tuple[Document, Planted] | None:
    """The report with one mistake of a kind, and the mistake; None where it has no place for it."""
    alignment = align_entities(document, words)
    if alignment.dropped:  # they could overlap what is planted
        return None
    if kind == "spurious":
        places = _ordinary_runs(words, alignment, draw.randint(1, _LONGEST_INVENTED))
        if not places:
            return None
        wrong = [WordSpan(*draw.choice(places), draw.choice(labels.types))]
        right: list[WordSpan] = []
    else:
        if not alignment.spans:
            return None
        span = draw.choice(alignment.spans)
        right, wrong = [span], []
        if kind == "type":
            others = [name for name in labels.types if name != span.label]
            if not others:
                return None
            wrong = [replace(span, label=draw.choice(others))]
        elif kind == "boundary":
            moved = _moved(words, alignment, span)
            if not moved:
                return None
            wrong = [draw.choice(moved)]
    entities = [entity for entity, span in zip(alignment.entities, alignment.spans, strict=True) if span not in right]
    entities += word_spans_to_entities(wrong, [None] * len(wrong), words)
    first = min(span.first for span in right + wrong)
    last = max(span.last for span in right + wrong)
    planted = Planted(kind, document.id, first, last, tuple(right))
    return replace(document, entities=tuple(entities)), planted


def _ordinary_runs(words: Words, alignment: Alignment, length: int) -> list[tuple[int, int]]:
    """The runs of words with letters, in one paragraph and outside all entities."""
    taken = {index for span in alignment.spans for index in range(span.first, span.last)}
    return [
        (first, first + length)
        for start, end in words.paragraphs
        for first in range(start, end - length + 1)
        if all(index not in taken and words.words[index].text[0].isalpha() for index in range(first, first + length))
    ]


def _moved(words: Words, alignment: Alignment, span: WordSpan) -> list[WordSpan]:
    """The span with one end moved by a word: within its paragraph, off other entities, no symbol at its edges."""
    start, end = next(one for one in words.paragraphs if one[0] <= span.first < one[1])
    taken = {index for other in alignment.spans if other != span for index in range(other.first, other.last)}
    ranges = [
        (span.first - 1, span.last),
        (span.first, span.last + 1),
        (span.first + 1, span.last),
        (span.first, span.last - 1),
    ]
    return [
        WordSpan(first, last, span.label)
        for first, last in ranges
        if start <= first < last <= end
        and not taken & {first, last - 1}
        and words.words[first].text[0].isalnum()
        and words.words[last - 1].text[0].isalnum()
    ]


def touches(planted: Planted, first: int, last: int) -> bool:
    """Whether the words ``[first, last)`` of the planted mistake's report share one with it."""
    return first < planted.last and planted.first < last
