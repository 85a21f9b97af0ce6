"""Files written whole or not at all, and fingerprints of files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from marsad.errors import MarsadError


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file at once: it is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def write_report(path: Path, values: Mapping[str, Any]) -> Path:
    """As :func:`write_json` for a file that a user named: makes its folder, returns the path.

    Raises MarsadError when it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, values)
    except OSError as error:
        raise MarsadError(f"{path}: can't be written ({error.strerror})") from None
    return path


def fingerprint_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
