"""Running text for pretraining: documents in, full windows with words to guess out.

Texts are read, normalised, cut into words and tokenised once, as everywhere else, and kept as one row of sub-tokens
in a file that is mapped into memory as needed. A window is a stretch of that row. Which windows a step reads, and
which words are masked in them, is a function of the seed and the step alone.
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from marsad.batch.progress import clock
from marsad.batch.readers import STANDARD_INPUT, Meter, Reading, Reject, Source, is_remote, list_sources, read_rows
from marsad.config import ModelConfig
from marsad.errors import MarsadError
from marsad.modeling.encoders import EncoderSource, load_tokenizer
from marsad.modeling.encoding import WordEncoder
from marsad.modeling.losses import IGNORED
from marsad.modeling.pretraining_config import MaskingConfig, TextsConfig
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

logger = logging.getLogger(__name__)

# In a file of sub-tokens, marks one with which a word or a separator begins.
_START = 1 << 31
_CHUNK = 64
_NAMED_REJECTS = 10
_SECONDS_BETWEEN_LINES = 60.0

Ids = NDArray[np.int64]


# --- texts to files of sub-tokens --------------------------------------------------------------------------


@dataclass(slots=True)
class TextCounts:
    """What became of the rows that were read. ``without_words``: documents in which no word was found."""

    documents: int = 0
    held_out_documents: int = 0
    words: int = 0
    sub_tokens: int = 0
    held_out_sub_tokens: int = 0
    without_words: int = 0
    rejected: int = 0


def text_sources(config: TextsConfig) -> list[Source]:
    """The files to read, in order. Raises MarsadError for what is not there, or is no file of this machine."""
    for given in config.texts:
        if given == STANDARD_INPUT or is_remote(given):
            raise MarsadError(f"data.texts: {given!r} is no local file; the texts have to be there when a run goes on")
    return list_sources(config.texts, _reading(config))


def _reading(config: TextsConfig) -> Reading:
    return Reading(text_column=config.text_column, line_ids=True, per_line=config.per_line)


def is_held_out(text: str, share: float) -> bool:
    """Whether a document is held out: by a hash of its text, so that it stays so among whatever others it stands."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) < share * 2.0**64


def tokenise_texts(
    config: TextsConfig, text: TextConfig, source: EncoderSource, model: ModelConfig, train: Path, held_out: Path
) -> TextCounts:
    """Write the sub-tokens of all documents to two files, in their order, with flat memory.

    Rows that hold no document are counted, and the first of them named in the log.

    Raises MarsadError for a file that can't be read, or a table without the column of the text.
    """
    counts = TextCounts()
    sources = text_sources(config)
    size = sum(one.size or 0 for one in sources)
    meter = Meter()
    began = said = time.monotonic()
    with ExitStack() as stack:
        files = {False: stack.enter_context(train.open("wb")), True: stack.enter_context(held_out.open("wb"))}
        chunks = _chunks(config, sources, meter, counts)
        for documents in _encode_chunks(chunks, config.workers, source, model, text):
            for out, words, ids in documents:
                if not words:
                    counts.without_words += 1
                    continue
                files[out].write(ids.tobytes())
                counts.words += words
                if out:
                    counts.held_out_documents += 1
                    counts.held_out_sub_tokens += len(ids)
                else:
                    counts.documents += 1
                    counts.sub_tokens += len(ids)
            now = time.monotonic()
            if now - said >= _SECONDS_BETWEEN_LINES:
                said = now
                left = (now - began) * (size / max(meter.bytes, 1) - 1)
                logger.info(
                    "texts: %d documents, %d sub-tokens, %s left",
                    counts.documents + counts.held_out_documents,
                    counts.sub_tokens + counts.held_out_sub_tokens,
                    clock(max(left, 0.0)),
                )
    if counts.rejected > _NAMED_REJECTS:
        logger.warning("and %d more rows hold no document", counts.rejected - _NAMED_REJECTS)
    return counts


