"""Continued pretraining of an encoder on plain text: masked language modelling with whole words masked.

Everything happens in ``OUTPUT.partial``; the encoder takes its place at ``OUTPUT`` in one step when it is whole.
Whatever is random is a function of the seed and the step, so a checkpoint (weights, optimizer, step) holds no state of
a generator, and a run that goes on from one repeats the losses of an unbroken one.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from accelerate import PartialState
from accelerate.utils import reduce
from numpy.typing import NDArray
from safetensors.torch import load_model
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, get_scheduler, set_seed

from marsad import __version__
from marsad.annotations.jsonl import write_documents
from marsad.config import Config, DataConfig, load_config
from marsad.errors import MarsadError
from marsad.files import fingerprint_files, share_files, write_json, write_page
from marsad.modeling.artifacts import ModelFiles, code_fingerprint, dump_config
from marsad.modeling.card import encoder_card
from marsad.modeling.cpu import fast_training
from marsad.modeling.data import read_splits
from marsad.modeling.encoders import (
    check_vocabulary,
    encoder_files,
    find_encoder,
    load_masked_network,
    load_tokenizer,
)
from marsad.modeling.encoding import WordEncoder
from marsad.modeling.losses import IGNORED, check_finite
from marsad.modeling.packing import (
    HeldOutWindows,
    RunningTokens,
    StepBatches,
    TextCounts,
    TrainingWindows,
    WordMasker,
    collate_windows,
    text_sources,
    tokenise_texts,
)
from marsad.modeling.pretraining_config import MaskingConfig, PretrainingConfig, ProbeConfig
from marsad.modeling.progress import PretrainingProgress
from marsad.modeling.runs import (
    check_free,
    check_same_run,
    last_checkpoint,
    move_into_place,
    prepare_folder,
    work_folder,
)
from marsad.modeling.training import parameter_groups, uses_bf16

logger = logging.getLogger(__name__)

# How long other processes wait while one tokenises the texts or runs a probe.
_PATIENCE = timedelta(days=2)
# As RoBERTa was trained: the usual second moment forgets too slowly for how the loss falls.
_BETAS = (0.9, 0.98)
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """The layout of a pretrained encoder's folder, beside what ``transformers`` writes.

    ``manifest`` is written last: a folder without it is no finished run.
    """

    folder: Path

    @property
    def manifest(self) -> Path:
        """What the run was made of, counts, versions."""
        return self.folder / "pretraining.json"

    @property
    def config(self) -> Path:
        """The resolved config of the run."""
        return self.folder / "pretraining.yaml"

    @property
    def metrics(self) -> Path:
        """The course of the run, a JSON object a line."""
        return self.folder / "metrics.jsonl"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.folder / "README.md"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The network on the held-out windows: summed negative log-likelihood and right guesses over all ``guesses``.

    ``probe`` is the strict dev F1 of the short fine-tuning, where the encoder was probed.
    """

    step: int
    loss_sum: float
    correct: int
    guesses: int
    probe: float | None = None

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood of a masked sub-token, in nats."""
        return self.loss_sum / self.guesses

    @property
    def perplexity(self) -> float:
        """Its exponential."""
        return math.exp(min(self.loss, 700.0))

    @property
    def accuracy(self) -> float:
        """Share of masked sub-tokens whose most probable guess is right."""
        return self.correct / self.guesses

    def __str__(self) -> str:
        probe = "" if self.probe is None else f", probe: strict dev F1 {self.probe:.4f}"
        return f"held-out perplexity {self.perplexity:,.2f} (loss {self.loss:.4f}), {self.accuracy:.1%} right{probe}"

    def record(self) -> dict[str, Any]:
        """As a row of ``metrics.jsonl``; :func:`judgements_of` reads it back."""
        return {
            "step": self.step,
            "held_out": {"loss_sum": self.loss_sum, "correct": self.correct, "guesses": self.guesses},
            "loss": self.loss,
            "perplexity": self.perplexity,
            "accuracy": self.accuracy,
            "probe_f1": self.probe,
        }


@dataclass(frozen=True, slots=True)
class PretrainingResult:
    """A finished run: the encoder's folder, and what the held-out texts said before the first step and in the end."""

    folder: Path
    judgements: Sequence[Judgement]


