"""Does more annotation still help? Dev F1 after training on growing parts of the training split.

The parts are nested and drawn by report, the number of epochs is the config's for each. Further annotated files can
be named after ``--also``; they are scored, never trained on.

    python benchmarks/learning_curve.py configs/marsad.yaml --also held_out.jsonl
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from running import quiet, run

from marsad.annotations.jsonl import write_documents
from marsad.config import DataConfig, load_config
from marsad.evaluation.evaluate import evaluate
from marsad.modeling.data import read_splits
from marsad.modeling.training import train


def main() -> int:
    parser = argparse.ArgumentParser(description="Dev F1 after training on growing parts of the training split.")
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.25, 0.5, 0.75, 1.0])
    parser.add_argument("--also", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    quiet()
    config = load_config(options.config, ["training.runs=1", *options.overrides])
    splits = read_splits(config.data, config.labels)
    documents = list(splits.train)
    random.Random(config.training.seed).shuffle(documents)
    types = "  ".join(f"{name:>9}" for name in config.labels)
    print(f"{'share':>5} {'reports':>8} {'entities':>9}  {'scored on':24} {'F1':>7}  {types}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        dev = Path(folder) / "dev.jsonl"
        write_documents(splits.dev, dev)
        for share in options.shares:
            part = documents[: round(share * len(documents))]
            path = Path(folder) / f"train-{share:g}.jsonl"
            write_documents(part, path)
            data = DataConfig(train=(path,), dev=(dev,))
            result = train(config.model_copy(update={"data": data, "output": Path(folder) / f"model-{share:g}"}))
            scored = [("dev", result.dev)]
            scored += [(str(file), evaluate(result.folder, [file]).strict) for file in options.also]
            entities = sum(len(document.entities) for document in part)
            for name, scores in scored:
                by_type = "  ".join(f"{counts.f1:9.4f}" for counts in scores.by_type.values())
                f1 = scores.overall.f1
                print(f"{share:5.0%} {len(part):8d} {entities:9d}  {name:24} {f1:7.4f}  {by_type}", flush=True)
    return 0


if __name__ == "__main__":
    run(main)
