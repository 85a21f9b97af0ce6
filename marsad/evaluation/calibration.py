"""Whether the probabilities of entities can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marsad.evaluation.judging import JudgedDocument
from marsad.labels import LabelSet


def reliability(judged: Sequence[JudgedDocument], labels: LabelSet) -> dict[str, Any] | None:
    """The reliability of the predicted probabilities; None where there are none."""
    return None
