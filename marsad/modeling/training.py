"""Training: documents in, a model folder out.

Everything happens in ``OUTPUT.partial``; the model takes its place at ``OUTPUT`` in one step when it is whole,
so a run that is killed leaves the old model as it was and can be resumed.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import PartialState
from safetensors.torch import load_model, save_model
from torch import nn
from torch.utils.data import Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    DataCollatorForTokenClassification,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.integrations.integration_utils import TensorBoardCallback

from marsad.annotations.duplicates import equal_reports, spoken_words
from marsad.config import Config, TrainingConfig
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.evaluation.judging import judge_documents
from marsad.evaluation.scoring import Counts, StrictScores, score_documents
from marsad.files import partial_path, write_json
from marsad.labels import LabelSet
from marsad.modeling.artifacts import (
    ModelFiles,
    read_checked,
    read_manifest,
    read_saved_config,
    save_artifacts,
)
from marsad.modeling.averaging import WeightAverage
from marsad.modeling.calibration import fit_calibration
from marsad.modeling.card import model_card
from marsad.modeling.cpu import fast_training
from marsad.modeling.data import Splits, read_splits
from marsad.modeling.distillation import Taught, distillation_loss, find_teacher, teach, window_lengths
from marsad.modeling.encoders import (
    EncoderSource,
    carry_head_over,
    check_vocabulary,
    encoder_files,
    find_encoder,
    keep_layers,
    load_network,
    load_tokenizer,
    positions_of,
)
from marsad.modeling.encoding import EncodedWindow, WordEncoder
from marsad.modeling.inference import decode_document, decode_words, score_words
from marsad.modeling.losses import IGNORED, check_finite, paired_loss, token_loss
from marsad.modeling.progress import ProgressCallback
from marsad.modeling.runs import (
    RUN_FILE,
    check_free,
    check_same_run,
    last_checkpoint,
    move_into_place,
    prepare_folder,
    read_run,
    work_folder,
)
from marsad.modeling.runtimes import torch_runtime
from marsad.modeling.tagging import align_entities, log_problems, tag_ids
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EncodedSplit:
    """A split as the network reads it, with the way back to its documents.

    ``windows[i]`` are document ``i``'s; ``dataset`` has a row per window, in that order. ``widened`` and ``dropped``
    count the gold entities that did not fit the words (see ``tagging.Alignment``).
    """

    documents: Sequence[Document]
    words: Sequence[Words]
    windows: Sequence[Sequence[EncodedWindow]]
    dataset: datasets.Dataset
    widened: int
    dropped: int

    @property
    def tokens(self) -> int:
        """Sub-tokens of all windows, special tokens counted in, padding not."""
        return sum(len(window.input_ids) for document in self.windows for window in document)

    def record(self) -> dict[str, int]:
        """Counts for the manifest and the model card."""
        return {
            "reports": len(self.documents),
            "words": sum(len(words) for words in self.words),
            "sub_tokens": self.tokens,
            "entities": sum(len(document.entities) for document in self.documents),
            "widened_entities": self.widened,
            "dropped_entities": self.dropped,
        }


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished run: its model folder and its strict scores on dev."""

    folder: Path
    dev: StrictScores


