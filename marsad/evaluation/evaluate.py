"""A system judged on annotated reports: scores, slices, intervals, and how it stands against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsad import __version__
from marsad.annotations.gold import read_gold
from marsad.config import Config
from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.calibration import reliability
from marsad.evaluation.comparison import Comparison, compare_systems
from marsad.evaluation.facts import FactScores, score_judged
from marsad.evaluation.gate import GateResult, apply_gate, load_gate
from marsad.evaluation.judging import JudgedDocument, judge_documents
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
from marsad.evaluation.systems import (
    System,
    open_model,
    open_predictions,
    open_system,
    training_documents,
    training_history,
)
from marsad.evaluation.table import render_table
from marsad.facts.facts import FactTables
from marsad.files import fingerprint_files, open_whole, write_report
from marsad.labels import LabelSet
from marsad.modeling.tagging import log_problems
from marsad.text.words import split_words


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
    facts: FactScores | None = None

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
        return render_table(self)

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
            "facts": None if self.facts is None else self.facts.record(),
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
    runtime: str = "auto",
    baseline_runtime: str | None = None,
    facts: FactTables | None = None,
) -> Evaluation:
    """Judge a model folder, or a file of ``predictions`` made elsewhere, on files of annotated reports.

    ``files``, and ``predictions`` with them, are JSON Lines, or CoNLL columns by their ending (``.conll``, ``.bio``,
    ``.iob``, ``.iob2``, ``.bioes``, ``.txt``); where columns mark no documents, as many sentences make a report as did
    when the model was trained (``data.join_sentences``; one for predictions). ``baseline`` is a model folder or a file
    of predictions to compare with, ``gate`` a YAML file such as ``configs/gate.yaml``. ``train`` names the files that
    the system was trained on, to tell seen mentions from unseen ones; a model's own are found where they are unchanged.
    ``resamples`` of the reports give the intervals; ``seed`` is that of all that is random. ``runtime`` is what
    computes the models, as for ``Recognizer.from_pretrained``: what is scored is what is served; ``baseline_runtime``
    is the baseline's, if another (one model against itself, int8 against fp32). ``facts``: read the entities' values by
    these tables, and score them where gold has them.

    The entity types are the model's (or the baseline's); for predictions alone those of the gold files.

    Raises MarsadError for whatever can't be read or does not fit together; nothing is scored on part of the data.
    """
    if (model is None) == (predictions is None):
        raise MarsadError("expected either a model folder or a file of predictions to judge, not both")
    if resamples < 1:
        raise MarsadError(f"resamples is {resamples}, expected at least 1")
    if seed < 0:
        raise MarsadError(f"seed is {seed}, expected 0 or more")
    paths = _paths(files)
    if not paths:
        raise MarsadError("expected at least one file of annotated reports")
    if baseline_runtime is not None and baseline is None:
        raise MarsadError("--baseline-runtime is given, but no --baseline whose runtime it would be")
    rules = None if gate is None else load_gate(gate, baseline is not None)
    systems = [open_model(model, runtime) if model is not None else open_predictions(predictions or "")]
    if baseline is not None:
        systems.append(open_system(baseline, baseline_runtime or runtime))
    system = systems[0]
    known = next((one.labels for one in systems if one.labels is not None), None)
    join_sentences = system.join_sentences
    documents = read_gold(paths, known, join_sentences)
    labels = LabelSet(known) if known is not None else _gold_labels(documents)
    if rules is not None:
        rules.check_labels(labels)
    training = training_documents(system) if train is None else read_gold(_paths(train))
    history = training_history(system)

    text = system.text_config
    words = [split_words(document.text, text) for document in documents]
    found: dict[int, list[tuple[Entity, ...]]] = {}
    # Predictions first: what is wrong with them is said before a model has run for minutes.
    for index, one in sorted(enumerate(systems), key=lambda item: item[1].kind == "model"):
        found[index] = one.find_entities(documents, words, text, labels.types, join_sentences)
    judged, *others = (judge_documents(documents, found[index], words) for index in range(len(systems)))
    for report in judged:
        log_problems(report.document, report.gold)
    counts = count_documents(judged, labels)
    strict = strict_scores(counts, labels)
    comparison = None
    for other in others:
        comparison = compare_systems(other, judged, (count_documents(other, labels), counts), labels, resamples, seed)
    slices, left_out = score_slices(judged, counts, labels, training, text, resamples, seed)
    return Evaluation(
        system=system,
        baseline=None if baseline is None else systems[1],
        files=tuple(str(path) for path in paths),
        data_sha256=fingerprint_files(paths),
        labels=labels,
        judged=tuple(judged),
        strict=strict,
        errors=count_errors(judged, labels),
        confusion=confuse_words(judged, labels),
        intervals=estimate_intervals(counts, labels, resamples, seed),
        slices=slices,
        slices_left_out=left_out,
        calibration=_calibration(system, judged, labels),
        comparison=comparison,
        gate=None if rules is None else apply_gate(rules, strict, comparison),
        history=history,
        facts=None if facts is None else score_judged(judged, facts),
    )


def _paths(files: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]


def _gold_labels(documents: Sequence[Document]) -> LabelSet:
    """The types that stand in the gold files, where there is no model to tell them."""
    labels = sorted({entity.label for document in documents for entity in document.entities})
    # The project's own types keep their order, and one that the gold files happen not to have is known none the less.
    usual = Config().labels
    if set(labels) <= set(usual):
        return LabelSet(usual)
    try:
        return LabelSet(tuple(labels))
    except ValueError as error:
        raise MarsadError(f"the gold files: {error}") from None


def _calibration(system: System, judged: Sequence[JudgedDocument], labels: LabelSet) -> dict[str, Any] | None:
    """The reliability of the probabilities, with a model's temperature and thresholds; None without probabilities."""
    record = reliability(judged, labels)
    if record is None:
        return None
    if system.recognizer is None:
        return record | {"temperature": None, "thresholds": {}}
    calibration = system.recognizer.calibration
    return record | {"temperature": calibration.temperature, "thresholds": dict(calibration.thresholds)}


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
