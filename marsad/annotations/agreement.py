"""How far two annotations of the same reports agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sklearn.metrics import cohen_kappa_score

from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.scoring import Counts
from marsad.modeling.tagging import WordSpan, align_entities
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Entities of one stretch of a report that the two annotations do not share; one side may be empty."""

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
    """

    reports: int
    only_first: int
    only_second: int
    strict: Mapping[str, Counts]
    partial: Mapping[str, Counts]
    kappa: float
    disagreements: tuple[Disagreement, ...]

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "reports": self.reports,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "strict": {name: counts.record() for name, counts in self.strict.items()},
            "partial": {name: counts.record() for name, counts in self.partial.items()},
            "kappa": self.kappa,
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
        for one in self.disagreements[:most]:
            lines.append(
                f"  {one.document}: {' '.join(one.first) or '—'} / {' '.join(one.second) or '—'}: {one.context}"
            )
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
    for one, other in pairs:
        if one.text != other.text:
            raise MarsadError(f"report {one.id!r} has another text in the second annotation; compare the same texts")
        words = split_words(one.text, TextConfig())
        spans = [align_entities(document, words).spans for document in (one, other)]
        _count(spans[0], spans[1], strict, partial)
        for side, side_spans in zip(tags, spans, strict=True):
            side += _word_types(side_spans, len(words))
        disagreements += _disagreements(one, words, spans[0], spans[1])
    return Agreement(
        reports=len(pairs),
        only_first=len(first) - len(pairs),
        only_second=len(second) - len(pairs),
        strict=dict(sorted(strict.items())),
        partial=dict(sorted(partial.items())),
        kappa=1.0 if tags[0] == tags[1] else float(cohen_kappa_score(tags[0], tags[1])),
        disagreements=tuple(disagreements),
    )


def _count(
    first: Sequence[WordSpan], second: Sequence[WordSpan], strict: dict[str, Counts], partial: dict[str, Counts]
) -> None:
    for name in {span.label for span in chain(first, second)}:
        one = [span for span in first if span.label == name]
        other = [span for span in second if span.label == name]
        strict[name] = strict.get(name, Counts()) + Counts(len(set(one) & set(other)), len(other), len(one))
        met = sum(any(_meet(span, candidate) for candidate in other) for span in one)
        partial[name] = partial.get(name, Counts()) + Counts(min(met, len(other)), len(other), len(one))


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
        start = max(seed.first - 6, 0)
        until = words.words[min(end + 5, len(words) - 1)].end
        context = " ".join(document.text[words.words[start].start : until].split())
        shown = [tuple(_show(document, words, span) for span in side) for side in group]
        found.append(Disagreement(document.id, context, shown[0], shown[1]))
    return found


def _show(document: Document, words: Words, span: WordSpan) -> str:
    entity = Entity(words.words[span.first].start, words.words[span.last - 1].end, span.label)
    return f"[{document.text[entity.start : entity.end]}]{entity.label}"
