"""Inference speed of a model beside the pipeline of transformers, in one run on the same reports and cores.

The arms take turns, so that each round compares them under the same load, and medians over the rounds are printed; the
seconds of processor time stand beside the ratios of wall time, since other work on the machine moves them less. The
pipeline truncates what is longer than the encoder, so it is given the very windows that our encoder reads, as texts;
ours starts from whole reports and ends with entities. ``base`` is the pipeline with an encoder of BERT-base size
(12 layers, hidden size 768, 64,000 pieces) whose weights are random.

The bound is what the network's matrix products alone would take as int8: those of its layers are measured in the same
rounds by ONNX Runtime, on the network's own shapes, and those of attention, which has no weights, are counted in by
their FLOPs. ``one core`` has the whole process bound to one; ``with facts`` reads the values of all
that was found as well.

Memory is that of ``predict.py`` on 10,000 short reports and on ``--rss`` of them, from file to file; the first output
is its line for a file of one report, from the start of the process. All takes some ten minutes on two quiet cores,
and half an hour more with ``--rss 1000000``.

    marsad export-onnx models/marsad
    python benchmarks/inference.py models/marsad data/dev.jsonl data/train.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from memory import Measured, measure_command
from running import quiet, run

from marsad import Recognizer
from marsad.annotations.jsonl import read_documents
from marsad.errors import MarsadError
from marsad.facts.facts import FactTables
from marsad.modeling.artifacts import Tagger, load_network_of, load_tagger
from marsad.modeling.runtimes import load_onnx
from marsad.text.words import split_words

ROOT = Path(__file__).parent.parent
GEMM_ROWS = 512
# The names of the arms that the table of aims compares.
PIPELINE, BASE, TORCH, INT8 = "pipeline", "pipeline, base size", "marsad, PyTorch", "marsad, int8"
ONE_CORE, FACTS = "marsad, int8, one core", "marsad, int8, with facts"
FEW = 10_000


@dataclass
class Arm:
    """One way of finding entities. ``run`` works through ``reports`` reports with ``tokens`` sub-tokens in all.

    ``batch``: reports that it reads at once; ``cores``: that it may use, all where None.
    """

    name: str
    run: Callable[[], object]
    reports: int
    tokens: int
    batch: int | None = None
    cores: int | None = None
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """One round: seconds a report."""
        every = os.sched_getaffinity(0)
        bind(set(sorted(every)[: self.cores]))
        began, used = time.perf_counter(), time.process_time()
        self.run()
        self.wall.append((time.perf_counter() - began) / self.reports)
        self.processor.append((time.process_time() - used) / self.reports)
        bind(every)


def bind(cores: set[int]) -> None:
    """Lets this process, with all threads that it has, use these cores only."""
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208
        os.sched_setaffinity(int(task), cores)


def build_arms(model: Path, texts: list[str], threads: int, base_share: int) -> tuple[list[Arm], Arm]:
    """Every arm, and the matrix products alone, over the same texts (``base`` over a part of them)."""
    import torch

    torch.set_num_threads(threads)
    tagger = load_tagger(model)
    windows, lengths = cut(tagger, texts)
    tokens = sum(lengths)
    few = max(1, len(texts) // base_share)
    few_windows, few_lengths = cut(tagger, texts[:few])
    network = load_network_of(model)
    shapes = [
        (layer.in_features, layer.out_features)
        for name, layer in network.named_modules()
        if isinstance(layer, torch.nn.Linear) and not name.startswith("classifier")
    ]
    same, best = pipeline_of(network, tagger, windows[:64])
    base, base_best = pipeline_of(base_network(network), tagger, windows[:16])
    count = len(texts)
    torch_alone, int8 = (Recognizer.from_pretrained(model, "cpu", runtime, threads) for runtime in ("torch", "onnx"))
    one_core = Recognizer.from_pretrained(model, "cpu", "onnx", 1)
    tables = FactTables.load()

    def with_facts() -> None:
        for prediction in int8.stream(texts):
            facts = prediction.facts(tables)
            facts.value_records(), facts.incident_records()

    arms = [
        Arm(PIPELINE, lambda: same(windows, batch_size=best), count, tokens, batch=best),
        Arm(BASE, lambda: base(few_windows, batch_size=base_best), few, sum(few_lengths), batch=base_best),
        Arm(TORCH, lambda: torch_alone.predict(texts), count, tokens),
        Arm(INT8, lambda: int8.predict(texts), count, tokens),
        Arm(ONE_CORE, lambda: one_core.predict(texts), count, tokens, cores=1),
        Arm(FACTS, with_facts, count, tokens),
    ]
    # Of every sub-token a layer multiplies the query with all keys of the window, and the weights with all values.
    in_layers = tokens * sum(inputs * outputs for inputs, outputs in shapes)
    in_attention = network.config.num_hidden_layers * 2 * network.config.hidden_size * sum(n**2 for n in lengths)
    rounds = max(1, round((1 + in_attention / in_layers) * tokens / GEMM_ROWS))
    products = matrix_products(shapes, threads)
    return arms, Arm("int8 products", lambda: products(rounds), count, tokens)


def cut(tagger: Tagger, texts: list[str]) -> tuple[list[str], list[int]]:
    """The windows of the texts as texts, and how many sub-tokens each has."""
    windows, lengths = [], []
    for text in texts:
        words = split_words(text, tagger.text)
        for one in tagger.encoder.encode_document(words):
            first, last = words.words[one.window.first], words.words[one.window.last - 1]
            windows.append(text[first.start : last.end])
            lengths.append(len(one.input_ids))
    return windows, lengths


def pipeline_of(network: Any, tagger: Tagger, windows: list[str]) -> tuple[Any, int]:
    """The pipeline of transformers and the batch size with which it is fastest."""
    from transformers import pipeline

    run = pipeline(
        "token-classification", network, tokenizer=tagger.encoder.tokenizer, aggregation_strategy="simple", device="cpu"
    )
    run(windows[:2])
    seconds = {}
    for size in (1, 8, 32):
        used = time.process_time()
        run(windows, batch_size=size)
        seconds[size] = time.process_time() - used
    return run, min(seconds, key=lambda size: seconds[size])


def base_network(network: Any) -> Any:
    """A network of BERT-base size with random weights and the same tags."""
    from transformers import BertConfig, BertForTokenClassification

    return BertForTokenClassification(
        BertConfig(vocab_size=64_000, num_labels=network.config.num_labels, pad_token_id=network.config.pad_token_id)
    ).eval()


def matrix_products(shapes: list[tuple[int, int]], threads: int) -> Callable[[int], None]:
    """Runs the int8 products of so many batches of GEMM_ROWS sub-tokens, side by side on ``threads`` cores."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    random = np.random.default_rng(13)
    sessions = {}
    for inputs, outputs in set(shapes):
        weights = numpy_helper.from_array(random.integers(-127, 128, (inputs, outputs), dtype=np.int8), "weights")
        zero = numpy_helper.from_array(np.array(128, dtype=np.uint8), "zero")
        graph = helper.make_graph(
            [helper.make_node("MatMulInteger", ["rows", "weights", "zero"], ["products"])],
            "product",
            [helper.make_tensor_value_info("rows", TensorProto.UINT8, [GEMM_ROWS, inputs])],
            [helper.make_tensor_value_info("products", TensorProto.INT32, [GEMM_ROWS, outputs])],
            [weights, zero],
        )
        made: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        sessions[inputs, outputs] = onnxruntime.InferenceSession(made.SerializeToString(), options)
    rows = {inputs: random.integers(0, 256, (GEMM_ROWS, inputs), dtype=np.uint8) for inputs, _ in shapes}

    def one_batch(_: int) -> None:
        for shape in shapes:
            sessions[shape].run(None, {"rows": rows[shape[0]]})

    def run(batches: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one_batch, range(batches)))

    return run


