"""Out-of-fold scores: every report read by a network that learned from others alone."""

from __future__ import annotations

import hashlib
import logging
import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from marsad.annotations.duplicates import FOLDED, connected, duplicate_links, spoken_words
from marsad.annotations.jsonl import document_to_record, write_documents
from marsad.config import Config, DataConfig
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.files import partial_path, share_files, to_json
from marsad.modeling.artifacts import load_tagger
from marsad.modeling.decoding import FloatArray
from marsad.modeling.inference import score_words
from marsad.modeling.runs import RUN_FILE, take_up_folder
from marsad.modeling.runtimes import load_runtime
from marsad.modeling.training import train
from marsad.text.words import Words, split_words

logger = logging.getLogger(__name__)

# The part of a fold's training reports that chooses its checkpoint and its temperature.
_DEV_PARTS = 10


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A report with the tag scores of its words, [words, tags], by a network that never saw it.

    ``scores`` are logits, divided by the temperature of the network's calibration.
    """

    document: Document
    words: Words
    scores: FloatArray


def deal_folds(documents: Sequence[Document], count: int, seed: int) -> list[int]:
    """The fold of each report, from 0 on: near-duplicates in one, equally many words in each as far as that allows."""
    texts = {document.id: spoken_words(split_words(document.text, FOLDED)) for document in documents}
    groups: dict[int, list[str]] = defaultdict(list)
    for name, group in connected(list(texts), duplicate_links(texts)).items():
        groups[group].append(name)
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    sizes = [0] * count
    fold_of: dict[str, int] = {}
    for names in order:
        fold = sizes.index(min(sizes))
        sizes[fold] += sum(len(texts[name]) for name in names)
        fold_of |= dict.fromkeys(names, fold)
    return [fold_of[document.id] for document in documents]


def score_held_out(documents: Sequence[Document], config: Config, count: int, folder: Path) -> list[HeldOut]:
    """Train ``count`` networks, each without one fold of the reports, and score every report by the one that lacks it.

    Of ``config``, all counts but ``data``, ``name`` and ``output``: a tenth of a fold's training reports chooses its
    checkpoint and fits its temperature. ``folder`` keeps the scores of the folds that are done and the run of the one
    that is not, so that the same call goes on where an earlier one broke off; the networks are removed.

    Raises MarsadError when there are fewer groups of reports than folds, a fold has nothing to learn from, ``folder``
    holds the folds of other reports or of another config, or the config names a trained model to learn from.
    """
    for key, trained in (("model.teacher", config.model.teacher), ("model.init_from", config.model.init_from)):
        if trained is not None:
            raise MarsadError(f"{key}: it may have learned from the reports that are held out; take a config without")
    if count < 2:
        raise MarsadError(f"--folds {count}: expected 2 or more, so that each report is left out once")
    folds = deal_folds(documents, count, config.training.seed)
    if len(set(folds)) < count:
        raise MarsadError(f"{len(documents)} reports can't make {count} folds; give more reports or fewer --folds")
    run = _run_record(documents, config, count)
    take_up_folder(folder / RUN_FILE, run, "the folds", "the folds of another run", "train its folds anew")
    words = [split_words(document.text, config.text) for document in documents]
    scores: list[FloatArray] = [np.empty((0, len(config.label_set.tags)), np.float32)] * len(documents)
    for fold in range(count):
        path = folder / f"fold-{fold + 1}.safetensors"
        held = [index for index, one in enumerate(folds) if one == fold]
        if path.is_file():
            logger.info("fold %d of %d: scored already", fold + 1, count)
        else:
            others = [document for document, one in zip(documents, folds, strict=True) if one != fold]
            logger.info("fold %d of %d: learns from %d reports, scores %d", fold + 1, count, len(others), len(held))
            _save_scores(_score_fold(others, [words[index] for index in held], config, fold, folder), path)
        for index, some in zip(held, _load_scores(path), strict=True):
            scores[index] = some
    return [HeldOut(*one) for one in zip(documents, words, scores, strict=True)]


def _run_record(documents: Sequence[Document], config: Config, count: int) -> dict[str, object]:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(to_json(document_to_record(document)).encode("utf-8"))
    values = config.model_dump(mode="json", exclude={"name", "output", "data"})
    return {"reports": len(documents), "sha256": digest.hexdigest(), "folds": count, "config": values}


def _score_fold(
    documents: Sequence[Document], held: Sequence[Words], config: Config, fold: int, folder: Path
) -> list[FloatArray]:
    """Train on ``documents`` and score the words of the held-out reports."""
    paths = {name: folder / f"fold-{fold + 1}-{name}.jsonl" for name in ("train", "dev")}
    parts = deal_folds(documents, _DEV_PARTS, config.training.seed)
    if len(set(parts)) < 2:
        raise MarsadError(f"fold {fold + 1}: {len(documents)} reports are too few to learn from")
    for name, path in paths.items():
        chosen = (one for one, part in zip(documents, parts, strict=True) if (part == 0) == (name == "dev"))
        write_documents(chosen, path)
    data = DataConfig(train=(paths["train"],), dev=(paths["dev"],))
    model = folder / f"fold-{fold + 1}-model"
    result = train(config.model_copy(update={"data": data, "name": "fold", "output": model}), resume=True)
    tagger = load_tagger(result.folder)
    runtime = load_runtime(result.folder, tagger, "torch")
    temperature = tagger.calibration.temperature
    tags = len(config.label_set.tags)  # a report without a word has scores of no shape
    scores = [one.reshape(-1, tags) / np.float32(temperature) for one in score_words(runtime, tagger.encoder, held)]
    shutil.rmtree(model)
    for path in paths.values():
        path.unlink()
    return scores


def _save_scores(scores: Sequence[FloatArray], path: Path) -> None:
    partial = partial_path(path)
    save_file({"scores": np.concatenate(scores), "lengths": np.array([len(one) for one in scores])}, partial)
    partial.replace(path)
    share_files(path.parent)


def _load_scores(path: Path) -> list[FloatArray]:
    try:
        saved = load_file(path)
        return np.split(saved["scores"], np.cumsum(saved["lengths"])[:-1])
    except (OSError, SafetensorError, KeyError):
        raise MarsadError(f"{path}: is damaged; remove it to train its fold anew") from None
