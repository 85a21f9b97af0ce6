"""How far new reports differ from those that a model learned from, and whether chance would explain it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from marsad.documents import Document

PERMUTATIONS = 499
# Reported as a shift: what chance brings forth at most once in a hundred times, and what is large enough to matter.
_P_VALUE = 0.01
_DIVERGENCE = 0.005
_BINS = 8
_COMMON_WORDS = 5000
# Permutations counted at once: bounds the memory.
_BLOCK = 50

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reading:
    """A report with its words (without punctuation) and the words of each of its entities."""

    document: Document
    words: tuple[str, ...]
    surfaces: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Shift:
    """One feature of the reports of a split against the same of the reference.

    ``divergence`` is Jensen and Shannon's in bits (0: the same, 1: nothing in common), ``by_chance`` its mean and
    ``p_value`` its tail when the same reports are dealt out at random. ``moved`` names what differs most, with its
    value in the reference and in the split.
    """

    split: str
    feature: str
    divergence: float
    by_chance: float
    p_value: float
    moved: tuple[tuple[str, str, str], ...]

    @property
    def words(self) -> str:
        """What differs most, on one line."""
        return ", ".join(f"{name} {before} → {after}" for name, before, after in self.moved)

    @property
    def notable(self) -> bool:
        """Whether it is more than chance brings forth, and large enough to matter."""
        return self.p_value <= _P_VALUE and self.divergence - self.by_chance >= _DIVERGENCE

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"notable": self.notable}


def measure_shift(split: str, new: Sequence[Reading], reference: Sequence[Reading], seed: int = 13) -> list[Shift]:
    """Compare the reports in five respects: entity types, words inside entities, length, source, words.

    A p-value comes from dealing the reports out anew 499 times (permutation test), so that the words of one report
    stay together, as they do in the corpus.
    """
    readings = [*new, *reference]
    documents = [reading.document for reading in readings]
    is_new = np.arange(len(readings)) < len(new)
    lengths = np.array([len(reading.words) for reading in readings], dtype=np.float64)
    medians = (np.median(lengths[~is_new]), np.median(lengths[is_new]))
    types, type_names = _table([Counter(entity.label for entity in one.entities) for one in documents])
    inside = [sum(map(len, reading.surfaces)) for reading in readings]
    outside = [max(len(reading.words) - within, 0) for reading, within in zip(readings, inside, strict=True)]
    parts = sparse.csr_array(np.array([inside, outside], dtype=np.float64).T)
    sources, source_names = _table([Counter([one.source or "(none)"]) for one in documents])
    words, forms = _table([Counter(reading.words) for reading in readings], _COMMON_WORDS)
    features = [
        ("entity types", types, _moved(types, type_names, is_new)),
        ("words inside entities", parts, _moved(parts, ["inside", "outside"], is_new)),
        ("words per report", _bins(lengths), (("median", f"{medians[0]:.0f}", f"{medians[1]:.0f}"),)),
        ("source", sources, _moved(sources, source_names, is_new)),
        ("words", words, _moved(words, forms, is_new)),
    ]
    return [Shift(split, name, *_permute(counts, is_new, seed), moved) for name, counts, moved in features]


@dataclass(frozen=True, slots=True)
class Novelty:
    """How much of a split the reference has never shown: ``unseen`` of ``total`` words or entities."""

    split: str
    feature: str
    unseen: int
    total: int

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure_novelty(split: str, new: Sequence[Reading], reference: Sequence[Reading]) -> tuple[Novelty, Novelty]:
    """Running words, and entities, whose form does not stand in the reference."""
    words = {word for reading in reference for word in reading.words}
    surfaces = {surface for reading in reference for surface in reading.surfaces}
    running = [word in words for reading in new for word in reading.words]
    entities = [surface in surfaces for reading in new for surface in reading.surfaces]
    return (
        Novelty(split, "words", running.count(False), len(running)),
        Novelty(split, "entities", entities.count(False), len(entities)),
    )


def _table(counts: Sequence[Counter[str]], most: int | None = None) -> tuple[sparse.csr_array, list[str]]:
    """[reports, names] counts and the names, the most frequent first."""
    totals: Counter[str] = Counter()
    for one in counts:
        totals.update(one)
    columns = [name for name, _ in totals.most_common(most)]
    place = {name: index for index, name in enumerate(columns)}
    cells = [(row, place[name], n) for row, one in enumerate(counts) for name, n in one.items() if name in place]
    rows, names, values = np.array(cells, dtype=np.int64).reshape(-1, 3).T
    return sparse.csr_array((values.astype(np.float64), (rows, names)), shape=(len(counts), len(columns))), columns


def _bins(values: _Array) -> sparse.csr_array:
    """[reports, bins] with a one where a value falls, between quantiles of all."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    places = np.searchsorted(edges, values, side="right")
    shape = (len(values), len(edges) + 1)
    return sparse.csr_array((np.ones(len(values)), (np.arange(len(values)), places)), shape=shape)


def _permute(counts: sparse.csr_array, is_new: NDArray[np.bool_], seed: int) -> tuple[float, float, float]:
    """The divergence of the new rows from the others, its mean over random deals, and the share of deals not below."""
    total = np.asarray(counts.sum(axis=0)).ravel()
    rng = np.random.default_rng(seed)
    observed = float(_divergence(counts[is_new].sum(axis=0).reshape(1, -1), total)[0])
    dealt: list[_Array] = []
    for first in range(0, PERMUTATIONS, _BLOCK):
        deals = np.stack([rng.permutation(is_new) for _ in range(min(_BLOCK, PERMUTATIONS - first))])
        dealt.append(_divergence((counts.T @ deals.T.astype(np.float64)).T, total))
    chance = np.concatenate(dealt)
    p_value = (1 + int((chance >= observed - 1e-12).sum())) / (1 + len(chance))
    return observed, float(chance.mean()), p_value


def _divergence(new: _Array, total: _Array) -> _Array:
    """Jensen–Shannon divergence in bits of each row of counts from what is left of the total; 0 where one is empty.

    J. Lin, Divergence measures based on the Shannon entropy, 1991.
    """
    other = total - new
    sizes, others = new.sum(axis=1, keepdims=True), other.sum(axis=1, keepdims=True)
    p, q = new / np.maximum(sizes, 1), other / np.maximum(others, 1)
    entropy = _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2
    return np.where((sizes * others).ravel() > 0, np.maximum(entropy, 0), 0.0)


def _entropy(shares: _Array) -> _Array:
    result: _Array = -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1)
    return result


def _moved(
    counts: sparse.csr_array, columns: Sequence[str], is_new: NDArray[np.bool_], most: int = 4
) -> tuple[tuple[str, str, str], ...]:
    """The names whose shares differ most, with their share in the reference and in the new reports."""
    new, old = (np.asarray(counts[side].sum(axis=0)).ravel() for side in (is_new, ~is_new))
    p, q = new / max(new.sum(), 1), old / max(old.sum(), 1)
    mean = (p + q) / 2
    parts = [side * np.log2(np.where(side > 0, side / np.where(mean > 0, mean, 1), 1)) for side in (p, q)]
    order = np.argsort(-(parts[0] + parts[1]), kind="stable")[:most]
    return tuple(
        (columns[index], f"{100 * q[index]:.3g}%", f"{100 * p[index]:.3g}%") for index in order if p[index] != q[index]
    )
