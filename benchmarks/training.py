"""Training speed beside a plain fine-tuning script, at equal epochs and in one run.

The peer is what ``run_ner.py`` of transformers does: the plain Trainer in fp32, every window padded to one fixed
length, the encoder's whole vocabulary of 250,002 pieces. Ours is ``marsad train``. Both fine-tune the same encoder
on the same windows with the same batch size, learning rate and epochs, each in a process of its own, and both are
scored on dev by the same scorer.

    python benchmarks/training.py configs/marsad.yaml training.epochs=3
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from running import quiet, run
from transformers import DataCollatorForTokenClassification, Trainer, TrainerCallback, TrainingArguments, set_seed

from marsad.config import Config, load_config
from marsad.evaluation.judging import judge_documents
from marsad.evaluation.scoring import score_documents
from marsad.modeling.data import read_splits
from marsad.modeling.embedded import build_encoder
from marsad.modeling.encoders import EncoderSource, load_network, load_tokenizer
from marsad.modeling.inference import decode_document
from marsad.modeling.training import encode_split, train


class StepClock(TrainerCallback):
    """Seconds spent in optimizer steps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def on_step_begin(self, *args: object, **kwargs: object) -> None:
        self._began = time.monotonic()

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self.seconds += time.monotonic() - self._began


def run_ours(config: Config, folder: Path) -> dict[str, float]:
    config = config.model_copy(update={"output": folder / "ours"})
    began = time.monotonic()
    result = train(config)
    seconds = time.monotonic() - began
    manifest = json.loads((result.folder / "marsad.json").read_text(encoding="utf-8"))
    history = json.loads((result.folder / "metrics.json").read_text(encoding="utf-8"))["history"]
    evaluation = sum(row.get("eval_runtime", 0.0) for row in history)
    tokens = manifest["data"]["train"]["sub_tokens"] * config.training.epochs
    return {"tokens": tokens, "seconds": seconds - evaluation, "wall": seconds, "f1": result.dev.overall.f1}


def run_peer(config: Config, folder: Path) -> dict[str, float]:
    build_encoder(folder / "encoder", full_vocabulary=True)
    source = EncoderSource(str(folder / "encoder"), hub=False)
    encoder = load_tokenizer(source, config.model)
    documents = read_splits(config.data, config.labels)
    splits = [encode_split(some, encoder, config.label_set, config.text) for some in (documents.train, documents.dev)]
    set_seed(config.training.seed)
    network = load_network(source, config.model, config.label_set.tags)
    collator = DataCollatorForTokenClassification(
        encoder.tokenizer, padding="max_length", max_length=config.model.max_tokens
    )
    clock = StepClock()
    arguments = TrainingArguments(
        output_dir=str(folder / "peer"),
        num_train_epochs=config.training.epochs,
        per_device_train_batch_size=config.training.batch_size,
        learning_rate=config.training.learning_rate,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=True,
        seed=config.training.seed,
    )
    trainer = Trainer(
        model=network, args=arguments, train_dataset=splits[0].dataset, data_collator=collator, callbacks=[clock]
    )
    began = time.monotonic()
    trainer.train()
    wall = time.monotonic() - began
    rows = iter(trainer.predict(splits[1].dataset).predictions)
    predicted = [
        decode_document(
            words, windows, [next(rows)[window.first_tokens].astype(np.float32) for window in windows], config.label_set
        )
        for words, windows in zip(splits[1].words, splits[1].windows, strict=True)
    ]
    judged = judge_documents(splits[1].documents, predicted, splits[1].words)
    f1 = score_documents(judged, config.label_set).overall.f1
    return {
        "tokens": splits[0].tokens * config.training.epochs,
        "seconds": clock.seconds,
        "wall": wall,
        "f1": f1,
    }


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--arm"]:
        quiet()
        arm, folder, config_file, *overrides = arguments[1:]
        config = load_config(config_file, ["training.runs=1", *overrides])
        figures = {"ours": run_ours, "peer": run_peer}[arm](config, Path(folder))
        figures["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(figures))
        return 0
    if not arguments:
        print("usage: python benchmarks/training.py CONFIG [KEY=VALUE …]", file=sys.stderr)
        return 2
    results = {}
    environment = {**os.environ, "GOMP_SPINCOUNT": "20000"}  # as `marsad train` sets it; the same for both
    with tempfile.TemporaryDirectory() as folder:
        for arm in ("ours", "peer"):
            command = [sys.executable, __file__, "--arm", arm, folder, *arguments]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
            if done.returncode:
                return done.returncode
            results[arm] = json.loads(done.stdout.splitlines()[-1])
    print(f"{'':22} {'sub-tokens/s':>12} {'minutes':>8} {'dev F1':>7} {'peak memory':>12}")
    for arm, name in (("ours", "marsad train"), ("peer", "plain Trainer")):
        row = results[arm]
        rate = row["tokens"] / row["seconds"]
        print(f"{name:22} {rate:12,.0f} {row['wall'] / 60:8.1f} {row['f1']:7.4f} {row['rss'] / 2**30:8.2f} GiB")
    ours, peer = results["ours"], results["peer"]
    ratio = ours["tokens"] / ours["seconds"] / (peer["tokens"] / peer["seconds"])
    print(f"marsad train is {ratio:.1f}× as fast (sub-tokens of the texts a second, padding not counted)")
    return 0


if __name__ == "__main__":
    run(main)
