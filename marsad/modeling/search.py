"""A search for a better recipe: trainings with other settings, judged on the dev split of the config that they vary.

The settings are drawn by the tree-structured Parzen estimator (Bergstra et al. 2011) of optuna. A search may be killed
at any moment: its trials stand in a journal, and the same call goes on, with the training that broke off too.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from transformers import TrainerCallback

from marsad.config import Config, apply_values, explain_error, load_config, read_yaml
from marsad.errors import MarsadError, first_line
from marsad.files import write_page
from marsad.modeling.artifacts import dump_config
from marsad.modeling.data import read_splits
from marsad.modeling.runs import take_up_folder
from marsad.modeling.training import train

logger = logging.getLogger(__name__)


class SearchRange(BaseModel):
    """What may be tried of one key: ``choices``, or whatever lies between ``low`` and ``high``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    choices: tuple[bool | int | float | str | None, ...] | None = Field(default=None, min_length=1)
    """Values, in no order."""
    low: int | float | None = None
    """The least number; whole numbers alone are tried where `low` and `high` are whole."""
    high: int | float | None = None
    """The largest number."""
    log: bool = False
    """Draw by magnitude: as many between 0.001 and 0.01 as between 0.01 and 0.1."""

    @model_validator(mode="after")
    def _one_kind(self) -> SearchRange:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("choices stand alone; leave low, high and log away")
        elif self.low is None or self.high is None:
            raise ValueError("expected choices, or low and high")
        elif not self.low <= self.high or (self.log and self.low <= 0):
            raise ValueError(f"expected low <= high (and low above 0 with log), got {self.low:g} and {self.high:g}")
        return self

    def distribution(self) -> BaseDistribution:
        """The same for optuna."""
        if self.choices is not None:
            return CategoricalDistribution(self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log)
        return FloatDistribution(float(self.low or 0), float(self.high or 0), log=self.log)


class SearchConfig(BaseModel):
    """A search, as one YAML file such as ``configs/search.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Path
    """The config that is varied; its dev split judges."""
    trials: int = Field(ge=1)
    """Trainings in all, with those that were ended early, those that failed and those of earlier calls."""
    seed: int = Field(default=13, ge=0)
    """Seed of what is tried; a training's own is the base config's."""
    prune_after: int | None = Field(default=None, ge=1)
    """End trials that are below the median of the others at their epoch, once so many are whole; null: none."""
    space: dict[str, SearchRange] = Field(min_length=1)
    """Keys of the base config (`training.epochs`), each with what may be tried."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The trials of a search, best first, as rows of the table; ``best`` is the path of the best one's config."""

    rows: tuple[Mapping[str, Any], ...]
    best: Path

    def table(self) -> str:
        """The trials as text, tab-separated as in ``trials.tsv``."""
        return _table(self.rows)


def load_search(path: Path) -> SearchConfig:
    """Read a YAML file. Raises MarsadError that names the file and the key."""
    try:
        return SearchConfig.model_validate(read_yaml(path))
    except ValidationError as error:
        raise MarsadError(f"{path}: {explain_error(error, SearchConfig)}") from None


def search(path: Path, folder: Path) -> SearchResult:
    """Run the search of the YAML file ``path``, or go on with the one in ``folder``.

    The folder gets ``trials.tsv`` (a row a trial: its dev F1 and settings), ``best.yaml`` (a whole config, to be
    trained anew) and ``journal.log``. Models are not kept. More ``trials`` in the file go on with the same search.

    Raises MarsadError for a mistake in the files, or where the folder holds another search.
    """
    config = load_search(path)
    base = load_config(config.base)
    for key, one in config.space.items():
        for value in one.choices if one.choices is not None else (one.low, one.high):
            if _varied(base, {key: value}, path).data != base.data:
                raise MarsadError(
                    f"{path}: space: {key}: what is learned from and judged on can't be varied, since trials would not "
                    f"compare; set it in {config.base}"
                )
    _take_up(folder, config, base)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.create_study(storage=storage, study_name="search", direction="maximize", load_if_exists=True)
    space = {key: one.distribution() for key, one in config.space.items()}
    while True:
        begun = next((trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.RUNNING), None)
        number = begun.number if begun is not None else len(study.get_trials(deepcopy=False))
        if begun is None and number >= config.trials:
            break
        # A sampler for each trial, seeded by its number: a search that goes on draws what it would have drawn.
        study.sampler = optuna.samplers.TPESampler(seed=config.seed + number, multivariate=False)
        trial = Trial(study, begun._trial_id) if begun is not None else study.ask(space)
        _run(study, trial, config, base, path, folder)
        _write(study, base, path, folder)
    rows = _write(study, base, path, folder)
    if rows[0]["state"] != "complete":
        raise MarsadError(f"{folder}: none of the {len(rows)} trials could be trained; remove it and mend {path}")
    return SearchResult(rows, folder / "best.yaml")


