"""Distillation: a small model learns from the probabilities that a larger one, its teacher, gives to every tag.

The method is that of Hinton, Vinyals and Dean (2015), "Distilling the Knowledge in a Neural Network", where the teacher
may be several networks and the mean of what they say. They may have tokenizers of their own, so what is compared stands
on words: a teacher scores each word once, by the one way in which words are scored (``inference.score_words``), and the
student is compared with that on the word's first sub-token.

What the teacher said lies in shards on disk, so that memory stays flat over any number of reports and no work is done
twice when a run is resumed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import nn
from tqdm.auto import tqdm

from marsad.batch.jobs import cut_shards
from marsad.batch.progress import clock
from marsad.batch.readers import STANDARD_INPUT, Meter, Reading, Reject, Row, Source, list_sources, read_rows
from marsad.config import Config
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.files import fingerprint_files, write_json
from marsad.labels import LabelSet
from marsad.modeling.artifacts import Tagger, load_tagger
from marsad.modeling.decoding import LEAST_LOG_PROB, FloatArray, log_softmax
from marsad.modeling.encoding import WordEncoder
from marsad.modeling.inference import score_words
from marsad.modeling.losses import IGNORED
from marsad.modeling.runtimes import load_runtime
from marsad.modeling.tagging import align_entities, tag_ids
from marsad.text.words import Words, split_words

logger = logging.getLogger(__name__)

# A shard ends with whichever is reached first.
_SHARD_REPORTS = 512
_SHARD_CHARACTERS = 4_000_000
_SECONDS_BETWEEN_LINES = 60.0
# A word's key: its shard above these bits, its row in the shard's scores in them.
_ROW_BITS = 32
_READING = Reading(line_ids=True)  # plain reports need no ids


@dataclass(frozen=True, slots=True)
class Teacher:
    """The models that teach together, and the plain reports that they read for the student.

    ``record`` is what the run and the manifest say of them: the fingerprint of each of the ``models`` by its path, and
    the plain files with theirs.
    """

    models: Sequence[tuple[Path, Tagger]]
    sources: tuple[Source, ...]
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TaughtCounts:
    """What the teacher read of one kind of report. ``rejected`` rows of files were no reports."""

    reports: int = 0
    words: int = 0
    windows: int = 0
    sub_tokens: int = 0
    rejected: int = 0

    def __add__(self, other: TaughtCounts) -> TaughtCounts:
        return TaughtCounts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Taught:
    """The windows of a student, annotated ones first, and its teacher's scores.

    ``dataset`` has ``input_ids`` and ``labels``; a label is a :func:`word_target` on each word's first sub-token.
    """

    dataset: datasets.Dataset
    scores: TeacherScores
    annotated: TaughtCounts
    unlabelled: TaughtCounts

    def drawn(self, share: float | None) -> int:
        """How many windows of plain reports an epoch has, so that they are ``share`` of it; all of them where None."""
        if share is None:
            return self.unlabelled.windows
        return min(self.unlabelled.windows, max(1, round(self.annotated.windows * share / (1 - share))))

    def tokens_per_epoch(self, drawn: int) -> int:
        """Sub-tokens of an epoch with so many windows of plain reports, padding not counted; in the mean."""
        each = self.unlabelled.sub_tokens / max(self.unlabelled.windows, 1)
        return self.annotated.sub_tokens + round(drawn * each)

    def line(self, drawn: int, epochs: int) -> str:
        """In words: how much there is to learn, and how much of it a run with so many epochs reads."""
        text = f"{self.annotated.windows} windows of annotated reports"
        if not self.unlabelled.reports:
            return text
        plain, once = self.unlabelled, min(drawn * epochs, self.unlabelled.windows)
        text += f", {plain.windows} of {plain.reports} plain ones ({plain.rejected} rejected)"
        return f"{text}: {drawn} in each epoch, {once} in all {epochs}"

    def record(self) -> dict[str, Any]:
        """Counts for the metrics."""
        return {"annotated": asdict(self.annotated), "unlabelled": asdict(self.unlabelled)}


class TeacherScores:
    """Log-probabilities of all tags for words by their keys, read from shards as they are needed."""

    def __init__(self, shards: Mapping[int, NDArray[np.float16]], tags: int) -> None:
        self._shards = shards
        self._tags = tags

    def of_words(self, keys: NDArray[np.int64]) -> FloatArray:
        """[words, tags] for the keys of words."""
        scores = np.empty((len(keys), self._tags), dtype=np.float32)
        shards, rows = keys >> _ROW_BITS, keys & ((1 << _ROW_BITS) - 1)
        for shard in np.unique(shards):
            here = shards == shard
            scores[here] = self._shards[int(shard)][rows[here]]
        return scores


def find_teacher(config: Config) -> Teacher | None:
    """The teacher that a config names and the reports that it is to read; None where there is none.

    Raises MarsadError when a folder is no whole model, has other labels or reads text otherwise than the student, when
    a model is named twice, or the plain files are missing, can't be read more than once, or hold no report with a word.
    """
    if config.model.teacher is None:
        return None
    models = [_load_teacher(folder, config) for folder in config.model.teacher]
    fingerprints = [tagger.fingerprint for _, tagger in models]
    if len(set(fingerprints)) < len(models):
        raise MarsadError("model.teacher: names the same model twice; leave one of them away")
    named = {folder.as_posix(): found for folder, found in zip(config.model.teacher, fingerprints, strict=True)}
    sources = tuple(list_sources([str(path) for path in config.distillation.unlabelled], _READING))
    for source in sources:
        if source.path == STANDARD_INPUT or not Path(source.path).is_file():
            raise MarsadError(
                f"distillation.unlabelled: {source.path} is no file; plain reports are read more than once"
            )
    if sources and not any(isinstance(row, Row) and split_words(row.text, config.text) for row in _rows(sources)):
        raise MarsadError("distillation.unlabelled: no report in it holds a word; expected texts")
    paths = [Path(source.path) for source in sources]
    unlabelled = {"files": [path.as_posix() for path in paths], "sha256": fingerprint_files(paths)}
    return Teacher(models, sources, {"models": named, "unlabelled": unlabelled if paths else None})


def _load_teacher(folder: Path, config: Config) -> tuple[Path, Tagger]:
    found = folder.resolve()  # `models/current` may point elsewhere before the teacher's network is loaded
    tagger = load_tagger(found if found.exists() else folder)
    where = f"model.teacher {folder}"
    if set(tagger.labels.types) != set(config.labels):
        raise MarsadError(
            f"{where}: knows {', '.join(tagger.labels.types)}, but labels is {', '.join(config.labels)}; a teacher "
            "needs the very labels of the student"
        )
    given = tagger.text.model_dump()
    changed = [
        f"text.{key}={str(given[key]).lower()}" for key, own in config.text.model_dump().items() if own != given[key]
    ]
    if changed:
        raise MarsadError(
            f"{where}: reads text otherwise than this config, so words would differ; set {' '.join(changed)}"
        )
    return found, tagger


def _rows(sources: Sequence[Source], meter: Meter | None = None) -> Iterator[Row | Reject]:
    return read_rows(sources, _READING, meter)


# --- what the teacher says -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shard:
    """Some reports: their texts, and the tag ids of their words where they are annotated."""

    number: int
    texts: Sequence[tuple[Words, Sequence[int] | None]]
    rejected: int


@dataclass(frozen=True, slots=True)
class _ShardFiles:
    """A shard on disk; ``counts`` is written last: without it the shard is not there."""

    folder: Path
    number: int

    @property
    def windows(self) -> Path:
        return self.folder / f"{self.number:06d}.arrow"

    @property
    def scores(self) -> Path:
        return self.folder / f"{self.number:06d}.npy"

    @property
    def counts(self) -> Path:
        return self.folder / f"{self.number:06d}.json"


def teach(
    teacher: Teacher, documents: Sequence[Document], encoder: WordEncoder, config: Config, folder: Path
) -> Taught:
    """Let the teacher read the annotated ``documents`` and its plain reports, as far as ``folder`` lacks them.

    The processes of ``torchrun`` share the shards out among them. The result is a function of the reports, the two
    models and the device, however often the work was broken off.
    """
    state = PartialState()
    whole = folder / "whole.json"
    annotated_shards = -(-len(documents) // _SHARD_REPORTS)
    if not whole.is_file():
        folder.mkdir(exist_ok=True)
        _write_shards(teacher, documents, encoder, config, folder)
        state.wait_for_everyone()
        if state.is_main_process:
            write_json(whole, {"shards": len(list(folder.glob("*.npy")))})
        state.wait_for_everyone()
    number_of_shards = json.loads(whole.read_text(encoding="utf-8"))["shards"]
    shards = [_ShardFiles(folder, number) for number in range(number_of_shards)]
    counts = [TaughtCounts(**json.loads(one.counts.read_text(encoding="utf-8"))) for one in shards]
    annotated = sum(counts[:annotated_shards], TaughtCounts())
    unlabelled = sum(counts[annotated_shards:], TaughtCounts())
    filled = [(one, count) for one, count in zip(shards, counts, strict=True) if count.words]
    scores = {one.number: np.load(one.scores, mmap_mode="r") for one, _ in filled}
    parts = [datasets.Dataset.from_file(str(one.windows)) for one, _ in filled]
    tags = len(config.label_set.tags)
    return Taught(datasets.concatenate_datasets(parts), TeacherScores(scores, tags), annotated, unlabelled)


def _write_shards(
    teacher: Teacher, documents: Sequence[Document], encoder: WordEncoder, config: Config, folder: Path
) -> None:
    """Write this process's share of the shards that are missing."""
    state = PartialState()
    readers = [_reader(folder, tagger, config.label_set, str(state.device)) for folder, tagger in teacher.models]
    done = {int(path.stem) for path in folder.glob("[0-9]*.json")}
    state.wait_for_everyone()  # what one writes from here on is not done to the others, so that one names all rejects
    with _progress(sum(source.size or 0 for source in teacher.sources)) as tell:
        for shard, position in _shards(teacher, documents, config, done):
            if shard.number % state.num_processes == state.process_index:
                scores = _score(readers, [words for words, _ in shard.texts], len(config.label_set.tags))
                _write_shard(_ShardFiles(folder, shard.number), shard, scores, encoder, config.label_set)
                tell(len(shard.texts), position)


