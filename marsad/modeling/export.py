"""A trained network as an ONNX file with int8 weights, adopted only where it scores as the network does.

PyTorch exports the network, ONNX Runtime quantises it: weights once, to int8 with a scale for each output channel;
activations as they come, to uint8 with a scale for each matrix (dynamic quantisation). The file takes windows without
padding, since ``inference`` gives ONNX Runtime windows of equal length.

In encoders of BERT's kind a few channels of the activations are many times as large as all others; one scale for all
leaves the others few of the 256 steps. Where that costs much, the large channels are divided by a factor and the
weights that read them multiplied by it, which changes nothing but how both are rounded (SmoothQuant, Xiao et al. 2023).
"""

from __future__ import annotations

import copy
import io
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marsad.annotations.gold import read_gold
from marsad.documents import Document
from marsad.errors import MarsadError, first_line
from marsad.evaluation.judging import judge_documents
from marsad.evaluation.scoring import StrictScores, score_documents
from marsad.files import fingerprint_files, write_json
from marsad.modeling.artifacts import (
    ModelFiles,
    OnnxRecord,
    Tagger,
    load_network_of,
    load_tagger,
    read_manifest,
    read_saved_config,
)
from marsad.modeling.data import describe_source, dev_source, read_dev
from marsad.modeling.inference import decode_words, score_words
from marsad.modeling.onnx_graphs import INPUT_IDS, give_words_alone, simplify_attention
from marsad.modeling.runtimes import Runtime, load_onnx, torch_runtime
from marsad.text.words import split_words

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

MAX_DROP = 0.003
# Rounding error of a layer's result, as a share of its standard deviation, that is let be.
ROUNDING = 0.04
SHARES = (1, 2, 4, 8)
CALIBRATION_WINDOWS = 16
# Attention and GELU are single operators since these versions of ONNX's operator set.
_OPSET = 23


