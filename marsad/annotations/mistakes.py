"""Likely mistakes in annotated reports, from networks that learned from the other reports.

Suspect is every stretch of words where the annotation differs from what such a network finds. Most of these
differences are the network's own fault, so all that matters is their order. It is learned, from mistakes that are
planted in the very reports: known mistakes are told from the differences found by boosted trees over how probable both
readings are and how often the same words are annotated so elsewhere (as in learning from positive and unlabelled
examples, Elkan and Noto 2008). Planting needs no training anew: a report's scores do not depend on its
annotation.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from marsad.annotations.display import in_label_order, text_around
from marsad.annotations.jsonl import read_documents
from marsad.annotations.pages import segments, type_classes
from marsad.annotations.planting import plant_mistake, planted_kinds, touches
from marsad.config import Config
from marsad.documents import Entity
from marsad.errors import MarsadError
from marsad.labels import LabelSet
from marsad.modeling.decoding import decode_spans, log_softmax, span_posteriors
from marsad.modeling.folds import HeldOut, score_held_out
from marsad.modeling.tagging import WordSpan, align_entities, tag_ids, word_spans_to_entities
from marsad.pages.page import render_page
from marsad.text.words import Words

FOLDS = 3
EPOCHS = 3

Kind = Literal["missed", "spurious", "type", "boundary", "both"]
KINDS: tuple[Kind, ...] = ("missed", "spurious", "type", "boundary", "both")
# Planted mistakes that the order is learned from, at least; each report gets equally many.
_PLANTED = 2000
# Suspects on the page; all are in errors.json.
_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Suspect:
    """A stretch ``[start, end)`` of a report whose annotation is probably wrong.

    ``kind``: an entity was ``missed``, is ``spurious``, or has the wrong ``type``, ``boundary``, or ``both``.
    ``given`` are the annotated entities in it, ``suggested`` those that the network finds, each with its probability.
    ``score``, in [0, 1], is only good for comparing suspects: the higher, the more it looks like a mistake and not like
    the network's. ``around`` is the text before, in and after the stretch.
    """

    document: str
    kind: Kind
    start: int
    end: int
    given: tuple[Entity, ...]
    suggested: tuple[Entity, ...]
    score: float
    around: tuple[str, str, str]

    @property
    def types(self) -> tuple[str, ...]:
        """The entity types that it is about."""
        return tuple(dict.fromkeys(entity.label for entity in (*self.given, *self.suggested)))


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The suspects of annotated reports, the likeliest mistake first, and how they were found."""

    files: tuple[str, ...]
    reports: int
    entities: int
    folds: int
    epochs: int
    suspects: tuple[Suspect, ...]

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "files": list(self.files),
            "reports": self.reports,
            "entities": self.entities,
            "folds": self.folds,
            "epochs": self.epochs,
            "suspects": [
                {
                    "id": one.document,
                    "kind": one.kind,
                    "start": one.start,
                    "end": one.end,
                    "text": one.around[1],
                    "score": round(one.score, 4),
                    "given": [_entity_record(entity) for entity in one.given],
                    "suggested": [_entity_record(entity) for entity in one.suggested],
                }
                for one in self.suspects
            ],
        }

    def table(self, most: int = 50) -> str:
        """The first ``most`` suspects, a line each, and how many there are of each kind."""
        lines = [f"{'':>5}  {'score':>5}  {'kind':8}  where"]
        for place, one in enumerate(self.suspects[:most], 1):
            where = f"{one.document} [{one.start}, {one.end})"
            change = f"{_reading(one, one.given)} → {_reading(one, one.suggested)}"
            lines.append(f"{place:5d}  {one.score:5.3f}  {one.kind:8}  {where}  {change}")
        if len(self.suspects) > most:
            lines.append(f"  … and {len(self.suspects) - most} more, less and less likely")
        counts = Counter(one.kind for one in self.suspects)
        kinds = ", ".join(f"{kind} {counts[kind]}" for kind in KINDS if counts[kind])
        lines.append(
            f"{self.entities} entities in {self.reports} reports, read by {self.folds} networks that learned from the "
            f"others ({self.epochs} epochs); {len(self.suspects)} suspects{f' ({kinds})' if kinds else ''}"
        )
        return "\n".join(lines)


def _entity_record(entity: Entity) -> dict[str, Any]:
    record: dict[str, Any] = {"start": entity.start, "end": entity.end, "label": entity.label}
    return record if entity.score is None else record | {"score": round(entity.score, 4)}


def _reading(suspect: Suspect, entities: Sequence[Entity]) -> str:
    text = suspect.around[1]
    parts = (f"{e.label} «{text[e.start - suspect.start : e.end - suspect.start]}»" for e in entities)
    return " ".join(" ".join(parts).split()) or "nothing"


