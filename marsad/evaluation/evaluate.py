"""A model judged on annotated reports."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsad.annotations.jsonl import read_documents
from marsad.batch.progress import show_progress
from marsad.batch.recognizer import Recognizer
from marsad.documents import Entity
from marsad.evaluation.scoring import StrictScores, score_documents
from marsad.files import fingerprint_files, write_report
from marsad.labels import LabelSet
from marsad.modeling.tagging import align_entities, log_problems
from marsad.text.words import split_words

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AlignmentIssue:
    """A gold entity that did not fit the words: ``widened`` to them, or counted as missed."""

    document: str
    entity: Entity
    problem: str

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.document,
            "start": self.entity.start,
            "end": self.entity.end,
            "label": self.entity.label,
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of one model on one set of files."""

    model: str
    fingerprint: str
    files: tuple[str, ...]
    data_sha256: str
    reports: int
    strict: StrictScores
    widened: tuple[AlignmentIssue, ...]
    dropped: tuple[AlignmentIssue, ...]

    def table(self) -> str:
        """The strict scores as text, with what did not fit the words."""
        lines = [f"{self.model} on {', '.join(self.files)}: {self.reports} reports", self.strict.table()]
        if self.widened:
            lines.append(f"{len(self.widened)} gold entities began or ended inside a word and were widened to it")
        if self.dropped:
            lines.append(f"{len(self.dropped)} gold entities could not be put on words and count as missed")
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "model": {"path": self.model, "fingerprint": self.fingerprint},
            "data": {"files": list(self.files), "sha256": self.data_sha256, "reports": self.reports},
            "strict": self.strict.record(),
            "alignment": {
                "widened": [issue.record() for issue in self.widened],
                "dropped": [issue.record() for issue in self.dropped],
            },
        }

    def write(self, folder: Path) -> Path:
        """Write ``report.json`` into ``folder``. Raises MarsadError when it can't be written."""
        return write_report(folder / "report.json", self.record())


def evaluate(model: str | Path, files: str | Path | Sequence[str | Path]) -> Evaluation:
    """Score a model folder on files of annotated reports, all of them or none.

    Raises MarsadError when the model or a file can't be read, or a label is not of the model's set.
    """
    recognizer = Recognizer.from_pretrained(model)
    paths = [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
    documents = read_documents(paths, recognizer.labels, annotated=True)
    predictions = recognizer.stream(document.text for document in documents)
    predicted = [prediction.entities for prediction in show_progress(predictions, len(documents), "evaluating")]
    widened: list[AlignmentIssue] = []
    dropped: list[AlignmentIssue] = []
    for document in documents:
        alignment = align_entities(document, split_words(document.text, recognizer.text_config))
        log_problems(document, alignment)
        for entity, problem in alignment.problems():
            issues = widened if entity in alignment.widened else dropped
            issues.append(AlignmentIssue(document.id, entity, problem))
    return Evaluation(
        model=str(model),
        fingerprint=recognizer.fingerprint,
        files=tuple(str(path) for path in paths),
        data_sha256=fingerprint_files(paths),
        reports=len(documents),
        strict=score_documents(documents, predicted, LabelSet(recognizer.labels), recognizer.text_config),
        widened=tuple(widened),
        dropped=tuple(dropped),
    )