class MaskedLanguageModel(nn.Module):
    """A network of transformers that guesses at given places alone: the output layer is its dearest part.

    Raises MarsadError when the network's head is no chain of modules after its encoder.
    """

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network
        base = network.base_model
        self._head = [part for part in network.children() if part is not base]
        if not self._guesses_as_the_whole():
            raise MarsadError(
                f"the encoder's kind {network.config.model_type!r} can't be pretrained here; expected one built as "
                "BERT, RoBERTa or XLM-R"
            )

    def _guesses_as_the_whole(self) -> bool:
        """Whether the parts called one by one give what the network does; else its head is built in another way."""
        self.network.eval()
        ids = torch.arange(5, 13)[None]
        with torch.no_grad():
            whole = self.network(input_ids=ids).logits
            try:
                ours = self(ids, torch.arange(8)[None])
            except (TypeError, RuntimeError):  # a part that takes something else than the one before it gives
                return False
        return ours.shape == whole.shape and torch.allclose(ours, whole, atol=1e-3, rtol=1e-3)

    def forward(self, input_ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Scores of all sub-tokens, [windows, guesses, vocabulary], of ``input_ids`` [windows, tokens] at ``positions``
        [windows, guesses]; windows are full.
        """
        hidden = self.network.base_model(input_ids=input_ids).last_hidden_state
        scores = hidden.gather(1, positions[..., None].expand(-1, -1, hidden.shape[-1]))
        for part in self._head:
            scores = part(scores)
        result: torch.Tensor = scores
        return result


def pretrain(config: PretrainingConfig, resume: bool = False, overwrite: bool = False) -> PretrainingResult:
    """Train an encoder on as ``config`` says and leave it in ``config.output_folder``, in Hugging Face form.

    ``resume`` goes on with a run that was killed (from its last checkpoint; from the start where it had none yet) and
    returns at once where the run is already whole. ``overwrite`` replaces an encoder or a broken-off run.

    Raises MarsadError for every mistake in what was given, before anything is written; and when the loss is no number
    any more.
    """
    output = config.output_folder
    files = EncoderFiles(output)
    work = work_folder(output)
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
    share = _batch_share(config, state.num_processes)
    if state.is_main_process and not resume:
        check_free(output, files.manifest.name, overwrite)
    sources = text_sources(config.data)
    probe = None if config.probe is None else load_probe(config.probe)
    model = config.model.as_model()
    source = find_encoder(config.model.encoder)
    encoder = load_tokenizer(source, model)
    run = {
        "config": config.model_dump(mode="json", exclude={"output"}),
        "encoder": encoder_files(source),
        "data": {
            "files": [one.path for one in sources],
            "sha256": fingerprint_files(Path(one.path) for one in sources),
        },
    }
    set_seed(config.training.seed)
    network, has_head = load_masked_network(source, model)
    check_vocabulary(encoder, network, source)
    new_mask = add_mask_token(network, encoder)
    masked = MaskedLanguageModel(network)
    if state.is_main_process:
        if resume and not work.exists() and files.manifest.is_file():
            check_same_run(output, json.loads(files.manifest.read_text(encoding="utf-8")), run)
        else:
            prepare_folder(output, files.manifest.name, run, resume, overwrite)
    state.wait_for_everyone()
    if not work.exists():
        logger.info("%s is whole already; nothing to resume", output)
        return PretrainingResult(output, judgements_of(files.metrics))

    train_file, held_out_file = work / "train.tokens", work / "held-out.tokens"
    if state.is_main_process and not (work / "texts.json").is_file():
        counts = tokenise_texts(config.data, config.text, source, model, train_file, held_out_file)
        write_json(work / "texts.json", asdict(counts))
    state.wait_for_everyone()
    counts = TextCounts(**json.loads((work / "texts.json").read_text(encoding="utf-8")))
    train, held_out = (RunningTokens(path, encoder.room) for path in (train_file, held_out_file))
    _check_texts(counts, train, held_out)
    logger.info(
        "texts: %s; %.2f sub-tokens a word",
        ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in asdict(counts).items()),
        (counts.sub_tokens + counts.held_out_sub_tokens) / max(counts.words, 1),
    )
    if state.is_main_process:
        if not has_head:
            logger.info(
                "the head that guesses sub-tokens is new: none was saved with the encoder; "
                "it begins from how often each one is in the texts"
            )
        if new_mask:
            logger.info("the vocabulary has no mask token: %s is added to it", encoder.tokenizer.mask_token)
    if not has_head:
        begin_from_frequencies(network, train.frequencies(len(encoder.tokenizer)))
    trainer = _Pretrainer(config, masked, encoder, train, held_out, share, probe, work, state)
    with fast_training(network, torch.device(state.device)):
        trainer.run(last_checkpoint(work) if resume else None)
    judgements = judgements_of(EncoderFiles(work).metrics)
    if state.is_main_process:
        whole = EncoderFiles(work / "model")
        shutil.rmtree(whole.folder, ignore_errors=True)
        save_encoder(network, encoder, whole.folder, config.save_dtype)
        shutil.copy(EncoderFiles(work).metrics, whole.metrics)
        whole.config.write_text(
            yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        rows = [(one.step, one.perplexity, one.accuracy, one.probe) for one in judgements]
        whole.card.write_text(encoder_card(config, asdict(counts), rows), encoding="utf-8")
        share_files(whole.folder)
        write_json(
            whole.manifest,
            run | {"counts": asdict(counts), "steps": config.steps, "code": code_fingerprint(), "marsad": __version__},
        )
        move_into_place(output)
    state.wait_for_everyone()
    return PretrainingResult(output, judgements)


def _batch_share(config: PretrainingConfig, processes: int) -> int:
    """Windows of one forward pass in one process. Raises MarsadError when the batch can't be shared out evenly."""
    shares = processes * config.training.gradient_accumulation
    if config.training.batch_size % shares:
        raise MarsadError(
            f"training.batch_size {config.training.batch_size} can't be shared out evenly among {processes} processes "
            f"× {config.training.gradient_accumulation} accumulation steps; choose a multiple of {shares}"
        )
    return config.training.batch_size // shares


def _check_texts(counts: TextCounts, train: RunningTokens, held_out: RunningTokens) -> None:
    if not counts.documents + counts.held_out_documents and counts.rejected:
        raise MarsadError(
            f"data.texts: all {counts.rejected} rows were left out, for the reasons above; is data.text_column right?"
        )
    for name, windows, documents in (
        ("to learn from", train, counts.documents),
        ("held out", held_out, counts.held_out_documents),
    ):
        if not len(windows):
            raise MarsadError(
                f"data.texts: the {documents} documents {name} do not fill one window of {windows.room} sub-tokens; "
                "give more text, another data.held_out, or smaller model.max_tokens"
            )


def add_mask_token(network: PreTrainedModel, encoder: WordEncoder) -> bool:
    """Give a vocabulary without a mask token one, its embedding the mean of all others; whether that was needed."""
    if encoder.tokenizer.mask_token_id is not None:
        return False
    encoder.tokenizer.add_special_tokens({"mask_token": "<mask>"})
    network.resize_token_embeddings(len(encoder.tokenizer), mean_resizing=False)
    weight = input_embeddings(network)
    with torch.no_grad():
        weight[-1] = weight[:-1].mean(dim=0)
    return True


def begin_from_frequencies(network: PreTrainedModel, counts: NDArray[np.int64]) -> None:
    """Let a new head guess by frequency before it has learned anything: ``counts`` of each sub-token in the texts.

    Only the bias of its output layer is set; a network whose output layer has none is left as it is.
    """
    layer: Any = network.get_output_embeddings()
    bias = getattr(layer, "bias", None)
    if bias is None:
        return
    shares = (counts + 1) / (counts.sum() + len(counts))
    logs = torch.from_numpy(np.log(shares)).to(bias)
    with torch.no_grad():
        bias[: len(logs)] = logs - logs.mean()


def input_embeddings(network: PreTrainedModel) -> nn.Parameter:
    """The embeddings of sub-tokens, [vocabulary, hidden]; the output layer has the same."""
    embeddings: Any = network.get_input_embeddings
    weight: nn.Parameter = embeddings().weight
    return weight


def save_encoder(network: PreTrainedModel, encoder: WordEncoder, folder: Path, dtype: str) -> None:
    """Write network and tokenizer in Hugging Face form; ``dtype`` is ``fp32`` or ``fp16``."""
    saved = copy.deepcopy(network).half() if dtype == "fp16" else network
    saved.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)


