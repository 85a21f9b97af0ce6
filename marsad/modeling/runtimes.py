"""What computes the network: PyTorch, or ONNX Runtime with int8 weights. Both are asked in the same way.

A runtime is loaded from a model folder and never changes what the model is: words, windows and decoding are those
of ``inference``. int8 moves scores a little, so a folder's ONNX file is used only where ``export`` has adopted it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import joblib
import numpy as np
from numpy.typing import NDArray

from marsad.errors import MarsadError, first_line
from marsad.files import fingerprint_files
from marsad.modeling.artifacts import ModelFiles, Tagger, load_network_of, read_onnx_record
from marsad.modeling.onnx_graphs import FIRST_TOKENS, INPUT_IDS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
RuntimeName = Literal["torch", "onnx"]
RUNTIMES = ("auto", "torch", "onnx")

# Without one of these, Linux has no GPU that PyTorch computes on: NVIDIA's, AMD's, that of Windows around it.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
# Sub-tokens read at once, padding counted in. On a CPU few enough to stay in its caches; on a GPU a batch is a launch,
# so larger ones pay. ONNX Runtime is as fast with one long window as with many, and loses half with a short one alone.
_TORCH_CPU_TOKENS = 2048
_GPU_TOKENS = 32768
_ONNX_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Runtime:
    """A network that gives tag scores (logits) for sub-tokens.

    ``score`` takes input ids [batch, tokens], a mask of the same shape, 0 at padding (None: no padding), and places in
    the windows [batch, words]; it returns the scores of the sub-tokens there, [batch, words, tags]. It may be called by
    ``workers`` threads side by side. A batch has at most ``tokens_per_batch`` sub-tokens, or one window; where ``pads``
    is false all its windows are equally long. ``fingerprint`` is the SHA-256 of a file that computes in place of the
    model's own weights, else "".
    """

    name: RuntimeName
    score: Callable[[IntArray, IntArray | None, IntArray], FloatArray]
    workers: int
    tokens_per_batch: int
    pads: bool
    fingerprint: str = ""


def load_runtime(
    folder: Path, tagger: Tagger, runtime: str = "auto", device: str | None = None, threads: int | None = None
) -> Runtime:
    """The runtime of a model folder whose ``tagger`` is loaded.

    ``auto`` takes a GPU if there is one, then the folder's ONNX file if it was adopted and is of these weights, else
    PyTorch. ``threads`` are the CPU cores to use; those that the process may use where None.

    Raises MarsadError for an unknown runtime or device, or where ``onnx`` is asked for and can't be had.
    """
    if runtime not in RUNTIMES:
        raise MarsadError(f"runtime {runtime!r}: expected one of {', '.join(RUNTIMES)}")
    if threads is not None and threads < 1:
        raise MarsadError(f"threads is {threads}, expected 1 or more")
    if runtime == "onnx" and device not in (None, "cpu"):
        raise MarsadError(f"runtime 'onnx' runs on the CPU, not on {device!r}; take runtime 'torch'")
    if runtime == "onnx" or (runtime == "auto" and device in (None, "cpu") and not (device is None and _has_gpu())):
        problem = onnx_problem(folder, tagger)
        if problem is None:
            return load_onnx(folder, threads)
        if runtime == "onnx":
            raise MarsadError(f"{folder}: can't be run by ONNX Runtime: {problem}")
        if ModelFiles(folder).onnx.exists():
            logger.warning("%s: is run by PyTorch, more slowly: %s", folder, problem)
    return load_torch(folder, device, threads)


def load_torch(folder: Path, device: str | None = None, threads: int | None = None) -> Runtime:
    """The network in PyTorch: fp32 on a CPU, bf16 on a GPU that computes in it.

    Raises MarsadError for a device that is not here.
    """
    import torch

    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    network = load_network_of(folder)
    try:
        network.to(name)  # type: ignore[arg-type]
        if network.device.type == "meta":  # of shapes without values
            raise RuntimeError
    except (RuntimeError, AssertionError, NotImplementedError):
        raise MarsadError(f"device {name!r} can't be used here; expected 'cpu', 'cuda' or 'cuda:N'") from None
    bf16 = network.device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch_runtime(network, threads, bf16)


def torch_runtime(network: PreTrainedModel, threads: int | None = None, bf16: bool = False) -> Runtime:
    """A loaded network as a runtime, where it lies; its windows are padded to the longest of a batch."""
    import torch

    device = network.device

    def score(ids: IntArray, mask: IntArray | None, places: IntArray) -> FloatArray:
        if threads is not None and device.type == "cpu" and torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            given = torch.from_numpy(ids).to(device)
            kept = None if mask is None else torch.from_numpy(mask).to(device)
            logits = network(input_ids=given, attention_mask=kept).logits
            picked = torch.from_numpy(places).to(device).unsqueeze(-1).expand(-1, -1, logits.shape[-1])
        scores: FloatArray = logits.gather(1, picked).float().cpu().numpy()
        return scores

    tokens = _TORCH_CPU_TOKENS if device.type == "cpu" else _GPU_TOKENS
    return Runtime("torch", score, workers=1, tokens_per_batch=tokens, pads=True)


def load_onnx(folder: Path, threads: int | None = None) -> Runtime:
    """The folder's ONNX file in ONNX Runtime, whoever made it. Raises MarsadError when it can't be loaded."""
    import onnxruntime

    path = ModelFiles(folder).onnx
    options = onnxruntime.SessionOptions()
    # Windows run side by side, each on one core: nothing waits for the slowest, and two cores do twice the work of one.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Every length of window is a shape of its own, and a plan of memory for each would be kept.
    options.enable_mem_pattern = False
    try:
        session = onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            # Its fused kernel is scalar: the two operators that it replaces are eight times as fast.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:  # onnxruntime's exceptions have no class of their own but Exception
        raise MarsadError(f"{path}: can't be loaded ({first_line(error)}); run marsad export-onnx") from None
    if {one.name for one in session.get_inputs()} != {INPUT_IDS, FIRST_TOKENS}:
        raise MarsadError(f"{path}: was written by another version of marsad; run marsad export-onnx again")

    def score(ids: IntArray, mask: IntArray | None, places: IntArray) -> FloatArray:
        scores: FloatArray = session.run(None, {INPUT_IDS: ids, FIRST_TOKENS: places})[0]
        return scores

    return Runtime(
        "onnx",
        score,
        workers=threads or joblib.cpu_count(),
        tokens_per_batch=_ONNX_TOKENS,
        pads=False,
        fingerprint=fingerprint_files([path]),
    )


def onnx_problem(folder: Path, tagger: Tagger) -> str | None:
    """Why the folder's ONNX file can't be used; None where it can."""
    files = ModelFiles(folder)
    if not files.onnx.is_file():
        return f"it has no {files.onnx.name}; make it with: marsad export-onnx {folder}"
    record = read_onnx_record(folder)
    again = f"; run marsad export-onnx {folder} again"
    if record is None:
        return f"{files.onnx_record.name} is missing or damaged{again}"
    if not record.adopted:
        return f"{files.onnx.name} was not adopted: strict dev F1 falls by {record.drop:.4f}"
    if record.model != tagger.fingerprint:
        return f"{files.onnx.name} was made of another model{again}"
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return "the package onnxruntime is not installed; pip install 'marsad[onnx]'"
    if record.onnx_sha256 != fingerprint_files([files.onnx]):
        return f"{files.onnx.name} was edited or damaged{again}"
    return None


def _has_gpu() -> bool:
    # Importing torch takes seconds and 200 MB, which ONNX Runtime does without: the system is asked first.
    if "torch" not in sys.modules and sys.platform == "linux" and not any(Path(one).exists() for one in _GPU_DEVICES):
        return False
    import torch

    return torch.cuda.is_available()
