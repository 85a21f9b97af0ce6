"""How far two annotations of the same reports agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sklearn.metrics import cohen_kappa_score

from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.scoring import Counts
from marsad.modeling.tagging import Alignment, WordSpan, align_entities
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words, words_in_span


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Entities of one stretch of a report that the two annotations do not share; one side may be empty.

    An entity that can't be put on words stands alone, with the reason.
    """

    document: str
    context: str
    first: tuple[str, ...]
    second: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.document,
            "context": self.context,
            "first": list(self.first),
            "second": list(self.second),
        }


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement per type: ``strict`` (span and type equal), ``partial`` (type equal, spans meet), and over words.

    In the counts the first annotation stands as gold and the second as predicted; F1 does not depend on that.
    ``kappa`` is Cohen's, over the entity types of all words (O counted as one).

    An entity that can't be put on words agrees with none. ``widened``: how many entities of the first and of the second
    cut words and were compared as widened to them.
    """

    reports: int
    only_first: int
    only_second: int
    strict: Mapping[str, Counts]
    partial: Mapping[str, Counts]
    kappa: float
    disagreements: tuple[Disagreement, ...]
    widened: tuple[int, int]

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "reports": self.reports,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "strict": {name: counts.record() for name, counts in self.strict.items()},
            "partial": {name: counts.record() for name, counts in self.partial.items()},
            "kappa": self.kappa,
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
        lines.append(f"{'':{width}}  strict F1  partial F1  first  second")
        strict, partial = dict(self.strict), dict(self.partial)
        strict["all"] = sum(self.strict.values(), Counts())
        partial["all"] = sum(self.partial.values(), Counts())
        for name, counts in strict.items():
            lines.append(
                f"{name:{width}}  {counts.f1:9.4f}  {partial[name].f1:10.4f}  {counts.gold:5d}  {counts.predicted:6d}"
            )
        lines.append(f"Cohen's kappa over words: {self.kappa:.4f}")
        if any(self.widened):
            one, other = self.widened
            lines.append(f"spans that cut words, widened to them: {one} in the first, {other} in the second")
        for found in self.disagreements[:most]:
            first, second = (" ".join(side) or "—" for side in (found.first, found.second))
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
        disagreements += _disagreements(one, words, alignments[0].spans, alignments[1].spans)
        disagreements += _dropped(one, words, alignments[0], alignments[1])
    return Agreement(
        reports=len(pairs),
        only_first=len(first) - len(pairs),
        only_second=len(second) - len(pairs),
        strict=dict(sorted(strict.items())),
        partial=dict(sorted(partial.items())),
        kappa=1.0 if tags[0] == tags[1] else float(cohen_kappa_score(tags[0], tags[1])),
        disagreements=tuple(disagreements),
        widened=(widened[0], widened[1]),
    )


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


def _disagreements(
    document: Document, words: Words, first: Sequence[WordSpan], second: Sequence[WordSpan]
) -> list[Disagreement]:
    found = []
    left = [span for span in first if span not in second]
    right = [span for span in second if span not in first]
    while left or right:
        group: tuple[list[WordSpan], list[WordSpan]] = ([], [])
        seed = min((span for span in chain(left, right)), key=lambda span: span.first)
        end = seed.last
        for side, pool in zip(group, (left, right), strict=True):
            for span in [span for span in pool if span.first < end]:
                side.append(span)
                pool.remove(span)
                end = max(end, span.last)
        shown = [tuple(_show(document, words, span) for span in side) for side in group]
        found.append(Disagreement(document.id, _context(document, words, seed.first, end), shown[0], shown[1]))
    return found


def _dropped(document: Document, words: Words, first: Alignment, second: Alignment) -> Iterator[Disagreement]:
    """The entities that could not be put on words, each with the reason."""
    for alignment in (first, second):
        for entity, why in alignment.dropped:
            context = _context(document, words, *words_in_span(words.words, entity.start, entity.end))
            shown = (f"[{document.text[entity.start : entity.end]}]{entity.label} ({why})",)
            sides = (shown, ()) if alignment is first else ((), shown)
            yield Disagreement(document.id, context, *sides)


def _context(document: Document, words: Words, first: int, last: int) -> str:
    """The words ``[first, last)`` with six before and after them."""
    around = words.words[max(first - 6, 0) : last + 6]
    return " ".join(document.text[around[0].start : around[-1].end].split()) if around else ""


def _show(document: Document, words: Words, span: WordSpan) -> str:
    entity = Entity(words.words[span.first].start, words.words[span.last - 1].end, span.label)
    return f"[{document.text[entity.start : entity.end]}]{entity.label}"
