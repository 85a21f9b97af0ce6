"""The configuration: one YAML file per way of training, checked before anything runs.

Every key is a field here; unknown ones are errors that name the nearest known key. On the command line
``training.epochs=3`` overrides a key. Paths are relative to the folder the command is run in.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from marsad.errors import MarsadError
from marsad.labels import LabelSet
from marsad.text.normalization import TextConfig

_Settings = TypeVar("_Settings", bound=BaseModel)


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | Path) else value


# In a config one may stand alone, without the brackets of a list.
Paths = Annotated[tuple[Path, ...], BeforeValidator(_one_or_many)]
Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]


class Section(BaseModel):
    """A part of a config: unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Section):
    """What is learned from. The test split is no part of it: only ``evaluate.py`` reads that."""

    train: Paths = Field(default=(Path("data/train.jsonl"),), min_length=1)
    """Files of annotated reports to train on, JSON Lines or CoNLL columns (.conll, .txt, …); one path or a list."""
    dev: Paths | None = Field(default=(Path("data/dev.jsonl"),), min_length=1)
    """Files that choose the best checkpoint and stop training early; null: `dev_share` is held out of `train`."""
    dev_share: float | None = Field(default=None, gt=0, lt=1)
    """Share of `train` that is held out for dev and not learned from, where `dev` is null. A split that stands in
    files (`marsad split`) is better: near-duplicates stay together there."""
    dev_block: int = Field(default=1, ge=1)
    """Lines that are held out together at least, in whole neighbouring reports; a line of CoNLL is a sentence."""
    dev_seed: int = Field(default=13, ge=0)
    """Seed of what is held out, apart from `training.seed`: runs with other seeds are judged on the same dev."""

    join_sentences: int = Field(default=1, ge=1)
    """Neighbouring sentences of a CoNLL file that marks no documents which make a report, a line each, so that a window
    shows a sentence among those around it (Schweter and Akbik 2020, FLERT). The model is judged on such files alike."""

    @model_validator(mode="after")
    def _one_dev(self) -> DataConfig:
        if self.dev is None and self.dev_share is None:
            raise ValueError("dev and dev_share are both null; name files in dev, or set dev_share: 0.1")
        if self.dev is not None and self.dev_share is not None:
            raise ValueError(
                f"dev names {self.dev[0]} and dev_share is {self.dev_share:g}; set dev: null to hold out a share of "
                "train, or leave dev_share away"
            )
        return self


class ModelConfig(Section):
    """The encoder and how text is cut for it."""

    encoder: str = "embedded"
    """`embedded`, a local folder in Hugging Face form, or the name of a hub model (`org/name`)."""
    init_from: Path | None = None
    """Folder of a trained model to go on from: its encoder (whatever `encoder` says), its tokenizer, and the rows of
    its head whose types are still there; null: a new head on the encoder."""
    layers: int | None = Field(default=None, ge=1)
    """Keep so many of the encoder's layers, evenly spaced, for a smaller and faster model; null: all of them."""
    teacher: Paths | None = Field(default=None, min_length=1)
    """Folder of a trained model with the same labels and `text` whose probabilities are learned beside the annotated
    tags, as `distillation` says; of several folders, a list, it is the mean of their probabilities; null: none."""
    max_tokens: int = Field(default=192, ge=16)
    """Largest window in sub-tokens, special tokens counted in."""
    overlap: int = Field(default=48, ge=0)
    """Sub-tokens shared by two windows of a paragraph that is larger than one window."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout in the encoder's layers and before the head while training, as a share."""
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout of attention's weights while training, as a share. To draw it takes a third of a step's time on CPUs."""

    @model_validator(mode="after")
    def _windows_move_on(self) -> ModelConfig:
        if self.overlap > self.max_tokens // 2:
            raise ValueError(f"overlap {self.overlap} is more than half of max_tokens {self.max_tokens}")
        return self


class OptimizerConfig(Section):
    """What runs of the optimizer have in common, for training and for pretraining."""

    gradient_accumulation: int = Field(default=1, ge=1)
    """Forward passes that a step's batch is cut into, to save memory."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """How the learning rates fall after the warm-up."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay of matrices (not of biases and layer norms)."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; `auto` takes bf16 where the hardware computes in it."""
    seed: int = Field(default=13, ge=0, lt=2**32)
    """Seed of everything random."""
    log_every: int = Field(default=20, ge=1)
    """Steps between two lines of the training log."""


