"""Students learn what their teachers think, wherever words and sub-tokens stand, and broken-off work goes on."""

import json
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
from conftest import ROOT, synthetic_reports, write_jsonl
from transformers import (
    AlbertConfig,
    AlbertForTokenClassification,
    BertConfig,
    BertForTokenClassification,
    ModernBertConfig,
    ModernBertForTokenClassification,
)

from marsad.annotations.jsonl import read_documents
from marsad.config import Config, load_config
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.modeling import distillation
from marsad.modeling import training as training_module
from marsad.modeling.artifacts import load_network_of, load_tagger, read_manifest
from marsad.modeling.decoding import log_softmax
from marsad.modeling.distillation import Taught, TeacherScores, distillation_loss, find_teacher, teach, word_target
from marsad.modeling.encoders import EncoderSource, keep_layers, load_tokenizer
from marsad.modeling.folds import score_held_out
from marsad.modeling.inference import score_words
from marsad.modeling.runtimes import load_runtime
from marsad.modeling.tagging import align_entities, tag_ids
from marsad.modeling.training import LengthGroupedSampler, token_loss, train
from marsad.text.words import split_words

WriteConfig = Callable[..., Path]

PLAIN = 60
NO_REPORTS = [{"text": " \n"}, {"text": "؟"}, {"body": "قصف"}]


def partial_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial")


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def losses(model: Path) -> list[float]:
    history = json.loads((model / "metrics.json").read_text(encoding="utf-8"))["history"]
    return [row["loss"] for row in history if "loss" in row]


def word_log_probs(model: Path, texts: list[str]) -> np.ndarray[Any, Any]:
    """[words of all texts, tags], by the model's own way from text to scores."""
    tagger = load_tagger(model)
    documents = [split_words(text, tagger.text) for text in texts]
    return log_softmax(np.concatenate(score_words(load_runtime(model, tagger, "torch"), tagger.encoder, documents)))


def calibrated(model: Path, texts: list[str]) -> np.ndarray[Any, Any]:
    """As :func:`word_log_probs`, with the model's temperature."""
    temperature = np.float32(load_tagger(model).calibration.temperature)
    return log_softmax(word_log_probs(model, texts) / temperature)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of reports without annotations: lines of JSON, some of them without a word or a text, and a text."""
    folder = tmp_path_factory.mktemp("plain")
    reports = synthetic_reports(PLAIN, seed=41)
    write_jsonl(folder / "archive.jsonl", [{"text": report["text"]} for report in reports] + NO_REPORTS)
    (folder / "report.txt").write_text(synthetic_reports(1, seed=42)[0]["text"], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def student_config(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: WriteConfig, tiny_model: Path) -> Path:
    """A student whose tokenizer is another one than its teacher's, and so are its windows."""
    return write_tiny_config(
        tmp_path_factory.mktemp("student") / "student.yaml",
        kind="bpe",
        model={"teacher": str(tiny_model), "max_tokens": 40, "overlap": 16},
        training={"epochs": 2, "log_every": 1},
    )


def lessons(config: Config, documents: list[Document], folder: Path) -> Taught:
    teacher = find_teacher(config)
    assert teacher is not None
    encoder = load_tokenizer(EncoderSource(config.model.encoder, hub=False), config.model)
    return teach(teacher, documents, encoder, config, folder)


# --- what is learned ---------------------------------------------------------------------------------------