def _shards(
    teacher: Teacher, documents: Sequence[Document], config: Config, done: Container[int]
) -> Iterator[tuple[_Shard, int]]:
    """The shards that are not ``done``, annotated reports first, each with the bytes of plain files read so far."""
    first_plain = 0
    for first_plain, start in enumerate(range(0, len(documents), _SHARD_REPORTS), 1):
        if first_plain - 1 not in done:
            chosen = documents[start : start + _SHARD_REPORTS]
            split = [(one, split_words(one.text, config.text)) for one in chosen]
            tags = [tag_ids(align_entities(one, words).spans, len(words), config.label_set) for one, words in split]
            texts = [(words, of_words) for (_, words), of_words in zip(split, tags, strict=True)]
            yield _Shard(first_plain - 1, texts, 0), 0
    if not teacher.sources:
        return
    meter = Meter()
    for cut in cut_shards(_rows(teacher.sources, meter), _SHARD_REPORTS, _SHARD_CHARACTERS, meter):
        number = first_plain + cut.number
        if number not in done:
            for reject in cut.rejects:
                logger.warning("left out: %s", reject)
            plain = [(split_words(row.text, config.text), None) for row in cut.rows]
            yield _Shard(number, plain, len(cut.rejects)), cut.position


_Reader = Callable[[Sequence[Words]], NDArray[np.float64]]