def find_mistakes(paths: Sequence[Path], config: Config, folds: int = FOLDS, output: Path | None = None) -> Mistakes:
    """Likely mistakes in files of annotated reports.

    Of ``config``, ``data``, ``name`` and ``output`` are not used. ``output``: a folder that keeps the scores of each
    fold, so that the next call with the same reports, config and folds trains only those that lack; a temporary one
    where None.

    Raises MarsadError for files that can't be read as annotated reports, and as ``folds.score_held_out``.
    """
    documents = read_documents(paths, config.labels, annotated=True)
    if not any(document.entities for document in documents):
        raise MarsadError(f"{', '.join(map(str, paths))}: no report has an entity; there is nothing to learn from")
    if output is not None:
        held = score_held_out(documents, config, folds, output / "folds")
    else:
        with tempfile.TemporaryDirectory(prefix="marsad-errors-") as folder:
            held = score_held_out(documents, config, folds, Path(folder))
    return Mistakes(
        tuple(str(path) for path in paths),
        len(documents),
        sum(len(document.entities) for document in documents),
        folds,
        config.training.epochs,
        tuple(rank_suspects(held, config.label_set, config.training.seed)),
    )


def mistakes_page(mistakes: Mistakes) -> str:
    """The HTML of likely mistakes: as annotated and as suggested, side by side, to go through from the top."""
    labels = in_label_order({name for one in mistakes.suspects for name in one.types})
    shown = mistakes.suspects[:_SHOWN]
    return render_page(
        "errors.html.j2",
        mistakes=mistakes,
        colors=type_classes(labels),
        kinds=[kind for kind in KINDS if any(one.kind == kind for one in shown)],
        cards=[
            (one, *(segments(one.around[1], one.start, side) for side in (one.given, one.suggested))) for one in shown
        ],
    )


def rank_suspects(held: Sequence[HeldOut], labels: LabelSet, seed: int = 13) -> list[Suspect]:
    """The suspects of annotated reports, from the likeliest mistake to the least likely.

    On 100 mistakes planted in ``data/train.jsonl``, this order lists more of them in its first 150 than cleanlab's
    token classification does on the same probabilities: ``benchmarks/planted_errors.py --cleanlab``.
    """
    readings = [_read(one, labels) for one in held if len(one.words)]
    suspects = [_Stretch(reading, *one) for reading in readings for one in _differences(reading.given, reading.found)]
    if not suspects:
        return []
    planted = list(_planted_stretches(readings, labels, seed))
    surfaces = _Surfaces(readings, [*suspects, *planted])
    features = np.array([_features(one, surfaces, labels) for one in [*suspects, *planted]])
    if planted:
        is_planted = np.arange(len(features)) >= len(suspects)
        # Small and slow to learn: unlabelled differences hold true mistakes, which it may not learn by heart.
        order = HistGradientBoostingClassifier(
            max_iter=80, learning_rate=0.05, max_leaf_nodes=12, class_weight="balanced", random_state=seed
        )
        scores = order.fit(features, is_planted).predict_proba(features[: len(suspects)])[:, 1]
    else:
        scores = np.full(len(suspects), 0.5)
    ranked = [_suspect(one, float(score)) for one, score in zip(suspects, scores, strict=True)]
    return sorted(ranked, key=lambda one: (-one.score, one.document, one.start))


# --- stretches in which annotation and network differ ------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """A report's annotation and what the network finds in it, with its probability, as spans of words."""

    held: HeldOut
    given: dict[WordSpan, Entity]
    found: dict[WordSpan, float]
    log_probs: NDArray[np.float64]

    @property
    def words(self) -> Words:
        return self.held.words


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """The words ``[first, last)`` of a report, annotated as ``given``, found to be ``suggested``."""

    reading: _Reading
    first: int
    last: int
    given: tuple[WordSpan, ...]
    suggested: tuple[WordSpan, ...]

    @property
    def kind(self) -> Kind:
        if not self.given:
            return "missed"
        if not self.suggested:
            return "spurious"
        if [(one.first, one.last) for one in self.given] == [(one.first, one.last) for one in self.suggested]:
            return "type"
        same = {one.label for one in self.given} == {one.label for one in self.suggested}
        return "boundary" if same else "both"


def _read(held: HeldOut, labels: LabelSet) -> _Reading:
    found, probabilities = decode_spans(held.scores, held.words.paragraphs, labels)
    alignment = align_entities(held.document, held.words)
    given = dict(zip(alignment.spans, alignment.entities, strict=True))
    return _Reading(held, given, dict(zip(found, probabilities, strict=True)), log_softmax(held.scores))


def _differences(
    given: Iterable[WordSpan], found: Iterable[WordSpan]
) -> Iterator[tuple[int, int, tuple[WordSpan, ...], tuple[WordSpan, ...]]]:
    """The stretches of words in which the two differ: spans that overlap go together, equal ones are left out."""
    given, found = list(given), list(found)
    equal = set(given) & set(found)
    spans = sorted(
        ((span.first, span.last, side, span) for side, some in enumerate((given, found)) for span in some),
        key=lambda one: one[:3],
    )
    spans = [one for one in spans if one[3] not in equal]
    at = 0
    while at < len(spans):
        first, last = spans[at][:2]
        sides: tuple[list[WordSpan], list[WordSpan]] = ([], [])
        while at < len(spans) and spans[at][0] < last:
            last = max(last, spans[at][1])
            sides[spans[at][2]].append(spans[at][3])
            at += 1
        yield first, last, tuple(sides[0]), tuple(sides[1])


