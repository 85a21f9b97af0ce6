"""A system judged on annotated reports: scores, slices, intervals, and how it stands against another."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsad import __version__
from marsad.annotations.jsonl import read_documents
from marsad.batch.progress import show_progress
from marsad.batch.recognizer import Recognizer
from marsad.config import Config
from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.calibration import reliability
from marsad.evaluation.comparison import Comparison, compare_systems
from marsad.evaluation.gate import GateResult, apply_gate, check_names, load_gate
from marsad.evaluation.judging import JudgedDocument, judge_documents
from marsad.evaluation.predictions import check_labels, read_gold, read_predictions
from marsad.evaluation.report import render_html, render_markdown
from marsad.evaluation.resampling import Intervals, estimate_intervals
from marsad.evaluation.scoring import (
    SCHEMES,
    ErrorCounts,
    IntArray,
    SemEvalCounts,
    StrictScores,
    confuse_words,
    count_documents,
    count_errors,
    strict_scores,
)
from marsad.evaluation.slices import LeftOut, SliceScores, score_slices
from marsad.files import fingerprint_files, open_whole, write_report
from marsad.labels import LabelSet
from marsad.modeling.artifacts import ModelFiles, read_manifest, read_saved_config
from marsad.modeling.tagging import Alignment, log_problems
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

logger = logging.getLogger(__name__)

_WORST_SLICES = 5
_LEAST_SUPPORT = 20


@dataclass(frozen=True, slots=True)
class System:
    """What was judged: a ``model`` folder, or a file of ``predictions``; ``fingerprint`` is SHA-256 of either."""

    kind: str
    path: str
    fingerprint: str

    def record(self) -> dict[str, Any]:
        """For JSON."""
        key = "fingerprint" if self.kind == "model" else "sha256"
        return {"kind": self.kind, "path": self.path, key: self.fingerprint}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known of a system on some reports.

    ``judged`` has every report with its gold and predicted entities side by side; all the rest is counted from it.
    ``history`` is the course of the model's training, an entry an epoch.
    """

    system: System
    baseline: System | None
    files: tuple[str, ...]
    data_sha256: str
    labels: LabelSet
    judged: tuple[JudgedDocument, ...]
    strict: StrictScores
    errors: Mapping[str, ErrorCounts]
    confusion: IntArray
    intervals: Intervals
    slices: tuple[SliceScores, ...]
    slices_left_out: tuple[LeftOut, ...]
    calibration: Mapping[str, Any] | None
    comparison: Comparison | None
    gate: GateResult | None
    history: tuple[Mapping[str, float], ...]

    @property
    def reports(self) -> int:
        """How many reports were judged."""
        return len(self.judged)

    @property
    def semeval(self) -> dict[str, dict[str, SemEvalCounts]]:
        """SemEval-2013 counts by scheme (strict, exact, partial, type) and entity type."""
        return {scheme: {label: errors.semeval(scheme) for label, errors in self.errors.items()} for scheme in SCHEMES}

    @property
    def passed(self) -> bool:
        """Whether the gate was passed, or there was none."""
        return self.gate is None or self.gate.passed

    def table(self) -> str:
        """The scores as text, at most 100 columns wide but for long names."""
        return "\n".join(_table(self))

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "marsad": __version__,
            "system": self.system.record(),
            "baseline": None if self.baseline is None else self.baseline.record(),
            "data": {
                "files": list(self.files),
                "sha256": self.data_sha256,
                "reports": len(self.judged),
                "words": sum(len(report.words) for report in self.judged),
                "entities": sum(len(report.document.entities) for report in self.judged),
            },
            "labels": list(self.labels.types),
            "strict": self.strict.record(),
            "semeval": {
                scheme: {
                    "overall": sum(by_type.values(), SemEvalCounts()).record(),
                    "by_type": {label: counts.record() for label, counts in by_type.items()},
                }
                for scheme, by_type in self.semeval.items()
            },
            "tokens": {"unit": "word", "labels": [*self.labels.types, "O"], "confusion": self.confusion.tolist()},
            "errors": {"by_type": {label: errors.record() for label, errors in self.errors.items()}},
            "intervals": self.intervals.record(self.labels),
            "slices": [one.record() for one in self.slices],
            "slices_left_out": [one.record() for one in self.slices_left_out],
            "calibration": self.calibration,
            "comparison": None if self.comparison is None else self.comparison.record(),
            "gate": None if self.gate is None else self.gate.record(),
            "alignment": _alignment_record(self.judged),
            "history": [dict(row) for row in self.history],
            "documents": [_document_record(report) for report in self.judged],
        }

    def write(self, folder: str | Path) -> Path:
        """Write ``report.json``, ``report.md`` and ``report.html`` into ``folder``; returns the folder.

        Raises MarsadError when they can't be written.
        """
        folder = Path(folder)
        record = self.record()
        pages = {"report.md": render_markdown(record), "report.html": render_html(record)}
        write_report(folder / "report.json", record)
        for name, page in pages.items():
            try:
                with open_whole(folder / name) as file:
                    file.write(page)
            except OSError as error:
                raise MarsadError(f"{folder / name}: can't be written ({error.strerror or error})") from None
        return folder


