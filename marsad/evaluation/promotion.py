"""Which model runs: one takes the place of another only through the gate, and can give it back.

``models/current`` is a link to a copy of the model in ``models/promoted/``; what reads ``models/current`` sees the old
model or the new one, never a mixture. ``models/HISTORY.jsonl`` has a line for each change.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from marsad.annotations.duplicates import FOLDED
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.evaluation.evaluate import Evaluation, evaluate
from marsad.evaluation.gate import apply_gate, load_gate
from marsad.evaluation.systems import training_documents
from marsad.files import to_json
from marsad.modeling.artifacts import Manifest, OnnxRecord, load_tagger, read_checked, read_manifest, read_onnx_record
from marsad.text.words import split_words


@dataclass(frozen=True, slots=True)
class Promotion:
    """How a model did at the gate, and whether it is now the current one.

    ``first``: there was none before it. ``unchecked``: why it could not be told whether the model was trained on the
    test split; None where it was not. ``onnx``: what came of its export for ONNX Runtime, or why there was none.
    """

    evaluation: Evaluation
    promoted: bool
    first: bool
    unchecked: str | None
    onnx: OnnxRecord | str


def promote(
    model: str | Path,
    test: Sequence[str | Path] = ("data/test.jsonl",),
    current: str | Path = "models/current",
    gate: str | Path = "configs/gate.yaml",
    onnx: bool = True,
) -> Promotion:
    """Judge a model on the test split; where it passes the gate against the current one, make it the current one.

    Where there is no current model yet, the gate's rules about drops don't apply. A model that fails changes nothing.
    With ``onnx``, the copy that is to become current gets an int8 network, unless the model has one, and is judged with
    it; where that can't be made, or costs too much of dev F1, PyTorch serves the model, and the result says why.

    Raises MarsadError when something can't be read, ``current`` is no link, the model is the current one already, or a
    report of the test split is among those that the model was trained on.
    """
    model, current = Path(model), Path(current)
    manifest, config = read_checked(model)
    _check_link(current)
    if current.is_symlink() and not current.exists():
        raise MarsadError(
            f"{current}: leads to {current.readlink()}, which is not there; put it back, or remove the link to begin "
            "anew"
        )
    old = _fingerprint(current) if current.exists() else None
    if old == manifest.fingerprint:
        raise MarsadError(f"{model}: is the current model already ({current} has its fingerprint)")
    rules = load_gate(gate, baseline=True)
    rules.check_labels(config.label_set)
    if old is None:
        rules = replace(rules, config=rules.config.model_copy(update={"maximum_drop": None}))
    with _kept(model, current, manifest) as candidate:
        # Judged is the very copy that is to serve: what int8 costs counts at the gate, as the current model's does.
        exported = _add_onnx(candidate.folder) if onnx else "it was not asked for"
        evaluation = evaluate(candidate.folder, test, baseline=None if old is None else current)
        evaluation = replace(evaluation, system=replace(evaluation.system, path=str(model)))
        unchecked = _check_unseen(evaluation)
        evaluation = replace(evaluation, gate=apply_gate(rules, evaluation.strict, evaluation.comparison))
        if evaluation.passed:
            candidate.wanted = True
            _switch(current, candidate.folder)
            _append(current, _entry(evaluation, manifest.fingerprint, old, exported))
    return Promotion(evaluation, evaluation.passed, old is None, unchecked, exported)


def rollback(current: str | Path = "models/current") -> dict[str, Any]:
    """Make the model current again that the current one took the place of; returns the new line of the history.

    Raises MarsadError when the history knows none, or the kept copy is not there or was changed.
    """
    current = Path(current)
    _check_link(current)
    if not current.exists():
        raise MarsadError(f"{current}: there is no current model to go back from")
    running = _fingerprint(current)
    promoted: list[str] = []
    for entry in read_history(current):
        if entry["action"] == "promote":
            promoted.append(entry["model"]["fingerprint"])
        elif promoted:
            promoted.pop()
    if promoted[-1:] != [running] or len(promoted) < 2:
        raise MarsadError(f"{_history(current)}: names no model before the current one; there is nothing to go back to")
    previous = promoted[-2]
    folder = _promoted(current, previous)
    if read_checked(folder)[0].fingerprint != previous:
        raise MarsadError(f"{folder}: is not the model that was promoted (its fingerprint differs)")
    _switch(current, folder)
    entry = {
        "time": _now(),
        "action": "rollback",
        "model": {"folder": folder.name, "fingerprint": previous},
        "previous": {"fingerprint": running},
    }
    _append(current, entry)
    return entry


def read_history(current: str | Path = "models/current") -> list[dict[str, Any]]:
    """The lines of ``HISTORY.jsonl`` beside the current model, oldest first; none where there is no such file.

    Raises MarsadError for a line that is no record of a change.
    """
    path = _history(Path(current))
    if not path.is_file():
        return []
    entries = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise MarsadError(f"{path}: not UTF-8 (byte {error.start}); mend the file") from None
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if entry["action"] not in {"promote", "rollback"} or not entry["model"]["fingerprint"]:
                raise ValueError
        except (ValueError, TypeError, KeyError):
            raise MarsadError(f"{path}:{number}: is no record of a promotion or a rollback; mend the line") from None
        entries.append(entry)
    return entries


def _history(current: Path) -> Path:
    return current.parent / "HISTORY.jsonl"


def _check_link(current: Path) -> None:
    if current.exists() and not current.is_symlink():
        raise MarsadError(
            f"{current}: is no link that `marsad promote` made; move it to another name and promote it from there"
        )


def _fingerprint(folder: Path) -> str:
    return read_checked(folder)[0].fingerprint


def _check_unseen(evaluation: Evaluation) -> str | None:
    """Why it can't be told whether the model was trained on the test split; None where it was not.

    Raises MarsadError when it was, on the same lines but for their spelling: joined sentences are found too.
    """
    trained = training_documents(evaluation.system)
    if isinstance(trained, str):
        return trained
    lines = {line for document in trained for line in _folded_lines(document)}
    judged = {report.document.id: _folded_lines(report.document) for report in evaluation.judged}
    leaked = [name for name, own in judged.items() if own and own <= lines]
    if leaked:
        raise MarsadError(
            f"{evaluation.system.path}: {len(leaked)} reports of the test split stand in its training files, such as "
            f"{leaked[0]!r}; take them out and train again"
        )
    manifest = read_manifest(Path(evaluation.system.path))
    others = [] if manifest.init_from is None else [f"went on from {manifest.init_from['path']}"]
    others += [] if manifest.teacher is None else ["was taught by other models"]
    return f"it {' and '.join(others)}, and what they learned from is not looked at" if others else None


def _folded_lines(document: Document) -> set[str]:
    words = split_words(document.text, FOLDED)
    texts = words.texts()
    return {" ".join(texts[start:end]) for start, end in words.paragraphs}


def _entry(evaluation: Evaluation, new: str, old: str | None, onnx: OnnxRecord | str) -> dict[str, Any]:
    """The line of a promotion: who beat whom (the models' fingerprints), by how much, on which data."""
    comparison, gate = evaluation.comparison, evaluation.gate
    return {
        "time": _now(),
        "action": "promote",
        "model": {"path": evaluation.system.path, "fingerprint": new},
        "previous": None if old is None else {"fingerprint": old},
        "data": {
            "files": list(evaluation.files),
            "sha256": evaluation.data_sha256,
            "reports": evaluation.reports,
        },
        "strict": {
            "f1": evaluation.strict.overall.f1,
            "by_type": {label: counts.f1 for label, counts in evaluation.strict.by_type.items()},
        },
        "comparison": None if comparison is None else [metric.record() for metric in comparison.metrics],
        "gate": None if gate is None else gate.record(),
        "onnx": {"reason": onnx} if isinstance(onnx, str) else {"adopted": onnx.adopted, "drop": onnx.drop},
    }


def _promoted(current: Path, fingerprint: str) -> Path:
    """The kept copy of a promoted model."""
    found = sorted((current.parent / "promoted").glob(f"*-{fingerprint[:12]}"))
    if not found:
        raise MarsadError(f"{current.parent / 'promoted'}: has no copy of the model {fingerprint[:12]}")
    return found[0]


@dataclass(slots=True)
class _Candidate:
    """A copy of a model where the promoted ones are kept; it stays if it turns out to be ``wanted``."""

    folder: Path
    wanted: bool


@contextmanager
def _kept(model: Path, current: Path, manifest: Manifest) -> Iterator[_Candidate]:
    """Copy a model to where a later training can't change it, whole or not at all; an unwanted copy goes again."""
    folder = current.parent / "promoted" / f"{manifest.name}-{manifest.fingerprint[:12]}"
    candidate = _Candidate(folder, wanted=folder.is_dir())
    if not candidate.wanted:
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            shutil.copytree(model, partial)
            partial.rename(folder)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise MarsadError(f"{folder}: can't be written ({error.strerror or error})") from None
    try:
        yield candidate
    finally:
        if not candidate.wanted:
            shutil.rmtree(folder, ignore_errors=True)


def _add_onnx(folder: Path) -> OnnxRecord | str:
    """The int8 network of a model folder, made where there is no usable one; why there is none where it can't be."""
    from marsad.modeling.export import export_onnx
    from marsad.modeling.runtimes import onnx_problem

    record = read_onnx_record(folder)
    if record is not None and onnx_problem(folder, load_tagger(folder)) is None:
        return record
    try:
        return export_onnx(folder)
    except MarsadError as error:
        return str(error)


def _switch(current: Path, folder: Path) -> None:
    """Point the link at another model: one rename, so that it is never missing."""
    link = current.with_name(f".{current.name}.new")
    with suppress(FileNotFoundError):
        link.unlink()
    try:
        link.symlink_to(os.path.relpath(folder, current.parent), target_is_directory=True)
        link.replace(current)
    except OSError as error:
        raise MarsadError(f"{current}: can't be written ({error.strerror or error})") from None


def _append(current: Path, entry: dict[str, Any]) -> None:
    with _history(current).open("a", encoding="utf-8") as file:
        file.write(to_json(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