def test_each_word_has_its_annotated_tag_and_its_teachers_scores(
    student_config: Path, tiny_model: Path, corpus: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distillation, "_SHARD_REPORTS", 32)
    labels = ["DATE", "CASUALTY", "ACTOR", "LOCATION"]  # in another order than the teacher's
    config = load_config(student_config, [f"labels={labels}", f"distillation.unlabelled={plain}"])
    documents = read_documents(corpus / "train.jsonl")
    taught = lessons(config, documents, tmp_path / "teacher")
    tags = len(config.label_set.tags)

    plain_texts = [report["text"] for report in synthetic_reports(PLAIN, seed=41)] + [" \n", "؟"]
    plain_texts.append(synthetic_reports(1, seed=42)[0]["text"])
    texts = [document.text for document in documents] + plain_texts
    teacher = load_tagger(tiny_model)
    encoder = load_tokenizer(EncoderSource(config.model.encoder, hub=False), config.model)
    rows = iter(taught.dataset)
    runtime = load_runtime(tiny_model, teacher, "torch")
    seen = 0
    for number, text in enumerate(texts):
        words = split_words(text, config.text)
        if not len(words):
            continue
        [scores] = score_words(runtime, teacher.encoder, [words])
        columns = [teacher.labels.tags.index(tag) for tag in config.label_set.tags]
        expected = log_softmax(scores[:, columns] / np.float32(teacher.calibration.temperature))
        gold = [tags] * len(words)  # what stands for "not annotated"
        if number < len(documents):
            gold = tag_ids(align_entities(documents[number], words).spans, len(words), config.label_set)
        for window in encoder.encode_document(words):
            row = next(rows)
            assert row["input_ids"] == window.input_ids
            assert [place for place, label in enumerate(row["labels"]) if label != -100] == window.first_tokens
            targets = np.array(row["labels"])[window.first_tokens]
            assert (targets % (tags + 1)).tolist() == gold[window.window.first : window.window.last]
            said = taught.scores.of_words(targets // (tags + 1) - 1)
            np.testing.assert_allclose(said, expected[window.window.first : window.window.last], atol=2e-2)
            seen += 1
    assert next(rows, None) is None
    assert taught.annotated.reports == len(documents)
    assert taught.unlabelled.reports == len(plain_texts)
    assert taught.unlabelled.rejected == 1  # the line without a text
    assert taught.annotated.windows + taught.unlabelled.windows == seen == len(taught.dataset)
    assert taught.annotated.sub_tokens + taught.unlabelled.sub_tokens == sum(map(len, taught.dataset["input_ids"]))


def test_several_teachers_say_the_mean_of_their_probabilities(
    student_config: Path, tiny_model: Path, whole: Path, corpus: Path, plain: Path, tmp_path: Path
) -> None:
    """``whole`` has a tokenizer, windows and a temperature of its own."""
    config = load_config(student_config, [f"model.teacher=[{tiny_model}, {whole}]", f"distillation.unlabelled={plain}"])
    documents = read_documents(corpus / "train.jsonl")[:5]
    taught = lessons(config, documents, tmp_path / "teacher")
    texts = [document.text for document in documents]
    texts += [report["text"] for report in synthetic_reports(PLAIN, seed=41)]
    texts += ["؟", synthetic_reports(1, seed=42)[0]["text"]]
    expected = np.log((np.exp(calibrated(tiny_model, texts)) + np.exp(calibrated(whole, texts))) / 2)
    tags = len(config.label_set.tags)
    keys = np.concatenate([[label for label in row["labels"] if label != -100] for row in taught.dataset])
    said = taught.scores.of_words(np.unique(keys // (tags + 1) - 1))
    np.testing.assert_allclose(np.exp(said), np.exp(expected), atol=2e-3)
    assert not np.allclose(np.exp(said), np.exp(calibrated(tiny_model, texts)), atol=2e-2)
    model = train(config.model_copy(update={"output": tmp_path / "model"})).folder
    record = read_manifest(model).teacher
    assert record is not None
    assert record["models"] == {str(path): load_tagger(path).fingerprint for path in (tiny_model, whole)}
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "mean probabilities of the models" in card and all(one[:12] in card for one in record["models"].values())


@pytest.mark.parametrize("items", [None, 40])
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_the_loss_is_the_definition(weight: float, items: int | None) -> None:
    config = Config.model_validate({"labels": ["ACTOR", "DATE"], "training": {"class_weights": {"DATE": 3.0}}})
    temperature, tags = 2.5, 5
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 6, tags, generator=generator, requires_grad=True)
    said = torch.randn(2, 4, tags, generator=generator).log_softmax(-1)
    shards = {2: said[0].numpy().astype(np.float16), 7: said[1].numpy().astype(np.float16)}
    # shard, row, annotated tag of the words; the first sub-tokens of a window that are not here are ignored
    words = {(0, 1): (2, 3, 4), (0, 2): (7, 0, None), (0, 4): (2, 0, 0), (1, 0): (7, 2, None), (1, 5): (7, 3, 2)}
    labels = torch.full((2, 6), -100)
    for place, (shard, row, tag) in words.items():
        labels[place] = word_target(tag, (shard << 32) + row, tags)
    loss_of = distillation_loss(token_loss(config), TeacherScores(shards, tags), tags, weight, temperature)
    loss = loss_of({"logits": logits}, labels, None if items is None else torch.tensor(items))

    total = 0.0
    for place, (shard, row, tag) in words.items():
        scores = logits.detach()[place].double()
        target = (torch.from_numpy(shards[shard][row]).double() / temperature).softmax(-1)
        divergence = float((target * (target.log() - (scores / temperature).log_softmax(-1))).sum())
        if tag is None:
            total += temperature**2 * divergence
        else:
            gold = -float(scores.log_softmax(-1)[tag]) * (3.0 if tag > 2 else 1.0)
            total += weight * temperature**2 * divergence + (1 - weight) * gold
    assert loss.item() == pytest.approx(total / (items or len(words)), rel=1e-4)
    loss.backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad.abs().sum(-1) > 0, labels != -100)


def test_plain_labels_have_the_gold_loss_alone() -> None:
    config = Config.model_validate({"labels": ["ACTOR", "DATE"]})
    logits = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(5))
    labels = torch.tensor([[-100, 0, 4, -100, 3, -100]] * 2)
    loss = distillation_loss(token_loss(config), TeacherScores({}, 5), 5, 0.9, 4.0)
    assert loss({"logits": logits}, labels) == token_loss(config)({"logits": logits}, labels)