def evaluate(
    model: str | Path | None,
    files: str | Path | Sequence[str | Path],
    *,
    predictions: str | Path | None = None,
    baseline: str | Path | None = None,
    gate: str | Path | None = None,
    train: str | Path | Sequence[str | Path] | None = None,
    resamples: int = 1000,
    seed: int = 13,
) -> Evaluation:
    """Judge a model folder, or a file of ``predictions`` made elsewhere, on files of annotated reports.

    ``files``, and ``predictions`` with them, are JSON Lines, or CoNLL columns by their ending (``.conll``, ``.bio``,
    ``.iob``, ``.iob2``, ``.bioes``, ``.txt``). ``baseline`` is a model folder or a file of predictions to compare with,
    ``gate`` a YAML file such as ``configs/gate.yaml``. ``train`` names the files that the system was trained on, to
    tell seen mentions from unseen ones; a model's own are found where they are unchanged. ``resamples`` of the reports
    give the intervals; ``seed`` is that of all that is random.

    The entity types are the model's (or the baseline's); for predictions alone those of the gold files.

    Raises MarsadError for whatever can't be read or does not fit together; nothing is scored on part of the data.
    """
    if (model is None) == (predictions is None):
        raise MarsadError("expected either a model folder or a file of predictions to judge, not both")
    if resamples < 1:
        raise MarsadError(f"resamples is {resamples}, expected at least 1")
    if seed < 0:
        raise MarsadError(f"seed is {seed}, expected 0 or more")
    rules = None if gate is None else load_gate(gate)
    paths = _paths(files)
    if not paths:
        raise MarsadError("expected at least one file of annotated reports")
    recognizer = None if model is None else Recognizer.from_pretrained(model)
    other = None
    if baseline is not None and not Path(baseline).is_file():
        other = Recognizer.from_pretrained(baseline)
    documents = read_gold(paths)
    labels = _label_set(recognizer, other, documents)
    check_labels(documents, labels.types, ", ".join(str(path) for path in paths))
    if rules is not None and gate is not None:
        check_names(rules, gate, labels, baseline is not None)
    training = _training_documents(model, train)
    # What was predicted elsewhere is read and checked before a model is run.
    given = _given(predictions, documents, labels)
    given_baseline = _given(baseline, documents, labels) if other is None else None

    text = TextConfig() if recognizer is None else recognizer.text_config
    words = [split_words(document.text, text) for document in documents]
    found = given if recognizer is None else _run(recognizer, documents, words, text, "evaluating")
    judged = tuple(judge_documents(documents, found or [], words))
    for report in judged:
        log_problems(report.document, report.gold)
    counts = count_documents(judged, labels)
    strict = strict_scores(counts, labels)
    comparison = None
    if baseline is not None:
        old = given_baseline if other is None else _run(other, documents, words, text, "evaluating the baseline")
        judged_baseline = judge_documents(documents, old or [], words)
        before = count_documents(judged_baseline, labels)
        comparison = compare_systems(judged_baseline, judged, (before, counts), labels, resamples, seed)
    slices, left_out = score_slices(judged, counts, labels, training, text, resamples, seed)
    return Evaluation(
        system=_system(recognizer, model, predictions),
        baseline=None if baseline is None else _system(other, baseline, baseline),
        files=tuple(str(path) for path in paths),
        data_sha256=fingerprint_files(paths),
        labels=labels,
        judged=judged,
        strict=strict,
        errors=count_errors(judged, labels),
        confusion=confuse_words(judged, labels),
        intervals=estimate_intervals(counts, labels, resamples, seed),
        slices=slices,
        slices_left_out=left_out,
        calibration=_calibration(recognizer, judged, labels),
        comparison=comparison,
        gate=None if rules is None or gate is None else apply_gate(rules, gate, strict, comparison),
        history=() if model is None else tuple(_history(Path(model))),
    )


def _paths(files: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]


def _label_set(recognizer: Recognizer | None, baseline: Recognizer | None, documents: Sequence[Document]) -> LabelSet:
    for known in (recognizer, baseline):
        if known is not None:
            return LabelSet(known.labels)
    labels = sorted({entity.label for document in documents for entity in document.entities})
    # The project's own types keep their order, and one that the gold files happen not to have is none the less known.
    usual = Config().labels
    if set(labels) <= set(usual):
        return LabelSet(usual)
    try:
        return LabelSet(tuple(labels))
    except ValueError as error:
        raise MarsadError(f"the gold files: {error}") from None


