"""A trained model on disk, and the tagger that comes out of it again."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError
from pydantic_core import to_json

from marsad import __version__
from marsad.config import Config
from marsad.errors import MarsadError
from marsad.files import fingerprint_files, share_files, write_json
from marsad.labels import LabelSet
from marsad.modeling.data import describe_source
from marsad.modeling.decoding import UNCALIBRATED, Calibration
from marsad.modeling.encoders import EncoderSource, load_network, load_tokenizer
from marsad.modeling.encoding import WordEncoder
from marsad.text.normalization import TextConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FORMAT = 2
# Models of format 1 have no calibration: temperature 1, no thresholds.
_READABLE = (1, FORMAT)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The layout of a model folder.

    Beside these stand what ``transformers`` writes (``config.json`` and the tokenizer's files).
    ``manifest`` is written last: a folder without it is not a model.
    """

    folder: Path

    @property
    def manifest(self) -> Path:
        """Labels, versions and fingerprints."""
        return self.folder / "marsad.json"

    @property
    def weights(self) -> Path:
        """The network's weights."""
        return self.folder / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer."""
        return self.folder / "tokenizer.json"

    @property
    def config(self) -> Path:
        """The resolved config of the run."""
        return self.folder / "config.yaml"

    @property
    def calibration(self) -> Path:
        """Temperature and thresholds, and how they were chosen."""
        return self.folder / "calibration.json"

    @property
    def metrics(self) -> Path:
        """Scores on the dev split, and the history of the run."""
        return self.folder / "metrics.json"

    @property
    def onnx(self) -> Path:
        """The network for ONNX Runtime with int8 weights, if it was exported."""
        return self.folder / "model.int8.onnx"

    @property
    def onnx_record(self) -> Path:
        """What ``onnx`` was made of, and what it scores."""
        return self.folder / "onnx.json"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.folder / "README.md"

    @property
    def logs(self) -> Path:
        """TensorBoard's event files."""
        return self.folder / "logs"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is: enough to tell whether two are the same and what made this one.

    ``fingerprint`` hashes the weights, the tokenizer, the config and the calibration together. ``precision`` is the
    arithmetic that the training computed in (``bf16`` or ``fp32``); the weights are fp32. ``init_from`` is the path and
    the fingerprint of the model that the training went on from; ``teacher`` has those of the models that taught this
    one and the plain reports that they read for it;
    ``encoder`` the SHA-256 of the encoder's files, where they lay in a folder and the training began from them.
    """

    format: int
    name: str
    labels: tuple[str, ...]
    fingerprint: str
    data: Mapping[str, Any]
    code: str
    precision: str
    versions: Mapping[str, str]
    init_from: Mapping[str, str] | None = None
    teacher: Mapping[str, Any] | None = None
    encoder: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Tagger:
    """A trained model but for its network: everything that the network's input and output need."""

    encoder: WordEncoder
    labels: LabelSet
    text: TextConfig
    fingerprint: str
    calibration: Calibration = UNCALIBRATED


def save_artifacts(
    folder: Path,
    network: PreTrainedModel,
    encoder: WordEncoder,
    config: Config,
    data: Mapping[str, Any],
    metrics: Mapping[str, Any],
    card: str,
    precision: str,
    calibration: Mapping[str, Any],
    init_from: Mapping[str, str] | None = None,
    teacher: Mapping[str, Any] | None = None,
    encoder_files: Mapping[str, str] | None = None,
) -> Manifest:
    """Write a whole model folder, the manifest last; the inverse of :func:`load_tagger`.

    ``calibration`` is the record of ``calibration.FittedCalibration``.
    """
    files = ModelFiles(folder)
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    share_files(folder)
    files.config.write_text(dump_config(config), encoding="utf-8")
    write_json(files.calibration, calibration)
    write_json(files.metrics, metrics)
    files.card.write_text(card, encoding="utf-8")
    manifest = Manifest(
        format=FORMAT,
        name=config.name,
        labels=config.labels,
        fingerprint=_model_fingerprint(files, FORMAT),
        data=data,
        code=code_fingerprint(),
        precision=precision,
        versions={"python": platform.python_version(), "marsad": __version__}
        | {name: metadata.version(name) for name in ("torch", "transformers", "tokenizers", "datasets", "numpy")},
        init_from=init_from,
        teacher=teacher,
        encoder=encoder_files,
    )
    write_json(files.manifest, asdict(manifest))
    return manifest


def load_tagger(path: str | Path) -> Tagger:
    """Load a trained model for inference, all but its network (see ``runtimes``).

    Raises MarsadError when the path is no folder, no model of this project, an incomplete one, or one whose weights,
    tokenizer, config or calibration are not those that its fingerprint was taken of.
    """
    folder = Path(path)
    manifest, config = read_checked(folder)
    encoder = load_tokenizer(EncoderSource(str(folder), hub=False), config.model)
    calibration = UNCALIBRATED if manifest.format == 1 else read_calibration(folder)
    return Tagger(encoder, config.label_set, config.text, manifest.fingerprint, calibration)


def load_network_of(folder: Path) -> PreTrainedModel:
    """The trained network of a model folder, in fp32. Raises MarsadError when it is missing or damaged."""
    config = read_saved_config(folder)
    source = EncoderSource(str(folder), hub=False)
    network = load_network(source, config.model, config.label_set.tags, trained=True)
    network.eval()
    return network


