"""A model judged on annotated reports."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsad.annotations.jsonl import read_documents
from marsad.batch.recognizer import Recognizer
from marsad.documents import Document, Entity
from marsad.evaluation.scoring import StrictScores, score_documents
from marsad.files import fingerprint_files, write_report
from marsad.modeling.artifacts import load_tagger
from marsad.modeling.tagging import align_entities
from marsad.text.normalization import TextConfig
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


def evaluate(model: str | Path, files: Sequence[str | Path]) -> Evaluation:
    """Score a model folder on files of annotated reports, all of them or none.

    Raises MarsadError when the model or a file can't be read, or a label is not of the model's set.
    """
    tagger = load_tagger(model)
    recognizer = Recognizer(tagger)
    documents = read_documents(files, recognizer.labels.types)
    predicted = [prediction.entities for prediction in recognizer.stream(document.text for document in documents)]
    widened, dropped = _alignment_issues(documents, tagger.text)
    for issue in (*widened, *dropped):
        logger.warning(
            "%s: entity [%d, %d) %s %s",
            issue.document,
            issue.entity.start,
            issue.entity.end,
            issue.entity.label,
            issue.problem,
        )
    return Evaluation(
        model=str(model),
        fingerprint=recognizer.fingerprint,
        files=tuple(str(path) for path in files),
        data_sha256=fingerprint_files([Path(path) for path in files]),
        reports=len(documents),
        strict=score_documents(documents, predicted, recognizer.labels, tagger.text),
        widened=widened,
        dropped=dropped,
    )


def _alignment_issues(
    documents: Iterable[Document], text: TextConfig
) -> tuple[tuple[AlignmentIssue, ...], tuple[AlignmentIssue, ...]]:
    widened: list[AlignmentIssue] = []
    dropped: list[AlignmentIssue] = []
    for document in documents:
        alignment = align_entities(document, split_words(document.text, text))
        widened += [AlignmentIssue(document.id, entity, "was widened to whole words") for entity in alignment.widened]
        dropped += [AlignmentIssue(document.id, entity, why) for entity, why in alignment.dropped]
    return tuple(widened), tuple(dropped)