def _reader(folder: Path, tagger: Tagger, labels: LabelSet, device: str) -> _Reader:
    """What gives one teacher's calibrated log-probabilities of all words: [words, tags of ``labels``]."""
    runtime = load_runtime(folder, tagger, "torch", device)
    order = [tagger.labels.tags.index(tag) for tag in labels.tags]  # the teacher may have them in another one

    def read(documents: Sequence[Words]) -> NDArray[np.float64]:
        scores = np.concatenate(score_words(runtime, tagger.encoder, documents))
        return log_softmax(scores[:, order] / np.float32(tagger.calibration.temperature))

    return read


def _score(readers: Sequence[_Reader], documents: Sequence[Words], tags: int) -> NDArray[np.float16]:
    """The log of the teachers' mean probabilities of all words, one document after the other: [words, tags]."""
    read = [words for words in documents if len(words)]
    if not read:
        return np.empty((0, tags), dtype=np.float16)
    log_probs: NDArray[np.float64] = logsumexp([reader(read) for reader in readers], axis=0) - np.log(len(readers))
    return np.maximum(log_probs, LEAST_LOG_PROB).astype(np.float16)


def _write_shard(
    files: _ShardFiles, shard: _Shard, scores: NDArray[np.float16], encoder: WordEncoder, labels: LabelSet
) -> None:
    input_ids: list[list[int]] = []
    targets: list[list[int]] = []
    first = shard.number << _ROW_BITS
    for words, tags in shard.texts:
        for encoded in encoder.encode_document(words):
            row = [IGNORED] * len(encoded.input_ids)
            for position, word in zip(
                encoded.first_tokens, range(encoded.window.first, encoded.window.last), strict=True
            ):
                row[position] = word_target(None if tags is None else tags[word], first + word, len(labels.tags))
            input_ids.append(encoded.input_ids)
            targets.append(row)
        first += len(words)
    table = pa.table(
        {"input_ids": pa.array(input_ids, pa.list_(pa.int32())), "labels": pa.array(targets, pa.list_(pa.int64()))}
    )
    with files.windows.open("wb") as file:
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        os.fsync(file.fileno())
    with files.scores.open("wb") as file:
        np.save(file, scores)
        os.fsync(file.fileno())
    counts = TaughtCounts(
        reports=len(shard.texts),
        words=len(scores),
        windows=len(input_ids),
        sub_tokens=sum(map(len, input_ids)),
        rejected=shard.rejected,
    )
    write_json(files.counts, asdict(counts))


