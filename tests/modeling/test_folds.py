"""Every report is scored by a network that lacks it, and work that is done is not done again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marsad.annotations.jsonl import read_documents
from marsad.config import Config, load_config
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.modeling.folds import HeldOut, deal_folds, score_held_out

PASSAGE = "خرج أهل الحي إلى السوق صباحا ثم عادوا قبل المطر ولم يصب أحد منهم بأذى يذكر هناك"


@pytest.fixture(scope="module")
def documents(corpus: Path) -> list[Document]:
    """Few reports, one of them without a word."""
    return [*read_documents(corpus / "train.jsonl")[:30], Document("empty", " \n")]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[..., Path]) -> Config:
    path = write_tiny_config(tmp_path_factory.mktemp("folds") / "tiny.yaml", training={"epochs": 1})
    return load_config(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scored") / "folds"


@pytest.fixture(scope="module")
def held(documents: list[Document], config: Config, folder: Path) -> list[HeldOut]:
    return score_held_out(documents, config, 2, folder)


def equal(one: list[HeldOut], other: list[HeldOut]) -> bool:
    return all(np.array_equal(a.scores, b.scores) for a, b in zip(one, other, strict=True))


def test_near_duplicates_share_a_fold_and_words_are_dealt_out_evenly(documents: list[Document]):
    copies = [Document(f"copy {number}", f"{number} {PASSAGE}") for number in range(5)]
    folds = deal_folds([*documents, *copies], 3, seed=7)
    assert set(folds) == {0, 1, 2}
    assert len(set(folds[-5:])) == 1
    sizes = [
        sum(len(one.text.split()) for one, at in zip(documents, folds, strict=False) if at == fold) for fold in range(3)
    ]
    assert max(sizes) < 2 * min(sizes)
    assert folds == deal_folds([*documents, *copies], 3, seed=7) != deal_folds([*documents, *copies], 3, seed=8)


def test_every_report_is_scored_and_only_scores_are_kept(documents: list[Document], held: list[HeldOut], folder: Path):
    assert [one.document for one in held] == documents
    assert [one.scores.shape for one in held] == [(len(one.words), 9) for one in held]
    assert held[-1].scores.shape == (0, 9)
    assert sorted(path.name for path in folder.iterdir()) == ["fold-1.safetensors", "fold-2.safetensors", "run.json"]


def test_a_fold_that_is_scored_is_not_trained_again(
    documents: list[Document], config: Config, held: list[HeldOut], folder: Path, caplog: pytest.LogCaptureFixture
):
    first = (folder / "fold-1.safetensors").stat().st_mtime_ns
    (folder / "fold-2.safetensors").unlink()
    with caplog.at_level(logging.INFO, logger="marsad"):
        again = score_held_out(documents, config, 2, folder)
    assert "fold 1 of 2: scored already" in caplog.messages
    assert any(message.startswith("fold 2 of 2: learns from") for message in caplog.messages)
    assert (folder / "fold-1.safetensors").stat().st_mtime_ns == first
    assert equal(again, held)


def test_a_fold_that_broke_off_is_taken_up(
    documents: list[Document], config: Config, held: list[HeldOut], folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "fold-2.safetensors").unlink()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("marsad.modeling.training.move_into_place", die)
        with pytest.raises(KeyboardInterrupt):
            score_held_out(documents, config, 2, folder)
    assert (folder / "fold-2-model.partial").is_dir()
    assert equal(score_held_out(documents, config, 2, folder), held)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 3}, "another run .*folds"),
        ({"documents": slice(1, None)}, "another run .*reports and sha256"),
        ({"seed": 99}, "another run .*config"),
    ],
)
def test_folds_of_another_run_are_refused(
    documents: list[Document], config: Config, held: list[HeldOut], folder: Path, change: dict, message: str
):
    if "seed" in change:
        config = config.model_copy(update={"training": config.training.model_copy(update={"seed": change["seed"]})})
    with pytest.raises(MarsadError, match=message):
        score_held_out(documents[change.get("documents", slice(None))], config, change.get("count", 2), folder)


def test_what_can_not_be_dealt_out_is_refused(documents: list[Document], config: Config, tmp_path: Path):
    with pytest.raises(MarsadError, match="--folds 1: expected 2 or more"):
        score_held_out(documents, config, 1, tmp_path / "a")
    alike = [replace(documents[0], id=str(number)) for number in range(4)]
    with pytest.raises(MarsadError, match="4 reports can't make 2 folds"):
        score_held_out(alike, config, 2, tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "thesis.txt").write_text("mine")
    with pytest.raises(MarsadError, match="holds other files"):
        score_held_out(documents, config, 2, tmp_path / "c")


@pytest.mark.parametrize("key", ["teacher", "init_from"])
def test_what_a_trained_model_knows_of_held_out_reports_does_not_leak(
    key: str, documents: list[Document], config: Config, tmp_path: Path
):
    model = config.model.model_copy(update={key: tmp_path / "model"})
    with pytest.raises(MarsadError, match=rf"model\.{key}: it may have learned from the reports"):
        score_held_out(documents, config.model_copy(update={"model": model}), 2, tmp_path / "folds")
    assert not (tmp_path / "folds").exists()


def test_a_damaged_fold_is_named(documents: list[Document], config: Config, held: list[HeldOut], folder: Path):
    path = folder / "fold-1.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        with pytest.raises(MarsadError, match=r"fold-1\.safetensors: is damaged"):
            score_held_out(documents, config, 2, folder)
    finally:
        path.write_bytes(whole)