def train(
    config: Config, resume: bool = False, overwrite: bool = False, callbacks: Sequence[TrainerCallback] = ()
) -> TrainingResult:
    """Train a model as ``config`` says and leave it in ``config.output_folder``.

    ``resume`` goes on with a run that was killed (from its last checkpoint; from the start where it had none
    yet) and returns at once where the run is already whole. ``overwrite`` replaces a model or a broken-off run.
    ``callbacks`` are told of the run's course as the Trainer's own are.

    Raises MarsadError for every mistake in what was given, before anything is written.
    """
    files = ModelFiles(config.output_folder)
    work = work_folder(config.output_folder)
    state = processes()
    _batch_share(config)
    if state.is_main_process and not resume:
        check_free(config.output_folder, files.manifest.name, overwrite)
    documents = _read_splits(config)
    start = None if config.model.init_from is None else read_checked(config.model.init_from)
    if start is None:
        source = find_encoder(config.model.encoder)
    else:
        source = EncoderSource(str(config.model.init_from), hub=False)
        model = config.model.model_copy(update={"encoder": start[1].model.encoder})
        config = config.model_copy(update={"model": model})
    encoder = load_tokenizer(source, config.model)
    teacher = find_teacher(config)
    run: dict[str, Any] = {
        "encoder": encoder_files(source) if start is None else None,
        "init_from": None if start is None else {"path": source.location, "fingerprint": start[0].fingerprint},
        "teacher": None if teacher is None else dict(teacher.record),
        "config": config.model_dump(mode="json", exclude={"output"}),
        "data": documents.sources,
    }
    set_seed(config.training.seed)
    if start is None:
        network = load_network(source, config.model, config.label_set.tags)
    else:
        network = load_network(source, config.model, start[1].label_set.tags, trained=True)
        carry_head_over(network, start[1].label_set.tags, config.label_set.tags)
    check_vocabulary(encoder, network, source)
    if config.model.layers is not None:
        network = keep_layers(network, config.model.layers)
    if config.training.layer_decay is not None:
        _optimizer_groups(network, config.training)  # refuses what it can't rate while nothing is written
    if state.is_main_process:
        if resume and not work.exists() and files.manifest.is_file():
            check_same_run(config.output_folder, _earlier_run(config.output_folder), run)
        else:
            prepare_folder(config.output_folder, files.manifest.name, run, resume, overwrite)
            for folder in (work, *_run_folders(work, config.training)):
                _remove_broken_checkpoints(folder)
    state.wait_for_everyone()
    if not work.exists():
        logger.info("%s is whole already; nothing to resume", config.output_folder)
        return TrainingResult(config.output_folder, _saved_scores(files))

    splits = {
        "train": encode_split(documents.train, encoder, config.label_set, config.text),
        "dev": encode_split(documents.dev, encoder, config.label_set, config.text),
    }
    if state.is_main_process:
        if start is not None:
            _tell_start(start[1], config)
        for name, split in splits.items():
            logger.info("%s: %s", name, ", ".join(f"{count} {key}" for key, count in split.record().items()))
        _tell_twins(splits)
    taught = None if teacher is None else teach(teacher, documents.train, encoder, config, work / "teacher")
    runs = _train_runs(network, encoder, config, splits, taught, work, callbacks)

    # In fp32, as inference computes: what is served is what was calibrated and scored.
    dev_scores = score_words(torch_runtime(network.eval()), encoder, splits["dev"].words)
    fitted = fit_calibration(documents.dev, splits["dev"].words, dev_scores, config.label_set, config.calibration)
    predicted = [
        decode_words(words, scores, config.label_set, fitted.calibration)
        for words, scores in zip(splits["dev"].words, dev_scores, strict=True)
    ]
    judged = judge_documents(documents.dev, predicted, splits["dev"].words)
    dev = score_documents(judged, config.label_set)
    if state.is_main_process:
        for line in fitted.lines():
            logger.info("calibration: %s", line)
        for line in fitted.shortfalls():
            logger.warning("calibration: %s", line)
        counts = {name: run["data"][name] | split.record() for name, split in splits.items()}
        metrics = {
            "dev": {"strict": dev.record()},
            "calibration": fitted.record(),
            "history": runs[0].history,
        }
        if len(runs) > 1:
            metrics["runs"] = [run.record() for run in runs]
        if taught is not None:
            metrics["distillation"] = taught.record()
        whole = ModelFiles(work / "model")
        shutil.rmtree(whole.folder, ignore_errors=True)
        whole.folder.mkdir()
        shutil.copytree(work / "logs", whole.logs)
        card = model_card(config, counts, dev, fitted, run["teacher"])
        precision = "bf16" if uses_bf16(config.training.precision) else "fp32"
        save_artifacts(
            whole.folder,
            network,
            encoder,
            config,
            counts,
            metrics,
            card,
            precision,
            fitted.record(),
            run["init_from"],
            run["teacher"],
            run["encoder"],
        )
        move_into_place(config.output_folder)
    state.wait_for_everyone()
    return TrainingResult(config.output_folder, dev)


def _read_splits(config: Config) -> Splits:
    splits = read_splits(config.data, config.labels)
    shared = {document.id for document in splits.train} & {document.id for document in splits.dev}
    if shared:
        raise MarsadError(
            f"{len(shared)} reports stand in data.train and in data.dev, such as {min(shared)!r}; take them out of one"
        )
    for name, documents in (("train", splits.train), ("dev", splits.dev)):
        if not any(len(split_words(document.text, config.text)) for document in documents):
            raise MarsadError(f"data.{name}: no report in it holds a word; expected annotated texts")
        if not any(document.entities for document in documents):
            raise MarsadError(f"data.{name}: no report in it has an entity; there is nothing to learn or to judge")
    return splits