def predict_short(options: argparse.Namespace, count: int, output: str | None) -> Measured:
    """``predict.py`` on ``count`` reports cut to ``--short`` characters, to a file, or to standard output."""
    texts = [text[: options.short] for text in read_texts(options)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "reports.jsonl"
        with source.open("w", encoding="utf-8") as file:
            for number, text in enumerate(islice(cycle(texts), count)):
                file.write(json.dumps({"id": str(number), "text": text}) + "\n")
        command = [sys.executable, str(ROOT / "predict.py"), str(options.model), str(source), "--runtime", "onnx"]
        command += ["--threads", str(options.threads), "--output", output or str(Path(folder) / "out.jsonl")]
        measured = measure_command(command)
    if measured.code:
        raise MarsadError(f"predict.py ended with {measured.code}")
    return measured


def read_texts(options: argparse.Namespace) -> Iterator[str]:
    for document in read_documents(options.files):
        yield document.text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("files", type=Path, nargs="+", help="reports, JSON Lines")
    parser.add_argument("--reports", type=int, default=160, help="reports a round (160)")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--threads", type=int, default=2, help="(2)")
    parser.add_argument(
        "--rss", type=int, default=50_000, help="short reports to measure memory on (50000); 0 for none"
    )
    parser.add_argument("--short", type=int, default=40, help="characters of a short report (40)")
    options = parser.parse_args()
    quiet()
    load_onnx(options.model, 1)  # said at once if it is not there
    texts = list(islice(cycle(read_texts(options)), options.reports))
    arms, products = build_arms(options.model, texts, options.threads, base_share=8)
    for number in range(options.rounds + 1):
        for arm in (*arms, products):
            arm.measure()
            if number == 0:  # the first round warms up
                arm.wall.clear()
                arm.processor.clear()
    print_arms(arms, products, options)
    first = min(predict_short(options, 1, "-").first for _ in range(3))
    peaks = [predict_short(options, count, None).peak for count in (FEW, options.rss)] if options.rss else None
    print_aims(arms, products, first, peaks, options)
    return 0


def print_arms(arms: list[Arm], products: Arm, options: argparse.Namespace) -> None:
    """Medians over the rounds."""
    print(
        f"{options.reports} reports of {tokens_per_report(arms):.0f} sub-tokens, {options.threads} threads, "
        f"medians of {options.rounds} rounds"
    )
    print(f"{'':34} {'reports/s':>10} {'sub-tokens/s':>13} {'CPU ms/report':>14}")
    for arm in (*arms, products):
        rate = 1 / median(arm.wall)
        name = arm.name if arm.batch is None else f"{arm.name}, batch {arm.batch}"
        print(f"{name:34} {rate:10.1f} {rate * arm.tokens / arm.reports:13,.0f} {median(arm.processor) * 1000:14.1f}")


def tokens_per_report(arms: list[Arm]) -> float:
    """Sub-tokens of a report."""
    return arms[0].tokens / arms[0].reports


def ratio(over: Arm, under: Arm, by: str) -> float:
    """How many times as long one arm takes as the other for a sub-token: the median over the rounds."""
    same = (under.tokens / under.reports) / (over.tokens / over.reports)
    pairs = zip(getattr(over, by), getattr(under, by), strict=True)
    return same * median(long / short for long, short in pairs)


def print_aims(
    arms: list[Arm], products: Arm, first: float, peaks: list[float] | None, options: argparse.Namespace
) -> None:
    """What is to be reached, and what is: rounds compared pairwise, by wall time and by processor time."""
    of = {arm.name: arm for arm in arms}
    times = [
        ("times as fast as the pipeline", PIPELINE, "6", "10"),
        ("times as fast as it with BERT-base", BASE, "22", "40"),
    ]
    print(f"\n{'':44} {'at least':>9} {'aim':>6} {'wall':>8} {'CPU':>8}")
    for what, name, least, aim in times:
        wall, cpu = (ratio(of[name], of[INT8], by) for by in ("wall", "processor"))
        print(f"{what:44} {least:>8}× {aim:>5}× {wall:7.1f}× {cpu:7.1f}×")
    wall, cpu = (ratio(products, of[INT8], by) for by in ("wall", "processor"))
    print(f"{'share of the int8 products, end to end':44} {'55%':>9} {'75%':>6} {wall:8.0%} {cpu:8.0%}")
    wall = ratio(of[ONE_CORE], of[INT8], "wall")
    print(f"{f'times as fast on {options.threads} cores as on one':44} {'1.8':>8}× {'':>6} {wall:7.2f}×")
    wall, cpu = (ratio(of[FACTS], of[INT8], by) - 1 for by in ("wall", "processor"))
    print(f"{'time that --facts adds':44} {'15% at most':>16} {wall:8.0%} {cpu:8.0%}")
    print(f"{'start to first output, best of 3':44} {'4 s at most':>16} {first:6.1f} s")
    if peaks is not None:
        few, many = peaks
        print(f"{f'peak memory, {FEW:,} short reports':44} {'700 MiB at most':>16} {few:4.0f} MiB")
        print(f"{f'  {options.rss:,} short reports':44} {'±5%':>16} {many:4.0f} MiB ({many / few - 1:+.1%})")


if __name__ == "__main__":
    run(main)
