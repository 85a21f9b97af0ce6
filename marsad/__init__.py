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

__version__ = "0.1.0"

_HOMES = {
    "Config": "marsad.config",
    "Document": "marsad.documents",
    "Entity": "marsad.documents",
    "MarsadError": "marsad.errors",
    "Prediction": "marsad.batch.recognizer",
    "Recognizer": "marsad.batch.recognizer",
    "load_config": "marsad.config",
    "read_documents": "marsad.annotations.jsonl",
    "write_documents": "marsad.annotations.jsonl",
}

__all__ = [
    "Config",
    "Document",
    "Entity",
    "MarsadError",
    "Prediction",
    "Recognizer",
    "load_config",
    "read_documents",
    "write_documents",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'marsad' has no attribute {name!r}")
