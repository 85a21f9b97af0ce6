import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, synthetic_reports, write_jsonl
from safetensors.torch import load, load_file, save_file
from transformers import AlbertConfig, AlbertModel, AutoModel, AutoTokenizer, BertConfig, BertForTokenClassification

from marsad.annotations.jsonl import read_documents, write_documents
from marsad.batch.jobs import Job, run_job
from marsad.batch.writers import Layout
from marsad.config import Config, load_config
from marsad.errors import MarsadError
from marsad.evaluation.evaluate import evaluate
from marsad.facts.facts import FactFiles
from marsad.modeling import training as training_module
from marsad.modeling.artifacts import load_network_of, load_tagger
from marsad.modeling.calibration import fit_calibration
from marsad.modeling.inference import score_words
from marsad.modeling.losses import token_loss
from marsad.modeling.runtimes import load_torch
from marsad.modeling.training import (
    LengthGroupedSampler,
    TrainingResult,
    encode_split,
    parameter_groups,
    train,
)
from marsad.text.words import split_words

WriteConfig = Callable[..., Path]


def metrics_of(model: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((model / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def course(model: Path) -> list[dict[str, float]]:
    """The log of a run without what the clock says."""
    kept = ("step", "loss", "grad_norm", "learning_rate", "eval_loss", "eval_f1", "eval_f1_DATE")
    rows = [{key: row[key] for key in kept if key in row} for row in metrics_of(model)["history"]]
    return [row for row in rows if len(row) > 1]


def losses(model: Path) -> list[float]:
    return [row["loss"] for row in course(model) if "loss" in row]


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def fingerprint(model: Path) -> str:
    """What the model does, as one hash: weights, tokenizer, config and calibration."""
    return load_tagger(model).fingerprint


def partial_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial")


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """64 reports of one window each, so that every batch is full however it is shared out; dev likewise."""
    folder = tmp_path_factory.mktemp("small")
    short = [report for report in synthetic_reports(500, seed=21) if len(report["text"].split()) < 20]
    assert len(short) >= 88
    train_file = write_jsonl(folder / "train.jsonl", short[:64])
    dev_file = write_jsonl(folder / "dev.jsonl", short[64:88])
    return {"train": str(train_file), "dev": str(dev_file)}


@pytest.fixture(scope="module")
def gradual(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: WriteConfig) -> Path:
    """A config whose dev F1 still rises in the last epoch, so that the best checkpoint is no early one."""
    return write_tiny_config(
        tmp_path_factory.mktemp("gradual") / "gradual.yaml",
        kind="bpe",
        training={"epochs": 3, "learning_rate": 2e-3, "head_learning_rate": 5e-3, "log_every": 1, "patience": 3},
    )


@pytest.fixture(scope="module")
def unbroken(gradual: Path) -> Path:
    """The model of ``gradual`` from a run that nothing disturbed."""
    return train(load_config(gradual)).folder


# --- one run, end to end ---------------------------------------------------------------------------------


def test_a_model_folder_holds_what_it_should(tiny_model: Path, tiny_config: Path, corpus: Path) -> None:
    files = {path.relative_to(tiny_model).as_posix() for path in tiny_model.rglob("*") if path.is_file()}
    events = {name for name in files if re.fullmatch(r"logs/events\.out\.tfevents\..+", name)}
    assert events
    assert files - events == {
        "README.md",
        "calibration.json",
        "config.json",
        "config.yaml",
        "marsad.json",
        "metrics.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert not partial_of(tiny_model).exists()
    assert [path.name for path in tiny_model.parent.iterdir() if path.name.startswith(".")] == []

    manifest = json.loads((tiny_model / "marsad.json").read_text(encoding="utf-8"))
    assert manifest["name"] == "tiny"
    assert manifest["labels"] == ["ACTOR", "LOCATION", "DATE", "CASUALTY"]
    assert re.fullmatch("[0-9a-f]{64}", manifest["fingerprint"])
    assert re.fullmatch("[0-9a-f]{64}", manifest["code"])
    assert manifest["versions"]["torch"] == torch.__version__
    for split, count in (("train", 80), ("dev", 24)):
        path = corpus / f"{split}.jsonl"
        reports = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        recorded = manifest["data"][split]
        assert recorded["files"] == [path.as_posix()]
        assert recorded["sha256"] == hashlib.sha256(hashlib.sha256(path.read_bytes()).digest()).hexdigest()
        assert recorded["reports"] == len(reports) == count
        assert recorded["entities"] == sum(len(report["entities"]) for report in reports)
        assert recorded["widened_entities"] == recorded["dropped_entities"] == 0

    assert load_config(tiny_model / "config.yaml") == load_config(tiny_config)
    settings = json.loads((tiny_model / "config.json").read_text(encoding="utf-8"))
    assert settings["id2label"]["1"] == "B-ACTOR"
    assert len(settings["id2label"]) == 9


def test_it_learns_and_its_numbers_agree_everywhere(tiny_model: Path, corpus: Path) -> None:
    strict = metrics_of(tiny_model)["dev"]["strict"]
    assert strict["overall"]["f1"] > 0.9
    assert evaluate(tiny_model, [corpus / "dev.jsonl"]).strict.record() == strict
    assert evaluate(tiny_model, [corpus / "test.jsonl"]).strict.overall.f1 > 0.9
    best = max(row["eval_f1"] for row in course(tiny_model) if "eval_f1" in row)
    assert strict["overall"]["f1"] == pytest.approx(best)

    card = (tiny_model / "README.md").read_text(encoding="utf-8")
    _, header, body = card.split("---\n", 2)
    result = yaml.safe_load(header)["model-index"][0]["results"][0]
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values == {key: round(strict["overall"][key], 4) for key in ("precision", "recall", "f1")}
    for name, row in [*strict["by_type"].items(), ("all (micro)", strict["overall"])]:
        numbers = " | ".join(f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        assert f"| {name} | {numbers} | {row['support']} |\n" in body


def test_training_moves_the_encoder_and_the_saved_weights_are_those_that_run(
    tiny_model: Path, encoders: dict[str, Path]
) -> None:
    saved, base = load_file(tiny_model / "model.safetensors"), load_file(encoders["wordpiece"] / "model.safetensors")
    moved = saved["bert.encoder.layer.0.intermediate.dense.weight"] - base["encoder.layer.0.intermediate.dense.weight"]
    assert moved.abs().max() > 1e-3
    state = load_network_of(tiny_model).state_dict()
    assert set(saved) <= set(state)
    for name, tensor in saved.items():
        assert torch.equal(tensor, state[name]), name


def test_the_best_epoch_is_kept_not_the_last(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = training_module.save_artifacts
    kept: dict[int, bytes] = {}

    def listen(folder: Path, *given: Any) -> Any:
        kept.update({int(path.name.split("-")[1]): weights(path) for path in folder.parent.glob("checkpoint-*")})
        return save(folder, *given)

    monkeypatch.setattr(training_module, "save_artifacts", listen)
    model = train(load_config(tiny_config, [f"output={tmp_path / 'model'}", "training.epochs=6"])).folder
    scores = {int(row["step"]): row["eval_f1"] for row in course(model) if "eval_f1" in row}
    best = max(scores, key=lambda step: (scores[step], -step))
    assert best < max(scores)  # it learns all there is before its last epoch
    assert set(kept) == {best, max(scores)}
    tensors, saved = load(kept[best]), load(weights(model))
    assert set(tensors) == set(saved)
    assert all(torch.equal(tensors[name], saved[name]) for name in saved)
    assert kept[best] != kept[max(scores)]


def test_one_seed_gives_the_same_bytes(tiny_config: Path, tiny_model: Path, tmp_path: Path) -> None:
    again = train(load_config(tiny_config, [f"output={tmp_path / 'again'}"])).folder
    assert weights(again) == weights(tiny_model)
    assert fingerprint(again) == fingerprint(tiny_model)
    assert course(again) == course(tiny_model)
    other = train(load_config(tiny_config, [f"output={tmp_path / 'other'}", "training.seed=14"])).folder
    assert weights(other) != weights(tiny_model)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_other_kinds_of_tokenizer_train_too(kind: str, write_tiny_config: WriteConfig, tmp_path: Path) -> None:
    config = write_tiny_config(tmp_path / "config.yaml", kind=kind, training={"epochs": 3})
    result = train(load_config(config))
    assert result.dev.overall.f1 > 0.7
    assert load_tagger(result.folder).encoder.max_tokens == 48


def test_another_label_set_by_config_alone(write_tiny_config: WriteConfig, corpus: Path, tmp_path: Path) -> None:
    names = {"LOCATION": "PLACE", "ACTOR": "ARMED_GROUP"}
    for split in ("train", "dev"):
        reports = [json.loads(line) for line in (corpus / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        for report in reports:
            report["entities"] = [
                entity | {"label": names[entity["label"]]} for entity in report["entities"] if entity["label"] in names
            ]
        write_jsonl(tmp_path / f"{split}.jsonl", reports)
    config = write_tiny_config(
        tmp_path / "config.yaml",
        labels=["PLACE", "ARMED_GROUP"],
        data={"train": str(tmp_path / "train.jsonl"), "dev": str(tmp_path / "dev.jsonl")},
    )
    result = train(load_config(config))
    assert list(result.dev.by_type) == ["PLACE", "ARMED_GROUP"]
    assert all(counts.f1 > 0.8 for counts in result.dev.by_type.values())
    tagger = load_tagger(result.folder)
    assert tagger.labels.tags == ("O", "B-PLACE", "I-PLACE", "B-ARMED_GROUP", "I-ARMED_GROUP")
    assert "PLACE, ARMED_GROUP" in (result.folder / "README.md").read_text(encoding="utf-8")
    with pytest.raises(MarsadError, match="label"):
        evaluate(result.folder, [corpus / "dev.jsonl"])
    for layout in (Layout(facts=FactFiles()), Layout(explode=True, facts=FactFiles(), casualties=True)):
        with pytest.raises(
            MarsadError, match=r"reads values of .*CASUALTY.*, and the model finds only PLACE, ARMED_GROUP"
        ):
            run_job(Job(str(result.folder), (str(corpus / "dev.jsonl"),), str(tmp_path / "o.jsonl"), layout=layout))


# --- runs that break off ---------------------------------------------------------------------------------


def kill_in_mid_training(config: Path, output: Path, after_checkpoint: bool) -> None:
    """Run train.py and kill it as the kernel would: at its third step, or at one after its first checkpoint."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), str(config), f"output={output}"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    said = []
    try:
        assert process.stderr is not None
        ready = not after_checkpoint
        for line in process.stderr:
            said.append(line)
            ready = ready or bool(list(partial_of(output).glob("checkpoint-*/trainer_state.json")))
            if ready and re.search(r" step ([3-9]|\d\d+)/", line):
                os.kill(process.pid, signal.SIGKILL)
                break
    finally:
        process.kill()
        process.wait(timeout=60)
        process.stderr.close()
    assert process.returncode == -signal.SIGKILL, "".join(said)


@pytest.mark.parametrize("after_checkpoint", [False, True])
def test_kill_9_and_resume_equals_an_unbroken_run(
    after_checkpoint: bool, gradual: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = course(unbroken)
    last_step = max(int(row["step"]) for row in rows)
    f1s = [row["eval_f1"] for row in rows if "eval_f1" in row]
    assert max(f1s[1:]) > f1s[0] > 0  # else the second half of the run would not matter

    output = tmp_path / "model"
    kill_in_mid_training(gradual, output, after_checkpoint)
    assert not output.exists()
    steps = [int(path.name.split("-")[1]) for path in partial_of(output).glob("checkpoint-*")]
    assert bool(steps) == after_checkpoint
    assert all(step < last_step for step in steps)

    started = []
    fit = training_module._fit
    monkeypatch.setattr(training_module, "_fit", lambda *given: started.append(given[-1]) or fit(*given))
    result = train(load_config(gradual, [f"output={output}"]), resume=True)
    assert started == [partial_of(output) / f"checkpoint-{max(steps)}" if steps else None]
    assert result.dev.record() == metrics_of(unbroken)["dev"]["strict"]
    assert course(output) == rows
    assert weights(output) == weights(unbroken)
    assert fingerprint(output) == fingerprint(unbroken)
    assert not partial_of(output).exists()


def break_off_before_saving(config: Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose training ended, but not the saving of its model; returns its working folder."""
    with monkeypatch.context() as patch:

        def fail(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(training_module, "save_artifacts", fail)
        with pytest.raises(KeyboardInterrupt):
            train(config, overwrite=True)
    return partial_of(config.output_folder)


def test_a_run_that_broke_off_while_its_model_was_saved(
    gradual: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(gradual, [f"output={tmp_path / 'model'}"])
    break_off_before_saving(config, monkeypatch)
    assert not config.output_folder.exists()
    result = train(config, resume=True)
    assert weights(result.folder) == weights(unbroken)
    assert result.dev.record() == metrics_of(unbroken)["dev"]["strict"]


def test_broken_checkpoints_are_passed_over(
    gradual: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(gradual, [f"output={tmp_path / 'model'}"])
    work = break_off_before_saving(config, monkeypatch)
    checkpoints = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    shutil.rmtree(checkpoints.pop())  # as if the run had ended in its last epoch
    whole = checkpoints[-1]
    for number, state in (("7001", None), ("7002", ""), ("7003", '{"epoch": 2.0, "global')):
        broken = work / f"checkpoint-{number}"
        shutil.copytree(whole, broken)
        (broken / "trainer_state.json").unlink()
        (broken / "model.safetensors").write_bytes(weights(whole)[:1000])
        if state is not None:
            (broken / "trainer_state.json").write_text(state)
    result = train(config, resume=True)
    assert course(result.folder) == course(unbroken)
    assert weights(result.folder) == weights(unbroken)


def test_an_early_stop_stays_one_when_resumed(
    write_tiny_config: WriteConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With learning rates of nothing no epoch is better than the first.
    path = write_tiny_config(
        tmp_path / "config.yaml",
        training={"epochs": 5, "patience": 2, "learning_rate": 1e-12, "head_learning_rate": 1e-12},
    )
    config = load_config(path)
    break_off_before_saving(config, monkeypatch)
    result = train(config, resume=True)
    assert len([row for row in course(result.folder) if "eval_f1" in row]) == 3


def test_a_resume_with_something_changed_is_refused(
    gradual: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "train.jsonl"
    shutil.copy(corpus / "train.jsonl", data)
    overrides = [f"output={tmp_path / 'model'}", f"data.train={data}", "training.epochs=1"]
    config = load_config(gradual, overrides)
    work = break_off_before_saving(config, monkeypatch)
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*")}
    for change, named in (
        ("training.learning_rate=0.0011", "training.learning_rate"),
        ("text.ya_kaf=true", "text.ya_kaf"),
        ("training.class_weights={DATE: 2}", "training.class_weights"),
    ):
        with pytest.raises(MarsadError, match=re.escape(f"({named})")):
            train(load_config(gradual, [*overrides, change]), resume=True)
    reports = data.read_text(encoding="utf-8").splitlines(keepends=True)
    data.write_text("".join(reports[:-1]), encoding="utf-8")
    with pytest.raises(MarsadError, match=re.escape("data was another (train.sha256)")):
        train(config, resume=True)
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*")} == before
    data.write_text("".join(reports), encoding="utf-8")
    assert train(config, resume=True).folder == tmp_path / "model"


def test_resuming_a_whole_run_changes_nothing(tiny_config: Path, tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    before = {path: path.stat().st_mtime_ns for path in model.rglob("*")}
    result = train(load_config(tiny_config, [f"output={model}"]), resume=True)
    assert result.folder == model
    assert result.dev.record() == metrics_of(tiny_model)["dev"]["strict"]
    with pytest.raises(MarsadError, match=r"\(training\.epochs\)"):
        train(load_config(tiny_config, [f"output={model}", "training.epochs=5"]), resume=True)
    assert {path: path.stat().st_mtime_ns for path in model.rglob("*")} == before
    assert not partial_of(model).exists()


def test_what_is_in_the_way_is_kept_until_overwrite(
    tiny_config: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "mine.txt").write_text("keep")
    old = weights(model)
    config = load_config(tiny_config, [f"output={model}", "training.epochs=1", "training.seed=5"])
    with pytest.raises(MarsadError, match=r"holds another run.*--overwrite"):
        train(config)
    assert not partial_of(model).exists()

    # A run that is killed while it overwrites leaves the old model as it was …
    break_off_before_saving(config, monkeypatch)
    assert weights(model) == old
    assert (model / "mine.txt").exists()
    load_tagger(model)
    # … and stands in the way itself.
    with pytest.raises(MarsadError, match=r"broke off.*--resume.*--overwrite"):
        train(config)
    train(config, overwrite=True)
    assert weights(model) != old
    assert not (model / "mine.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_overwrite_leaves_alone_what_is_no_model(tiny_config: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    (tmp_path / "file").write_text("text")
    for name in ("thesis", "file"):
        for overwrite in (False, True):
            with pytest.raises(MarsadError, match=name):
                train(load_config(tiny_config, [f"output={tmp_path / name}"]), overwrite=overwrite)
    assert {path.name for path in tmp_path.rglob("*")} == {"thesis", "chapter1.tex", "file"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.gradient_accumulation=3", "batch_size 8 can't be shared out"),
        ("model.max_tokens=500", "128 positions"),
        ("data.dev={corpus}/train.jsonl", "80 reports stand in data.train and in data.dev"),
        ("data.train={empty}", "data.train: no report in it holds a word"),
        ("data.dev={empty}", "data.dev: no report in it holds a word"),
    ],
)
def test_mistakes_are_found_before_anything_is_written(
    override: str, message: str, tiny_config: Path, corpus: Path, tmp_path: Path
) -> None:
    empty = write_jsonl(tmp_path / "empty.jsonl", [{"id": "e", "text": " \n\u200f", "entities": []}])
    output = tmp_path / "out" / "model"
    with pytest.raises(MarsadError, match=re.escape(message)):
        train(load_config(tiny_config, [f"output={output}", override.format(corpus=corpus, empty=empty)]))
    assert [path.name for path in tmp_path.iterdir()] == ["empty.jsonl"]


def test_layer_decay_on_shared_layers_is_refused_before_anything_is_written(
    tiny_config: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoders["wordpiece"])
    settings = AlbertConfig(
        vocab_size=len(tokenizer), embedding_size=8, hidden_size=8, num_attention_heads=2, intermediate_size=16
    )
    AlbertModel(settings).save_pretrained(tmp_path / "albert")
    tokenizer.save_pretrained(tmp_path / "albert")
    overrides = [f"output={tmp_path / 'model'}", f"model.encoder={tmp_path / 'albert'}", "training.layer_decay=0.9"]
    with pytest.raises(MarsadError, match=r"training\.layer_decay: .* numbers no layers"):
        train(load_config(tiny_config, overrides))
    assert [path.name for path in tmp_path.iterdir()] == ["albert"]


def test_a_tokenizer_with_more_pieces_than_the_network_is_refused(
    tiny_config: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(encoders["wordpiece"], folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["ⵣⵣ", "ⵥⵥ"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(MarsadError, match=r"its tokenizer has \d+ pieces, its network embeddings of \d+"):
        train(load_config(tiny_config, [f"output={tmp_path / 'model'}", f"model.encoder={folder}"]))
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_a_link_is_no_place_for_a_model(tiny_config: Path, tiny_model: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(tiny_model)
    with pytest.raises(MarsadError, match="is a link, as marsad promote makes them"):
        train(load_config(tiny_config, [f"output={link}"]), overwrite=True)
    assert link.is_symlink() and (tiny_model / "marsad.json").is_file() and len(list(tmp_path.iterdir())) == 1


def test_reports_of_train_that_stand_in_dev_under_other_ids_are_told(
    tiny_config: Path, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    copy = write_jsonl(tmp_path / "copy.jsonl", [row | {"id": f"other-{row['id']}"} for row in rows[:3]])
    train(load_config(tiny_config, [f"output={tmp_path / 'model'}", f"data.dev={copy}", "training.epochs=1"]))
    assert "3 of 3 reports of dev have the words of one of train" in caplog.text


# --- the optimizer's work --------------------------------------------------------------------------------


def test_a_training_that_diverges_leaves_no_model(tiny_config: Path, tmp_path: Path) -> None:
    overrides = [f"output={tmp_path / 'model'}", "training.learning_rate=1e30", "training.epochs=1"]
    with pytest.raises(
        MarsadError, match=r"the loss is no number any more at step \d+; start anew with a lower training"
    ):
        train(load_config(tiny_config, overrides))
    assert not (tmp_path / "model").exists()


def test_windows_of_any_length_fit_the_positions(tiny_config: Path, encoders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(encoders["wordpiece"], folder)
    network = AutoModel.from_pretrained(folder)
    settings = network.config
    settings.max_position_embeddings = 44
    weights = {name: tensor for name, tensor in network.state_dict().items() if "position" not in name}
    smaller = type(network)(settings)
    smaller.load_state_dict(weights, strict=False)
    smaller.save_pretrained(folder)
    overrides = ["model.max_tokens=44", "model.overlap=8", "training.epochs=1", f"model.encoder={folder}"]
    train(load_config(tiny_config, [f"output={tmp_path / 'model'}", *overrides]))


def test_what_is_calibrated_is_what_is_served(tiny_config: Path, corpus: Path, tmp_path: Path) -> None:
    overrides = [f"output={tmp_path / 'model'}", "training.precision=bf16", "training.epochs=1"]
    result = train(load_config(tiny_config, overrides))
    tagger = load_tagger(result.folder)
    documents = list(read_documents([corpus / "dev.jsonl"]))
    words = [split_words(document.text, tagger.text) for document in documents]
    scores = score_words(load_torch(result.folder, "cpu"), tagger.encoder, words)
    fitted = fit_calibration(documents, words, scores, tagger.labels, load_config(tiny_config).calibration)
    assert fitted.record() == json.loads((result.folder / "calibration.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole_batches(
    tmp_path_factory: pytest.TempPathFactory, write_tiny_config: WriteConfig, small_corpus: dict[str, str]
) -> tuple[Path, TrainingResult]:
    """A config without dropout, under which a step's loss is a function of its batch alone; and its run."""
    path = write_tiny_config(
        tmp_path_factory.mktemp("whole") / "config.yaml",
        kind="bpe",
        data=small_corpus,
        model={"dropout": 0.0},
        training={"epochs": 3, "batch_size": 12, "learning_rate": 2e-3, "head_learning_rate": 5e-3, "log_every": 1},
    )
    result = train(load_config(path))
    assert len(losses(result.folder)) == 18  # 64 windows in batches of 12, three times: the last has 4
    return path, result


def test_gradient_accumulation_is_the_whole_batch(whole_batches: tuple[Path, TrainingResult], tmp_path: Path) -> None:
    path, whole = whole_batches
    overrides = [f"output={tmp_path / 'model'}", "training.gradient_accumulation=4"]
    accumulated = train(load_config(path, overrides))
    assert losses(accumulated.folder) == pytest.approx(losses(whole.folder), abs=2e-3)
    assert accumulated.dev.overall.f1 == pytest.approx(whole.dev.overall.f1, abs=0.03)


def test_torchrun_with_two_processes_is_the_whole_batch(
    whole_batches: tuple[Path, TrainingResult], tmp_path: Path
) -> None:
    path, whole = whole_batches
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    output = tmp_path / "model"
    done = subprocess.run(
        [*command, str(ROOT / "train.py"), str(path), f"output={output}"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("strict scores on dev") == 1
    assert done.stderr.count("epoch 1: strict dev F1") == 1
    assert losses(output) == pytest.approx(losses(whole.folder), abs=2e-3)
    assert metrics_of(output)["dev"]["strict"]["overall"]["f1"] == pytest.approx(whole.dev.overall.f1, abs=0.03)
    assert not partial_of(output).exists()


def test_warm_up_and_decay(whole_batches: tuple[Path, TrainingResult], tmp_path: Path) -> None:
    path, _ = whole_batches
    result = train(load_config(path, [f"output={tmp_path / 'model'}", "training.warmup=0.5"]))
    rates = [row["learning_rate"] for row in course(result.folder) if "learning_rate" in row]
    peak = int(np.argmax(rates))
    assert 7 <= peak <= 10  # of 18 steps
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert max(rates) in (pytest.approx(2e-3), pytest.approx(5e-3))
    assert rates[-1] < 1e-3


def test_the_head_has_a_learning_rate_of_its_own(
    whole_batches: tuple[Path, TrainingResult], encoders: dict[str, Path], tmp_path: Path
) -> None:
    path, _ = whole_batches
    overrides = [f"output={tmp_path / 'model'}", "training.learning_rate=1e-12", "training.epochs=1"]
    saved = load_file(train(load_config(path, overrides)).folder / "model.safetensors")
    base = load_file(encoders["bpe"] / "model.safetensors")
    compared = [name for name in saved if name.removeprefix("roberta.") in base]
    assert len(compared) > 30
    for name in compared:
        assert torch.allclose(saved[name], base[name.removeprefix("roberta.")], atol=1e-7), name
    assert saved["classifier.bias"].abs().max() > 1e-3  # a new head's bias is zero


def test_epochs_differ_in_order_and_a_resume_takes_up_the_right_one(
    gradual: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[tuple[int, ...]] = []
    iterate = LengthGroupedSampler.__iter__

    def listen(self: LengthGroupedSampler) -> Any:
        order = list(iterate(self))
        orders.append(tuple(order))
        return iter(order)

    monkeypatch.setattr(LengthGroupedSampler, "__iter__", listen)
    config = load_config(gradual, [f"output={tmp_path / 'model'}"])
    work = break_off_before_saving(config, monkeypatch)
    assert len(orders) == len(set(orders)) == 3
    last = max(work.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    shutil.rmtree(last)
    train(config, resume=True)
    assert orders[3:] == orders[2:3]


def test_parameter_groups_cover_every_parameter_once() -> None:
    network = BertForTokenClassification(
        BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    )
    groups = parameter_groups(network, learning_rate=1e-4, head_learning_rate=1e-3, weight_decay=0.01)
    settings = {id(parameter): group for group in groups for parameter in group["params"]}
    named = dict(network.named_parameters())
    assert sum(len(group["params"]) for group in groups) == len(named) == len(settings)
    for name, parameter in named.items():
        group = settings[id(parameter)]
        assert group["lr"] == (1e-3 if name.startswith("classifier.") else 1e-4), name
        decayed = not name.endswith("bias") and "LayerNorm" not in name
        assert group["weight_decay"] == (0.01 if decayed else 0.0), name
    frozen = network.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    assert id(frozen) not in {id(one) for group in parameter_groups(network, 1, 1, 0) for one in group["params"]}


def test_layer_decay_gives_each_layer_its_learning_rate() -> None:
    network = BertForTokenClassification(
        BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16)
    )
    groups = parameter_groups(network, 1e-4, 1e-3, 0.01, layer_decay=0.5)
    settings = {id(parameter): group for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(settings) == len([*network.parameters()])
    expected = {"embeddings.": 1.25e-5, "layer.0.": 2.5e-5, "layer.1.": 5e-5, "layer.2.": 1e-4, "classifier.": 1e-3}
    for name, parameter in network.named_parameters():
        (rate,) = [rate for part, rate in expected.items() if part in name]
        assert settings[id(parameter)]["lr"] == pytest.approx(rate), name
        assert bool(settings[id(parameter)]["weight_decay"]) == (parameter.ndim > 1)
    no_layers = torch.nn.Module()
    no_layers.base_model_prefix = "body"  # type: ignore[assignment]
    no_layers.body = torch.nn.Linear(2, 2)
    with pytest.raises(MarsadError, match=r"training\.layer_decay: .* numbers no layers"):
        parameter_groups(no_layers, 1e-4, 1e-3, 0.01, layer_decay=0.9)


def test_r_drop_changes_nothing_without_dropout(write_tiny_config: WriteConfig, tmp_path: Path) -> None:
    runs: dict[tuple[float, float], list[float]] = {}
    for dropout in (0.0, 0.3):
        for weight in (0.0, 2.0):
            name = f"{dropout:g}-{weight:g}"
            path = write_tiny_config(
                tmp_path / f"{name}.yaml",
                output=str(tmp_path / name),
                model={"dropout": dropout},
                training={"epochs": 1, "r_drop": weight, "log_every": 1},
            )
            runs[dropout, weight] = losses(train(load_config(path)).folder)
    assert runs[0.0, 2.0] == pytest.approx(runs[0.0, 0.0], rel=1e-3)
    assert runs[0.3, 2.0] != pytest.approx(runs[0.3, 0.0], rel=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weights", [None, {"O": 0.25, "DATE": 3.0}])
@pytest.mark.parametrize("items", [None, 50])
def test_token_loss_is_the_definition(
    smoothing: float, class_weights: dict[str, float] | None, items: int | None
) -> None:
    training: dict[str, Any] = {"label_smoothing": smoothing, "class_weights": class_weights}
    config = Config.model_validate({"labels": ["ACTOR", "DATE"], "training": training})
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(3, 7, 5, generator=generator, requires_grad=True)
    labels = torch.randint(0, 5, (3, 7), generator=generator)
    labels[0, 3:] = -100
    labels[2, 0] = -100
    loss = token_loss(config)({"logits": logits}, labels, None if items is None else torch.tensor(items))

    # O, B-ACTOR, I-ACTOR, B-DATE, I-DATE
    weight = [0.25, 1.0, 1.0, 3.0, 3.0] if class_weights else [1.0] * 5
    total, count = 0.0, 0
    for row, tags in zip(logits.detach().double().log_softmax(-1), labels, strict=True):
        for log_probs, tag in zip(row, tags.tolist(), strict=True):
            if tag == -100:
                continue
            count += 1
            total -= (1 - smoothing) * weight[tag] * log_probs[tag].item()
            total -= smoothing / 5 * sum(w * p for w, p in zip(weight, log_probs.tolist(), strict=True))
    assert count == 16
    assert loss.item() == pytest.approx(total / (items or count), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert torch.all(logits.grad[labels == -100] == 0)
    assert torch.all(logits.grad[labels != -100].abs().sum(-1) > 0)


@pytest.mark.parametrize(("count", "batch"), [(1, 8), (7, 8), (8, 8), (1003, 4), (1000, 10), (401, 8), (5, 1)])
def test_the_sampler_is_a_permutation_by_seed_and_epoch(count: int, batch: int) -> None:
    lengths = np.random.default_rng(0).integers(3, 200, count)
    sampler = LengthGroupedSampler(lengths, batch, seed=13)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        first = list(sampler)
        assert list(sampler) == first
        assert sorted(first) == list(range(count))
        orders.append(tuple(first))
    assert len(sampler) == count
    resumed = LengthGroupedSampler(lengths, batch, seed=13)
    resumed.set_epoch(2)
    assert tuple(resumed) == orders[2]
    if count > 100:
        assert len(set(orders)) == 3
        assert tuple(LengthGroupedSampler(lengths, batch, seed=14)) != orders[0]


def test_the_sampler_fills_the_last_batch_up_with_the_window_behind_all() -> None:
    for count, fill_to in ((1, 8), (7, 8), (8, 8), (44, 4), (45, 4)):
        order = list(sampler := LengthGroupedSampler([5] * count, 8, seed=13, fill_to=fill_to))
        assert len(order) == len(sampler) and len(order) % fill_to == 0
        assert sorted(order[:count]) == list(range(count))
        assert set(order[count:]) <= {count} and len(order) - count < fill_to


def test_the_sampler_saves_padding_and_only_the_last_batch_is_short() -> None:
    lengths = np.random.default_rng(1).integers(3, 200, 1003)
    batch = 16

    def read(order: list[int]) -> int:
        batches = [order[at : at + batch] for at in range(0, len(order), batch)]
        return sum(len(one) * int(max(lengths[one])) for one in batches)

    grouped = read(list(LengthGroupedSampler(lengths, batch, seed=1)))
    shuffled = read(list(np.random.default_rng(2).permutation(1003)))
    assert grouped < 1.05 * lengths.sum()
    assert shuffled > 1.5 * lengths.sum()


# --- data ------------------------------------------------------------------------------------------------


def test_a_split_has_each_tag_on_a_first_sub_token(tiny_model: Path, corpus: Path) -> None:
    from marsad.annotations.jsonl import read_documents

    tagger = load_tagger(tiny_model)
    documents = read_documents(corpus / "dev.jsonl")
    split = encode_split(documents, tagger.encoder, tagger.labels, tagger.text)
    windows = [window for document in split.windows for window in document]
    assert len(split.dataset) == len(windows) > len(documents)
    assert split.tokens == sum(len(row) for row in split.dataset["input_ids"])
    begun = 0
    for window, row in zip(windows, split.dataset, strict=True):
        assert row["input_ids"] == window.input_ids
        labelled = [place for place, tag in enumerate(row["labels"]) if tag != -100]
        assert labelled == window.first_tokens
        begun += sum(tag > 0 and tag % 2 == 1 for tag in row["labels"])
    assert begun >= sum(len(document.entities) for document in documents)  # windows overlap
    assert split.record()["entities"] == sum(len(document.entities) for document in documents)


def test_what_does_not_fit_the_words_is_counted_and_named(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    from marsad.documents import Document, Entity

    tagger = load_tagger(tiny_model)
    text = "قتل طفلين في حلب أمس"
    entities = (Entity(5, 9, "CASUALTY"), Entity(12, 13, "DATE"), Entity(13, 16, "LOCATION"))
    document = Document("odd", text, entities)
    assert text[12] == " "
    with caplog.at_level("WARNING"):
        split = encode_split([document], tagger.encoder, tagger.labels, tagger.text)
    assert (split.widened, split.dropped) == (1, 1)
    assert dataclasses.replace(document).entities == entities
    assert "odd: entity [5, 9) CASUALTY was widened" in caplog.text
    assert "odd: entity [12, 13) DATE is left out" in caplog.text


def head_rows(model: Path) -> dict[str, list[float]]:
    """Each tag's row of the head, bias last."""
    tags = json.loads((model / "config.json").read_text())["id2label"]
    tensors = load_file(model / "model.safetensors")
    return {
        tag: [*tensors["classifier.weight"][int(index)].tolist(), float(tensors["classifier.bias"][int(index)])]
        for index, tag in tags.items()
    }


def still(start: Path, output: Path) -> list[str]:
    """Overrides of a run that goes on from ``start`` and hardly moves."""
    return [
        f"model.init_from={start}",
        f"output={output}",
        "training.epochs=1",
        "training.learning_rate=1e-12",
        "training.head_learning_rate=1e-12",
    ]


def test_going_on_from_a_model_starts_where_it_stood(
    tiny_config: Path, tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="marsad")
    scores = train(load_config(tiny_config, still(tiny_model, tmp_path / "on"))).dev
    assert scores.record() == metrics_of(tiny_model)["dev"]["strict"]
    assert f"going on from {tiny_model}; head rows kept: O, ACTOR, LOCATION, DATE, CASUALTY" in caplog.text
    manifest = json.loads((tmp_path / "on" / "marsad.json").read_text())
    assert manifest["init_from"] == {"path": str(tiny_model), "fingerprint": fingerprint(tiny_model)}
    assert f"going on from the model `{tiny_model}`" in (tmp_path / "on" / "README.md").read_text()


def test_rows_of_types_that_stay_are_kept_when_the_labels_change(
    tiny_config: Path, tiny_model: Path, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("train", "dev"):  # DATE goes, WEAPON comes, and the order changes
        documents = read_documents(corpus / f"{split}.jsonl")
        kept = [
            dataclasses.replace(one, entities=tuple(entity for entity in one.entities if entity.label != "DATE"))
            for one in documents
        ]
        write_documents(kept, tmp_path / f"{split}.jsonl")
    overrides = [f"data.{split}={tmp_path / f'{split}.jsonl'}" for split in ("train", "dev")]
    overrides += ["labels=[LOCATION, WEAPON, ACTOR, CASUALTY]", *still(tiny_model, tmp_path / "on")]
    caplog.set_level(logging.INFO, logger="marsad")
    train(load_config(tiny_config, overrides))
    assert "head rows kept: O, LOCATION, ACTOR, CASUALTY; new: WEAPON; dropped: DATE" in caplog.text
    before, after = head_rows(tiny_model), head_rows(tmp_path / "on")
    assert list(after) == ["O", *(f"{p}-{name}" for name in ("LOCATION", "WEAPON", "ACTOR", "CASUALTY") for p in "BI")]
    for tag in after.keys() & before.keys():
        assert after[tag] == pytest.approx(before[tag], abs=1e-6)
    assert all(abs(value) < 0.2 for value in after["B-WEAPON"])


def test_what_cannot_be_gone_on_from_is_refused(tiny_config: Path, tiny_model: Path, tmp_path: Path) -> None:
    for start, expected in [(tmp_path / "none", "no such model folder"), (tmp_path, "is not a trained model")]:
        with pytest.raises(MarsadError, match=expected):
            train(load_config(tiny_config, still(start, tmp_path / "on")))
    edited = shutil.copytree(tiny_model, tmp_path / "edited")
    (edited / "tokenizer.json").write_text((edited / "tokenizer.json").read_text() + " ")
    with pytest.raises(MarsadError, match="edited or damaged"):
        train(load_config(tiny_config, still(edited, tmp_path / "on")))
    assert not (tmp_path / "on").exists()


def test_a_whole_run_is_not_resumed_from_another_encoder(
    write_tiny_config: WriteConfig, encoders: dict[str, Path], tmp_path: Path
) -> None:
    encoder = shutil.copytree(encoders["wordpiece"], tmp_path / "encoder")
    path = write_tiny_config(tmp_path / "c.yaml", model={"encoder": str(encoder)}, training={"epochs": 1})
    config = load_config(path, [f"output={tmp_path / 'model'}"])
    train(config)
    train(config, resume=True)
    weights = load_file(encoder / "model.safetensors")
    save_file({name: tensor + 1e-3 for name, tensor in weights.items()}, encoder / "model.safetensors")
    with pytest.raises(MarsadError, match=r"its encoder was another \(sha256\)"):
        train(config, resume=True)
    manifest = json.loads((tmp_path / "model" / "marsad.json").read_text())
    del manifest["encoder"]  # as saved by a version that did not write it down
    (tmp_path / "model" / "marsad.json").write_text(json.dumps(manifest))
    train(config, resume=True)


def test_a_whole_run_is_not_resumed_from_another_start(tiny_config: Path, tiny_model: Path, tmp_path: Path) -> None:
    start = shutil.copytree(tiny_model, tmp_path / "start")
    train(load_config(tiny_config, still(start, tmp_path / "on")))
    train(load_config(tiny_config, still(start, tmp_path / "on")), resume=True)
    shutil.rmtree(start)
    shutil.copytree(tmp_path / "on", start)  # another model under the same name
    with pytest.raises(MarsadError, match=r"its init_from was another \(fingerprint\)"):
        train(load_config(tiny_config, still(start, tmp_path / "on")), resume=True)