def _given(path: str | Path | None, documents: Sequence[Document], labels: LabelSet) -> list[tuple[Entity, ...]] | None:
    if path is None:
        return None
    predicted = read_predictions(Path(path), documents)
    found = (Document(one.id, one.text, entities) for one, entities in zip(documents, predicted, strict=True))
    check_labels(found, labels.types, str(path))
    return predicted


def _run(
    recognizer: Recognizer, documents: Sequence[Document], words: Sequence[Words], text: TextConfig, what: str
) -> list[tuple[Entity, ...]]:
    """What a model finds; ``words`` are those of ``text``, which need not be how the model reads."""
    own = recognizer.text_config
    read = words if own == text else [split_words(document.text, own) for document in documents]
    return list(show_progress(recognizer.stream_words(read), len(documents), what))


def _system(recognizer: Recognizer | None, model: str | Path | None, predictions: str | Path | None) -> System:
    if recognizer is not None:
        return System("model", str(model), recognizer.fingerprint)
    return System("predictions", str(predictions), fingerprint_files([Path(str(predictions))]))


def _training_documents(
    model: str | Path | None, train: str | Path | Sequence[str | Path] | None
) -> list[Document] | str:
    """The reports that a system was trained on, or why they are not to be had."""
    if train is not None:
        return read_gold(_paths(train))
    if model is None:
        return "the training files of predictions made elsewhere are not known; name them with --train"
    paths = read_saved_config(Path(model)).data.train
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        return f"the model's training file {missing[0]} is not here; name it with --train"
    if fingerprint_files(paths) != read_manifest(Path(model)).data["train"]["sha256"]:
        return f"{', '.join(map(str, paths))} changed since the model was trained; name the files with --train"
    return read_documents(paths, annotated=True)


def _calibration(
    recognizer: Recognizer | None, judged: Sequence[JudgedDocument], labels: LabelSet
) -> dict[str, Any] | None:
    """The reliability of the probabilities, with the temperature and the thresholds of a model; None without any."""
    record = reliability(judged, labels)
    if record is None or recognizer is None:
        return record
    calibration = recognizer.calibration
    return record | {"temperature": calibration.temperature, "thresholds": dict(calibration.thresholds)}


def _history(model: Path) -> Iterator[dict[str, float]]:
    """An entry an epoch from the log of the training run: mean training loss, dev loss, dev F1 overall and by type."""
    path = ModelFiles(model).metrics
    if not path.is_file():
        return
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["history"]
    except (OSError, ValueError, KeyError):
        raise MarsadError(f"{path}: is damaged; copy the model again or train it again") from None
    losses: list[float] = []
    for row in rows:
        if "loss" in row:
            losses.append(float(row["loss"]))
        if "eval_f1" in row:
            scores = {key.removeprefix("eval_"): float(row[key]) for key in row if key.startswith("eval_f1")}
            entry = {"epoch": float(row["epoch"])} | scores | {"dev_loss": float(row["eval_loss"])}
            yield entry | ({"loss": sum(losses) / len(losses)} if losses else {})
            losses = []


# --- records --------------------------------------------------------------------------------------------


def _alignment_record(judged: Sequence[JudgedDocument]) -> dict[str, Any]:
    """Every entity that did not fit the words: widened to them, or dropped and so missed or spurious."""
    record: dict[str, Any] = {"widened": [], "dropped": [], "predicted_widened": [], "predicted_dropped": []}
    for report in judged:
        for prefix, alignment in (("", report.gold), ("predicted_", report.predicted)):
            for entity in alignment.widened:
                record[f"{prefix}widened"].append(_issue(report.document.id, entity, "was widened to whole words"))
            for entity, why in alignment.dropped:
                record[f"{prefix}dropped"].append(_issue(report.document.id, entity, why))
    return record


def _issue(document: str, entity: Entity, problem: str) -> dict[str, Any]:
    return {"id": document, "start": entity.start, "end": entity.end, "label": entity.label, "problem": problem}


def _document_record(report: JudgedDocument) -> dict[str, Any]:
    document = report.document
    return {
        "id": document.id,
        "source": document.source,
        "published": document.published.isoformat() if document.published else None,
        "text": document.text,
        "pairs": [
            {
                "kind": pair.kind,
                "gold": None if pair.gold is None else _span_record(pair.gold),
                "predicted": None
                if pair.predicted is None
                else _span_record(pair.predicted) | {"score": pair.predicted.score},
            }
            for pair in report.pairs
        ],
    }


def _span_record(entity: Entity) -> dict[str, Any]:
    return {"start": entity.start, "end": entity.end, "label": entity.label}


