"""Marsad: Arabic named-entity recognition for armed-conflict reports.

The public names are loaded when they are first used, so that ``import marsad`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marsad.annotations.jsonl import read_documents, write_documents
    from marsad.batch.recognizer import Prediction, Recognizer
    from marsad.config import Config, load_config
    from marsad.documents import Document, Entity
    from marsad.errors import MarsadError
    from marsad.evaluation.evaluate import evaluate
    from marsad.facts.facts import FactTables
    from marsad.modeling.training import train

__version__ = "0.1.0"

_HOMES = {
    "Config": "marsad.config",
    "Document": "marsad.documents",
    "Entity": "marsad.documents",
    "FactTables": "marsad.facts.facts",
    "MarsadError": "marsad.errors",
    "Prediction": "marsad.batch.recognizer",
    "Recognizer": "marsad.batch.recognizer",
    "evaluate": "marsad.evaluation.evaluate",
    "load_config": "marsad.config",
    "read_documents": "marsad.annotations.jsonl",
    "train": "marsad.modeling.training",
    "write_documents": "marsad.annotations.jsonl",
}

__all__ = [
    "Config",
    "Document",
    "Entity",
    "FactTables",
    "MarsadError",
    "Prediction",
    "Recognizer",
    "evaluate",
    "load_config",
    "read_documents",
    "train",
    "write_documents",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'marsad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