def _planted_stretches(readings: Sequence[_Reading], labels: LabelSet, seed: int) -> Iterator[_Stretch]:
    """The stretches that planted mistakes make, each in a copy of its report."""
    draw = random.Random(seed)
    rounds = -(-_PLANTED // len(readings))
    kinds = planted_kinds(100)
    for reading in readings:
        for _ in range(rounds):
            made = plant_mistake(reading.held.document, reading.words, draw.choice(kinds), labels, draw)
            if made is not None:
                document, mistake = made
                given = align_entities(document, reading.words).spans
                for one in _differences(given, reading.found):
                    if touches(mistake, one[0], one[1]):
                        yield _Stretch(reading, *one)


def _suspect(stretch: _Stretch, score: float) -> Suspect:
    document, words = stretch.reading.held.document, stretch.reading.words
    start, end = words.words[stretch.first].start, words.words[stretch.last - 1].end
    probabilities = [stretch.reading.found[span] for span in stretch.suggested]
    given = tuple(stretch.reading.given[span] for span in stretch.given)
    suggested = tuple(word_spans_to_entities(stretch.suggested, probabilities, words))
    return Suspect(
        document.id, stretch.kind, start, end, given, suggested, score, text_around(document.text, start, end)
    )


# --- what tells a mistake from the network's own -----------------------------------------------------------


class _Surfaces:
    """How often the words of a span stand in the reports, and how often they are annotated with a type."""

    def __init__(self, readings: Sequence[_Reading], stretches: Sequence[_Stretch]) -> None:
        self._texts = {reading: tuple(reading.words.texts()) for reading in readings}
        wanted = {self.of(one.reading, span) for one in stretches for span in (*one.given, *one.suggested)}
        prefixes = {surface[:length] for surface in wanted for length in range(1, len(surface) + 1)}
        self._seen: Counter[tuple[str, ...]] = Counter()
        self._annotated: Counter[tuple[tuple[str, ...], str]] = Counter()
        for reading, texts in self._texts.items():
            for first in range(len(texts)):
                for last in range(first + 1, len(texts) + 1):
                    surface = texts[first:last]
                    if surface not in prefixes:
                        break
                    if surface in wanted:
                        self._seen[surface] += 1
            for span in reading.given:
                self._annotated[self.of(reading, span), span.label] += 1

    def of(self, reading: _Reading, span: WordSpan) -> tuple[str, ...]:
        return self._texts[reading][span.first : span.last]

    def elsewhere(self, reading: _Reading, span: WordSpan) -> tuple[int, int]:
        """Other places with these words, and those among them that are annotated just so."""
        surface = self.of(reading, span)
        return self._seen[surface] - 1, self._annotated[surface, span.label] - (span in reading.given)


def _features(stretch: _Stretch, surfaces: _Surfaces, labels: LabelSet) -> list[float]:
    """What is known of a stretch, as numbers."""
    reading = stretch.reading
    length = stretch.last - stretch.first
    log_probs = reading.log_probs[stretch.first : stretch.last]
    shifted = [
        [WordSpan(span.first - stretch.first, span.last - stretch.first, span.label) for span in spans]
        for spans in (stretch.given, stretch.suggested)
    ]
    given, best = (log_probs[np.arange(length), tag_ids(spans, length, labels)] for spans in shifted)
    ratio = best - given
    differ = ratio[ratio != 0]
    if not len(differ):
        differ = np.zeros(1)
    start, end = next(one for one in reading.words.paragraphs if one[0] <= stretch.first < one[1])
    local = [WordSpan(span.first - start, span.last - start, span.label) for span in stretch.given]
    posteriors = span_posteriors(reading.log_probs[start:end], local, labels) if local else [float(np.exp(given.sum()))]
    given_log = np.log(max(min(posteriors), 1e-9))
    found = min([reading.found[span] for span in stretch.suggested], default=float(np.exp(best.sum())))
    values = [differ.mean(), differ.max(), differ.min(), np.log1p(ratio.sum()), -given.min(), given_log]
    values += [np.log(max(found, 1e-6)), -np.log(1 - found + 1e-3)]
    for spans in (stretch.given, stretch.suggested):
        odds, seen = [0.0], [0.0]
        for span in spans:
            places, so = surfaces.elsewhere(reading, span)
            odds.append(np.log((so + 0.5) / (max(places - so, 0) + 0.5)))
            seen.append(np.log1p(places))
        values += [min(odds), max(odds), max(seen), sum(span.last - span.first for span in spans)]
        values += [float(any(span.label == name for span in spans)) for name in labels.types]
    values += [float(stretch.kind == kind) for kind in KINDS]
    return [float(value) for value in values]