# --- the table --------------------------------------------------------------------------------------------


def _table(evaluation: Evaluation) -> Iterator[str]:
    judged = evaluation.judged
    words, entities = sum(len(one.words) for one in judged), sum(len(one.document.entities) for one in judged)
    yield f"{evaluation.system.path} on {', '.join(evaluation.files)}"
    yield f"{evaluation.reports} reports, {words} words, {entities} gold entities"
    yield ""
    yield from _strict_lines(evaluation)
    yield ""
    overall = {scheme: sum(by_type.values(), SemEvalCounts()) for scheme, by_type in evaluation.semeval.items()}
    yield "SemEval-2013 F1: " + ", ".join(f"{scheme} {overall[scheme].f1:.4f}" for scheme in SCHEMES)
    errors = sum(evaluation.errors.values(), ErrorCounts())
    yield (
        f"errors: {errors.missed} missed, {errors.spurious} spurious, {errors.boundary} with another boundary, "
        f"{errors.type} with another type, {errors.both} with both"
    )
    yield from _slice_lines(evaluation)
    if evaluation.comparison is not None and evaluation.baseline is not None:
        yield ""
        yield from _comparison_lines(evaluation.comparison, evaluation.baseline)
    lines = [*_alignment_lines("gold", "missed", [one.gold for one in judged])]
    lines += _alignment_lines("predicted", "spurious", [one.predicted for one in judged])
    if lines:
        yield ""
        yield from lines
    if evaluation.gate is not None:
        yield ""
        yield from evaluation.gate.lines()


def _strict_lines(evaluation: Evaluation) -> Iterator[str]:
    strict, intervals = evaluation.strict, evaluation.intervals.metrics
    rows = [(label, counts, f"f1 {label}") for label, counts in strict.by_type.items()]
    rows.append(("all (micro)", strict.overall, "f1"))
    width = max(len("all (macro)"), *(len(name) for name, _, _ in rows))
    yield f"{'strict':{width}}  precision  recall      F1     95% interval  support  predicted"
    for name, counts, metric in rows:
        yield (
            f"{name:{width}}  {counts.precision:9.4f}  {counts.recall:6.4f}  {counts.f1:6.4f}  "
            f"{_interval(intervals[metric])}  {counts.gold:7d}  {counts.predicted:9d}"
        )
    macro = strict.macro
    yield (
        f"{'all (macro)':{width}}  {macro['precision']:9.4f}  {macro['recall']:6.4f}  {macro['f1']:6.4f}  "
        f"{_interval(intervals['macro_f1'])}"
    )


def _slice_lines(evaluation: Evaluation) -> Iterator[str]:
    """The slices with the lowest F1 among those of some size."""
    enough = [one for one in evaluation.slices if one.overall.gold >= _LEAST_SUPPORT]
    worst = sorted(enough, key=lambda one: one.overall.f1)[:_WORST_SLICES]
    if worst:
        yield f"lowest of {len(enough)} slices with {_LEAST_SUPPORT} gold entities or more (all in report.json):"
        width = max(len(f"{one.group}: {one.name}") for one in worst)
        for one in worst:
            counts = one.overall
            name = f"{one.group}: {one.name}"
            yield f"  {name:{width}}  F1 {counts.f1:.4f}  {_interval(one.f1_interval)}  {counts.gold:7d}"
    for left_out in evaluation.slices_left_out:
        if left_out.group == "seen in training":
            yield f"no slices of unseen mentions: {left_out.why}"


def _comparison_lines(comparison: Comparison, baseline: System) -> Iterator[str]:
    width = max(len(f"strict {one.name}") for one in comparison.metrics)
    yield f"against {baseline.path}"
    yield f"{'':{width}}  baseline  system  difference      95% interval  P(better)       p"
    for one in comparison.metrics:
        low, high = one.interval
        yield (
            f"{f'strict {one.name}':{width}}  {one.baseline:8.4f}  {one.system:6.4f}  {one.difference:+10.4f}  "
            f"{low:+.4f} {high:+.4f}   {one.probability_better:9.3f}  {one.p_value:6.4f}"
        )
    yield (
        f"{len(comparison.fixed)} entities fixed, {len(comparison.broken)} broken "
        f"(p: approximate randomisation, {comparison.permutations} permutations)"
    )


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.4f} – {interval[1]:.4f}"


def _alignment_lines(side: str, become: str, alignments: Sequence[Alignment]) -> Iterator[str]:
    widened = sum(len(alignment.widened) for alignment in alignments)
    dropped = sum(len(alignment.dropped) for alignment in alignments)
    if widened:
        yield f"{widened} {side} entities began or ended inside a word and were widened to it"
    if dropped:
        yield f"{dropped} {side} entities could not be put on words and count as {become}"
