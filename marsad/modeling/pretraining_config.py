"""The configuration of ``marsad pretrain``: one YAML file, read and overridden as that of ``marsad train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from marsad.config import ModelConfig, Names, OptimizerConfig, Section, load_settings
from marsad.text.normalization import TextConfig


class TextsConfig(Section):
    """What is read: plain texts, without annotation. Never the test split's."""

    texts: Names = Field(min_length=1)
    """Files, folders or globs: JSON Lines, CSV, TSV, Parquet or plain text, packed (.gz, .xz, .zst) or not."""
    text_column: str = "text"
    """Key or column of the text."""
    per_line: bool = False
    """A plain text file holds a document a line; false: it is one document."""
    held_out: float = Field(default=0.01, gt=0, lt=1)
    """Share of documents that are never learned from and judge the network; chosen by a hash of their text."""
    workers: int = Field(default=1, ge=1)
    """Processes that cut and tokenise the texts, once, before the first step."""
    licences: str | None = None
    """Where the texts come from and their licences, for the card."""


class PretrainedModelConfig(Section):
    """The encoder to go on from, and the windows that it reads."""

    encoder: str = "embedded"
    """`embedded`, a local folder in Hugging Face form, or the name of a hub model (`org/name`)."""
    max_tokens: int = Field(default=256, ge=16)
    """Sub-tokens of a window, special tokens counted in; every window is full."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout in the encoder's layers while training, as a share; of use where texts are read many times alone."""

    def as_model(self) -> ModelConfig:
        """As the section `model` of training, for loading."""
        return ModelConfig(encoder=self.encoder, max_tokens=self.max_tokens, overlap=0, dropout=self.dropout)


class MaskingConfig(Section):
    """Which words are to be guessed. A word is chosen with all its sub-tokens."""

    share: float = Field(default=0.15, gt=0, lt=1)
    """Most sub-tokens of a window that are chosen, as a share."""
    masked: float = Field(default=0.8, ge=0, le=1)
    """Share of the chosen words that are replaced by mask tokens."""
    random: float = Field(default=0.1, ge=0, le=1)
    """Share of the chosen words whose sub-tokens are replaced by drawn ones; the rest stay as they are."""

    @model_validator(mode="after")
    def _shares_fit(self) -> MaskingConfig:
        if self.masked + self.random > 1 + 1e-9:
            raise ValueError(f"masked {self.masked:g} and random {self.random:g} are more than all words together")
        return self


class PretrainingRunConfig(OptimizerConfig):
    """One run of the optimizer, as long as `steps` or `tokens` say."""

    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps."""
    tokens: int | None = Field(default=None, ge=1)
    """Sub-tokens to read in all, special tokens and repeated texts counted in, instead of `steps`."""
    batch_size: int = Field(default=64, ge=1)
    """Windows per optimizer step, shared out among the processes of `torchrun`."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak learning rate of the encoder."""
    head_learning_rate: float = Field(default=2e-3, gt=0)
    """Peak learning rate of the head that guesses sub-tokens; its output embedding is the encoder's."""
    warmup: float = Field(default=0.06, ge=0, lt=1)
    """Share of all steps in which the learning rate rises from zero."""
    compile: bool = False
    """Whether `torch.compile` makes the network faster on a GPU, at the cost of a minute before the first step."""
    loaders: int = Field(default=0, ge=0)
    """Processes beside each training process that draw masks and build batches; 0: the process itself does."""
    evaluate_every: int = Field(default=500, ge=1)
    """Steps between two judgements on the held-out documents; the first is before the first step."""
    checkpoint_every: int = Field(default=500, ge=1)
    """Steps between two checkpoints, from which a run that broke off goes on."""

    @model_validator(mode="after")
    def _one_length(self) -> PretrainingRunConfig:
        if (self.steps is None) == (self.tokens is None):
            raise ValueError("expected how long to train, as steps or as tokens: one of the two")
        return self


class ProbeConfig(Section):
    """A short fine-tuning for entities, to see whether going on still helps what the encoder is for."""

    config: Path
    """A training config; its encoder is the one being pretrained."""
    epochs: int = Field(default=2, ge=1)
    """Passes over the training data."""
    reports: int | None = Field(default=None, ge=1)
    """Annotated reports to train on, drawn by `training.seed`; null: all of the config's."""
    every: int = Field(default=1, ge=1)
    """Judgements on the held-out documents between two probes; the first and the last have one."""


class PretrainingConfig(Section):
    """A whole way of pretraining, as one YAML file."""

    name: str = Field(default="encoder", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the encoder; its card bears it."""
    output: Path | None = None
    """Folder of the encoder; `models/NAME` where null."""
    save_dtype: Literal["fp32", "fp16"] = "fp32"
    """How the weights are saved; fp16 halves the file, and everything that loads it computes in fp32 again."""
    licence: str | None = None
    """Licence of the weights, for the card."""

    data: TextsConfig
    text: TextConfig = TextConfig()
    model: PretrainedModelConfig = PretrainedModelConfig()
    masking: MaskingConfig = MaskingConfig()
    training: PretrainingRunConfig
    probe: ProbeConfig | None = None

    @field_validator("output")
    @classmethod
    def _is_a_folder_of_its_own(cls, value: Path | None) -> Path | None:
        if value is not None and value.name in {"", ".."}:
            raise ValueError("expected a folder for this encoder alone, such as models/encoder")
        return value

    @property
    def output_folder(self) -> Path:
        """Where the encoder goes."""
        return self.output if self.output is not None else Path("models") / self.name

    @property
    def tokens_per_step(self) -> int:
        """Sub-tokens that an optimizer step reads, in all processes together."""
        return self.training.batch_size * self.model.max_tokens

    @property
    def steps(self) -> int:
        """Optimizer steps of the run."""
        if self.training.tokens is None:
            return self.training.steps or 0
        return -(-self.training.tokens // self.tokens_per_step)


def load_pretraining_config(path: str | Path, overrides: Sequence[str] = ()) -> PretrainingConfig:
    """Read a YAML file and apply ``section.key=value`` overrides, in order. Raises MarsadError as ``load_config``."""
    return load_settings(PretrainingConfig, path, overrides)
