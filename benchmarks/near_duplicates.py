"""Near-duplicates at scale: the audit's exact join beside MinHash with locality-sensitive hashing.

Makes a corpus from the words of the reports given, plants near-duplicates of two kinds, and prints for both methods
seconds, peak memory and how many of the planted pairs they name: copies with a fifth of their words changed in one
run, and short reports that stand inside a long one. MinHash needs `pip install datasketch`.

    python benchmarks/near_duplicates.py data/train.jsonl --reports 100000
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

from marsad.annotations.duplicates import FOLDED, RUN, alike_reports, spoken_words
from marsad.annotations.jsonl import read_documents
from marsad.errors import MarsadError
from marsad.text.words import split_words

Texts = dict[str, tuple[str, ...]]
PLANTED = 200
SHORT = 25


def main() -> int:
    parser = argparse.ArgumentParser(description="Near-duplicates: exact join beside MinHash.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--reports", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args()
    reports = [spoken_words(split_words(document.text, FOLDED)) for document in read_documents(options.files)]
    print(f"{'':14} {'seconds':>8} {'peak MB':>8} {'pairs':>8} {'changed':>9} {'inside':>9}")
    for name, method in (("exact", exact), ("MinHash", minhash)):
        with get_context("spawn").Pool(1) as pool:
            row = pool.apply(measure, (method, reports, options.reports, options.seed))
        seconds, memory, pairs, changed, inside = row
        print(f"{name:14} {seconds:8.1f} {memory:8.0f} {pairs:8d} {changed:5d}/{PLANTED} {inside:5d}/{PLANTED}")
    return 0


def measure(
    method: Callable[[Texts], set[tuple[str, str]]], reports: list[tuple[str, ...]], count: int, seed: int
) -> tuple[float, float, int, int, int]:
    texts = build_texts(reports, count, seed)
    before = peak_memory()
    start = time.perf_counter()
    pairs = method(texts)
    seconds = time.perf_counter() - start
    changed, inside = (sum((f"{kind}{n}", f"r{n}") in pairs for n in range(PLANTED)) for kind in ("changed", "inside"))
    return seconds, peak_memory() - before, len(pairs) // 2, changed, inside


def build_texts(reports: list[tuple[str, ...]], count: int, seed: int) -> Texts:
    """Reports of the given lengths whose words follow one another as in the given ones, mostly; then the planted."""
    draw = random.Random(seed)
    words = [sys.intern(word) for report in reports for word in report]
    following: dict[tuple[str, str], list[str]] = {}
    for one, two, three in zip(words, words[1:], words[2:], strict=False):
        following.setdefault((one, two), []).append(three)
    texts: Texts = {}
    for number in range(count):
        text = [draw.choice(words), draw.choice(words)]
        length = max(len(draw.choice(reports)), 2 * SHORT)
        while len(text) < length:
            choices = following.get((text[-2], text[-1])) if draw.random() < 0.85 else None
            text.append(draw.choice(choices or words))
        texts[f"r{number}"] = tuple(text)
    for number in range(min(PLANTED, count)):
        text = texts[f"r{number}"]
        start, fifth = draw.randrange(len(text)), len(text) // 5
        other = tuple(draw.choices(words, k=fifth))
        texts[f"changed{number}"] = (text[:start] + other + text[start + fifth :])[: len(text)]
        texts[f"inside{number}"] = text[10 : 10 + SHORT]
    return texts


def peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def exact(texts: Texts) -> set[tuple[str, str]]:
    return both_ways({(one, other) for one, other, _ in alike_reports(texts)})


def minhash(texts: Texts) -> set[tuple[str, str]]:
    """Runs of five words as here; 42 bands of 3 rows find pairs of a Jaccard similarity of a third almost surely."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=126, params=(42, 3))
    runs = {
        name: {" ".join(run).encode() for run in zip(*(text[i:] for i in range(RUN)), strict=False)}
        for name, text in texts.items()
    }
    sketches = dict(zip(runs, MinHash.bulk(runs.values(), num_perm=126), strict=True))
    for name, sketch in sketches.items():
        index.insert(name, sketch)
    pairs = set()
    for name, sketch in sketches.items():
        for other in index.query(sketch):
            shared = len(runs[name] & runs[other])
            if name < other and shared and shared >= min(len(runs[name]), len(runs[other])) / 2:
                pairs.add((name, other))
    return both_ways(pairs)


def both_ways(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    pairs = set(pairs)
    return pairs | {(other, one) for one, other in pairs}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MarsadError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        print(f"error: {error}; pip install datasketch", file=sys.stderr)
        sys.exit(2)