def test_a_student_comes_closer_to_its_teacher_with_plain_reports_than_without(
    write_tiny_config: WriteConfig, tiny_model: Path, corpus: Path, plain: Path, tmp_path: Path
) -> None:
    few = write_jsonl(tmp_path / "few.jsonl", synthetic_reports(6, seed=71, prefix="few-"))
    path = write_tiny_config(tmp_path / "config.yaml", data={"train": str(few)})
    alone = train(load_config(path, [f"output={tmp_path / 'alone'}", "training.epochs=15"]))
    lesson = [f"model.teacher={tiny_model}", f"distillation.unlabelled={plain}", "training.epochs=5"]
    taught = train(load_config(path, [f"output={tmp_path / 'taught'}", *lesson]))

    texts = [document.text for document in read_documents(corpus / "test.jsonl")]
    teacher = word_log_probs(tiny_model, texts)
    away = {}
    for name, model in (("alone", alone.folder), ("taught", taught.folder)):
        student = word_log_probs(model, texts)
        divergence = float((np.exp(teacher) * (teacher - student)).sum(1).mean())
        away[name] = (divergence, float((teacher.argmax(1) != student.argmax(1)).mean()))
    # The tiny tokenizer's training gives other pieces from run to run: mostly 15 times closer, at times only twice.
    assert away["taught"][0] < away["alone"][0] / 1.5
    assert away["taught"][1] < away["alone"][1]
    assert taught.dev.overall.f1 > alone.dev.overall.f1

    record = read_manifest(taught.folder).teacher
    assert record is not None
    fingerprint = load_tagger(tiny_model).fingerprint
    assert record["models"] == {str(tiny_model): fingerprint}
    assert [Path(file).name for file in record["unlabelled"]["files"]] == ["archive.jsonl", "report.txt"]
    counts = json.loads((taught.folder / "metrics.json").read_text(encoding="utf-8"))["distillation"]
    assert (counts["annotated"]["reports"], counts["unlabelled"]["reports"]) == (6, PLAIN + 3)
    card = (taught.folder / "README.md").read_text(encoding="utf-8")
    assert str(tiny_model) in card and fingerprint[:12] in card
    assert read_manifest(alone.folder).teacher is None
    assert not (taught.folder / "teacher").exists()  # what the teacher said goes with the run's folder