def _tell_twins(splits: Mapping[str, EncodedSplit]) -> None:
    """Warn of reports of dev that have the words of one of train, under another id."""
    texts = {
        document.id: spoken_words(words)
        for split in splits.values()
        for document, words in zip(split.documents, split.words, strict=True)
    }
    in_dev = {document.id for document in splits["dev"].documents}
    twins = [
        (name, others[0])
        for group in equal_reports(texts)
        if (others := [name for name in group if name not in in_dev])
        for name in group
        if name in in_dev
    ]
    if twins:
        logger.warning(
            "%d of %d reports of dev have the words of one of train (%r those of %r): dev scores will be too good",
            *(len(twins), len(in_dev), *twins[0]),
        )


def _tell_start(old: Config, config: Config) -> None:
    """Say what a run takes over from the model that it goes on from, and what not."""
    kept = [name for name in config.labels if name in old.labels]
    new = [name for name in config.labels if name not in old.labels]
    gone = [name for name in old.labels if name not in config.labels]
    parts = [f"head rows kept: {', '.join(['O', *kept])}"]
    parts += [f"new: {', '.join(new)}"] if new else []
    parts += [f"dropped: {', '.join(gone)}"] if gone else []
    logger.info("going on from %s; %s", config.model.init_from, "; ".join(parts))
    changed = sorted(key for key, value in old.text.model_dump().items() if getattr(config.text, key) != value)
    if changed:
        keys = ", ".join(f"text.{key}" for key in changed)
        logger.warning("%s differs from the model's: it has to learn to read anew", keys)


# --- the folder of a run -------------------------------------------------------------------------------


def _earlier_run(folder: Path) -> dict[str, Any]:
    """What the run in a working folder, or of a finished model, was made of."""
    if (folder / RUN_FILE).is_file():
        return read_run(folder)
    manifest = read_manifest(folder)
    teacher = None if manifest.teacher is None else dict(manifest.teacher)
    if teacher is not None and "models" not in teacher:  # saved when there could be but one
        teacher = {"models": {teacher["path"]: teacher["fingerprint"]}, "unlabelled": teacher["unlabelled"]}
    encoder = {} if manifest.encoder is None else {"encoder": dict(manifest.encoder)}
    return encoder | {
        "init_from": None if manifest.init_from is None else dict(manifest.init_from),
        "teacher": teacher,
        "config": read_saved_config(folder).model_dump(mode="json", exclude={"output"}),
        "data": {
            name: {key: split[key] for key in ("files", "sha256", "held_out") if key in split}
            for name, split in manifest.data.items()
        },
    }


def _remove_broken_checkpoints(work: Path) -> None:
    """Remove a checkpoint that was being written when the run broke off. The Trainer writes its state last."""
    for folder in work.glob("checkpoint-*"):
        try:
            json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            logger.info("%s was being written when the run broke off; removed", folder.name)
            shutil.rmtree(folder)


def _saved_scores(files: ModelFiles) -> StrictScores:
    by_type = json.loads(files.metrics.read_text(encoding="utf-8"))["dev"]["strict"]["by_type"]
    return StrictScores(
        {name: Counts(row["correct"], row["predicted"], row["support"]) for name, row in by_type.items()}
    )


# --- data ----------------------------------------------------------------------------------------------


def encode_split(
    documents: Sequence[Document], encoder: WordEncoder, labels: LabelSet, text: TextConfig
) -> EncodedSplit:
    """Documents → words → tags → windows → a ``datasets.Dataset`` of ``input_ids`` and ``labels``.

    A word's tag stands on its first sub-token; the others, and special tokens, are ignored by the loss.
    Entities that had to be widened or dropped are named in the log.
    """
    all_words, all_windows = [], []
    rows: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    widened = dropped = 0
    for document in documents:
        words = split_words(document.text, text)
        alignment = align_entities(document, words)
        log_problems(document, alignment)
        widened += len(alignment.widened)
        dropped += len(alignment.dropped)
        tags = tag_ids(alignment.spans, len(words), labels)
        windows = encoder.encode_document(words)
        for window in windows:
            row = [IGNORED] * len(window.input_ids)
            for position, tag in zip(window.first_tokens, tags[window.window.first : window.window.last], strict=True):
                row[position] = tag
            rows["input_ids"].append(window.input_ids)
            rows["labels"].append(row)
        all_words.append(words)
        all_windows.append(windows)
    return EncodedSplit(documents, all_words, all_windows, datasets.Dataset.from_dict(rows), widened, dropped)