def judgements_of(metrics: Path) -> list[Judgement]:
    """The judgements among the rows of ``metrics.jsonl``, in order."""
    rows = (json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines())
    return [Judgement(row["step"], **row["held_out"], probe=row["probe_f1"]) for row in rows if "held_out" in row]


# --- the optimizer's work --------------------------------------------------------------------------------


class _Pretrainer:
    """One run of the optimizer: steps, judgements, checkpoints."""

    def __init__(
        self,
        config: PretrainingConfig,
        masked: MaskedLanguageModel,
        encoder: WordEncoder,
        train: RunningTokens,
        held_out: RunningTokens,
        share: int,
        probe: Probe | None,
        work: Path,
        state: PartialState,
    ) -> None:
        self._config = config
        self._network = masked.network
        self._encoder = encoder
        self._share = share
        self._probe = probe
        self._work = work
        self._state = state
        self._device = torch.device(state.device)
        self._masked = masked.to(self._device)
        training = config.training
        self._bf16 = uses_bf16(training.precision)
        self._train = TrainingWindows(train, WordMasker(encoder, config.masking), training.seed)
        # Judged with every chosen word masked, so that runs which mask otherwise can be compared.
        judging = MaskingConfig(share=config.masking.share, masked=1, random=0)
        self._held_out = HeldOutWindows(held_out, WordMasker(encoder, judging), training.seed)
        self._guesses = training.batch_size * WordMasker(encoder, config.masking).guesses
        groups = parameter_groups(
            self._network, training.learning_rate, training.head_learning_rate, training.weight_decay
        )
        # Fused: on CPUs the plain loop over parameters takes several times as long.
        self._optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, betas=_BETAS, eps=_EPSILON, fused=True)
        self._scheduler = get_scheduler(
            training.schedule,
            self._optimizer,
            num_warmup_steps=round(training.warmup * config.steps),
            num_training_steps=config.steps,
        )
        # Since the last line of the log; part of a checkpoint, so that a resumed run logs what an unbroken one would.
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        self._loss_count = torch.zeros((), dtype=torch.int64, device=self._device)

    def run(self, checkpoint: Path | None) -> None:
        """All steps from the checkpoint on, or from the first."""
        training, state, steps = self._config.training, self._state, self._config.steps
        first = 0 if checkpoint is None else self._load(checkpoint)
        progress = PretrainingProgress(
            first,
            steps,
            self._config.tokens_per_step,
            flops_per_token(self._masked, self._config),
            state.is_main_process,
        )
        if state.is_main_process:
            _keep_rows_until(EncoderFiles(self._work).metrics, first if checkpoint is not None else -1)
        if checkpoint is None:
            self._judge(0, progress)
        model: Any = self._masked
        if state.num_processes > 1:
            model = DistributedDataParallel(model, device_ids=None if self._device.type == "cpu" else [self._device])
        if training.compile and self._device.type == "cuda":
            model = torch.compile(model)
        batches = self._batches(first)
        for step in range(first, steps):
            progress.begin_step()
            self._step(step, model, batches)
            done = step + 1
            if done % training.log_every == 0 or done == steps:
                self._log(done, progress)
            progress.end_step()
            if done % training.evaluate_every == 0 or done == steps:
                self._judge(done, progress)
            if done % training.checkpoint_every == 0 and done < steps:
                self._save(done)
        progress.close()

    def _batches(self, first: int) -> Iterator[dict[str, torch.Tensor]]:
        training = self._config.training
        sampler = StepBatches(
            first,
            self._config.steps,
            self._share,
            training.gradient_accumulation,
            self._state.process_index,
            self._state.num_processes,
        )
        return iter(
            DataLoader(
                self._train,
                batch_sampler=sampler,
                num_workers=training.loaders,
                collate_fn=collate_windows,
                pin_memory=self._device.type == "cuda",
            )
        )

    def _step(self, step: int, model: Any, batches: Iterator[dict[str, torch.Tensor]]) -> None:
        training, state = self._config.training, self._state
        # Dropout, the one thing that is drawn here.
        torch.manual_seed(hash((training.seed, step, state.process_index)) & (2**63 - 1))
        self._masked.train()
        for part in range(training.gradient_accumulation):
            last = part == training.gradient_accumulation - 1
            waits = nullcontext() if last or state.num_processes == 1 else model.no_sync()
            with waits:
                loss, count = self._loss(model, next(batches))
                # DistributedDataParallel takes the mean over processes; the sum is wanted.
                (loss * state.num_processes / self._guesses).backward()
            self._loss_sum += loss.detach()
            self._loss_count += count
        nn.utils.clip_grad_norm_(self._network.parameters(), training.max_grad_norm)
        self._optimizer.step()
        self._scheduler.step()
        self._optimizer.zero_grad()

    def _loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed cross-entropy of a batch's guesses, and their number."""
        scores, labels = self._scores(model, batch)
        loss = nn.functional.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")
        return loss, (labels != IGNORED).sum()

    def _scores(self, model: Any, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores [guesses, vocabulary] of a batch in fp32, and its labels [guesses]."""
        ids, positions, labels = (
            batch[name].to(self._device, non_blocking=True) for name in ("input_ids", "positions", "labels")
        )
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bf16):
            scores = model(ids, positions)
        return scores.float().flatten(0, 1), labels.flatten()

    def _log(self, done: int, progress: PretrainingProgress) -> None:
        loss_sum, count = reduce(self._loss_sum, "sum").item(), reduce(self._loss_count, "sum").item()
        self._loss_sum.zero_()
        self._loss_count.zero_()
        loss = loss_sum / max(count, 1)
        check_finite(loss, done)
        rate = self._scheduler.get_last_lr()[0]
        progress.say_step(done, loss)
        tokens = done * self._config.tokens_per_step
        self._note({"step": done, "tokens": tokens, "train_loss": loss, "learning_rate": rate})

    def _judge(self, step: int, progress: PretrainingProgress) -> None:
        """Judge on the held-out windows, and probe where it is time to."""
        state = self._state
        self._masked.eval()
        sums = torch.zeros(3, dtype=torch.float64, device=self._device)
        mine = range(state.process_index, len(self._held_out), state.num_processes)
        with torch.inference_mode():
            for at in range(0, len(mine), self._share):
                batch = collate_windows([self._held_out[number] for number in mine[at : at + self._share]])
                scores, labels = self._scores(self._masked, batch)
                loss = nn.functional.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")
                right = (scores.argmax(dim=-1) == labels).sum()
                sums += torch.stack([loss.double(), right.double(), (labels != IGNORED).sum().double()])
        loss_sum, correct, guesses = reduce(sums, "sum").tolist()
        if not guesses:
            raise MarsadError(
                "data.held_out: its windows hold no word short enough to be masked; "
                "hold out more text, or set a larger masking.share"
            )
        probe = self._probe_score(step)
        judgement = Judgement(step, loss_sum, int(correct), int(guesses), probe)
        progress.say(f"step {step}/{self._config.steps}: {judgement}")
        self._note(judgement.record() | {"tokens": step * self._config.tokens_per_step})

    def _probe_score(self, step: int) -> float | None:
        if self._probe is None or self._config.probe is None:
            return None
        last = step == self._config.steps
        if not last and step // self._config.training.evaluate_every % self._config.probe.every:
            return None
        score = None
        if self._state.is_main_process:
            folder = self._work / "probe"
            shutil.rmtree(folder, ignore_errors=True)
            save_encoder(self._network, self._encoder, folder / "encoder", "fp32")
            score = run_probe(self._probe, folder)
            shutil.rmtree(folder)
        self._state.wait_for_everyone()
        return score

    def _note(self, row: Mapping[str, Any]) -> None:
        if self._state.is_main_process:
            with EncoderFiles(self._work).metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    # A checkpoint is an encoder in Hugging Face form, so that one can fine-tune from it while the run goes on.

    def _save(self, step: int) -> None:
        sums = [reduce(self._loss_sum, "sum").item(), reduce(self._loss_count, "sum").item()]
        check_finite(sums[0], step)  # a checkpoint takes the place of the one before it, which is sound
        if not self._state.is_main_process:
            return
        folder = self._work / f"checkpoint-{step}"
        partial = self._work / f".{folder.name}"
        shutil.rmtree(partial, ignore_errors=True)
        save_encoder(self._network, self._encoder, partial, "fp32")
        values = {"optimizer": self._optimizer.state_dict(), "scheduler": self._scheduler.state_dict()}
        torch.save(values | {"step": step, "sums": sums}, partial / "training.pt")
        partial.rename(folder)
        for old in self._work.glob("checkpoint-*"):
            if old != folder:
                shutil.rmtree(old)

    def _load(self, folder: Path) -> int:
        load_model(self._network, folder / "model.safetensors")
        values = torch.load(folder / "training.pt", map_location=self._device, weights_only=True)
        self._optimizer.load_state_dict(values["optimizer"])
        self._scheduler.load_state_dict(values["scheduler"])
        if self._state.is_main_process:  # they are the sums of all processes together
            self._loss_sum += values["sums"][0]
            self._loss_count += values["sums"][1]
        logger.info("resuming from %s", folder.name)
        return int(values["step"])


def _keep_rows_until(metrics: Path, step: int) -> None:
    """Drop what a broken-off run noted after its checkpoint, a line that it was writing with it."""
    kept = []
    for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["step"] <= step:
            kept.append(line + "\n")
    write_page(metrics, "".join(kept))


def flops_per_token(masked: MaskedLanguageModel, config: PretrainingConfig) -> float:
    """Floating-point operations that training spends on a sub-token: forward, and twice that backward.

    Six for each weight of the layers; twelve for each layer's hidden size and each sub-token of the window, in the two
    products of attention; six for each weight of the head and of the output embedding, at the masked sub-tokens alone.
    """
    network, settings = masked.network, masked.network.config
    base = network.base_model
    embeddings = sum(
        weight.numel() for part in base.modules() if isinstance(part, nn.Embedding) for weight in part.parameters()
    )
    layers = sum(weight.numel() for weight in base.parameters()) - embeddings
    attention = settings.num_hidden_layers * settings.hidden_size * config.model.max_tokens
    output = sum(weight.numel() for weight in network.parameters()) - layers - embeddings
    output += input_embeddings(network).numel()
    return float(6 * layers + 12 * attention + 6 * config.masking.share * output)


# --- the probe -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """A short fine-tuning: its config, but for the encoder and the folder."""

    config: Config
    reports: int | None


def load_probe(config: ProbeConfig) -> Probe:
    """Read a probe's training config, and its data once, so that a mistake there is found before the first step.

    Raises MarsadError as ``load_config`` and ``read_splits``, and for a config that goes on from a trained model.
    """
    training = load_config(config.config, [f"training.epochs={config.epochs}"])
    if training.model.init_from is not None:
        raise MarsadError(
            f"probe.config: {config.config} has model.init_from, so its encoder would not be the one here"
        )
    read_splits(training.data, training.labels)
    return Probe(training, config.reports)


def run_probe(probe: Probe, folder: Path) -> float:
    """Fine-tune ``folder/encoder`` and return its strict dev F1.

    In a process of its own, even under `torchrun`: what training sets for its whole process would reach into this run.

    Raises MarsadError with what the training said when it failed.
    """
    config = probe.config
    splits = read_splits(config.data, config.labels)
    count = len(splits.train) if probe.reports is None else min(probe.reports, len(splits.train))
    chosen = sorted(np.random.default_rng(config.training.seed).permutation(len(splits.train))[:count])
    write_documents([splits.train[index] for index in chosen], folder / "train.jsonl")
    write_documents(splits.dev, folder / "dev.jsonl")
    data = DataConfig(train=(folder / "train.jsonl",), dev=(folder / "dev.jsonl",))
    model = config.model.model_copy(update={"encoder": str(folder / "encoder")})
    resolved = config.model_copy(update={"data": data, "model": model, "output": folder / "model"})
    write_page(folder / "config.yaml", dump_config(resolved))
    outside = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK"}
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in outside and not name.startswith(("TORCHELASTIC_", "ROLE_"))
    }
    command = [sys.executable, "-m", "marsad", "train", str(folder / "config.yaml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise MarsadError(f"the probe failed: {last.removeprefix('marsad: error: ')}")
    metrics = json.loads(ModelFiles(folder / "model").metrics.read_text(encoding="utf-8"))
    return float(metrics["dev"]["strict"]["overall"]["f1"])
