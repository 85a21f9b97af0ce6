"""Inference speed of a model beside the pipeline of transformers, in one run on the same reports and cores.

The arms take turns, so that each round compares them under the same load, and medians over the rounds are printed; the
seconds of processor time stand beside the ratios of wall time, since other work on the machine moves them less. The
pipeline truncates what is longer than the encoder, so it is given the very windows that our encoder reads, as texts;
ours starts from whole reports and ends with entities. ``base`` is the pipeline with an encoder of BERT-base size
(12 layers, hidden size 768, 64,000 pieces) whose weights are random.

The bound is what the int8 matrix products of the network alone would take, measured in the same rounds by ONNX Runtime
on the network's own shapes.

    marsad export-onnx models/marsad
    python benchmarks/inference.py models/marsad data/dev.jsonl data/train.jsonl --reports 200
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from marsad import Recognizer
from marsad.annotations.jsonl import read_documents
from marsad.errors import MarsadError
from marsad.modeling.artifacts import Tagger, load_network_of, load_tagger
from marsad.modeling.runtimes import load_onnx
from marsad.text.words import split_words

GEMM_ROWS = 512


@dataclass
class Arm:
    """One way of finding entities. ``run`` works through ``reports`` reports with ``tokens`` sub-tokens in all."""

    name: str
    run: Callable[[], object]
    reports: int
    tokens: int
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """One round: seconds a report."""
        began, used = time.perf_counter(), time.process_time()
        self.run()
        self.wall.append((time.perf_counter() - began) / self.reports)
        self.processor.append((time.process_time() - used) / self.reports)


def build_arms(model: Path, texts: list[str], threads: int, base_share: int) -> tuple[list[Arm], Arm]:
    """Every arm, and the matrix products alone, over the same texts (``base`` over a part of them)."""
    import torch

    torch.set_num_threads(threads)
    tagger = load_tagger(model)
    windows, tokens = cut(tagger, texts)
    few = max(1, len(texts) // base_share)
    few_windows, few_tokens = cut(tagger, texts[:few])
    network = load_network_of(model)
    shapes = [
        (layer.in_features, layer.out_features)
        for name, layer in network.named_modules()
        if isinstance(layer, torch.nn.Linear) and not name.startswith("classifier")
    ]
    same, best = pipeline_of(network, tagger, windows[:64])
    base, base_best = pipeline_of(base_network(network), tagger, windows[:16])
    arms = [
        Arm(f"pipeline, batch {best}", lambda: same(windows, batch_size=best), len(texts), tokens),
        Arm(
            f"pipeline, base size, batch {base_best}", lambda: base(few_windows, batch_size=base_best), few, few_tokens
        ),
    ]
    for runtime in ("torch", "onnx"):
        recognizer = Recognizer.from_pretrained(model, "cpu", runtime, threads)
        arms.append(Arm(f"marsad {runtime}", lambda one=recognizer: one.predict(texts), len(texts), tokens))
    alone = Recognizer.from_pretrained(model, "cpu", "onnx", 1)
    arms.append(Arm("marsad onnx, one thread", lambda: alone.predict(texts), len(texts), tokens))
    rounds = max(1, tokens // GEMM_ROWS)
    products = matrix_products(shapes, threads)
    return arms, Arm("int8 products", lambda: products(rounds), len(texts), rounds * GEMM_ROWS)


def cut(tagger: Tagger, texts: list[str]) -> tuple[list[str], int]:
    """The windows of the texts as texts, and their sub-tokens."""
    windows, tokens = [], 0
    for text in texts:
        words = split_words(text, tagger.text)
        for one in tagger.encoder.encode_document(words):
            first, last = words.words[one.window.first], words.words[one.window.last - 1]
            windows.append(text[first.start : last.end])
            tokens += len(one.input_ids)
    return windows, tokens


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


def stream_reports(model: Path, texts: list[str], count: int, threads: int) -> dict[str, float]:
    """Streams so many reports through a fresh process: seconds to the first one, peak memory on the way."""
    import psutil

    began = psutil.Process().create_time()
    recognizer = Recognizer.from_pretrained(model, "cpu", "onnx", threads)
    predictions = recognizer.stream(islice(cycle(texts), count))
    next(predictions)
    first = time.time() - began
    for _ in predictions:
        pass
    return {"first": first, "peak": peak_memory()}


def peak_memory() -> float:
    """MiB. Linux passes getrusage's figure on from the process that started this one, but not this."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def in_process(options: argparse.Namespace, count: int) -> dict[str, float]:
    command = [sys.executable, __file__, str(options.model), *map(str, options.files), "--stream", str(count)]
    command += ["--threads", str(options.threads), "--short", str(options.short)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ})
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def read_texts(options: argparse.Namespace) -> Iterator[str]:
    for document in read_documents(options.files):
        yield document.text[: options.short] if options.short else document.text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("files", type=Path, nargs="+", help="reports, JSON Lines")
    parser.add_argument("--reports", type=int, default=100, help="reports a round (100)")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--threads", type=int, default=2, help="(2)")
    parser.add_argument("--streamed", type=int, nargs=2, default=(200, 1000), help="reports streamed to measure memory")
    parser.add_argument("--short", type=int, default=0, help="cut each report to so many characters")
    parser.add_argument("--stream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if options.stream:
        print(json.dumps(stream_reports(options.model, list(read_texts(options)), options.stream, options.threads)))
        return 0
    load_onnx(options.model, 1)  # said at once if it is not there
    texts = list(islice(cycle(read_texts(options)), options.reports))
    arms, products = build_arms(options.model, texts, options.threads, base_share=8)
    for number in range(options.rounds + 1):
        for arm in (*arms, products):
            arm.measure()
            if number == 0:  # the first round warms up
                arm.wall.clear()
                arm.processor.clear()
    print_table(arms, products, options)
    for count in options.streamed:
        figures = in_process(options, count)
        print(
            f"{count:9,} reports streamed: first after {figures['first']:.1f} s, peak memory {figures['peak']:.0f} MiB"
        )
    return 0


def print_table(arms: list[Arm], products: Arm, options: argparse.Namespace) -> None:
    """Rates, and how many times as fast the int8 runtime is: by wall time and by processor time, round by round."""
    (onnx,) = (arm for arm in arms if arm.name == "marsad onnx")
    print(
        f"{options.reports} reports of {onnx.tokens / onnx.reports:.0f} sub-tokens, {options.threads} threads, ", end=""
    )
    print(f"medians of {options.rounds} rounds")
    print(f"{'':34} {'reports/s':>10} {'sub-tokens/s':>13} {'CPU ms/report':>14} {'int8 is':>9} {'by CPU':>8}")
    for arm in (*arms, products):
        rate = 1 / median(arm.wall)
        wall = median(theirs / ours for theirs, ours in zip(arm.wall, onnx.wall, strict=True))
        cpu = median(theirs / ours for theirs, ours in zip(arm.processor, onnx.processor, strict=True))
        per_report = arm.tokens / arm.reports
        print(
            f"{arm.name:34} {rate:10.1f} {rate * per_report:13,.0f} {median(arm.processor) * 1000:14.1f} "
            f"{wall:8.2f}× {cpu:7.2f}×"
        )
    scale = (onnx.tokens / onnx.reports) / (products.tokens / products.reports)
    wall = scale * median(bound / ours for bound, ours in zip(products.wall, onnx.wall, strict=True))
    cpu = scale * median(bound / ours for bound, ours in zip(products.processor, onnx.processor, strict=True))
    print(f"share of the int8 bound that is reached, end to end: {wall:.0%} by wall time, {cpu:.0%} by processor time")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MarsadError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