class LengthGroupedSampler(Sampler[int]):
    """Shuffled windows, neighbours of like length, as a function of seed and epoch alone.

    Windows are shuffled, cut into chunks of fifty batches and sorted by length inside each; the batches
    are then shuffled again. Since nothing depends on how far a run got, a resumed run sees what an
    unbroken one would have seen.

    With ``drawn``, an epoch has the first ``constant`` windows and so many of the others: each epoch goes on where the
    one before it stopped in a shuffled order of them, so that all have their turn before one comes again.

    The last batch is filled up to a multiple of ``fill_to`` with the index after the last window.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray[Any, Any],
        batch_size: int,
        seed: int,
        constant: int = 0,
        drawn: int | None = None,
        fill_to: int = 1,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.fill_to = fill_to
        self.batch_size = batch_size
        self.seed = seed
        self.constant = constant
        self.drawn = len(self.lengths) - constant if drawn is None else drawn
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-(self.constant + self.drawn) // self.fill_to) * self.fill_to

    def _windows(self) -> np.ndarray[Any, Any]:
        others = len(self.lengths) - self.constant
        if self.drawn == others:
            return np.arange(len(self.lengths))
        places = np.arange(self.epoch * self.drawn, (self.epoch + 1) * self.drawn)
        passes = [
            np.random.default_rng((self.seed, turn, 1)).permutation(others) for turn in np.unique(places // others)
        ]
        chosen = np.concatenate(passes)[places - places[0] // others * others]
        return np.concatenate([np.arange(self.constant), self.constant + chosen])

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        order = generator.permutation(self._windows())
        chunk = 50 * self.batch_size
        batches: list[np.ndarray[Any, Any]] = []
        for start in range(0, len(order), chunk):
            part = order[start : start + chunk]
            part = part[np.argsort(-self.lengths[part], kind="stable")]
            batches += [part[at : at + self.batch_size] for at in range(0, len(part), self.batch_size)]
        # The one incomplete batch stays last, else the batches after it would be cut across lengths.
        whole = sum(len(batch) == self.batch_size for batch in batches)
        for index in [*generator.permutation(whole), *range(whole, len(batches))]:
            yield from (int(window) for window in batches[index])
        yield from [len(self.lengths)] * (len(self) - len(order))


# --- the optimizer's work --------------------------------------------------------------------------------


class _TokenTrainer(Trainer):
    """The Trainer with our sampler, our losses, learning rates by part of the network, and averaged weights.

    ``loss`` is what a batch read once is judged by; ``constant`` and ``drawn`` are the sampler's.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        config: Config,
        loss: Callable[..., torch.Tensor],
        train_lengths: Sequence[int] | np.ndarray[Any, Any],
        constant: int = 0,
        drawn: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._network = network
        self._training = config.training
        self._train_lengths = train_lengths
        self._constant, self._drawn = constant, drawn
        self._loss = loss
        self._paired_loss = paired_loss(loss, config.training.r_drop) if config.training.r_drop else None
        super().__init__(model=network, compute_loss_func=loss, **kwargs)
        self.average: WeightAverage | None = None
        if config.training.averaging is not None:
            self.average = WeightAverage(network, config.training.averaging)
            self.add_callback(self.average)

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        share = self.args.per_device_train_batch_size * self.args.world_size
        batch = share * self.args.gradient_accumulation_steps
        # Processes that lack a window in the last batch would be given ones that were read already.
        fill_to = share if self.args.world_size > 1 else 1
        return LengthGroupedSampler(
            self._train_lengths, batch, self._training.seed, self._constant, self._drawn, fill_to
        )

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            groups = _optimizer_groups(self._network, self._training)
            # Fused: on CPUs the plain loop over parameters takes several times as long.
            self.optimizer = torch.optim.AdamW(groups, lr=self._training.learning_rate, fused=True)
        return self.optimizer

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The loss of a batch; with R-Drop of the batch read twice, in training alone."""
        self.compute_loss_func = self._loss
        if self._paired_loss is not None and model.training:
            self.compute_loss_func = self._paired_loss
            inputs = {name: torch.cat([tensor, tensor]) for name, tensor in inputs.items()}
        return super().compute_loss(model, inputs, *args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Dev scores, of the average where there is one."""
        with nullcontext() if self.average is None else self.average.applied():
            scores: dict[str, float] = super().evaluate(*args, **kwargs)
        return scores

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The weights of a checkpoint, the average beside them: both are needed to go on."""
        super().save_model(output_dir, _internal_call)
        if self.average is not None and output_dir is not None and self.args.should_save:
            self.average.save(Path(output_dir))


def _optimizer_groups(network: nn.Module, training: TrainingConfig) -> list[dict[str, Any]]:
    return parameter_groups(
        network, training.learning_rate, training.head_learning_rate, training.weight_decay, training.layer_decay
    )


def parameter_groups(
    network: nn.Module,
    learning_rate: float,
    head_learning_rate: float,
    weight_decay: float,
    layer_decay: float | None = None,
) -> list[dict[str, Any]]:
    """Groups for the optimizer: encoder and head, each with and without weight decay.

    Biases and layer norms (one-dimensional parameters) are not decayed. With ``layer_decay`` there is a pair of groups
    for each layer of the encoder: the last layer has ``learning_rate``, each one below it ``layer_decay`` times that of
    the one above, the embeddings come last (Clark et al. 2020, ELECTRA; Howard and Ruder 2018).

    Raises MarsadError where ``layer_decay`` is given and the names of the encoder's parameters number no layers.
    """
    prefix = f"{network.base_model_prefix}."
    rates = {} if layer_decay is None else _layer_rates(network, prefix, learning_rate, layer_decay)
    groups: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = rates.get(name, learning_rate) if name.startswith(prefix) else head_learning_rate
            groups.setdefault((name.startswith(prefix), rate, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": weight_decay if matrix else 0.0}
        for (_, rate, matrix), parameters in groups.items()
    ]


_LAYER = re.compile(r"\.(?:layer|layers|h)\.(\d+)\.")


def _layer_rates(network: nn.Module, prefix: str, learning_rate: float, decay: float) -> dict[str, float]:
    """The learning rates of the parameters of the encoder's layers and embeddings, by name."""
    body = [name for name, _ in network.named_parameters() if name.startswith(prefix)]
    layers = {name: int(found.group(1)) for name in body if (found := _LAYER.search(name))}
    if not layers:
        raise MarsadError(
            f"training.layer_decay: the encoder ({type(network).__name__}) numbers no layers in the names of its "
            "parameters, such as encoder.layer.0; leave layer_decay away"
        )
    count = max(layers.values()) + 1
    rates = {name: learning_rate * decay ** (count - 1 - layer) for name, layer in layers.items()}
    below = learning_rate * decay**count
    return rates | {name: below for name in body if name not in layers and "embed" in name}


