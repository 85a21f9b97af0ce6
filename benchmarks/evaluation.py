"""Time and memory of judging a large batch: 10,000 synthetic reports with 300,000 entities, 1,000 resamples.

Reports of 200 words bear 30 gold entities; the predictions are the gold ones with errors of every kind put in. Each
step is run once, in the order of an evaluation; the process is bound to two cores. Processor time is given beside wall
time, since only the one does not depend on who else uses the machine.

    python benchmarks/evaluation.py
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Before numpy is loaded: its threads would otherwise be as many as the machine has cores.
os.environ.setdefault("OMP_NUM_THREADS", "2")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

from marsad.documents import Document, Entity
from marsad.evaluation.comparison import compare_systems
from marsad.evaluation.judging import judge_documents
from marsad.evaluation.resampling import estimate_intervals
from marsad.evaluation.scoring import confuse_words, count_documents, count_errors, strict_scores
from marsad.evaluation.slices import score_slices
from marsad.labels import LabelSet
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

LABELS = LabelSet(("ACTOR", "LOCATION", "DATE", "CASUALTY"))
LETTERS = "ابتجحدرسصعفقكلمنهوي"
SOURCES = ("newspaper", "wire", "urgent", "statistical", "social_media")


def synthetic_report(number: int, entities: int, draw: random.Random) -> tuple[Document, tuple[Entity, ...]]:
    """A report of random words and what a fair model might find in it."""
    count = entities * 20 // 3
    words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 8))) for _ in range(count)]
    for index in range(count):
        if index % 25 == 24:
            words[index] = "."
        elif draw.random() < 0.05:
            words[index] = str(draw.randint(2, 90))
    starts, at = [], 0
    for index, word in enumerate(words):
        starts.append(at)
        at += len(word) + 1
        words[index] += "\n" if index % 50 == 49 else " "
    text = "".join(words)
    gold: list[Entity] = []
    found: list[Entity] = []
    for slot in range(entities):
        first = slot * count // entities
        last = first + draw.choice((1, 1, 1, 2, 2, 3))
        start, end = starts[first], starts[last] - 1
        label = draw.choice(LABELS.types)
        fate = draw.random()
        if fate > 0.06:  # else spurious
            gold.append(Entity(start, end, label))
        if fate < 0.88:  # else missed
            other = draw.choice(LABELS.types) if fate > 0.85 else label
            longer = starts[last + 1] - 1 if fate > 0.80 else end
            found.append(Entity(start, longer, other, draw.random()))
    return Document(f"r{number}", text, tuple(gold), source=draw.choice(SOURCES)), tuple(found)


class Clock:
    """Prints and adds up the time of each step."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        wall, processor = time.monotonic(), time.process_time()
        yield
        wall, processor = time.monotonic() - wall, time.process_time() - processor
        self.wall += wall
        self.processor += processor
        self.line(name, wall, processor)

    def line(self, name: str, wall: float, processor: float) -> None:
        print(f"{name:44} {wall:7.1f} {processor:9.1f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Time and memory of judging a large batch.")
    parser.add_argument("--reports", type=int, default=10_000)
    parser.add_argument("--entities", type=int, default=30, help="a report")
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    draw = random.Random(13)
    made = [synthetic_report(number, options.entities, draw) for number in range(options.reports)]
    documents, predicted = [document for document, _ in made], [entities for _, entities in made]
    print(f"{len(documents):,} reports, {sum(len(one.entities) for one in documents):,} gold entities, ", end="")
    print(f"{sum(map(len, predicted)):,} predicted, {sum(len(one.text) for one in documents):,} characters")
    print(f"{'seconds':>52} processor")
    clock = Clock()
    with clock.step("text into words"):
        words = [split_words(document.text, TextConfig()) for document in documents]
    clock.wall = clock.processor = 0.0
    with clock.step("gold and predicted side by side"):
        judged = judge_documents(documents, predicted, words)
    with clock.step("strict scores"):
        counts = count_documents(judged, LABELS)
        strict = strict_scores(counts, LABELS)
    with clock.step("errors, SemEval counts, confusion of words"):
        count_errors(judged, LABELS)
        confuse_words(judged, LABELS)
    with clock.step(f"intervals ({options.resamples:,} resamples)"):
        intervals = estimate_intervals(counts, LABELS, options.resamples, 13)
    with clock.step("slices with their intervals"):
        slices, _ = score_slices(judged, counts, LABELS, documents[:1000], TextConfig(), options.resamples, 13)
    clock.line("all but the text into words", clock.wall, clock.processor)
    with clock.step("comparison with a baseline, 10,000 swaps"):
        compare_systems(judged, judged, (counts // 2, counts), LABELS, options.resamples, 13)
    low, high = intervals.metrics["f1"] or (0.0, 0.0)
    print(f"F1 {strict.overall.f1:.4f} ({low:.4f} – {high:.4f}), {len(slices)} slices")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