def read_checked(folder: Path) -> tuple[Manifest, Config]:
    """Manifest and config of a model folder that is as it was saved. Raises MarsadError as :func:`load_tagger`."""
    manifest, config = read_manifest(folder), read_saved_config(folder)
    if manifest.fingerprint != _model_fingerprint(ModelFiles(folder), manifest.format):
        raise MarsadError(f"{folder}: was edited or damaged after training (its fingerprint differs); copy it again")
    return manifest, config


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder. Raises MarsadError when it is no whole model of this project."""
    files = ModelFiles(folder)
    if not folder.exists():
        raise MarsadError(f"{folder}: no such model folder; train one with: python train.py configs/marsad.yaml")
    if not folder.is_dir():
        raise MarsadError(f"{folder}: is a file, expected a model folder")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise MarsadError(f"{folder}: may not be read (permission denied)")
    if not files.manifest.is_file():
        raise MarsadError(f"{folder}: is not a trained model (it has no {files.manifest.name})")
    try:
        values = json.loads(files.manifest.read_text(encoding="utf-8"))
        manifest = Manifest(**(values | {"labels": tuple(values["labels"])}))
    except (ValueError, TypeError, KeyError):
        raise MarsadError(f"{files.manifest}: is damaged; train the model again") from None
    if manifest.format not in _READABLE:
        readable = " and ".join(str(number) for number in _READABLE)
        raise MarsadError(f"{folder}: has the format {manifest.format!r}, this version of marsad reads {readable}")
    for path in (*_fingerprinted(files, manifest.format), folder / "config.json", folder / "tokenizer_config.json"):
        if not path.is_file():
            raise MarsadError(f"{folder}: is incomplete (no {path.name}); copy it again or train it again")
    return manifest


def read_saved_config(folder: Path) -> Config:
    """The resolved config beside the weights. Raises MarsadError when it is missing or damaged."""
    return _read_saved(folder)[1]


def _read_saved(folder: Path) -> tuple[dict[str, Any], Config]:
    """The saved config as it stands in its file, and as what it means today."""
    path = ModelFiles(folder).config
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return values, Config.model_validate(values)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError):
        raise MarsadError(f"{path}: is damaged; train the model again") from None


def read_calibration(folder: Path) -> Calibration:
    """The calibration beside the weights. Raises MarsadError when it is missing or damaged."""
    path = ModelFiles(folder).calibration
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Calibration(float(values["temperature"]), values["thresholds"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise MarsadError(f"{path}: is damaged; copy the model again or train it again") from None


@dataclass(frozen=True, slots=True)
class OnnxRecord:
    """``onnx.json``: what a model's ONNX file was made of, and what it scores on dev.

    ``model`` is the fingerprint of the model, ``onnx_sha256`` that of the file. ``fp32`` and ``int8`` are strict counts
    on ``dev``; ``drop`` is what int8 loses in F1, and the file is ``adopted`` where that is at most ``max_drop``.
    """

    model: str
    onnx_sha256: str
    quantization: str
    dev: Mapping[str, Any]
    fp32: Mapping[str, Any]
    int8: Mapping[str, Any]
    drop: float
    max_drop: float
    adopted: bool
    versions: Mapping[str, str]

    def __str__(self) -> str:
        """What became of it, and what int8 costs."""
        fp32, int8 = self.fp32["overall"]["f1"], self.int8["overall"]["f1"]
        scores = f"strict F1 on {describe_source(self.dev)}: fp32 {fp32:.4f}, int8 {int8:.4f}, drop {self.drop:.4f}"
        if self.adopted:
            return f"adopted; {scores}"
        return f"refused, a drop of at most {self.max_drop:g} is allowed, and PyTorch serves; {scores}"


def read_onnx_record(folder: Path) -> OnnxRecord | None:
    """``onnx.json`` of a model folder; None where there is none or it is damaged."""
    try:
        record = OnnxRecord(**json.loads(ModelFiles(folder).onnx_record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return record if isinstance(record.drop, float) else None


def dump_config(config: Config) -> str:
    """The resolved config as YAML; ``load_config`` reads it back equal."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text


@cache
def code_fingerprint() -> str:
    """SHA-256 over the package's own source, so that a model tells which code made it."""
    root = Path(__file__).parent.parent
    return fingerprint_files(sorted(root.rglob("*.py")))


def _fingerprinted(files: ModelFiles, model_format: int) -> list[Path]:
    """The files that make up what a model does."""
    return [files.weights, files.tokenizer, files.config, *([files.calibration] if model_format > 1 else [])]


def _model_fingerprint(files: ModelFiles, model_format: int) -> str:
    # What the file says, not what today's classes make of it: keys come, move and take other forms, and a model saved
    # before stays what it was. Its name and place are no part of what it does.
    saved, _ = _read_saved(files.folder)
    digest = hashlib.sha256(to_json({key: value for key, value in saved.items() if key not in {"name", "output"}}))
    contents = [path for path in _fingerprinted(files, model_format) if path != files.config]
    digest.update(fingerprint_files(contents).encode("ascii"))
    return digest.hexdigest()