def processes() -> PartialState:
    """The place of this process among those of `torchrun` (alone without it)."""
    return PartialState(cpu=not torch.cuda.is_available())


def training_arguments(config: Config, work: Path) -> TrainingArguments:
    """The one place where our config becomes the Trainer's arguments. Raises MarsadError as :func:`_batch_share`."""
    training = config.training
    state = processes()
    share = _batch_share(config)
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=training.epochs,
        per_device_train_batch_size=share,
        per_device_eval_batch_size=max(share, 8),
        gradient_accumulation_steps=training.gradient_accumulation,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=training.warmup,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=uses_bf16(training.precision),
        use_cpu=not torch.cuda.is_available(),
        ddp_backend="gloo" if state.num_processes > 1 and not torch.cuda.is_available() else None,
        ddp_find_unused_parameters=False,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="f1",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=training.log_every,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_nan_inf_filter=False,
        seed=training.seed,
    )
    # One process, one device: the Trainer would else multiply the batch by the GPUs that it sees. torchrun uses more.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _batch_share(config: Config) -> int:
    """Windows of one forward pass in one process.

    Raises MarsadError when the batch can't be shared out evenly among processes and accumulation steps.
    """
    training = config.training
    count: int = processes().num_processes
    shares = count * training.gradient_accumulation
    if training.batch_size % shares:
        raise MarsadError(
            f"training.batch_size {training.batch_size} can't be shared out evenly among {count} "
            f"processes × {training.gradient_accumulation} accumulation steps; choose a multiple of {shares}"
        )
    return training.batch_size // shares


