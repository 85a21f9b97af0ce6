"""The cards that stand beside the weights: of a trained model, and of a pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from marsad.config import Config
from marsad.evaluation.scoring import StrictScores
from marsad.modeling.calibration import FittedCalibration
from marsad.modeling.data import describe_source
from marsad.modeling.pretraining_config import PretrainingConfig

# What an encoder's name stands for elsewhere.
_BASE_MODELS = {"embedded": "intfloat/multilingual-e5-small"}


def model_card(
    config: Config,
    data: Mapping[str, Mapping[str, Any]],
    dev: StrictScores,
    fitted: FittedCalibration,
    teacher: Mapping[str, Any] | None = None,
) -> str:
    """A model card in Hugging Face form: YAML metadata with the dev scores, then prose and tables."""
    overall = dev.overall
    header = {
        "language": "ar",
        "library_name": "transformers",
        "pipeline_tag": "token-classification",
        "base_model": _BASE_MODELS.get(config.model.encoder, config.model.encoder),
        "tags": ["named-entity-recognition", "arabic", "armed-conflict", "marsad"],
        "model-index": [
            {
                "name": config.name,
                "results": [
                    {
                        "task": {"type": "token-classification", "name": "Named entity recognition"},
                        "dataset": {"type": "custom", "name": describe_source(data["dev"]), "split": "dev"},
                        "metrics": [
                            {"type": name, "name": f"strict {name}", "value": round(float(value), 4)}
                            for name, value in (
                                ("precision", overall.precision),
                                ("recall", overall.recall),
                                ("f1", overall.f1),
                            )
                        ],
                    }
                ],
            }
        ],
    }
    rows = [*dev.by_type.items(), ("all (micro)", overall)]
    table = "\n".join(
        f"| {name} | {counts.precision:.4f} | {counts.recall:.4f} | {counts.f1:.4f} | {counts.gold} |"
        for name, counts in rows
    )
    counts = "\n".join(
        f"| {'dev, held out of train' if split.get('held_out') else name} | {split['reports']} | {split['words']} | "
        f"{split['entities']} | {split['widened_entities']} | {split['dropped_entities']} | `{split['sha256'][:12]}` |"
        for name, split in data.items()
    )
    training = config.training
    start = "" if config.model.init_from is None else f", going on from the model `{config.model.init_from.as_posix()}`"
    if config.model.layers is not None:
        start += f", keeping {config.model.layers} of its layers"
    chosen = "\n".join(f"- {line}" for line in [*fitted.lines(), *fitted.shortfalls()])
    return f"""---
{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---

# {config.name}

A token-classification model that finds {", ".join(config.labels)} in Arabic reports on armed conflict, trained with
Marsad from the encoder `{config.model.encoder}` ({_BASE_MODELS.get(config.model.encoder, "given by the user")}){start}.

## Use

```python
from marsad import Recognizer

recognizer = Recognizer.from_pretrained("{config.output_folder.as_posix()}")
for entity in recognizer.predict([report])[0].entities:
    print(entity.label, report[entity.start:entity.end], entity.score)
```

Load it through `Recognizer`: it normalises, cuts and decodes the text as in training (`config.yaml`). Entities are
exact slices of the text given; `score` is the probability of the entity under the model. The `pipeline` of transformers
loads the folder too, but cuts off what goes beyond the encoder's positions and knows nothing of the calibration.

## Scores on the dev split (strict: span and type both right)

| type | precision | recall | F1 | support |
| --- | --- | --- | --- | --- |
{table}

The dev split chose the checkpoint, so these are somewhat flattering; judge the model on texts that it was not tuned on.

## Probabilities

Chosen on the dev split and kept in `calibration.json`; entities below their type's threshold are dropped.

{chosen}

## Data

| split | reports | words | entities | widened to words | dropped | SHA-256 |
| --- | --- | --- | --- | --- | --- | --- |
{counts}

## Training

At most {training.epochs} epochs, {training.batch_size} windows of up to {config.model.max_tokens} sub-tokens a step,
learning rate {training.learning_rate:g} ({training.head_learning_rate:g} for the head), seed {training.seed}.
`config.yaml` has every setting, `marsad.json` the fingerprints of data and code, `metrics.json` the course of the run,
`logs/` the TensorBoard files.
{"" if teacher is None else _lesson(config, teacher)}
## Limits

It reads what it was trained to read: reports on armed conflict in Modern Standard Arabic and posts close to it. It may
err on other genres, and what it finds is a draft for a person to check before anybody is counted, named or accused.
"""


def encoder_card(
    config: PretrainingConfig,
    counts: Mapping[str, int],
    judgements: Sequence[tuple[int, float, float, float | None]],
) -> str:
    """A pretrained encoder's card in Hugging Face form.

    ``judgements``: of each its step, held-out perplexity, share of right guesses, and the probe's strict dev F1.
    """
    base = _BASE_MODELS.get(config.model.encoder, config.model.encoder)
    header: dict[str, Any] = {
        "language": "ar",
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "base_model": base,
        "tags": ["arabic", "masked-language-modelling", "marsad"],
    }
    if config.licence is not None:
        header["license"] = config.licence
    training, masking = config.training, config.masking
    tokens = config.steps * config.tokens_per_step
    rows = "\n".join(
        f"| {step:,} | {step * config.tokens_per_step:,} | {perplexity:,.2f} | {accuracy:.1%} | "
        f"{'' if probe is None else f'{probe:.4f}'} |"
        for step, perplexity, accuracy, probe in judgements
    )
    numbers = "\n".join(f"| {name.replace('_', ' ')} | {count:,} |" for name, count in counts.items())
    return f"""---
{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---

# {config.name}

The encoder `{config.model.encoder}` ({base}), trained on with Marsad on plain Arabic text by masked language
modelling. It is made to be fine-tuned: `model.encoder: {config.output_folder.as_posix()}` in a training config. The
head that guesses masked sub-tokens is saved with it, so that it can be pretrained further.

## Data

{config.data.licences or "The run's config does not say where the texts come from and under which licences."}

| | |
| --- | --- |
{numbers}

Held-out documents were never learned from. The texts were normalised as `text` in `pretraining.yaml` says; use the same
in training.

## Training

{config.steps:,} steps of {training.batch_size} windows of {config.model.max_tokens} sub-tokens ({tokens:,} in all),
learning rate {training.learning_rate:g} ({training.schedule}), seed {training.seed}. Up to {masking.share:.0%} of a
window's sub-tokens were to be guessed, in whole words: {masking.masked:.0%} of these words masked, {masking.random:.0%}
replaced by random sub-tokens. Weights are saved in {config.save_dtype}.

| step | sub-tokens | held-out perplexity | right guesses | probe: strict dev F1 |
| --- | --- | --- | --- | --- |
{rows}

Perplexity is that of a masked sub-token, so it compares runs with one vocabulary and one share of masked words alone.
`pretraining.yaml` has every setting, `pretraining.json` the fingerprints of data and code, `metrics.jsonl` the course.

## Licence

{config.licence or "The run's config does not say."} What the weights were made of has licences of its own: see Data,
and the encoder that it went on from.
"""


def _lesson(config: Config, teacher: Mapping[str, Any]) -> str:
    plain = teacher["unlabelled"]
    read = "" if plain is None else f" and plain ones ({', '.join(plain['files'])}; SHA-256 `{plain['sha256'][:12]}`)"
    models = [f"`{path}` (fingerprint `{found[:12]}`)" for path, found in teacher["models"].items()]
    said = f"probabilities of the model {models[0]}"
    if len(models) > 1:
        said = f"mean probabilities of the models {', '.join(models)}"
    return f"""
It learned from the {said} on the annotated reports{read}: weight
{config.distillation.weight:g} on annotated words, temperature {config.distillation.temperature:g}. `metrics.json` has
the counts.
"""