def _chunks(
    config: TextsConfig, sources: Sequence[Source], meter: Meter, counts: TextCounts
) -> Iterator[list[tuple[bool, str]]]:
    """Texts, a few at a time, each with whether it is held out."""
    chunk: list[tuple[bool, str]] = []
    for row in read_rows(sources, _reading(config), meter):
        if isinstance(row, Reject):
            counts.rejected += 1
            if counts.rejected <= _NAMED_REJECTS:
                logger.warning("left out: %s", row)
            continue
        chunk.append((is_held_out(row.text, config.held_out), row.text))
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


_Encoded = list[tuple[bool, int, NDArray[np.uint32]]]


def _encode_chunks(
    chunks: Iterator[list[tuple[bool, str]]], workers: int, source: EncoderSource, model: ModelConfig, text: TextConfig
) -> Iterator[_Encoded]:
    """Documents as sub-tokens, in order. Few chunks wait at a time, however many there are."""
    if workers == 1:
        for chunk in chunks:
            yield _encode_chunk(chunk, source, model, text)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: deque[Future[_Encoded]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_encode_chunk, chunk, source, model, text))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _encode_chunk(
    chunk: Sequence[tuple[bool, str]], source: EncoderSource, model: ModelConfig, text: TextConfig
) -> _Encoded:
    encoder = _tokenizer(source, model)
    encoded: _Encoded = []
    for out, document in chunk:
        words = split_words(document, text)
        ids, starts = encoder.encode_running(words)
        row = np.array(ids, dtype=np.uint32)
        row[starts] |= np.uint32(_START)
        encoded.append((out, len(words), row))
    return encoded


@lru_cache(maxsize=1)
def _tokenizer(source: EncoderSource, model: ModelConfig) -> WordEncoder:
    return load_tokenizer(source, model)


# --- windows -----------------------------------------------------------------------------------------------


class RunningTokens:
    """A file of sub-tokens as windows of ``room``.

    ``held_out`` windows are cut from its beginning on. Those to learn from begin at another place in each epoch and go
    round at the end, so that every sub-token is read in all but few epochs, in ever new windows.
    """

    def __init__(self, path: Path, room: int) -> None:
        size = path.stat().st_size // 4
        self._row: NDArray[np.uint32] = np.memmap(path, np.uint32, "r") if size else np.empty(0, np.uint32)
        self.room = room

    def __len__(self) -> int:
        """Windows of an epoch."""
        return len(self._row) // self.room

    def frequencies(self, vocabulary: int) -> NDArray[np.int64]:
        """How often each sub-token stands in the file, [vocabulary]."""
        counts = np.zeros(vocabulary, dtype=np.int64)
        for begin in range(0, len(self._row), 1 << 24):
            part = self._row[begin : begin + (1 << 24)] & np.uint32(_START - 1)
            counts += np.bincount(part, minlength=vocabulary)
        return counts

    def window(self, at: int) -> tuple[Ids, NDArray[np.bool_]]:
        """The ``room`` sub-tokens from a place on, and whether each begins a word or a separator."""
        at %= len(self._row)
        part = self._row[at : at + self.room]
        if len(part) < self.room:
            part = np.concatenate([part, self._row[: self.room - len(part)]])
        return (part & np.uint32(_START - 1)).astype(np.int64), part >= _START


@dataclass(frozen=True, slots=True)
class MaskedWindow:
    """A window with words to guess.

    ``input_ids`` [tokens]; ``positions`` [guesses] are the places of the chosen sub-tokens in it, and ``labels``
    [guesses] what stood there. Both are filled up with place 0 and an ignored label: all windows agree in shape.
    """

    input_ids: Ids
    positions: Ids
    labels: Ids