def test_a_student_of_annotated_reports_alone_and_started_from_its_teacher(
    tiny_config: Path, tiny_model: Path, tmp_path: Path
) -> None:
    overrides = [f"model.teacher={tiny_model}", f"model.init_from={tiny_model}", "model.layers=1"]
    result = train(load_config(tiny_config, [f"output={tmp_path / 'student'}", "training.epochs=1", *overrides]))
    assert result.dev.overall.f1 > 0.8
    settings = json.loads((result.folder / "config.json").read_text(encoding="utf-8"))
    assert settings["num_hidden_layers"] == 1
    assert "keeping 1 of its layers" in (result.folder / "README.md").read_text(encoding="utf-8")
    record = read_manifest(result.folder).teacher
    assert record is not None and record["unlabelled"] is None
    # and again from the student itself, which has its one layer
    again = [f"model.init_from={result.folder}", "model.layers=1", "training.epochs=1", f"output={tmp_path / 'again'}"]
    assert train(load_config(tiny_config, again)).dev.overall.f1 > 0.8


def test_plain_reports_by_share_come_in_turn() -> None:
    lengths = np.random.default_rng(0).integers(3, 50, 10 + 23)
    sampler = LengthGroupedSampler(lengths, 4, seed=3, constant=10, drawn=9)
    orders = []
    for epoch in range(6):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert len(orders[-1]) == len(sampler) == 19
        assert set(range(10)) <= set(orders[-1])
    drawn = [[window for window in order if window >= 10] for order in orders]
    turns = [window for one in drawn for window in sorted(one)]
    assert sorted({window for one in drawn[:3] for window in one}) == list(range(10, 33))
    counts = np.bincount(turns, minlength=33)[10:]
    assert counts.min() >= 2 and counts.max() <= 3  # 54 draws among 23
    resumed = LengthGroupedSampler(lengths, 4, seed=3, constant=10, drawn=9)
    resumed.set_epoch(4)
    assert list(resumed) == orders[4]


def test_the_share_is_one_of_windows(student_config: Path, corpus: Path, plain: Path, tmp_path: Path) -> None:
    config = load_config(student_config, [f"distillation.unlabelled={plain}"])
    taught = lessons(config, read_documents(corpus / "train.jsonl"), tmp_path / "teacher")
    annotated, unlabelled = taught.annotated.windows, taught.unlabelled.windows
    assert taught.drawn(None) == unlabelled
    assert taught.drawn(0.2) == round(annotated / 4) < unlabelled
    assert "48 in each epoch, 96 in all 2" in taught.line(48, 2)
    assert taught.drawn(0.999) == unlabelled
    assert taught.tokens_per_epoch(unlabelled) == sum(map(len, taught.dataset["input_ids"]))


# --- layers ------------------------------------------------------------------------------------------------


def bert(layers: int) -> BertForTokenClassification:
    torch.manual_seed(layers)
    settings = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=16
    )
    return BertForTokenClassification(settings)


@pytest.mark.parametrize(
    ("layers", "count", "kept"),
    [(12, 6, [0, 2, 4, 7, 9, 11]), (12, 12, list(range(12))), (4, 1, [0]), (7, 2, [0, 6]), (6, 3, [0, 2, 5])],
)
def test_layers_are_kept_evenly_spaced(layers: int, count: int, kept: list[int], tmp_path: Path) -> None:
    network = bert(layers)
    smaller = keep_layers(network, count)
    assert smaller.config.num_hidden_layers == len(smaller.bert.encoder.layer) == count
    for new, old in enumerate(kept):
        pair = zip(
            smaller.bert.encoder.layer[new].parameters(), network.bert.encoder.layer[old].parameters(), strict=True
        )
        assert all(torch.equal(one, other) for one, other in pair)
    for part in ("bert.embeddings", "classifier"):
        pair = zip(smaller.get_submodule(part).parameters(), network.get_submodule(part).parameters(), strict=True)
        assert all(torch.equal(one, other) for one, other in pair)
    smaller.save_pretrained(tmp_path)
    loaded = BertForTokenClassification.from_pretrained(tmp_path)
    ids = torch.tensor([[3, 4, 5, 6]])
    assert torch.equal(loaded.eval()(ids).logits, smaller.eval()(ids).logits)