def export_onnx(
    model: str | Path, dev: Sequence[str | Path] | None = None, max_drop: float = MAX_DROP, threads: int | None = None
) -> OnnxRecord:
    """Write ``model.int8.onnx`` and ``onnx.json`` into a model folder, if int8 costs at most ``max_drop`` of dev F1.

    Dev is that of the model's config, which must be what it was when the model was trained, or the files ``dev``. F1 is
    strict, over all types (micro), of the entities that a ``Recognizer`` would find. Where it falls by more, the record
    is written, not adopted, and no ONNX file is left.

    Raises MarsadError when the folder is no model, dev can't be read or has changed, a package for exporting is not
    installed, or the network can't be exported.
    """
    if not 0 <= max_drop <= 1:
        raise MarsadError(f"max_drop is {max_drop:g}, expected a difference of F1 between 0 and 1 (0.003: 0.3 points)")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise MarsadError(f"exporting needs the package {package}: pip install 'marsad[export]'")
    folder = Path(model)
    files = ModelFiles(folder)
    tagger = load_tagger(folder)
    source, documents = _dev_documents(folder, dev)
    network = load_network_of(folder)
    logger.info("exporting %s", folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".onnx-", dir=folder) as scratch:
            whole = ModelFiles(Path(scratch))
            smoothed = smooth(network, _calibration_windows(tagger, documents))
            quantize(_to_onnx(smoothed, Path(scratch) / "fp32.onnx", tagger.encoder.max_tokens), whole.onnx)
            logger.info("scoring fp32 and int8 on %d reports of %s", len(documents), describe_source(source))
            fp32 = _score(torch_runtime(network, threads), tagger, documents)
            int8 = _score(load_onnx(whole.folder, threads), tagger, documents)
            drop = round(fp32.overall.f1 - int8.overall.f1, 6)
            record = OnnxRecord(
                model=tagger.fingerprint,
                onnx_sha256=fingerprint_files([whole.onnx]),
                quantization="int8 weights per channel, uint8 activations per matrix (dynamic)",
                dev=source,
                fp32=fp32.record(),
                int8=int8.record(),
                drop=drop,
                max_drop=max_drop,
                adopted=drop <= max_drop,
                versions={name: metadata.version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")},
            )
            if record.adopted:
                with whole.onnx.open("rb") as file:
                    os.fsync(file.fileno())
                whole.onnx.replace(files.onnx)
        # The file first, then the record that vouches for it: between the two, the file is not used.
        write_json(files.onnx_record, asdict(record))
        if not record.adopted:
            files.onnx.unlink(missing_ok=True)
    except OSError as error:
        raise MarsadError(f"{folder}: can't be written ({error.strerror or error})") from None
    return record


def smooth(network: PreTrainedModel, windows: Sequence[Sequence[int]]) -> PreTrainedModel:
    """A copy of a network that computes the same and rounds better to int8; ``windows`` are input ids to try it on.

    A linear layer whose rounding costs more than ``ROUNDING`` of the spread of what it gives has the large channels of
    its input divided down to the largest one's 2nd, 4th or 8th part, whichever costs least, if that is a third
    less.
    """
    import torch

    network = copy.deepcopy(network)
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)}
    largest: dict[str, torch.Tensor] = {}
    spread: dict[str, float] = dict.fromkeys(layers, 0.0)
    error: dict[str, dict[int, float]] = {name: dict.fromkeys(SHARES, 0.0) for name in layers}

    def look(name: str, given: torch.Tensor) -> None:
        top = given.abs().amax(0)
        largest[name] = torch.maximum(largest[name], top) if name in largest else top

    def compare(name: str, given: torch.Tensor) -> None:
        weight = layers[name].weight
        exact = given @ weight.T
        spread[name] += float((exact - exact.mean(0)).pow(2).sum())
        for share in SHARES:
            factors = _factors(largest[name], share)
            rounded = _round_matrix(given / factors) @ _round_rows(weight * factors).T
            error[name][share] += float((rounded - exact).pow(2).sum())

    with torch.inference_mode():
        for step in (look, compare):
            hooks = [
                layer.register_forward_pre_hook(
                    lambda _, given, name=name, step=step: step(name, given[0].flatten(0, -2))
                )
                for name, layer in layers.items()
            ]
            for ids in windows:
                network(input_ids=torch.tensor([ids]))
            for hook in hooks:
                hook.remove()
    for name, layer in layers.items():
        cost = (
            {share: math.sqrt(error[name][share] / spread[name]) for share in SHARES} if spread.get(name) else {1: 0.0}
        )
        best = min(cost, key=lambda share: cost[share])
        if cost[1] > ROUNDING and cost[best] < cost[1] * 2 / 3:
            factors = _factors(largest[name], best)
            layer.weight.data *= factors
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, _scaled_input(layer, factors))
    return network


def _factors(largest: torch.Tensor, share: int) -> torch.Tensor:
    """What each channel is divided by, so that none is larger than this part of the largest one."""
    return (largest / (largest.max() / share)).clamp(min=1.0)


def _round_matrix(values: torch.Tensor) -> torch.Tensor:
    """As uint8 with one scale, zero among the values: ONNX's DynamicQuantizeLinear."""
    step = (values.max().clamp(min=0) - values.min().clamp(max=0)).clamp(min=1e-12) / 255
    return (values / step).round() * step


def _round_rows(weight: torch.Tensor) -> torch.Tensor:
    """As int8 with a scale for each row (output channel)."""
    step = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
    return (weight / step).round() * step


def _scaled_input(layer: torch.nn.Linear, factors: torch.Tensor) -> torch.nn.Module:
    import torch

    class ScaledInput(torch.nn.Module):
        parts: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.layer = layer
            self.register_buffer("parts", 1 / factors)

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.layer(given * self.parts)
            return result

    return ScaledInput()