class WordMasker:
    """Chooses words of a window and masks them whole (whole-word masking, as published with BERT).

    Words are drawn until ``share`` of the window's sub-tokens is reached; one that would go beyond it is passed over.
    Separators and words that the tokenizer does not know are never chosen, nor is the rest of a word that the window's
    beginning cuts.
    """

    def __init__(self, encoder: WordEncoder, config: MaskingConfig) -> None:
        self._encoder = encoder
        self._config = config
        self._mask_id = int(encoder.tokenizer.mask_token_id)
        special = np.array(sorted(set(encoder.tokenizer.all_special_ids)), dtype=np.int64)
        self._is_special = np.zeros(len(encoder.tokenizer), dtype=bool)
        self._is_special[special] = True
        self._ordinary = np.flatnonzero(~self._is_special)
        self.guesses = max(1, int(config.share * encoder.room))

    def mask(self, ids: Ids, is_start: NDArray[np.bool_], generator: np.random.Generator) -> MaskedWindow:
        """Mask a window of running sub-tokens."""
        ids = ids.copy()
        starts = np.flatnonzero(is_start)
        ends = np.append(starts[1:], len(ids))
        eligible = np.flatnonzero(~self._is_special[ids[starts]])
        chosen: list[tuple[int, int]] = []
        left = self.guesses
        for word in generator.permutation(eligible):
            start, end = int(starts[word]), int(ends[word])
            if end - start <= left:
                chosen.append((start, end))
                left -= end - start
                if not left:
                    break
        places = np.array([place for start, end in chosen for place in range(start, end)], dtype=np.int64)
        labels = ids[places]
        for (start, end), draw in zip(chosen, generator.random(len(chosen)), strict=True):
            if draw < self._config.masked:
                ids[start:end] = self._mask_id
            elif draw < self._config.masked + self._config.random:
                ids[start:end] = generator.choice(self._ordinary, end - start)
        filler = self.guesses - len(places)
        return MaskedWindow(
            np.array(self._encoder.frame(ids.tolist()), dtype=np.int64),
            np.pad(places + self._encoder.lead, (0, filler)),
            np.pad(labels, (0, filler), constant_values=IGNORED),
        )


class TrainingWindows(Dataset[MaskedWindow]):
    """The windows of a whole run, numbered through all epochs, each epoch in an order of its own.

    Window ``n`` is a function of the seed and ``n``: nothing depends on how far a run got, or who asks.
    """

    def __init__(self, tokens: RunningTokens, masker: WordMasker, seed: int) -> None:
        self._tokens = tokens
        self._masker = masker
        self._seed = seed
        self._epoch = -1
        self._begin = 0
        self._order = np.empty(0, dtype=np.int64)

    def __getitem__(self, number: int) -> MaskedWindow:
        epoch, index = divmod(number, len(self._tokens))
        if epoch != self._epoch:
            generator = np.random.default_rng((self._seed, 0, epoch))
            self._epoch = epoch
            self._begin = int(generator.integers(self._tokens.room))
            self._order = generator.permutation(len(self._tokens))
        at = self._begin + int(self._order[index]) * self._tokens.room
        return self._masker.mask(*self._tokens.window(at), np.random.default_rng((self._seed, 1, number)))


class HeldOutWindows(Dataset[MaskedWindow]):
    """The windows that judge, always the same, with the same words masked."""

    def __init__(self, tokens: RunningTokens, masker: WordMasker, seed: int) -> None:
        self._tokens = tokens
        self._masker = masker
        self._seed = seed

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, number: int) -> MaskedWindow:
        generator = np.random.default_rng((self._seed, 2, number))
        return self._masker.mask(*self._tokens.window(number * self._tokens.room), generator)


class StepBatches(Sampler[list[int]]):
    """The numbers of the windows that one process reads in one forward pass, from a step on.

    A step's windows are dealt out to forward passes and, in each, to processes.
    """

    def __init__(
        self, first_step: int, steps: int, share: int, accumulation: int, process: int, processes: int
    ) -> None:
        self._steps = range(first_step, steps)
        self._share = share
        self._accumulation = accumulation
        self._process = process
        self._processes = processes

    def __len__(self) -> int:
        return len(self._steps) * self._accumulation

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            for part in range(self._accumulation):
                first = ((step * self._accumulation + part) * self._processes + self._process) * self._share
                yield list(range(first, first + self._share))


def collate_windows(windows: Sequence[MaskedWindow]) -> dict[str, torch.Tensor]:
    """A batch: ``input_ids`` [windows, tokens], ``positions`` and ``labels`` [windows, guesses]."""
    return {
        name: torch.from_numpy(np.stack([getattr(window, name) for window in windows]))
        for name in ("input_ids", "positions", "labels")
    }
