"""Marsad on Spark: the function that ``DataFrame.mapInPandas`` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marsad.errors import MarsadError
from marsad.modeling.artifacts import read_manifest

if TYPE_CHECKING:
    from marsad.batch.recognizer import Recognizer

ENTITIES = "entities array<struct<start: bigint, end: bigint, label: string, text: string, score: double>>"
"""The column that :func:`predict_partitions` adds, as Spark's DDL writes it."""


def predict_partitions(
    model: str | Path, text_column: str = "text", device: str | None = None, threads: int = 1
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """A function for ``mapInPandas`` that adds a column ``entities`` to the rows of a data frame.

    ``frame.mapInPandas(predict_partitions(model), f"id string, text string, {ENTITIES}")``: the schema names the
    columns of the frame and the new one. Each Python worker loads the model once, from ``model``, which it has to see
    under the same path. A row without a text has null for entities. ``threads``: what a worker computes with; Spark
    starts a worker for each core (``spark.task.cpus``, if a task has more).

    Raises MarsadError when there is no model here, and in a worker that finds another model, or no such column.
    """
    fingerprint = read_manifest(Path(model)).fingerprint

    def predict(batches: Iterator[Any]) -> Iterator[Any]:
        recognizer = _load(str(model), fingerprint, device, threads)
        for batch in batches:
            if text_column not in batch.columns:
                raise MarsadError(f"the data frame has no column {text_column!r}, only {', '.join(batch.columns)}")
            texts = [text if isinstance(text, str) else None for text in batch[text_column]]
            found = recognizer.stream(text for text in texts if text is not None)
            yield batch.assign(entities=[None if text is None else next(found).records() for text in texts])

    return predict


@lru_cache(maxsize=1)
def _load(model: str, fingerprint: str, device: str | None, threads: int) -> Recognizer:
    """The model of this process, which Spark uses for many partitions; keyed by what it is, not by where it lies."""
    from marsad.batch.recognizer import Recognizer

    recognizer = Recognizer.from_pretrained(model, device=device, threads=threads)
    if recognizer.model_fingerprint != fingerprint:
        raise MarsadError(f"{model}: is another model on this worker than on the driver; copy it again")
    return recognizer