def _run(study: optuna.Study, trial: Trial, config: SearchConfig, base: Config, path: Path, folder: Path) -> None:
    """Train with the settings of a trial and tell the study how it did; the model is removed.

    Raises MarsadError where it can't be trained and no trial could before it.
    """
    output = folder / f"trial-{trial.number}"
    logger.info("trial %d of %d: %s", trial.number + 1, config.trials, _settings(trial.params))
    watch = _Watch(study, trial, config.prune_after)
    try:
        varied = _varied(base, trial.params, path).model_copy(update={"output": output})
        f1 = train(varied, resume=True, callbacks=[watch]).dev.overall.f1
    except (MarsadError, RuntimeError, MemoryError) as error:  # out of memory is one; OSError is gone on with
        # Settings may be right one by one and not together. The trial is over, else each call would begin with it.
        study.tell(trial, state=TrialState.FAIL)
        if not any(one.state == TrialState.COMPLETE for one in study.get_trials(deepcopy=False)):
            if isinstance(error, MarsadError):
                raise  # a mistake that may well be in all of them
            raise MarsadError(f"trial {trial.number + 1}: failed: {first_line(error)}") from error
        logger.warning("trial %d: failed: %s", trial.number + 1, first_line(error))
    except _Pruned:
        logger.info("trial %d: ended after epoch %d, below the median", trial.number + 1, watch.epoch)
        study.tell(trial, state=TrialState.PRUNED)
    else:
        logger.info("trial %d: strict dev F1 %.4f", trial.number + 1, f1)
        study.tell(trial, f1)
    for left in (output, output.with_name(f"{output.name}.partial")):
        shutil.rmtree(left, ignore_errors=True)


class _Pruned(Exception):
    """A trial that is not worth going on with."""


class _Watch(TrainerCallback):
    """Tells a trial's dev F1 by epoch, and ends it where it is below the median of the others."""

    def __init__(self, study: optuna.Study, trial: Trial, prune_after: int | None) -> None:
        self._study, self._trial, self._prune_after = study, trial, prune_after
        self.epoch = 0

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After each epoch."""
        self.epoch = round(state.epoch)
        self._trial.report(kwargs["metrics"]["eval_f1"], self.epoch)
        if self._prune_after is not None:
            pruner = optuna.pruners.MedianPruner(n_startup_trials=self._prune_after)
            frozen = next(one for one in self._study.get_trials() if one.number == self._trial.number)
            if pruner.prune(self._study, frozen):
                raise _Pruned


def _varied(base: Config, values: Mapping[str, Any], path: Path) -> Config:
    try:
        return apply_values(base, values)
    except MarsadError as error:
        raise MarsadError(f"{path}: space: {error}") from None


def _take_up(folder: Path, config: SearchConfig, base: Config) -> None:
    """Make the folder of a search, or take it up again. Raises MarsadError when it is that of another one."""
    data = read_splits(base.data, base.labels).sources
    search = config.model_dump(mode="json", exclude={"trials"})
    run = {"search": search, "base": base.model_dump(mode="json", exclude={"output"}), "data": data}
    take_up_folder(folder / "search.json", run, "the search", "another search", "search anew")


# --- what is written -------------------------------------------------------------------------------------


def _write(study: optuna.Study, base: Config, path: Path, folder: Path) -> tuple[Mapping[str, Any], ...]:
    trials = sorted(
        study.get_trials(deepcopy=False), key=lambda one: (one.state != TrialState.COMPLETE, -_f1(one), one.number)
    )
    rows = tuple(
        {"trial": one.number + 1, "state": one.state.name.lower(), "dev_f1": f"{_f1(one):.4f}"}
        | {key: _shown(value) for key, value in sorted(one.params.items())}
        for one in trials
    )
    whole = [one for one in trials if one.state == TrialState.COMPLETE]
    if whole:
        best = _varied(base, whole[0].params, path).model_copy(update={"output": None})
        write_page(folder / "best.yaml", dump_config(best))
    write_page(folder / "trials.tsv", _table(rows) + "\n")
    return rows


def _f1(trial: FrozenTrial) -> float:
    """Dev F1 of a trial; of one that was ended, that of its last epoch."""
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return trial.value
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else 0.0


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _settings(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_shown(value)}" for key, value in sorted(params.items()))


def _table(rows: tuple[Mapping[str, Any], ...]) -> str:
    lines = [list(rows[0])] if rows else []
    return "\n".join("\t".join(map(str, line)) for line in [*lines, *(row.values() for row in rows)])