class TrainingConfig(OptimizerConfig):
    """One run of the optimizer."""

    epochs: int = Field(default=10, ge=1)
    """Passes over the training data, at most."""
    batch_size: int = Field(default=16, ge=1)
    """Windows per optimizer step on one process group: shared out among the processes of `torchrun`."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """Peak learning rate of the encoder."""
    head_learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of the classification head."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of all steps in which the learning rates rise from zero."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target probability spread over all tags."""
    layer_decay: float | None = Field(default=None, gt=0, le=1)
    """Learning rate of each layer of the encoder as a share of that of the layer above it, the embeddings below all;
    null: the same for all (Clark et al. 2020, ELECTRA)."""
    averaging: float | None = Field(default=None, gt=0, lt=1)
    """Decay of a moving average of the weights, which is scored and saved in their place (0.999, say); null: none
    (Polyak and Juditsky 1992; Izmailov et al. 2018)."""
    r_drop: float = Field(default=0.0, ge=0)
    """Weight of the divergence between two readings of each window under dropout (Liang et al. 2021); 0: each is read
    once. Above 0 a step takes twice the time."""
    class_weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    """Loss weight of an entity type's tags, or of `O`; 1 where not named."""
    runs: int = Field(default=1, ge=1)
    """Trainings from one start, each with a seed and so an order of its own, whose weights are averaged when they are
    done (Wortsman et al. 2022, model soups). Each takes the time of one; what runs afterwards is one network."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many epochs without a better strict dev F1; null: never early."""


class DistillationConfig(Section):
    """What is learned from the probabilities of `model.teacher`."""

    unlabelled: Paths = ()
    """Files of plain reports, folders or globs of them, that the teacher reads for the student (JSON Lines, text, CSV,
    Parquet); none: the annotated reports alone."""
    unlabelled_share: float | None = Field(default=None, gt=0, lt=1)
    """Share of an epoch's windows that are of plain reports, other ones in each epoch; null: all of them in each."""
    weight: float = Field(default=0.5, gt=0, le=1)
    """Share of the teacher in the loss of an annotated word; the rest is its annotated tag's. Of a word of a plain
    report the teacher has the whole."""
    temperature: float = Field(default=2.0, gt=0)
    """Both networks' scores are divided by this before they are compared: above 1, what the teacher holds for unlikely
    counts for more."""


class CalibrationConfig(Section):
    """What is fitted on dev once the network is trained, so that probabilities mean what they say."""

    temperature: bool = True
    """Whether to divide the network's scores by a temperature fitted on dev; it changes probabilities, no entities."""
    thresholds: Literal["none", "f1", "precision"] = "none"
    """Drop entities less probable than their type's threshold, chosen on dev for its F1 or for a wanted precision."""
    precision: float | dict[str, float] | None = None
    """The precision wanted of every type, or of the types named; for `thresholds: precision` alone."""

    @model_validator(mode="after")
    def _precision_fits(self) -> CalibrationConfig:
        if self.thresholds != "precision":
            if self.precision is not None:
                raise ValueError(
                    f"precision is given, but thresholds is {self.thresholds!r}; set thresholds: precision"
                )
            return self
        if self.precision is None or self.precision == {}:
            raise ValueError("thresholds is 'precision', but no precision is given; set precision: 0.95, say")
        wanted = self.precision if isinstance(self.precision, dict) else {"of every type": self.precision}
        for name, value in wanted.items():
            if not 0 < value <= 1:
                raise ValueError(f"precision {name}: expected a share above 0, at most 1, got {value:g}")
        return self

    def wanted_precision(self, name: str) -> float | None:
        """The precision wanted of an entity type; None where none is."""
        return self.precision.get(name) if isinstance(self.precision, dict) else self.precision