def test_layers_of_two_kinds_keep_theirs() -> None:
    # Every third layer of ModernBERT sees a whole window, the others a part of it.
    kinds = ["full_attention", "sliding_attention", "sliding_attention"] * 2
    network = ModernBertForTokenClassification(
        ModernBertConfig(
            vocab_size=20,
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=6,
            num_attention_heads=2,
            layer_types=kinds,
            pad_token_id=0,
        )
    )
    assert keep_layers(network, 3).config.layer_types == [kinds[0], kinds[2], kinds[5]]


def test_layers_that_are_not_there_or_shared_are_refused() -> None:
    with pytest.raises(MarsadError, match=r"model\.layers is 5, but the encoder has 4 layers"):
        keep_layers(bert(4), 5)
    settings = AlbertConfig(
        vocab_size=20, embedding_size=8, hidden_size=8, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16
    )
    with pytest.raises(MarsadError, match="'albert' has no plain list of layers"):
        keep_layers(AlbertForTokenClassification(settings), 2)


def test_a_shallow_model_without_a_teacher(tiny_config: Path, tmp_path: Path) -> None:
    result = train(load_config(tiny_config, [f"output={tmp_path / 'shallow'}", "model.layers=1"]))
    assert len(load_network_of(result.folder).bert.encoder.layer) == 1
    assert result.dev.overall.f1 > 0.7