def _calibration_windows(tagger: Tagger, documents: Sequence[Document]) -> list[list[int]]:
    """Windows out of reports from all over the files. Only texts are looked at, no annotation."""
    chosen = documents[:: max(1, len(documents) // CALIBRATION_WINDOWS)]
    windows = [tagger.encoder.encode_document(split_words(document.text, tagger.text))[:1] for document in chosen]
    return [window.input_ids for document in windows for window in document][:CALIBRATION_WINDOWS]


def quantize(source: Path, target: Path) -> None:
    """Quantise the matrix products of an ONNX file, but for the small last one that gives the scores.

    Raises MarsadError where ONNX Runtime can't.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = source.with_suffix(".prepared.onnx")
    try:
        quant_pre_process(str(source), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
        products = [
            node.name for node in onnx.load(prepared, load_external_data=False).graph.node if node.op_type == "MatMul"
        ]
        quantize_dynamic(
            str(prepared),
            str(target),
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=products[-1:],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    except OSError:
        raise
    except Exception as error:  # onnxruntime's exceptions have no class of their own but Exception
        raise MarsadError(f"this network can't be quantised ({first_line(error)}); run it with PyTorch") from error


def _to_onnx(network: PreTrainedModel, path: Path, max_tokens: int) -> Path:
    """The network in fp32, over windows of equal length, at most ``max_tokens``: a runtime's inputs and output."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(input_ids=input_ids).logits
            return logits

    # Any ids do; two windows of a length that stands for no other size of the network.
    ids = torch.randint(5, 100, (2, 13))
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    with _quiet():
        try:
            program = torch.onnx.export(
                Logits().eval(),
                (ids,),
                dynamo=True,
                opset_version=_OPSET,
                input_names=[INPUT_IDS],
                output_names=["logits"],
                dynamic_shapes={INPUT_IDS: sizes},
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise MarsadError(
                f"this network can't be exported to ONNX ({first_line(error)}); run it with PyTorch"
            ) from None
        if program is None:
            raise MarsadError("this network can't be exported to ONNX; run it with PyTorch")
        program.save(str(path))
        longest = torch.randint(5, 100, (2, max_tokens)).numpy()
        if not simplify_attention(path, longest):
            logger.info("the network's attention is exported as it is: it is built in a way of its own")
        if not give_words_alone(path, longest):
            logger.info("the network's last layer is exported whole: it is built in a way of its own")
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's steps and warnings are of no use to who runs it."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


def _dev_documents(folder: Path, dev: Sequence[str | Path] | None) -> tuple[dict[str, Any], list[Document]]:
    """What int8 is judged on, and where it comes from (``files``, ``sha256``)."""
    config = read_saved_config(folder)
    if dev is not None:
        paths = [Path(path) for path in dev]
        documents = read_gold(paths, config.labels, config.data.join_sentences)
        source: dict[str, Any] = {"files": [str(path) for path in paths], "sha256": fingerprint_files(paths)}
    else:
        paths = list(config.data.train if config.data.dev is None else config.data.dev)
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise MarsadError(f"{folder}: its dev file {missing[0]} is not here; name one with --dev")
        split = "train" if config.data.dev is None else "dev"
        if fingerprint_files(paths) != read_manifest(folder).data[split]["sha256"]:
            raise MarsadError(
                f"{', '.join(map(str, paths))}: changed since {folder} was trained; name the file to judge int8 on "
                "with --dev"
            )
        documents = read_dev(config.data, config.labels)
        source = dev_source(config.data, documents)
    if not any(document.entities for document in documents):
        raise MarsadError(f"{', '.join(map(str, paths))}: holds no entity, so int8 can't be judged on it")
    return source, documents


def _score(runtime: Runtime, tagger: Tagger, documents: Sequence[Document]) -> StrictScores:
    words = [split_words(document.text, tagger.text) for document in documents]
    found = [
        decode_words(one, scores, tagger.labels, tagger.calibration)
        for one, scores in zip(words, score_words(runtime, tagger.encoder, words), strict=True)
    ]
    return score_documents(judge_documents(documents, found, words), tagger.labels)
