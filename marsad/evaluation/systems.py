"""What is judged: a model, or predictions made elsewhere; and what is known of a model's training.

What needs torch is imported where it is used, so that predictions are judged without waiting for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marsad.annotations.gold import check_labels
from marsad.batch.progress import show_progress
from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.predictions import read_predictions
from marsad.files import fingerprint_files
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

if TYPE_CHECKING:
    from marsad.batch.recognizer import Recognizer


@dataclass(frozen=True, slots=True)
class System:
    """What is judged: a ``model`` folder, or a file of ``predictions``; ``fingerprint`` is SHA-256 of either.

    ``join_sentences`` is how a model was taught to read CoNLL files that mark no documents (see ``DataConfig``).
    """

    kind: str
    path: str
    fingerprint: str
    recognizer: Recognizer | None = None
    join_sentences: int = 1

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The entity types that a model knows; None for predictions."""
        return None if self.recognizer is None else self.recognizer.labels

    @property
    def text_config(self) -> TextConfig:
        """How a model reads text; the usual way for predictions."""
        return TextConfig() if self.recognizer is None else self.recognizer.text_config

    def find_entities(
        self,
        documents: Sequence[Document],
        words: Sequence[Words],
        text: TextConfig,
        labels: Sequence[str],
        join_sentences: int = 1,
    ) -> list[tuple[Entity, ...]]:
        """What the system finds in each document, whose ``words`` were split under ``text``.

        ``join_sentences`` is how the documents were read, for predictions in columns.

        Raises MarsadError for predictions that do not fit the documents, or an entity type that is not in ``labels``.
        """
        if self.recognizer is None:
            found = read_predictions(Path(self.path), documents, join_sentences)
        else:
            own = self.text_config
            read = words if own == text else [split_words(document.text, own) for document in documents]
            found = list(
                show_progress(self.recognizer.stream_words(read), len(documents), f"{Path(self.path).name} predicting")
            )
        check_labels(((one.id, some) for one, some in zip(documents, found, strict=True)), labels, self.path)
        return found

    def record(self) -> dict[str, Any]:
        """For JSON."""
        key = "fingerprint" if self.kind == "model" else "sha256"
        runtime = {} if self.recognizer is None else {"runtime": self.recognizer.runtime}
        return {"kind": self.kind, "path": self.path, key: self.fingerprint} | runtime


def open_model(path: str | Path, runtime: str = "auto") -> System:
    """A model folder, loaded to be computed by ``runtime`` (see ``Recognizer.from_pretrained``).

    Raises MarsadError when it is none.
    """
    from marsad.batch.recognizer import Recognizer
    from marsad.modeling.artifacts import read_saved_config

    recognizer = Recognizer.from_pretrained(path, runtime=runtime)
    join_sentences = read_saved_config(Path(path)).data.join_sentences
    return System("model", str(path), recognizer.fingerprint, recognizer, join_sentences)


def open_predictions(path: str | Path) -> System:
    """A file of predictions. Raises MarsadError when it can't be read."""
    path = Path(path)
    if not path.exists():
        raise MarsadError(f"{path}: no such file of predictions")
    if path.is_dir():
        raise MarsadError(f"{path}: is a folder, expected a file of predictions (JSON Lines or CoNLL)")
    try:
        return System("predictions", str(path), fingerprint_files([path]))
    except OSError as error:
        raise MarsadError(f"{path}: can't be read ({error.strerror or error})") from None


def open_system(path: str | Path, runtime: str = "auto") -> System:
    """A model where ``path`` is a folder, else predictions. Raises MarsadError when it is neither."""
    if not Path(path).exists():
        raise MarsadError(f"{path}: no such model folder or file of predictions")
    return open_model(path, runtime) if Path(path).is_dir() else open_predictions(path)


def training_documents(system: System) -> list[Document] | str:
    """The reports that a model was trained on, or why they are not to be had.

    They are those of its saved config, if they are still where they were and what they were.
    """
    if system.kind != "model":
        return "the training files of predictions made elsewhere are not known; name them with --train"
    from marsad.modeling.artifacts import read_manifest, read_saved_config
    from marsad.modeling.data import read_train

    config = read_saved_config(Path(system.path))
    paths = config.data.train
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        return f"the model's training file {missing[0]} is not here; name it with --train"
    if fingerprint_files(paths) != read_manifest(Path(system.path)).data["train"]["sha256"]:
        return f"{', '.join(map(str, paths))} changed since the model was trained; name the files with --train"
    return read_train(config.data)


def training_history(system: System) -> tuple[Mapping[str, float], ...]:
    """The course of a model's training, an entry an epoch: mean training loss, dev loss, dev F1 overall and by type.

    Empty for predictions, and for a model that was saved without it. Raises MarsadError when it is damaged.
    """
    if system.kind != "model":
        return ()
    from marsad.modeling.artifacts import ModelFiles

    path = ModelFiles(Path(system.path)).metrics
    if not path.is_file():
        return ()
    try:
        return tuple(_epochs(json.loads(path.read_text(encoding="utf-8"))["history"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise MarsadError(f"{path}: is damaged; copy the model again or train it again") from None


def _epochs(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, float]]:
    losses: list[float] = []
    for row in rows:
        if "loss" in row:
            losses.append(float(row["loss"]))
        if "eval_f1" in row:
            scores = {key.removeprefix("eval_"): float(row[key]) for key in row if key.startswith("eval_f1")}
            entry = {"epoch": float(row["epoch"])} | scores | {"dev_loss": float(row["eval_loss"])}
            yield entry | ({"loss": sum(losses) / len(losses)} if losses else {})
            losses = []