# --- runs that break off -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(student_config: Path, plain: Path) -> Path:
    """The student of a run that nothing disturbed; its teacher's work lies in many shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distillation, "_SHARD_REPORTS", 32)
        result = train(load_config(student_config, [f"distillation.unlabelled={plain}"]))
    assert result.dev.overall.f1 > 0.8  # with a tokenizer that is not its teacher's
    return result.folder


def test_a_teacher_that_was_interrupted_goes_on(
    student_config: Path, whole: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distillation, "_SHARD_REPORTS", 32)
    config = load_config(student_config, [f"distillation.unlabelled={plain}", f"output={tmp_path / 'model'}"])
    write = distillation._write_shard
    written: list[int] = []

    def break_off(files: Any, *given: Any) -> None:
        if len(written) == 4:  # killed in the middle of a shard
            files.scores.write_bytes(b"half")
            files.windows.write_bytes(b"half")
            raise KeyboardInterrupt
        write(files, *given)
        written.append(files.number)

    with monkeypatch.context() as patch:
        patch.setattr(distillation, "_write_shard", break_off)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    assert written == [0, 1, 2, 3]  # 80 annotated reports, then plain ones

    again: list[int] = []
    monkeypatch.setattr(
        distillation, "_write_shard", lambda files, *given: (again.append(files.number), write(files, *given))
    )
    train(config, resume=True)
    assert again == [4]
    assert weights(tmp_path / "model") == weights(whole)
    assert losses(tmp_path / "model") == losses(whole)


def test_kill_9_in_training_and_resume_equals_an_unbroken_run(
    student_config: Path, whole: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "model"
    overrides = [f"distillation.unlabelled={plain}", f"output={output}"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), str(student_config), *overrides],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    said = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if list(partial_of(output).glob("checkpoint-*/trainer_state.json")) and " step " in line:
                os.kill(process.pid, signal.SIGKILL)
                break
    finally:
        process.kill()
        process.wait(timeout=60)
        process.stderr.close()
    assert process.returncode == -signal.SIGKILL, "".join(said)
    assert re.search(r"teacher: read 143 reports in .+/s", "".join(said))

    def never(*_: Any) -> None:
        raise AssertionError("the teacher read again")

    monkeypatch.setattr(distillation, "score_words", never)
    train(load_config(student_config, overrides), resume=True)
    assert losses(output) == pytest.approx(losses(whole), abs=1e-4)  # shards, and so the teacher's batches, differ
    assert not partial_of(output).exists()


def test_two_processes_share_the_teachers_work(
    student_config: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distillation, "_SHARD_REPORTS", 512)
    settings = [f"distillation.unlabelled={plain}", "distillation.unlabelled_share=0.5", "model.dropout=0.0"]
    settings += ["training.epochs=1"]
    alone = train(load_config(student_config, [*settings, f"output={tmp_path / 'one'}"])).folder
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    arguments = [str(ROOT / "train.py"), str(student_config), *settings, f"output={tmp_path / 'two'}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("left out:") == 1
    assert losses(tmp_path / "two")[:10] == pytest.approx(losses(alone)[:10], rel=0.05)
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text())["distillation"] for name in ("one", "two"))
    assert one == two


def test_another_teacher_or_other_plain_reports_are_noticed(
    tiny_config: Path, tiny_model: Path, tmp_path: Path
) -> None:
    teacher = shutil.copytree(tiny_model, tmp_path / "teacher")
    archive = tmp_path / "archive.txt"
    archive.write_text("قصف الجيش الحر حلب أمس الأحد", encoding="utf-8")
    overrides = [f"model.teacher={teacher}", f"distillation.unlabelled={archive}", "training.epochs=1"]
    config = load_config(tiny_config, [*overrides, f"output={tmp_path / 'model'}"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_module, "_fit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(config)
    archive.write_text("قصف الجيش الحر إدلب أمس الأحد", encoding="utf-8")
    with pytest.raises(MarsadError, match=r"teacher was another \(unlabelled\.sha256\)"):
        train(config, resume=True)
    archive.write_text("قصف الجيش الحر حلب أمس الأحد", encoding="utf-8")
    train(config, resume=True)
    train(config, resume=True)  # is whole
    shutil.rmtree(teacher)
    shutil.copytree(tmp_path / "model", teacher)  # another model under the same name
    with pytest.raises(MarsadError, match=rf"teacher was another \(models\.{re.escape(str(teacher))}\)"):
        train(config, resume=True)


# --- mistakes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.teacher={tmp}/none"], "none: no such model folder"),
        (["model.teacher={tmp}"], "is not a trained model"),
        (["model.teacher=[{teacher}, {teacher}]"], "model.teacher: names the same model twice"),
        (["labels=[ACTOR, LOCATION, DATE, CASUALTY, WEAPON]"], "a teacher needs the very labels of the student"),
        (["text.ya_kaf=true", "text.digits=false"], "set text.ya_kaf=false text.digits=true"),
        (["distillation.unlabelled={tmp}/none.jsonl"], "none.jsonl: no such file"),
        (["distillation.unlabelled=['-']"], "distillation.unlabelled: - is no file"),
        (["distillation.unlabelled={tmp}/empty.jsonl"], "distillation.unlabelled: no report in it holds a word"),
        (["model.layers=3"], "model.layers is 3, but the encoder has 2 layers"),
    ],
)
def test_mistakes_are_found_before_anything_is_written(
    overrides: list[str], message: str, student_config: Path, tiny_model: Path, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "empty.jsonl", [NO_REPORTS[0], NO_REPORTS[2]])
    given = [override.format(tmp=tmp_path, teacher=tiny_model) for override in overrides]
    with pytest.raises(MarsadError, match=re.escape(message)) as refused:
        train(load_config(student_config, [f"output={tmp_path / 'out' / 'model'}", *given]))
    assert len(str(refused.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty.jsonl"]


def test_held_out_reports_are_not_taught(student_config: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(MarsadError, match=r"model\.teacher: it may have learned from the reports that are held out"):
        score_held_out(read_documents(corpus / "train.jsonl"), load_config(student_config), 2, tmp_path / "folds")
