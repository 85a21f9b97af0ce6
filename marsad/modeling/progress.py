"""What training shows while it runs: a bar on a terminal, plain lines in a batch job."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from marsad.batch.progress import clock

logger = logging.getLogger(__name__)


class ProgressCallback(TrainerCallback):
    """Rate in sub-tokens/s (all processes together), time left, loss and dev scores.

    ``tokens_per_epoch``: sub-tokens of the training windows, padding not counted.
    """

    def __init__(self, tokens_per_epoch: int) -> None:
        self._tokens_per_epoch = tokens_per_epoch
        self._bar: tqdm[Any] | None = None
        self._first_step = 0
        self._busy = 0.0  # seconds in optimizer steps, evaluation and saving left out
        self._step_began = 0.0
        self._loss: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start counting; a resumed run starts at its checkpoint."""
        self._first_step = state.global_step
        if state.is_world_process_zero and sys.stderr.isatty():
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc="training", unit="step")

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the step's clock."""
        self._step_began = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count the step."""
        self._busy += time.monotonic() - self._step_began
        if self._bar is not None:
            self._bar.update()
            loss = f", loss {self._loss:.4f}" if self._loss is not None else ""
            self._bar.set_postfix_str(f"{self._rate(state):,.0f} sub-tokens/s{loss}")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """One line per log record: training loss or dev scores."""
        if not state.is_world_process_zero or logs is None:
            return
        if "eval_f1" in logs:
            by_type = ", ".join(f"{key[8:]} {value:.4f}" for key, value in logs.items() if key.startswith("eval_f1_"))
            scores = f"strict dev F1 {logs['eval_f1']:.4f} ({by_type}), dev loss {logs['eval_loss']:.4f}"
            self._say(f"epoch {state.epoch:.0f}: {scores}")
        elif "loss" in logs and self._bar is not None:
            self._loss = float(logs["loss"])  # shown with the next step
        elif "loss" in logs:
            done = state.global_step - self._first_step
            left = self._busy / done * (state.max_steps - state.global_step) if done else 0.0
            self._say(
                f"step {state.global_step}/{state.max_steps}, epoch {state.epoch:.2f}, loss {float(logs['loss']):.4f}, "
                f"{self._rate(state):,.0f} sub-tokens/s, {clock(left)} left"
            )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def _rate(self, state: TrainerState) -> float:
        steps_per_epoch = state.max_steps / max(state.num_train_epochs, 1)
        done = state.global_step - self._first_step
        return done / steps_per_epoch * self._tokens_per_epoch / self._busy if self._busy else 0.0

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            logger.info(line)


class PretrainingProgress:
    """The same for pretraining: a line each time the loss is logged, the rate also as the arithmetic that it takes.

    ``tokens_per_step``: sub-tokens of a step, all processes together; ``flops_per_token``: operations for each.
    """

    def __init__(self, first: int, steps: int, tokens_per_step: int, flops_per_token: float, shown: bool) -> None:
        self._first = first
        self._steps = steps
        self._tokens_per_step = tokens_per_step
        self._flops_per_token = flops_per_token
        self._shown = shown
        self._bar: tqdm[Any] | None = None
        self._busy = 0.0  # seconds in optimizer steps, judgements and saving left out
        self._step_began = 0.0
        if shown and sys.stderr.isatty():
            self._bar = tqdm(total=steps, initial=first, desc="pretraining", unit="step")
        tokens = steps * tokens_per_step
        self.say(
            f"{steps:,} steps of {tokens_per_step:,} sub-tokens, {tokens:,} in all; "
            f"{flops_per_token / 1e6:,.0f} MFLOP a sub-token, {flops_per_token * tokens:.2e} FLOP in all"
        )

    def begin_step(self) -> None:
        """Start the step's clock."""
        self._step_began = time.monotonic()

    def end_step(self) -> None:
        """Count the step. A GPU may still be at it; where the loss is logged, it has been waited for."""
        self._busy += time.monotonic() - self._step_began
        if self._bar is not None:
            self._bar.update()

    def say_step(self, done: int, loss: float) -> None:
        """One line: how far, the loss, the rate, the time left."""
        busy = self._busy + time.monotonic() - self._step_began
        rate = (done - self._first) * self._tokens_per_step / busy
        left = busy / (done - self._first) * (self._steps - done)
        self.say(
            f"step {done}/{self._steps}, loss {loss:.4f}, {rate:,.0f} sub-tokens/s "
            f"({rate * self._flops_per_token / 1e12:.3g} TFLOP/s), {clock(left)} left"
        )

    def say(self, line: str) -> None:
        """A line of the log, above the bar where there is one."""
        if not self._shown:
            return
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            logger.info(line)

    def close(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