def uses_bf16(precision: str) -> bool:
    """Whether to compute in bf16: as asked, or where the hardware has it (on CPUs without it, it is slower)."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@dataclass(frozen=True, slots=True)
class _RunResult:
    """One training of the weights: its seed and its log."""

    seed: int
    history: list[dict[str, Any]]

    def record(self) -> dict[str, Any]:
        return {"seed": self.seed, "history": self.history}


def _run_folders(work: Path, training: TrainingConfig) -> list[Path]:
    """Where each training has its checkpoints; the run's own folder where it is the only one."""
    return [work] if training.runs == 1 else [work / f"run-{number}" for number in range(1, training.runs + 1)]


def _train_runs(
    network: PreTrainedModel,
    encoder: WordEncoder,
    config: Config,
    splits: Mapping[str, EncodedSplit],
    taught: Taught | None,
    work: Path,
    callbacks: Sequence[TrainerCallback],
) -> list[_RunResult]:
    """Train as often as ``training.runs`` says, always from the weights given; leaves the average in ``network``.

    Networks that went different ways from one start lie in one basin of the loss, and their average is as good as
    their ensemble or nearly so, at the price of one (Wortsman et al. 2022). Where a single one of them is better on
    dev than the average, that one is left.
    """
    if config.training.runs == 1:
        history = _fit(network, encoder, config, splits, taught, work, work / "logs", callbacks, last_checkpoint(work))
        return [_RunResult(config.training.seed, history)]
    start = _weights(network)
    weights, results = [], []
    for number, folder in enumerate(_run_folders(work, config.training)):
        seed = config.training.seed + number
        logger.info("training %d of %d, seed %d", number + 1, config.training.runs, seed)
        files = folder / "trained.safetensors", folder / "history.json"
        if files[0].is_file():
            logger.info("it was done already")
            load_model(network, str(files[0]))
            history = json.loads(files[1].read_text(encoding="utf-8"))["history"]
        else:
            network.load_state_dict(start)
            own = config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})
            logs = work / "logs" / folder.name
            history = _fit(network, encoder, own, splits, taught, folder, logs, callbacks, last_checkpoint(folder))
            if processes().is_main_process:
                write_json(files[1], {"history": history})
                save_model(network, str(partial_path(files[0])))
                partial_path(files[0]).replace(files[0])
                for checkpoint in folder.glob("checkpoint-*"):
                    shutil.rmtree(checkpoint)
            processes().wait_for_everyone()
        weights.append(_weights(network))
        results.append(_RunResult(seed, history))
    _average_runs(network, encoder, config, splits["dev"], weights)
    return results


def _average_runs(
    network: PreTrainedModel,
    encoder: WordEncoder,
    config: Config,
    dev: EncodedSplit,
    weights: Sequence[Mapping[str, torch.Tensor]],
) -> None:
    """Leave the mean of several trainings' weights in a network, or those of the best where they are better on dev."""

    def score(one: Mapping[str, torch.Tensor]) -> float:
        network.load_state_dict(one)
        scores = score_words(torch_runtime(network.eval()), encoder, dev.words)
        found = [decode_words(words, some, config.label_set) for words, some in zip(dev.words, scores, strict=True)]
        return score_documents(judge_documents(dev.documents, found, dev.words), config.label_set).overall.f1

    each = [score(one) for one in weights]
    shown = ", ".join(f"{f1:.4f}" for f1 in each)
    mean = {
        name: torch.stack([one[name] for one in weights]).mean(0) if tensor.is_floating_point() else tensor
        for name, tensor in weights[0].items()
    }
    f1 = score(mean)
    if f1 >= max(each):
        logger.info("average of %d trainings: strict dev F1 %.4f (each alone: %s)", len(weights), f1, shown)
        return
    logger.info("average of %d trainings: strict dev F1 %.4f, so the best of them is kept (%s)", len(each), f1, shown)
    network.load_state_dict(weights[each.index(max(each))])


