"""From words to what the encoder reads. The project's one call of a tokenizer is here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marsad.errors import MarsadError
from marsad.text.windows import Window, build_windows
from marsad.text.words import Words

# What transformers imports for its types takes seconds.
if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Years of reports hold ever new numbers and typing errors: the store of sub-tokens is emptied beyond this.
_STORED_WORDS = 500_000


@dataclass(frozen=True, slots=True)
class EncodedWindow:
    """A window as sub-tokens.

    ``input_ids`` holds special tokens too; ``first_tokens[i]`` is the place in it of the first sub-token of
    the window's word ``i``, which stands for the word.
    """

    window: Window
    input_ids: list[int]
    first_tokens: list[int]


class WordEncoder:
    """A tokenizer applied word by word, so that sub-tokens and words can't come apart.

    Each word is tokenized as if a blank stood before it, whatever the kind of tokenizer (WordPiece, BPE,
    Unigram), and kept, since a few thousand words make up most of all text. Long garbage counts as one
    sub-token after half a window: a word is read by its beginning and never pushes another one out.

    Raises MarsadError when the tokenizer is a slow one, that gives no offsets, or has no unknown or
    padding token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_tokens: int, overlap: int) -> None:
        if not tokenizer.is_fast:
            raise MarsadError(
                f"the encoder's tokenizer {type(tokenizer).__name__} gives no offsets; use an encoder that has a fast "
                "tokenizer (a tokenizer.json in its folder)"
            )
        if tokenizer.pad_token_id is None:
            raise MarsadError(
                "the encoder's tokenizer has no padding token; set pad_token in its tokenizer_config.json"
            )
        self.tokenizer = tokenizer
        self.pad_id: int = tokenizer.pad_token_id
        begin = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        end = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        self._begin: list[int] = [] if begin is None else [begin]
        self._end: list[int] = [] if end is None else [end]
        self._unknown: int = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else self.pad_id
        self.max_tokens = max_tokens
        self.overlap = overlap
        self._room = max_tokens - len(self._begin) - len(self._end)
        self._pieces: dict[str, tuple[int, ...]] = {}

    def encode_words(self, words: Iterable[str]) -> list[tuple[int, ...]]:
        """The sub-token ids of each word: at least one, at most half a window."""
        words = list(words)
        pieces = self._pieces
        unseen = [word for word in dict.fromkeys(words) if word not in pieces]
        if unseen:
            if len(pieces) > _STORED_WORDS:
                # A new one, for another thread may be reading from this one.
                pieces = self._pieces = {}
                unseen = list(dict.fromkeys(words))
            encoded = self.tokenizer(
                [" " + word for word in unseen],
                add_special_tokens=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )["input_ids"]
            for word, ids in zip(unseen, encoded, strict=True):
                pieces[word] = tuple(ids[: self._room // 2]) or (self._unknown,)
        return [pieces[word] for word in words]

    def encode_document(self, words: Words) -> list[EncodedWindow]:
        """The windows of a document as sub-tokens; every word is in at least one."""
        pieces = self.encode_words(words.texts())
        windows = build_windows(words, [len(ids) for ids in pieces], self._room, self.overlap, len(self._end))
        paragraph_starts = {start for start, _ in words.paragraphs}
        return [self._encode_window(window, pieces, paragraph_starts) for window in windows]

    def encode_running(self, words: Words) -> tuple[list[int], list[int]]:
        """A document's sub-tokens in one row that is not cut into windows, with a separator behind each paragraph.

        Also the places in it where a word or a separator begins. :meth:`frame` makes a window of a stretch of it.
        """
        pieces = self.encode_words(words.texts())
        ids: list[int] = []
        starts: list[int] = []
        for first, last in words.paragraphs:
            for index in range(first, last):
                starts.append(len(ids))
                ids.extend(pieces[index])
            starts.extend(range(len(ids), len(ids) + len(self._end)))
            ids.extend(self._end)
        return ids, starts

    @property
    def room(self) -> int:
        """Sub-tokens of a window, the special ones at its ends not counted."""
        return self._room

    @property
    def lead(self) -> int:
        """Special tokens at a window's beginning."""
        return len(self._begin)

    def frame(self, ids: Sequence[int]) -> list[int]:
        """A stretch of running sub-tokens between the special ones that every window begins and ends with."""
        return [*self._begin, *ids, *self._end]

    def _encode_window(
        self, window: Window, pieces: Sequence[tuple[int, ...]], paragraph_starts: set[int]
    ) -> EncodedWindow:
        ids = list(self._begin)
        first_tokens = []
        for index in range(window.first, window.last):
            if index > window.first and index in paragraph_starts:
                ids.extend(self._end)  # the model should see where a line ends
            first_tokens.append(len(ids))
            ids.extend(pieces[index])
        return EncodedWindow(window, ids + self._end, first_tokens)
