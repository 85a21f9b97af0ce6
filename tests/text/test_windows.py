"""Windows: no word lost, none too large, paragraphs whole where they fit, and the best window for each word."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.text.normalization import TextConfig
from marsad.text.windows import Window, build_windows, widest_context
from marsad.text.words import Word, Words, split_words

# A paragraph as the sub-tokens of its words; 0 stands for a full stop (of one sub-token).
PARAGRAPHS = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=30), max_size=6)


def _words(paragraphs: list[list[int]]) -> tuple[Words, list[int]]:
    words: list[Word] = []
    ranges = []
    for paragraph in paragraphs:
        first = len(words)
        words += [Word("." if size == 0 else "كلمة", first + i, first + i + 1) for i, size in enumerate(paragraph)]
        ranges.append((first, len(words)))
    return Words(tuple(words), tuple(ranges)), [size or 1 for paragraph in paragraphs for size in paragraph]


def _size(window: Window, words: Words, sizes: list[int], separator: int) -> int:
    inner = sum(window.first < start < window.last for start, _ in words.paragraphs)
    return sum(sizes[window.first : window.last]) + inner * separator


@st.composite
def documents(draw: st.DrawFn) -> tuple[Words, list[int], int, int, int]:
    words, sizes = _words(draw(PARAGRAPHS))
    max_size = draw(st.integers(6, 24))
    return words, sizes, max_size, draw(st.integers(0, max_size - 1)), draw(st.integers(0, 3))


@settings(max_examples=200, deadline=None)
@given(documents())
def test_every_word_is_in_a_window_and_no_window_is_too_large(case: tuple[Words, list[int], int, int, int]):
    words, sizes, max_size, overlap, separator = case
    windows = build_windows(words, sizes, max_size, overlap, separator)
    assert {i for window in windows for i in range(window.first, window.last)} == set(range(len(words)))
    for window in windows:
        assert window.first < window.last
        assert _size(window, words, sizes, separator) <= max_size


@settings(max_examples=200, deadline=None)
@given(documents())
def test_windows_go_forward_and_share_no_more_than_the_overlap(case: tuple[Words, list[int], int, int, int]):
    words, sizes, max_size, overlap, separator = case
    windows = build_windows(words, sizes, max_size, overlap, separator)
    paragraph_of = [number for number, (start, end) in enumerate(words.paragraphs) for _ in range(start, end)]
    for left, right in pairwise(windows):
        # Strictly on both sides: a window inside another one would be computed for nothing.
        assert left.first < right.first <= left.last < right.last
        assert sum(sizes[right.first : left.last]) <= overlap
        assert len({paragraph_of[i] for i in range(right.first, left.last)}) <= 1


@settings(max_examples=200, deadline=None)
@given(documents())
def test_no_word_is_doubled_without_overlap(case: tuple[Words, list[int], int, int, int]):
    words, sizes, max_size, _, separator = case
    windows = build_windows(words, sizes, max_size, 0, separator)
    assert [i for window in windows for i in range(window.first, window.last)] == list(range(len(words)))


@settings(max_examples=200, deadline=None)
@given(documents())
def test_paragraphs_that_fit_are_whole_and_packed(case: tuple[Words, list[int], int, int, int]):
    words, sizes, max_size, overlap, separator = case
    windows = build_windows(words, sizes, max_size, overlap, separator)
    fitting = {p for p in words.paragraphs if sum(sizes[p[0] : p[1]]) <= max_size}
    for start, end in fitting:
        touching = [window for window in windows if window.first < end and start < window.last]
        assert len(touching) == 1 and touching[0].first <= start and end <= touching[0].last
    for left, right in pairwise(windows):
        following = next((p for p in fitting if p[0] == right.first), None)
        if following and any(p[0] == left.first for p in fitting):
            assert _size(Window(left.first, following[1]), words, sizes, separator) > max_size


def test_a_small_document_is_one_window():
    words, sizes = _words([[1, 1], [1]])
    assert build_windows(words, sizes, 4, 1) == [Window(0, 3)]
    assert build_windows(words, sizes, 3, 1) == [Window(0, 2), Window(2, 3)]  # the separator needs room too
    assert build_windows(words, sizes, 3, 1, separator=0) == [Window(0, 3)]
    assert build_windows(Words((), ()), [], 3, 1) == []


def test_a_long_paragraph_is_cut_at_a_sentence_end_in_the_second_half():
    words, sizes = _words([[1] * 6 + [0] + [1] * 8])
    assert build_windows(words, sizes, 10, 0) == [Window(0, 7), Window(7, 15)]
    early, sizes = _words([[1, 1, 0] + [1] * 12])
    assert build_windows(early, sizes, 10, 0) == [Window(0, 10), Window(10, 15)]


@pytest.mark.parametrize("mark", [*".!?؟؛…"])
def test_arabic_sentence_ends_count(mark: str):
    words = split_words(f"هذه جملة أولى طويلة{mark} وهذه ثانية", TextConfig())
    assert build_windows(words, [1] * len(words), 6, 0)[0] == Window(0, 5)


def test_a_sentence_end_inside_the_overlap_does_not_hold_the_windows_back():
    words, sizes = _words([[1] * 9 + [0, 9, 9, 9]])
    windows = build_windows(words, sizes, 18, 5)
    assert [window.last for window in windows] == [10, 11, 13]
    assert windows[1].first == 5  # with the context of the words before


def test_the_overlap_gives_context_where_it_has_room():
    words, sizes = _words([[1] * 20])
    assert build_windows(words, sizes, 10, 4) == [Window(0, 10), Window(6, 16), Window(12, 20)]


@pytest.mark.parametrize(("sizes", "max_size", "overlap"), [([1, 5], 4, 1), ([1, 1], 4, 4), ([1, 1], 4, -1)])
def test_impossible_windows_are_refused(sizes: list[int], max_size: int, overlap: int):
    words, _ = _words([[1, 1]])
    with pytest.raises(ValueError, match=r"sub-tokens|overlap"):
        build_windows(words, sizes, max_size, overlap)


@settings(max_examples=200, deadline=None)
@given(documents(), st.randoms())
def test_widest_context_is_farthest_from_a_cut(case: tuple[Words, list[int], int, int, int], random):
    words, sizes, max_size, overlap, separator = case
    windows = build_windows(words, sizes, max_size, overlap, separator)
    random.shuffle(windows)
    length = len(words)
    best = widest_context(windows, length)
    assert len(best) == length

    def distance(word: int, window: Window) -> float:
        left = float("inf") if window.first == 0 else word - window.first
        right = float("inf") if window.last == length else window.last - 1 - word
        return min(left, right)

    for word, chosen in enumerate(best):
        assert windows[chosen].first <= word < windows[chosen].last
        holding = [window for window in windows if window.first <= word < window.last]
        assert distance(word, windows[chosen]) == max(distance(word, window) for window in holding)


def test_widest_context_switches_in_the_middle_of_the_overlap():
    assert widest_context([Window(0, 6), Window(2, 8)], 8).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_word_in_no_window_is_an_error():
    with pytest.raises(ValueError, match="word 2 is in no window"):
        widest_context([Window(0, 2), Window(3, 4)], 4)
