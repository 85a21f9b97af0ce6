"""Which reports to annotate next: those that the model is likely to get wrong, and unlike the ones there are.

A report's uncertainty is the number of errors expected in what the model finds in it, by the model's own calibrated
probabilities, divided by the words that have to be read to mend them: annotation is paid by the word, and by the report
long ones would win whatever is in them. So that a line of three words does not beat everything, each report counts some
words more than it has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer

from marsad.annotations.duplicates import FOLDED, alike_reports, equal_reports, spoken_words
from marsad.annotations.formats import doccano, labelstudio
from marsad.annotations.jsonl import document_files, document_from_record, read_documents, write_documents
from marsad.batch.progress import show_progress
from marsad.batch.readers import Reading, Reject, list_sources, place, read_rows
from marsad.batch.writers import to_plain
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.modeling.artifacts import Tagger, load_tagger
from marsad.modeling.inference import decode_words, expected_errors, score_words
from marsad.modeling.runtimes import Runtime, load_runtime
from marsad.text.words import split_words

QueueFormat = Literal["labelstudio", "doccano", "jsonl"]
# How much it counts that a report is unlike the others, beside how uncertain it is.
DIVERSITY = 0.5
# What opening a report costs, in words.
_OVERHEAD = 20
_NAMED = 5
_READ_TOGETHER = 64
# Reports compared with the annotated ones at once: bounds the memory.
_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A report with the entities that the model finds in it.

    ``expected_errors``: how many of them are wrong, and how many are missing, by the model's probabilities. ``words``
    counts its words, ``spoken`` are those that are compared with other reports'.
    """

    document: Document
    expected_errors: float
    words: int
    spoken: tuple[str, ...]

    @property
    def uncertainty(self) -> float:
        """Errors expected for each word of work."""
        return self.expected_errors / (self.words + _OVERHEAD)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A candidate that was taken: ``score`` is what it was taken for, in [0, 1].

    ``alike`` names the annotated or earlier chosen report that it is most like, None where there is none;
    ``similarity`` says how much, in [0, 1].
    """

    candidate: Candidate
    score: float
    similarity: float
    alike: str | None

    def document(self, place: int) -> Document:
        """The report with what was found in it, and the reason why it was taken under ``queue``."""
        one = self.candidate
        reason = f"{one.expected_errors:.1f} wrong or missing entities expected in {one.words} words"
        if self.alike is not None:
            reason += f"; most like {self.alike} ({self.similarity:.2f})"
        queue = {
            "place": place,
            "score": round(self.score, 4),
            "expected_errors": round(one.expected_errors, 4),
            "words": one.words,
            "similarity": round(self.similarity, 4),
            "reason": reason,
        }
        return replace(one.document, metadata={**one.document.metadata, "queue": queue})


@dataclass(frozen=True, slots=True)
class Queue:
    """Reports to annotate, the most useful first, and which were left out: the reason and id of each."""

    read: int
    candidates: int
    chosen: tuple[Chosen, ...]
    skipped: tuple[tuple[str, str], ...]
    mean_errors: float

    def documents(self) -> list[Document]:
        """The chosen reports with what was found in them."""
        return [one.document(place) for place, one in enumerate(self.chosen, 1)]

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "read": self.read,
            "candidates": self.candidates,
            "chosen": [
                {"id": one.candidate.document.id, **document.metadata["queue"]}
                for one, document in zip(self.chosen, self.documents(), strict=True)
            ],
            "skipped": [{"id": name, "reason": reason} for reason, name in self.skipped],
        }

    def table(self) -> str:
        """How many reports were read, skipped and why, and chosen."""
        lines = [f"{'read':28} {self.read:7d}"]
        names: dict[str, list[str]] = defaultdict(list)
        for reason, name in self.skipped:
            names[reason].append(name)
        for reason, some in names.items():
            more = f", and {len(some) - _NAMED} more" if len(some) > _NAMED else ""
            lines.append(f"{'skipped: ' + reason:28} {len(some):7d}  {', '.join(some[:_NAMED])}{more}")
        words = sum(one.candidate.words for one in self.chosen)
        errors = sum(one.candidate.expected_errors for one in self.chosen)
        rest = self.read - len(self.skipped) - len(self.chosen)
        lines.append(f"{'left for another time':28} {rest:7d}")
        lines.append(f"{'chosen':28} {len(self.chosen):7d}  {words} words")
        lines.append(
            f"wrong or missing entities expected in 1000 words: {1000 * errors / max(words, 1):.1f} in the chosen "
            f"reports, {1000 * self.mean_errors:.1f} in all"
        )
        return "\n".join(lines)


def build_queue(
    model: Path,
    inputs: Sequence[Path],
    size: int,
    exclude: Sequence[Path] = (),
    words: int | None = None,
    diversity: float = DIVERSITY,
    runtime: str = "auto",
) -> tuple[Queue, str]:
    """Choose ``size`` reports of ``inputs`` to annotate next; returns them and the model's version.

    ``inputs`` are as for ``marsad predict``; reports that have entities are skipped. ``exclude``: files or folders of
    reports that are annotated already; those, and what is nearly equal to them, are skipped. ``words``: the most words
    that the chosen reports may have together. ``runtime`` computes the model, as for ``Recognizer``. Nothing here is
    random: the same reports and model give the same queue.

    Raises MarsadError for files or a model that can't be read, and when nothing is left to choose.
    """
    check_settings(size, words, diversity)
    if model.is_symlink():  # `models/current`, which a promotion may point elsewhere meanwhile
        model = model.resolve()
    tagger = load_tagger(model)
    network = load_runtime(model, tagger, runtime)
    documents, rejects = _read_reports(inputs)
    annotated = [document for path in document_files(exclude) for document in read_documents(path)]
    taken = {document.id for document in annotated}
    skipped = [("can't be read", str(reject)) for reject in rejects]
    free: list[Document] = []
    for document in documents:
        if document.id in taken:
            skipped.append(("id of an annotated report", document.id))
        elif document.entities:
            skipped.append(("has entities already", document.id))
        else:
            free.append(document)
    pool = list(show_progress(read_candidates(tagger, network, free), len(free), "reading"))
    queue = choose_reports(pool, annotated, size, words, diversity)
    queue = replace(queue, read=len(documents) + len(rejects), skipped=(*skipped, *queue.skipped))
    if not queue.chosen:
        reasons = ", ".join(f"{reason} {count}" for reason, count in Counter(one for one, _ in queue.skipped).items())
        first = f"; the first that can't be read: {rejects[0]}" if rejects else ""
        raise MarsadError(f"none of the {queue.read} reports is left to annotate (skipped: {reasons or 'none'}){first}")
    return queue, f"marsad {tagger.fingerprint[:12]}"


def _read_reports(inputs: Sequence[Path]) -> tuple[list[Document], list[Reject]]:
    """The reports of the inputs with all that stands beside their texts, and the rows that are none."""
    reading = Reading(carry=None, published=True)
    documents, rejects = [], []
    for item in read_rows(list_sources([str(path) for path in inputs], reading), reading):
        if isinstance(item, Reject):
            rejects.append(item)
        else:
            beside = {name: to_plain(value) for name, value in item.columns.items()}
            record = beside | {"id": item.id, "text": item.text, "published": item.published}
            where = place(item.file, item.line)
            try:
                documents.append(document_from_record(record, where))
            except MarsadError as error:
                reason = str(error).removeprefix(f"{where} (id {item.id!r}): ")
                rejects.append(Reject(item.file, item.line, reason, item.id))
    return documents, rejects


def check_settings(size: int | None, words: int | None, diversity: float) -> None:
    """Raises MarsadError for a size, a number of words or a diversity that means nothing."""
    if size is not None and size < 1:
        raise MarsadError(f"--size {size}: expected 1 or more")
    if words is not None and words < 1:
        raise MarsadError(f"--words {words}: expected 1 or more")
    if not 0 <= diversity <= 1:
        raise MarsadError(f"--diversity {diversity:g}: expected a share from 0 (uncertainty alone) to 1")


def read_candidates(tagger: Tagger, runtime: Runtime, documents: Iterable[Document]) -> Iterator[Candidate]:
    """What the model finds in each report and how many errors are expected in it, lazily."""
    waiting = iter(documents)
    while chunk := list(islice(waiting, _READ_TOGETHER)):
        words = [split_words(document.text, tagger.text) for document in chunk]
        for document, one, scores in zip(chunk, words, score_words(runtime, tagger.encoder, words), strict=True):
            entities = decode_words(one, scores, tagger.labels, tagger.calibration)
            errors = expected_errors(one, scores, entities, tagger.labels, tagger.calibration)
            yield Candidate(replace(document, entities=entities), errors, len(one), spoken(document))


def spoken(document: Document) -> tuple[str, ...]:
    """The words by which reports are compared."""
    return spoken_words(split_words(document.text, FOLDED))


def choose_reports(
    pool: Sequence[Candidate],
    annotated: Sequence[Document],
    size: int | None,
    words: int | None = None,
    diversity: float = DIVERSITY,
) -> Queue:
    """Choose reports of a pool one by one, each time the one with the best score.

    The score is ``1 - diversity`` times the share of the pool that is less uncertain, plus ``diversity`` times how
    unlike the report is to the annotated and the already chosen ones: 1 less the largest cosine of their words' TF-IDF
    (maximal marginal relevance, Carbonell and Goldstein 1998). Nearly equal reports are chosen once.
    """
    skipped = [("without a word", one.document.id) for one in pool if not one.spoken]
    candidates = [one for one in pool if one.spoken]
    known = [spoken(document) for document in annotated]
    candidates, neighbours, doubles = _without_doubles(candidates, annotated, known)
    skipped += doubles
    queue = Queue(len(pool), len(candidates), (), tuple(skipped), _mean_errors(candidates))
    if not candidates:
        return queue

    relevance = rankdata([one.uncertainty for one in candidates], method="min") / len(candidates)
    vectors = TfidfVectorizer(analyzer=list, sublinear_tf=True, dtype=np.float32)
    rows = vectors.fit_transform([one.spoken for one in candidates] + [one for one in known if one])
    new, old = rows[: len(candidates)], rows[len(candidates) :]
    names = [document.id for document, one in zip(annotated, known, strict=True) if one]
    similarity, nearest = _most_similar(new, old)
    alike: list[str | None] = [names[index] if index >= 0 else None for index in nearest]

    free = np.ones(len(candidates), dtype=bool)
    lengths = np.array([one.words for one in candidates])
    left = words
    chosen: list[Chosen] = []
    while size is None or len(chosen) < size:
        fits = free if left is None else free & (lengths <= left)
        if not fits.any():
            break
        scores = (1 - diversity) * relevance + diversity * (1 - similarity)
        best = int(np.where(fits, scores, -np.inf).argmax())
        chosen.append(Chosen(candidates[best], float(scores[best]), float(similarity[best]), alike[best]))
        free[best] = False
        for other in neighbours[best]:
            if free[other]:
                free[other] = False
                skipped.append(("nearly equal to a chosen one", candidates[other].document.id))
        if left is not None:
            left -= candidates[best].words
        closeness = (new @ new[[best]].T).toarray().ravel()
        for index in np.flatnonzero(closeness > similarity):
            alike[index] = candidates[best].document.id
        similarity = np.maximum(similarity, np.minimum(closeness, 1.0))
    return replace(queue, chosen=tuple(chosen), skipped=tuple(skipped))


def _mean_errors(candidates: Sequence[Candidate]) -> float:
    return sum(one.expected_errors for one in candidates) / max(sum(one.words for one in candidates), 1)


def _without_doubles(
    candidates: Sequence[Candidate], annotated: Sequence[Document], known: Sequence[tuple[str, ...]]
) -> tuple[list[Candidate], list[list[int]], list[tuple[str, str]]]:
    """The candidates that are no copies, the indices of those nearly equal to each, and the skipped with reasons."""
    by_name = {f"new {one.document.id}": one for one in candidates}
    texts = {f"old {document.id}": one for document, one in zip(annotated, known, strict=True)}
    texts |= {name: one.spoken for name, one in by_name.items()}
    skipped: dict[str, str] = {}
    firsts = {}
    for group in equal_reports(texts):
        reason = "equal to another" if group[0] in by_name else "equal to an annotated one"
        skipped |= {name: reason for name in group[1:] if name in by_name}
        firsts[group[0]] = texts[group[0]]
    pairs = sorted((one, other) for one, other, _ in alike_reports(firsts))
    for one, other in [*pairs, *((other, one) for one, other in pairs)]:
        if one in by_name and other not in by_name:
            skipped.setdefault(one, "nearly equal to an annotated one")
    kept = [name for name in by_name if name not in skipped]
    place = {name: index for index, name in enumerate(kept)}
    neighbours: list[list[int]] = [[] for _ in kept]
    for one, other in pairs:
        if one in place and other in place:
            neighbours[place[one]].append(place[other])
            neighbours[place[other]].append(place[one])
    doubles = [(skipped[name], by_name[name].document.id) for name in by_name if name in skipped]
    return [by_name[name] for name in kept], neighbours, doubles


def _most_similar(new: Any, old: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The largest cosine of each new row with an old one, and that one's index; 0 and -1 where there is none."""
    similarity, nearest = np.zeros(new.shape[0]), np.full(new.shape[0], -1)
    if old.shape[0]:
        for first in range(0, new.shape[0], _ROWS):
            products = (new[first : first + _ROWS] @ old.T).toarray()
            similarity[first : first + _ROWS] = np.minimum(products.max(axis=1), 1.0)
            nearest[first : first + _ROWS] = np.where(products.max(axis=1) > 0, products.argmax(axis=1), -1)
    return similarity, nearest


def write_queue(queue: Queue, path: Path, form: QueueFormat, version: str) -> None:
    """Write the chosen reports with what the model found in them, for annotators to mend.

    ``labelstudio``: a task with a prediction each. ``doccano``, which has no predictions: with labels. ``jsonl``: ours,
    the entities with their scores. Each carries its ``queue`` record. Raises MarsadError when it can't be written.
    """
    if form == "labelstudio":
        labelstudio.write_predictions(queue.documents(), path, version)
    elif form == "doccano":
        doccano.write(queue.documents(), path)
    else:
        write_documents(queue.documents(), path)
