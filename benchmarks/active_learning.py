"""Does ``marsad queue`` find the reports that teach most? F1 on dev, of its choice against random choice.

A simulation on the training split, whose annotation is hidden until a report is chosen. Each repeat draws some reports
to start from; then, round by round, each way of choosing gets reports of the same number of words, since that is what
annotation costs, and a model is trained anew on all it has got. Intervals are of the bootstrap over dev's reports,
paired, on the mean of the repeats.

    python benchmarks/active_learning.py configs/marsad.yaml

The defaults take about 20 minutes on two free cores.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from running import quiet, run

from marsad.annotations.jsonl import write_documents
from marsad.annotations.selection import DIVERSITY, check_settings, choose_reports, read_candidates
from marsad.config import Config, DataConfig, load_config
from marsad.documents import Document
from marsad.evaluation.judging import judge_documents
from marsad.evaluation.resampling import percentile_interval, resample_counts
from marsad.evaluation.scoring import FloatArray, IntArray, count_documents, metric_values
from marsad.modeling.artifacts import Tagger, load_tagger
from marsad.modeling.data import read_splits
from marsad.modeling.folds import deal_folds
from marsad.modeling.inference import decode_words, score_words
from marsad.modeling.runtimes import Runtime, load_runtime
from marsad.modeling.training import train
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

WAYS = ("random", "queue")


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model in memory."""

    tagger: Tagger
    runtime: Runtime


def learn(documents: Sequence[Document], config: Config, folder: Path) -> Model:
    """A model trained on the reports; a tenth of them chooses its checkpoint."""
    parts = deal_folds(documents, 10, config.training.seed)
    for name in ("train", "dev"):
        chosen = [one for one, part in zip(documents, parts, strict=True) if (part == 0) == (name == "dev")]
        write_documents(chosen, folder / f"{name}.jsonl")
    data = DataConfig(train=(folder / "train.jsonl",), dev=(folder / "dev.jsonl",))
    result = train(config.model_copy(update={"data": data, "output": folder / "model"}))
    tagger = load_tagger(result.folder)
    model = Model(tagger, load_runtime(result.folder, tagger, "torch"))
    shutil.rmtree(result.folder)
    return model


def judge(model: Model, dev: Sequence[Document]) -> IntArray:
    """Strict counts of dev's reports, [reports, types, 3]."""
    tagger = model.tagger
    words = [split_words(document.text, tagger.text) for document in dev]
    found = [
        decode_words(one, scores, tagger.labels, tagger.calibration)
        for one, scores in zip(words, score_words(model.runtime, tagger.encoder, words), strict=True)
    ]
    return count_documents(judge_documents(dev, found, words), tagger.labels)


def choose(
    way: str,
    model: Model,
    pool: Sequence[Document],
    known: Sequence[Document],
    words: int,
    diversity: float,
    draw: random.Random,
) -> list[str]:
    """The ids of reports of the pool with at most so many words together."""
    if way == "queue":
        bare = [replace(document, entities=()) for document in pool]
        candidates = list(read_candidates(model.tagger, model.runtime, bare))
        return [one.candidate.document.id for one in choose_reports(candidates, known, None, words, diversity).chosen]
    return draw_reports(pool, model.tagger.text, words, draw)


def draw_reports(pool: Sequence[Document], text: TextConfig, words: int, draw: random.Random) -> list[str]:
    """As :func:`choose`, at random."""
    order = list(pool)
    draw.shuffle(order)
    chosen = []
    for document in order:
        length = len(split_words(document.text, text))
        if length <= words:
            chosen.append(document.id)
            words -= length
    return chosen


def simulate(
    pool: Sequence[Document], dev: Sequence[Document], config: Config, options: argparse.Namespace, seed: int
) -> dict[tuple[str, int], IntArray]:
    """One repeat: dev's counts after each round of each way; round 0 is where both start."""
    text, labels = config.text, config.label_set
    length = {document.id: len(split_words(document.text, text)) for document in pool}
    draw = random.Random(seed)
    config = config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})
    start = draw_reports(pool, text, options.start, draw)
    counts: dict[tuple[str, int], IntArray] = {}
    first: Model | None = None
    for way in WAYS:
        known = set(start)
        for number in range(options.rounds + 1):
            began = time.monotonic()
            got = [document for document in pool if document.id in known]
            if number or first is None:
                with tempfile.TemporaryDirectory() as folder:
                    model = learn(got, config, Path(folder))
                first = model if first is None else first
            else:
                model = first
            counts[way, number] = judge(model, dev)
            words = sum(length[name] for name in known)
            f1 = float(metric_values(counts[way, number].sum(axis=0, keepdims=True).astype(float), labels)["f1"][0])
            seconds = time.monotonic() - began
            print(
                f"  seed {seed}  {way:7} {len(known):4d} reports {words:6d} words  F1 {f1:.4f}  {seconds:4.0f} s",
                flush=True,
            )
            if number < options.rounds:
                rest = [document for document in pool if document.id not in known]
                left = options.start + (number + 1) * options.step - words
                known |= set(choose(way, model, rest, got, left, options.diversity, draw))
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description="F1 on dev, of marsad queue against random choice.")
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--start", type=int, default=4000, help="words to start from")
    parser.add_argument("--step", type=int, default=4000, help="words that each round adds")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--diversity", type=float, default=DIVERSITY)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    quiet()
    logging.getLogger("marsad").setLevel(logging.ERROR)  # the same reports are trained on again and again
    check_settings(None, options.step, options.diversity)
    # More passes than over a whole split: so few words make few steps.
    config = load_config(options.config, ["training.epochs=8", "training.runs=1", *options.overrides])
    splits = read_splits(config.data, config.labels)
    pool, dev = splits.train, splits.dev
    repeats = [simulate(pool, dev, config, options, config.training.seed + number) for number in range(options.repeats)]

    def resampled(way: str, number: int) -> FloatArray:
        """F1 of the resamples of dev, the mean of the repeats; the first is dev as it is."""
        values = []
        for counts in (repeat[way, number] for repeat in repeats):
            drawn = resample_counts(counts, options.resamples, config.training.seed)
            whole = counts.sum(axis=0, keepdims=True).astype(np.float64)
            values.append(metric_values(np.concatenate([whole, drawn]), config.label_set)["f1"])
        return np.mean(values, axis=0)

    print(f"\nstrict F1 on dev, mean of {len(repeats)} repeats, with 95% intervals")
    print(f"{'words':>6}  {'random':24}  {'queue':24}  {'queue − random':24}")
    for number in range(options.rounds + 1):
        one, other = (resampled(way, number) for way in WAYS)
        cells = []
        for values in (one, other, other - one):
            low, high = percentile_interval(values[1:])
            cells.append(f"{f'{values[0]:7.4f} ({low:7.4f} – {high:7.4f})':24}")
        print(f"{options.start + number * options.step:6d}  {'  '.join(cells)}")
    return 0


if __name__ == "__main__":
    run(main)
