"""Words: what is annotated and tagged.

A word is a run of letters with their marks and tatweel, or a run of digits with inner separators
(``1,200``, ``2.5``), or one other symbol with its marks. So a proclitic written onto letters is part of the
word (``بريف``) and one written onto digits is a word of its own (``و7`` is ``و`` and ``7``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

from marsad.text.normalization import NormalizedText, TextConfig, normalize_text

# Marks first need a letter: a mark on a symbol (an emoji with its selector) belongs to the symbol.
_WORD = regex.compile(r"[\p{L}\u0640][\p{L}\p{M}\u0640]*|\p{Nd}+(?:[.,٫٬]\p{Nd}+)*|[^\s\p{L}]\p{M}*")
_LINE_END = regex.compile(r"[\n\r\u000b\u000c\u0085\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word: ``text`` as the model reads it, and its half-open span in the original text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one document, in order, and the paragraphs that they stand in.

    ``paragraphs`` are half-open ranges of word indices that cover all words; a paragraph is a line with
    at least one word. No entity crosses from one into the next.
    """

    words: tuple[Word, ...]
    paragraphs: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator[Word]:
        return iter(self.words)

    def texts(self) -> list[str]:
        """The words as the model reads them."""
        return [word.text for word in self.words]


def split_words(text: str, config: TextConfig) -> Words:
    """Normalise ``text`` and cut it into words; works for any string."""
    normalized = normalize_text(text, config)
    words: list[Word] = []
    paragraphs: list[tuple[int, int]] = []
    for line_start, line_end in _lines(normalized):
        first = len(words)
        for match in _WORD.finditer(normalized.text, line_start, line_end):
            start, end = normalized.original_span(match.start(), match.end())
            words.append(Word(match.group(), start, end))
        if len(words) > first:
            paragraphs.append((first, len(words)))
    return Words(tuple(words), tuple(paragraphs))


def _lines(normalized: NormalizedText) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _LINE_END.finditer(normalized.text):
        yield start, match.start()
        start = match.end()
    yield start, len(normalized.text)


def words_in_span(words: Sequence[Word], start: int, end: int) -> tuple[int, int]:
    """The half-open range of the words that touch ``[start, end)``; empty where the span holds no word.

    ``words`` must be ordered and must not overlap, as :func:`split_words` gives them.
    """
    first = bisect_right(words, start, key=lambda word: word.end)
    last = first
    while last < len(words) and words[last].start < end:
        last += 1
    return first, last
