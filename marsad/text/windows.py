"""Windows: the stretches of words that the encoder reads at once.

Training, scoring and inference cut a document here and nowhere else, so that a model is served text in
the pieces in which it was taught and judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marsad.text.words import Words

# Words that end a sentence: cutting inside a paragraph, a window rather ends after one of these.
SENTENCE_ENDS = frozenset(".!?؟؛…")


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open range ``[first, last)`` of a document's words, in whole paragraphs where they fit."""

    first: int
    last: int


def build_windows(words: Words, sizes: Sequence[int], max_size: int, overlap: int, separator: int = 1) -> list[Window]:
    """Cut a document into windows of at most ``max_size`` sub-tokens; every word is in at least one.

    Whole paragraphs are packed together while they fit. A paragraph that does not fit into a window is
    cut, at a sentence end where one lies in the second half of the window, and its windows overlap by up
    to ``overlap`` sub-tokens, so that every word has context on both sides in one of them.

    ``sizes`` gives each word's number of sub-tokens, at most ``max_size``; ``separator`` the sub-tokens set
    between two paragraphs of one window.

    Raises ValueError when a word is larger than a window, or the overlap leaves no room to go on.
    """
    if not 0 <= overlap < max_size:
        raise ValueError(f"the overlap of windows is {overlap}, expected 0 or more and less than their size {max_size}")
    if any(size > max_size for size in sizes):
        raise ValueError(f"a word has {max(sizes)} sub-tokens, more than a window of {max_size}")
    windows: list[Window] = []
    first, size = 0, 0  # of the window being packed
    for start, end in words.paragraphs:
        needed = sum(sizes[start:end])
        if first < start and size + separator + needed > max_size:
            windows.append(Window(first, start))
            first, size = start, 0
        if needed > max_size:
            windows.extend(_cut_paragraph(words, sizes, start, end, max_size, overlap))
            first, size = end, 0
        else:
            size += needed + (separator if first < start else 0)
    if first < len(words):
        windows.append(Window(first, len(words)))
    return windows


def _cut_paragraph(
    words: Words, sizes: Sequence[int], start: int, end: int, max_size: int, overlap: int
) -> list[Window]:
    windows: list[Window] = []
    first = covered = start
    while True:
        last, size = first, 0
        while last < end and size + sizes[last] <= max_size:
            size += sizes[last]
            last += 1
        if last == end:
            windows.append(Window(first, end))
            return windows
        # A window that ends no later than the one before it would show the model nothing new.
        last = covered = _sentence_end(words, max(first + (last - first) // 2, covered), last)
        windows.append(Window(first, last))
        shared = 0
        following = last
        while following - 1 > first and shared + sizes[following - 1] <= overlap:
            following -= 1
            shared += sizes[following]
        # The next window must reach past this one, however large the word after it is.
        while following < last and sum(sizes[following : last + 1]) > max_size:
            following += 1
        first = following


def _sentence_end(words: Words, after: int, last: int) -> int:
    """The last word index in ``(after, last]`` that follows a sentence end, else ``last``."""
    for index in range(last, after, -1):
        if words.words[index - 1].text in SENTENCE_ENDS:
            return index
    return last


def widest_context(windows: Sequence[Window], length: int) -> NDArray[np.int64]:
    """For each of ``length`` words, the index of the window in which it is farthest from a cut edge.

    The document's own beginning and end are no cuts. Raises ValueError when a word is in no window.
    """
    best = np.full(length, -1)
    distance = np.full(length, -1)
    for index, window in enumerate(windows):
        words = np.arange(window.first, window.last)
        left = length if window.first == 0 else words - window.first
        right = length if window.last == length else window.last - 1 - words
        context = np.minimum(left, right)
        wider = words[context > distance[words]]
        best[wider] = index
        distance[words] = np.maximum(distance[words], context)
    if len(missing := np.flatnonzero(best < 0)):
        raise ValueError(f"word {missing[0]} is in no window")
    return best