def _weights(network: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _fit(
    network: PreTrainedModel,
    encoder: WordEncoder,
    config: Config,
    splits: Mapping[str, EncodedSplit],
    taught: Taught | None,
    work: Path,
    logs: Path,
    told: Sequence[TrainerCallback],
    checkpoint: Path | None,
) -> list[dict[str, Any]]:
    """Run the Trainer; leaves the best checkpoint's weights in ``network`` and returns the log of the run.

    With a teacher it learns from the windows of ``taught`` in place of those of the train split.
    """
    loss = token_loss(config)
    dataset, tokens = splits["train"].dataset, splits["train"].tokens
    constant, drawn = len(dataset), 0
    if taught is not None:
        distillation = config.distillation
        tags = len(config.label_set.tags)
        loss = distillation_loss(loss, taught.scores, tags, distillation.weight, distillation.temperature)
        dataset, drawn = taught.dataset, taught.drawn(distillation.unlabelled_share)
        tokens = taught.tokens_per_epoch(drawn)
        logger.info("taught: %s", taught.line(drawn, config.training.epochs))
    lengths = window_lengths(dataset)
    if processes().num_processes > 1:
        dataset = _with_empty_window(dataset, int(lengths.argmin()))
    # Round sizes are fast, but an encoder may not have so many positions.
    positions = positions_of(network.config)
    rounded = positions is None or -(-config.model.max_tokens // 8) * 8 <= positions
    arguments = training_arguments(config, work)
    # What a broken-off run logged after its checkpoint is logged again.
    purge = None if checkpoint is None else int(checkpoint.name.split("-")[1]) + 1
    callbacks: list[Any] = [ProgressCallback(tokens), _StopAtNoNumber(), *told]
    if processes().is_main_process:
        callbacks.append(TensorBoardCallback(SummaryWriter(log_dir=str(logs), purge_step=purge)))
    if config.training.patience is not None:
        callbacks.append(EarlyStoppingCallback(config.training.patience))
    trainer = _TokenTrainer(
        network,
        config,
        loss,
        train_lengths=lengths,
        constant=constant,
        drawn=drawn,
        args=arguments,
        train_dataset=dataset,
        eval_dataset=splits["dev"].dataset,
        data_collator=DataCollatorForTokenClassification(encoder.tokenizer, pad_to_multiple_of=8 if rounded else None),
        compute_metrics=_dev_metrics(splits["dev"], config),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    if checkpoint is not None:
        logger.info("resuming from %s", checkpoint.name)
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        if state.stateful_callbacks["TrainerControl"]["args"]["should_training_stop"]:
            arguments.num_train_epochs = state.epoch  # it had stopped early, which the Trainer forgets
        if trainer.average is not None:
            trainer.average.load(checkpoint)
    with fast_training(network, arguments.device):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if trainer.average is not None and trainer.state.best_model_checkpoint is not None:
        trainer.average.load(Path(trainer.state.best_model_checkpoint))
        trainer.average.adopt()
    # In bf16 the Trainer has put its own arithmetic around the network's, and leaves it there.
    trainer.accelerator.unwrap_model(network, keep_fp32_wrapper=False)
    return list(trainer.state.log_history)


def _with_empty_window(dataset: datasets.Dataset, window: int) -> datasets.Dataset:
    """The windows, and behind them one more, read as ``window`` is, of which nothing is learned."""
    ids = dataset[window]["input_ids"]
    row = {"input_ids": [ids], "labels": [[IGNORED] * len(ids)]}
    return datasets.concatenate_datasets([dataset, datasets.Dataset.from_dict(row, features=dataset.features)])


class _StopAtNoNumber(TrainerCallback):
    """Ends a training that has diverged, before its weights are taken for a model's."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Raises MarsadError where a loss is no number any more."""
        for key in ("loss", "eval_loss"):
            if logs is not None and key in logs:
                check_finite(float(logs[key]), state.global_step)


def _dev_metrics(split: EncodedSplit, config: Config) -> Callable[[EvalPrediction], dict[str, float]]:
    """Strict dev scores from the Trainer's padded logits, [windows, tokens, tags]."""

    def metrics(output: EvalPrediction) -> dict[str, float]:
        rows = iter(output.predictions)
        predicted = []
        for words, windows in zip(split.words, split.windows, strict=True):
            scores = [next(rows)[window.first_tokens].astype(np.float32) for window in windows]
            predicted.append(decode_document(words, windows, scores, config.label_set))
        judged = judge_documents(split.documents, predicted, split.words)
        scores_by_type = score_documents(judged, config.label_set)
        return {"f1": scores_by_type.overall.f1} | {
            f"f1_{name}": counts.f1 for name, counts in scores_by_type.by_type.items()
        }

    return metrics