@contextmanager
def _progress(size: int) -> Iterator[Callable[[int, int], None]]:
    """Tell of reports read by the teacher, and of the bytes of ``size`` behind them: a bar, or a line a minute."""
    began = said = time.monotonic()
    done = 0
    with tqdm(total=size, unit="B", unit_scale=True, desc="teacher", disable=not (size and sys.stderr.isatty())) as bar:

        def tell(reports: int, position: int) -> None:
            nonlocal said, done
            done += reports
            now = time.monotonic()
            if not bar.disable:
                bar.set_postfix_str(f"{done} reports, {done / (now - began):.1f}/s", refresh=False)
                bar.update(max(0, position - bar.n))
            elif now - said >= _SECONDS_BETWEEN_LINES:
                said = now
                share = min(1.0, position / size) if size else 0.0
                left = f", {share:.0%} of the plain files" if share else ""
                logger.info("teacher: %d reports read, %.1f/s%s", done, done / (now - began), left)

        yield tell
    if done:
        seconds = time.monotonic() - began
        logger.info("teacher: read %d reports in %s, %.1f/s", done, clock(seconds), done / seconds)


# --- what the student learns from ------------------------------------------------------------------------


def word_target(tag: int | None, key: int, tags: int) -> int:
    """A label that holds a word's annotated tag (None: not annotated) and the key of its teacher's scores.

    Plain tag ids, as a dev split has them, stay what they are: they are smaller than any of these. The Trainer counts
    the words of a step by its labels, so words that only the teacher knows must have one too.
    """
    return (1 + key) * (tags + 1) + (tags if tag is None else tag)


def distillation_loss(
    gold_loss: Callable[..., torch.Tensor], scores: TeacherScores, tags: int, weight: float, temperature: float
) -> Callable[..., torch.Tensor]:
    """The mean over words of: (1 - ``weight``) of the gold loss and ``weight`` of T² KL(teacher ‖ student).

    Both distributions are softened by the temperature T; T² keeps the size of the gradients (Hinton et al. 2015). Of
    words without an annotated tag the second is the whole. Labels that are plain tag ids have ``gold_loss`` alone.

    ``gold_loss`` and the result take the network's output, labels [batch, tokens] (see :func:`word_target`) and the
    number of labelled words in the optimizer's whole step, by which the sum is divided.
    """

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        taught = labels > tags
        if not bool(taught.any()):
            return gold_loss(outputs, labels, num_items_in_batch)
        count = num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum()
        gold = torch.where(taught, labels % (tags + 1), labels)
        gold = torch.where(gold == tags, IGNORED, gold)
        keys = labels[taught] // (tags + 1) - 1
        said = torch.from_numpy(scores.of_words(keys.cpu().numpy())).to(labels.device)
        student = nn.functional.log_softmax(outputs["logits"][taught].float() / temperature, dim=-1)
        target = nn.functional.log_softmax(said / temperature, dim=-1)
        divergence = nn.functional.kl_div(student, target, reduction="none", log_target=True).sum(-1)
        shares = torch.where(gold[taught] == IGNORED, 1.0, weight)
        taught_part = temperature**2 * (shares * divergence).sum() / count
        return (1 - weight) * gold_loss(outputs, gold, count) + taught_part

    return loss


def window_lengths(dataset: datasets.Dataset) -> NDArray[np.int64]:
    """The sub-tokens of each window, without reading the windows themselves into memory as lists."""
    lengths: Iterable[int] = pc.list_value_length(dataset.data.column("input_ids")).to_numpy()
    return np.asarray(lengths, dtype=np.int64)
