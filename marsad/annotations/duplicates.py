"""Reports that say the same: equal ones, and pairs of which one stands in large part in the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np
from scipy import sparse

from marsad.text.normalization import TextConfig
from marsad.text.words import Words

# Spelling that hides that two texts are the same: everything that can be folded is folded.
FOLDED = TextConfig(alef_hamza=True, ya_kaf=True)
RUN = 5
# A run of words that stands in more reports than this is boilerplate: it does not make two of them alike.
_BOILERPLATE = 50
# Reports compared with all others at once: bounds the memory.
_ROWS = 2000


def spoken_words(words: Words) -> tuple[str, ...]:
    """The words without punctuation and symbols."""
    return tuple(word.text for word in words if word.text[0].isalnum())


def equal_reports(texts: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """The names that have the same words, in order; reports without a word are left out."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, text in texts.items():
        if text:
            groups[text].append(name)
    return list(groups.values())


def alike_reports(texts: Mapping[str, Sequence[str]], least: float = 0.5) -> Iterator[tuple[str, str, float]]:
    """Pairs that share runs of five words: the one with fewer runs, the other, and which part of its runs is shared.

    Only pairs with a part of at least ``least`` (in ]0, 1]). Exact but for collisions of 64-bit hashes: every pair is
    found, a short report inside a long one too, which sketches of the whole set (MinHash) pass over.
    """
    names = list(texts)
    runs = [_run_hashes(texts[name]) for name in names]
    if not any(len(one) for one in runs):
        return
    _, columns, counts = np.unique(np.concatenate(runs), return_inverse=True, return_counts=True)
    starts = np.cumsum([0, *(len(one) for one in runs)])
    holds = sparse.csr_array((np.ones(len(columns), np.int32), columns, starts), shape=(len(names), len(counts)))
    lengths = holds @ (counts <= _BOILERPLATE).astype(np.int32)
    holds = holds[:, (counts > 1) & (counts <= _BOILERPLATE)]
    others = holds.T.tocsr()
    for first in range(0, len(names), _ROWS):
        shared = sparse.coo_array(holds[first : first + _ROWS] @ others)
        rows = shared.row + first
        parts = shared.data / np.maximum(np.minimum(lengths[rows], lengths[shared.col]), 1)
        for index in np.flatnonzero((rows < shared.col) & (parts >= least)):
            one, other = int(rows[index]), int(shared.col[index])
            if lengths[one] > lengths[other]:
                one, other = other, one
            yield names[one], names[other], float(parts[index])


def _run_hashes(text: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.fromiter({hash(run) for run in zip(*(text[i:] for i in range(RUN)), strict=False)}, np.int64)


def connected(names: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The number of the group of each name, where linked names are of one group."""
    place = {name: index for index, name in enumerate(names)}
    pairs = np.array([(place[one], place[other]) for one, other in links], dtype=np.int64).reshape(-1, 2)
    graph = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(names), len(names)))
    _, groups = sparse.csgraph.connected_components(graph, directed=False)
    return dict(zip(names, groups.tolist(), strict=True))


def duplicate_links(texts: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Pairs that link every report with those equal or nearly equal to it."""
    links = []
    representatives = {}
    for group in equal_reports(texts):
        links += [(group[0], name) for name in group[1:]]
        representatives[group[0]] = texts[group[0]]
    return links + [(one, other) for one, other, _ in alike_reports(representatives)]


def key_links(keys: Mapping[str, Hashable]) -> list[tuple[str, str]]:
    """Pairs that link the names of the same key; None links with nothing."""
    firsts: dict[Hashable, str] = {}
    return [(firsts.setdefault(key, name), name) for name, key in keys.items() if key is not None]