class Config(Section):
    """A whole way of training, as one YAML file in `configs/`."""

    name: str = Field(default="marsad", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run; the model card bears it."""
    output: Path | None = None
    """Folder of the trained model; `models/NAME` where null."""

    labels: Names = ("ACTOR", "LOCATION", "DATE", "CASUALTY")
    """The entity types, in the order of every table."""
    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    distillation: DistillationConfig = DistillationConfig()
    calibration: CalibrationConfig = CalibrationConfig()

    @field_validator("output")
    @classmethod
    def _is_a_folder_of_its_own(cls, value: Path | None) -> Path | None:
        if value is not None and value.name in {"", ".."}:
            raise ValueError("expected a folder for this model alone, such as models/mine")
        return value

    @model_validator(mode="after")
    def _labels_fit(self) -> Config:
        labels = LabelSet(self.labels)
        for name in self.training.class_weights or {}:
            if name != "O" and name not in labels.types:
                raise ValueError(f"training.class_weights names {name!r}, which is not in labels {list(labels.types)}")
        if not any((self.training.class_weights or {}).get(name, 1) for name in ("O", *labels.types)):
            raise ValueError("training.class_weights are all 0, so there would be nothing to learn")
        if isinstance(self.calibration.precision, dict):
            for name in self.calibration.precision:
                if name not in labels.types:
                    raise ValueError(
                        f"calibration.precision names {name!r}, which is not in labels {list(labels.types)}"
                    )
        return self

    @model_validator(mode="after")
    def _somebody_teaches(self) -> Config:
        if self.model.teacher is None and self.distillation != DistillationConfig():
            raise ValueError("distillation is set, but model.teacher is null; name the folder of a trained model there")
        if self.distillation.unlabelled_share is not None and not self.distillation.unlabelled:
            raise ValueError("distillation.unlabelled_share is set, but distillation.unlabelled names no reports")
        return self

    @property
    def label_set(self) -> LabelSet:
        """The entity types with their tags and ids."""
        return LabelSet(self.labels)

    @property
    def output_folder(self) -> Path:
        """Where the trained model goes."""
        return self.output if self.output is not None else Path("models") / self.name


def load_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file (the defaults where None) and apply ``section.key=value`` overrides, in order.

    Raises MarsadError that names the file and the key: missing file, not YAML, unknown key, wrong type.
    """
    return load_settings(Config, path, overrides)


def load_settings(root: type[_Settings], path: str | Path | None, overrides: Sequence[str] = ()) -> _Settings:
    """As :func:`load_config` for the settings of another command, whose keys are the fields of ``root``."""
    values: dict[str, Any] = {}
    where = "the command line" if path is None else str(path)
    if path is not None:
        values = read_yaml(Path(path))
    for override in overrides:
        _apply_override(values, override)
    try:
        return root.model_validate(values)
    except ValidationError as error:
        raise MarsadError(f"{where}: {explain_error(error, root)}") from None


def apply_values(config: Config, values: Mapping[str, Any]) -> Config:
    """A config with other values of the keys named, such as ``training.epochs``. Raises MarsadError as load_config."""
    dumped = config.model_dump(mode="json")
    for key, value in values.items():
        _set_value(dumped, key, value, key)
    try:
        return Config.model_validate(dumped)
    except ValidationError as error:
        raise MarsadError(explain_error(error)) from None


class _TwiceError(Exception):
    """A key that stands twice, and where."""


class _OnceLoader(yaml.SafeLoader):
    """YAML as it is meant: of a key that stands twice the parser would keep the last value and drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise _TwiceError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice; write it once")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a YAML file, empty where it holds none. Raises MarsadError as :func:`load_config`."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _OnceLoader)
    except _TwiceError as error:
        raise MarsadError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise MarsadError(f"{path}: no such config file; the shipped ones are in configs/") from None
    except IsADirectoryError:
        raise MarsadError(f"{path}: is a folder, expected a YAML config file") from None
    except UnicodeDecodeError as error:
        raise MarsadError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise MarsadError(f"{path}: can't be read ({error.strerror or error})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: an impossible date, 2024-13-45
        raise MarsadError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise MarsadError(f"{path}: holds a {type(values).__name__}, expected keys such as `training:`")
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise MarsadError(f"override {override!r}: expected section.key=value, for instance training.epochs=3")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise MarsadError(f"override {override!r}: the value is not YAML") from None
    _set_value(values, key, value, f"override {override!r}")


def _set_value(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    *sections, last = key.split(".")
    node = values
    for section in sections:
        child = node.setdefault(section, {})
        if not isinstance(child, dict):
            raise MarsadError(f"{where}: {section!r} is a value, not a section")
        node = child
    node[last] = value


def explain_error(error: ValidationError, root: type[BaseModel] = Config) -> str:
    """The first complaint of a model of YAML keys as one line, the others counted."""
    problems = error.errors()
    first = problems[0]
    location = [str(part) for part in first["loc"]]
    key = " ".join(".".join(location).split())
    if first["type"] == "extra_forbidden":
        known = _known_keys(root, location[:-1])
        elsewhere = [
            f"{section}.{location[-1]}"
            for section in _known_keys(root, ())
            if location[-1] in _known_keys(root, [section])
        ]
        near = [
            ".".join([*location[:-1], name]) for name in difflib.get_close_matches(location[-1], known, n=1, cutoff=0.4)
        ]
        guesses = elsewhere or near
        hint = f"did you mean {guesses[0]!r}?" if guesses else f"known keys here: {', '.join(known)}"
        text = f"unknown key {key!r}; {hint}"
    else:
        message = first["msg"].removeprefix("Value error, ")
        given = "" if isinstance(first["input"], dict | BaseModel) else f", got {first['input']!r}"
        text = f"{key}: {message}{given}" if key else message
    others = len(problems) - 1
    return text + (f" (and {others} more)" if others else "")


def _known_keys(model: type[BaseModel], sections: Sequence[str]) -> list[str]:
    for section in sections:
        annotation = model.model_fields[section].annotation
        models = [one for one in (annotation, *get_args(annotation)) if isinstance(one, type)]
        found = next((one for one in models if issubclass(one, BaseModel)), None)
        if found is None:
            return []
        model = found
    return list(model.model_fields)
