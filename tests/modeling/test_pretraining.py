"""Pretraining: what is masked, what a run learns, and that a killed one ends as an unbroken one would."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from conftest import KINDS, ROOT, synthetic_reports
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, DistilBertConfig, DistilBertModel

from marsad.config import ModelConfig
from marsad.errors import MarsadError
from marsad.modeling.encoders import EncoderSource, find_encoder, load_masked_network, load_network, load_tokenizer
from marsad.modeling.packing import (
    RunningTokens,
    StepBatches,
    TrainingWindows,
    WordMasker,
    is_held_out,
    text_sources,
    tokenise_texts,
)
from marsad.modeling.pretraining import MaskedLanguageModel, begin_from_frequencies, flops_per_token, pretrain
from marsad.modeling.pretraining_config import (
    MaskingConfig,
    PretrainingConfig,
    TextsConfig,
    load_pretraining_config,
)
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

WriteConfig = Callable[..., Path]
SHIPPED = sorted((ROOT / "configs").glob("pretrain*.yaml"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    lines = [json.dumps({"text": report["text"]}, ensure_ascii=False) for report in synthetic_reports(120, seed=21)]
    path.write_text("\n".join([*lines[:60], '{"text": 3}', "not json", '{"text": " \\u200f"}', *lines[60:]]) + "\n")
    return path


@pytest.fixture(scope="module")
def write_config(encoders: dict[str, Path], texts: Path) -> WriteConfig:
    def write(path: Path, kind: str = "wordpiece", **sections: Any) -> Path:
        values: dict[str, Any] = {
            "output": str(path.parent / "encoder"),
            "data": {"texts": str(texts), "held_out": 0.15},
            "model": {"encoder": str(encoders[kind]), "max_tokens": 32},
            "training": {
                "steps": 12,
                "batch_size": 8,
                "learning_rate": 3e-3,
                "head_learning_rate": 3e-3,
                "precision": "fp32",
                "evaluate_every": 6,
                "checkpoint_every": 5,
                "log_every": 2,
            },
        }
        for key, value in sections.items():
            values[key] = values[key] | value if isinstance(values.get(key), dict) else value
        path.write_text(yaml.safe_dump(values))
        return path

    return write


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, write_config: WriteConfig) -> tuple[Path, Path]:
    """A config, and the encoder of its unbroken run."""
    path = write_config(tmp_path_factory.mktemp("unbroken") / "c.yaml")
    return path, pretrain(load_pretraining_config(path)).folder


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def encoder_of(folder: Path, max_tokens: int = 32) -> Any:
    return load_tokenizer(EncoderSource(str(folder), hub=False), ModelConfig(max_tokens=max_tokens, overlap=0))


# --- masking -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_masked_whole_and_nothing_else_changes(kind: str, encoders: dict[str, Path]) -> None:
    encoder = encoder_of(encoders[kind])
    texts = [report["text"] for report in synthetic_reports(40, seed=3)]
    running, starts, words = [], [], []
    for text in texts:
        ids, begins = encoder.encode_running(split_words(text, TextConfig()))
        starts += [len(running) + begin for begin in begins]
        running += ids
    is_start = np.zeros(len(running), dtype=bool)
    is_start[starts] = True
    special = set(encoder.tokenizer.all_special_ids)
    masker = WordMasker(encoder, MaskingConfig(share=0.3, masked=1, random=0))
    guessed = 0
    for at in range(0, len(running) - encoder.room, encoder.room):
        ids = np.array(running[at : at + encoder.room])
        begins = is_start[at : at + encoder.room]
        window = masker.mask(ids, begins, np.random.default_rng(at))
        real = window.labels != -100
        places = window.positions[real] - encoder.lead
        guessed += len(places)
        assert len(places) <= masker.guesses == int(0.3 * encoder.room)
        assert (ids[places] == window.labels[real]).all()
        assert not special & set(ids[places].tolist())
        expected = ids.copy()
        expected[places] = encoder.tokenizer.mask_token_id
        assert window.input_ids.tolist() == encoder.frame(expected.tolist())
        chosen = np.zeros(len(ids), dtype=bool)
        chosen[places] = True
        words = np.cumsum(begins)
        for word in set(words[chosen].tolist()):
            assert chosen[words == word].all()
            assert word > 0  # the end of a word that the window's beginning cuts
    assert guessed > 0.2 * len(running)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=30),
    share=st.floats(0.01, 0.99),
    masked=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_any_window_can_be_masked(
    encoders: dict[str, Path], sizes: list[int], share: float, masked: float, seed: int
) -> None:
    encoder = encoder_of(encoders["wordpiece"])
    masker = WordMasker(encoder, MaskingConfig(share=share, masked=masked, random=1 - masked))
    begins = np.concatenate([[True, *[False] * (size - 1)] for size in sizes])
    ids = np.random.default_rng(seed).integers(5, 100, len(begins))
    before = ids.copy()
    window = masker.mask(ids, begins, np.random.default_rng(seed))
    assert (ids == before).all()
    assert len(window.positions) == len(window.labels) == masker.guesses
    changed = {int(place) for place in np.flatnonzero(np.array(encoder.frame(before.tolist())) != window.input_ids)}
    assert changed <= set(window.positions[window.labels != -100].tolist())


def test_the_rest_of_the_words_stays_or_is_drawn(encoders: dict[str, Path]) -> None:
    encoder = encoder_of(encoders["wordpiece"])
    masker = WordMasker(encoder, MaskingConfig(share=0.5, masked=0.6, random=0.2))
    ids, begins = np.full(30, 7), np.ones(30, dtype=bool)
    seen: list[int] = []
    for seed in range(300):
        window = masker.mask(ids, begins, np.random.default_rng(seed))
        seen += window.input_ids[window.positions].tolist()
    mask = encoder.tokenizer.mask_token_id
    assert seen.count(mask) / len(seen) == pytest.approx(0.6, abs=0.03)
    assert seen.count(7) / len(seen) == pytest.approx(0.2, abs=0.03)
    assert len(set(seen)) > 50
    assert not set(seen) & (set(encoder.tokenizer.all_special_ids) - {mask})


# --- texts and windows -------------------------------------------------------------------------------------


def running_text(path: Path) -> tuple[list[int], int]:
    row = np.fromfile(path, np.uint32)
    return (row & 0x7FFFFFFF).tolist(), int((row >> 31).sum())


@pytest.mark.parametrize("form", ["jsonl", "jsonl.xz", "jsonl.gz", "txt", "parquet"])
def test_every_format_gives_the_same_sub_tokens(form: str, encoders: dict[str, Path], tmp_path: Path) -> None:
    import gzip
    import lzma

    texts = [report["text"].replace("\n", " ") for report in synthetic_reports(30, seed=5)]
    path = tmp_path / f"texts.{form}"
    lines = "".join(json.dumps({"body": text}, ensure_ascii=False) + "\n" for text in texts).encode()
    match form:
        case "jsonl":
            path.write_bytes(lines)
        case "jsonl.xz":
            path.write_bytes(lzma.compress(lines))
        case "jsonl.gz":
            path.write_bytes(gzip.compress(lines))
        case "txt":
            path.write_text("\n".join(texts), encoding="utf-8")
        case "parquet":
            pq.write_table(pa.table({"body": texts}), path)
    source, model = EncoderSource(str(encoders["unigram"]), hub=False), ModelConfig(max_tokens=32, overlap=0)
    config = TextsConfig(texts=(str(path),), text_column="body", per_line=True, held_out=0.3)
    counts = tokenise_texts(config, TextConfig(), source, model, tmp_path / "train", tmp_path / "held")
    encoder = load_tokenizer(source, model)
    for name, out, count in (("train", False, counts.documents), ("held", True, counts.held_out_documents)):
        documents = [text for text in texts if is_held_out(text, 0.3) == out]
        expected = [encoder.encode_running(split_words(text, TextConfig())) for text in documents]
        ids, starts = running_text(tmp_path / name)
        assert ids == [one for document, _ in expected for one in document]
        assert starts == sum(len(begins) for _, begins in expected)
        assert count == len(documents) > 0
    assert counts.words == sum(len(split_words(text, TextConfig())) for text in texts)


def test_bad_rows_are_counted_and_named_and_workers_change_nothing(
    texts: Path, encoders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, model = EncoderSource(str(encoders["bpe"]), hub=False), ModelConfig(max_tokens=32, overlap=0)
    results = []
    for workers in (1, 2):
        files = tmp_path / f"train{workers}", tmp_path / f"held{workers}"
        config = TextsConfig(texts=(str(texts),), held_out=0.2, workers=workers)
        with caplog.at_level("WARNING", "marsad"):
            counts = tokenise_texts(config, TextConfig(), source, model, *files)
        results.append((counts, *(file.read_bytes() for file in files)))
    assert results[0] == results[1]
    assert (counts.rejected, counts.without_words) == (2, 1)
    assert counts.documents + counts.held_out_documents == 120
    assert f"{texts}:61" in caplog.text and "text is int, expected a string" in caplog.text
    assert f"{texts}:62" in caplog.text and "not JSON" in caplog.text


def test_an_epoch_reads_every_sub_token_once_and_the_next_in_other_windows(
    encoders: dict[str, Path], tmp_path: Path
) -> None:
    encoder = encoder_of(encoders["wordpiece"])
    room = encoder.room
    row = np.arange(20 * room + 7, dtype=np.uint32) + 5  # all different; more than the vocabulary has, so none masked
    (tmp_path / "row").write_bytes(row.tobytes())
    tokens = RunningTokens(tmp_path / "row", room)
    assert len(tokens) == 20
    starts = []
    for epoch in range(3):
        windows = [tokens.window(0)[0]]
        dataset = TrainingWindows(tokens, _NoMasker(), seed=1)  # type: ignore[arg-type]
        windows = [dataset[epoch * 20 + index] for index in range(20)]
        seen = np.concatenate(windows)
        assert len(set(seen.tolist())) == 20 * room
        assert all(len(window) == room for window in windows)
        starts.append([int(window[0]) for window in windows])
    assert len({tuple(sorted(one)) for one in starts}) == 3
    again = TrainingWindows(tokens, _NoMasker(), seed=1)  # type: ignore[arg-type]
    assert [int(again[20 + index][0]) for index in (3, 1)] == [starts[1][3], starts[1][1]]  # type: ignore[index]


class _NoMasker:
    def mask(self, ids: Any, is_start: Any, generator: Any) -> Any:
        return ids


def test_steps_are_dealt_out_to_processes_and_forward_passes() -> None:
    whole = [number for batch in StepBatches(2, 5, 8, 1, 0, 1) for number in batch]
    assert whole == list(range(16, 40))
    parts = [list(StepBatches(2, 5, 2, 2, process, 2)) for process in range(2)]
    assert len(parts[0]) == len(StepBatches(2, 5, 2, 2, 0, 2)) == 6
    dealt = [number for pair in zip(*parts, strict=True) for batch in pair for number in batch]
    assert dealt == whole


def test_held_out_documents_stay_held_out() -> None:
    texts = [report["text"] for report in synthetic_reports(400, seed=9)]
    small, large = ({text for text in texts if is_held_out(text, share)} for share in (0.1, 0.3))
    assert small < large
    assert len(large) / len(set(texts)) == pytest.approx(0.3, abs=0.08)
    assert is_held_out("قصف \ud800", 0.5) in {True, False}


# --- the network -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_guesses_are_those_of_the_whole_network(kind: str, encoders: dict[str, Path]) -> None:
    torch.manual_seed(1)
    source = EncoderSource(str(encoders[kind]), hub=False)
    network, has_head = load_masked_network(source, ModelConfig(max_tokens=32, overlap=0))
    assert not has_head
    assert network.get_output_embeddings().weight is network.get_input_embeddings().weight
    ids = torch.randint(5, network.config.vocab_size, (3, 20))
    positions = torch.tensor([[1, 4], [7, 0], [19, 19]])
    masked = MaskedLanguageModel(network)
    with torch.no_grad():
        whole = network(input_ids=ids).logits
        assert torch.allclose(masked(ids, positions), whole[torch.arange(3)[:, None], positions], atol=1e-5)


def test_a_kind_of_network_that_can_not_be_pretrained_is_refused(encoders: dict[str, Path], tmp_path: Path) -> None:
    AutoTokenizer.from_pretrained(encoders["wordpiece"]).save_pretrained(tmp_path)
    sizes = {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64, "vocab_size": 400}
    DistilBertModel(DistilBertConfig(**sizes)).save_pretrained(tmp_path)
    network, _ = load_masked_network(EncoderSource(str(tmp_path), hub=False), ModelConfig(max_tokens=32, overlap=0))
    with pytest.raises(MarsadError, match="'distilbert' can't be pretrained here"):
        MaskedLanguageModel(network)


def test_flops_of_the_definition(encoders: dict[str, Path], write_config: WriteConfig, tmp_path: Path) -> None:
    config = load_pretraining_config(write_config(tmp_path / "c.yaml"))
    source = find_encoder(config.model.encoder)
    network, _ = load_masked_network(source, config.model.as_model())
    layer = 4 * 32 * 32 + 2 * 32 * 64 + 8 * 32 + 64 + 32  # weights, biases, two layer norms
    layers = 2 * layer + 2 * 32  # and the embeddings' layer norm
    vocabulary = network.config.vocab_size
    head = 32 * 32 + 3 * 32 + vocabulary + vocabulary * 32
    expected = 6 * layers + 12 * 2 * 32 * 32 + 6 * 0.15 * head
    assert flops_per_token(MaskedLanguageModel(network), config) == pytest.approx(expected)


# --- runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_loads(path: Path) -> None:
    config = load_pretraining_config(path)
    assert config.steps > 0
    assert config.licence and config.data.licences


def test_the_smoke_config_reads_training_texts_alone() -> None:
    config = load_pretraining_config(ROOT / "configs" / "pretrain-smoke.yaml")
    assert config.data.texts == ("data/train.jsonl",)
    assert config.model.encoder == "embedded"


def test_perplexity_falls_and_the_encoder_loads(
    unbroken: tuple[Path, Path], encoders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    _, folder = unbroken
    judged = [row for row in rows(folder) if "perplexity" in row]
    assert [row["step"] for row in judged] == [0, 6, 12]
    # The first judgement is of a head that guesses by frequency; twelve steps of a tiny network learn a little more.
    assert judged[-1]["perplexity"] < 0.985 * judged[0]["perplexity"]
    assert judged[-1]["loss"] == pytest.approx(judged[-1]["held_out"]["loss_sum"] / judged[-1]["held_out"]["guesses"])
    assert [row["step"] for row in rows(folder) if "train_loss" in row] == [2, 4, 6, 8, 10, 12]
    manifest = json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))
    assert manifest["counts"]["rejected"] == 2 and manifest["steps"] == 12
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"| 12 | {12 * 8 * 32:,} | {judged[-1]['perplexity']:,.2f} |" in card
    assert "pipeline_tag: fill-mask" in card

    network = load_network(find_encoder(str(folder)), ModelConfig(max_tokens=32, overlap=0), ["O", "B-X", "I-X"])
    ids = torch.randint(5, network.base_model.config.vocab_size, (2, 16))
    with torch.no_grad():
        ours = network.base_model.eval()(input_ids=ids).last_hidden_state
        theirs = AutoModel.from_pretrained(folder).eval()(input_ids=ids).last_hidden_state
        before = AutoModel.from_pretrained(encoders["wordpiece"]).eval()(input_ids=ids).last_hidden_state
    assert torch.equal(ours, theirs)
    assert (ours - before).abs().max() > 0.05
    _, has_head = load_masked_network(find_encoder(str(folder)), ModelConfig(max_tokens=32, overlap=0))
    assert has_head


def test_half_precision_is_the_same_encoder_rounded(unbroken: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = unbroken
    config = load_pretraining_config(path, [f"output={tmp_path / 'half'}", "save_dtype=fp16"])
    half = pretrain(config).folder
    whole, rounded = load_file(folder / "model.safetensors"), load_file(half / "model.safetensors")
    assert whole.keys() == rounded.keys()
    for name, weight in whole.items():
        assert rounded[name].dtype == torch.float16
        assert torch.equal(weight.half(), rounded[name]), name
    network = load_network(find_encoder(str(half)), ModelConfig(max_tokens=32, overlap=0), ["O"])
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    unbroken: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, folder = unbroken
    output = tmp_path / "encoder"
    command = [sys.executable, "-m", "marsad", "pretrain", str(path), f"output={output}"]
    work = tmp_path / "encoder.partial"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        deadline = time.monotonic() + 120
        while not (work / "checkpoint-5").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert not output.exists()
    assert (work / "checkpoint-5").exists() or (work / "checkpoint-10").exists()
    with (work / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 11, "train_lo')  # as if it had been writing just then
    with pytest.raises(MarsadError, match=r"broke off.*--resume.*--overwrite"):
        pretrain(load_pretraining_config(path, [f"output={output}"]))
    with pytest.raises(MarsadError, match=r"training\.seed"):
        pretrain(load_pretraining_config(path, [f"output={output}", "training.seed=1"]), resume=True)
    # A checkpoint is an encoder too.
    load_network(find_encoder(str(next(work.glob("checkpoint-*")))), ModelConfig(max_tokens=32, overlap=0), ["O"])
    with caplog.at_level("INFO", "marsad"):
        pretrain(load_pretraining_config(path, [f"output={output}"]), resume=True)
    assert "resuming from checkpoint-" in caplog.text
    assert rows(output) == rows(folder)
    whole, resumed = load_file(folder / "model.safetensors"), load_file(output / "model.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not work.exists()
    again = pretrain(load_pretraining_config(path, [f"output={output}"]), resume=True)
    assert again.folder == output and len(again.judgements) == 3


def losses(folder: Path) -> list[float]:
    return [row["train_loss"] if "train_loss" in row else row["loss"] for row in rows(folder)]


def test_two_processes_and_accumulation_are_the_whole_batch(write_config: WriteConfig, tmp_path: Path) -> None:
    path = write_config(tmp_path / "c.yaml", kind="bpe", model={"dropout": 0.0}, training={"log_every": 1})
    whole = losses(pretrain(load_pretraining_config(path)).folder)
    overrides = [f"output={tmp_path / 'parts'}", "training.gradient_accumulation=2", "training.loaders=1"]
    assert losses(pretrain(load_pretraining_config(path, overrides)).folder) == pytest.approx(whole, abs=2e-3)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "marsad"]
    output = tmp_path / "two"
    done = subprocess.run(
        [*command, "pretrain", str(path), f"output={output}", "training.gradient_accumulation=2"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("encoder: ") == 1
    assert losses(output) == pytest.approx(whole, abs=2e-3)


def test_a_probe_fine_tunes_the_encoder_as_it_is(write_config: WriteConfig, tiny_config: Path, tmp_path: Path) -> None:
    path = write_config(
        tmp_path / "c.yaml",
        training={"steps": 4, "evaluate_every": 2},
        probe={"config": str(tiny_config), "epochs": 1, "reports": 40, "every": 2},
    )
    result = pretrain(load_pretraining_config(path))
    probes = [one.probe for one in result.judgements]
    assert probes[1] is None
    assert 0 <= (probes[0] or 0) <= 1 and probes[2] is not None
    assert f"{probes[2]:.4f} |" in (result.folder / "README.md").read_text(encoding="utf-8")
    assert not list(result.folder.glob("**/config.yaml"))


def test_a_vocabulary_without_a_mask_token_gets_one(
    encoders: dict[str, Path], write_config: WriteConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "bare"
    tokenizer = AutoTokenizer.from_pretrained(encoders["unigram"])
    network = AutoModel.from_pretrained(encoders["unigram"])
    network.save_pretrained(folder)
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(folder)
    before = len(AutoTokenizer.from_pretrained(folder))
    path = write_config(tmp_path / "c.yaml", model={"encoder": str(folder)}, training={"steps": 2})
    result = pretrain(load_pretraining_config(path))
    saved = AutoTokenizer.from_pretrained(result.folder)
    assert saved.mask_token == "<mask>"
    assert len(saved) >= before
    assert AutoModel.from_pretrained(result.folder).config.vocab_size == len(saved)
    text = "قصفت قوات النظام منازل في ريف حماة"
    assert saved(text)["input_ids"] == AutoTokenizer.from_pretrained(folder)(text)["input_ids"]


# --- mistakes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.tokens=1000", "expected how long to train, as steps or as tokens"),
        ("training.step=3", "unknown key 'training.step'; did you mean 'training.steps'?"),
        ("masking.random=0.9", "masked 0.8 and random 0.9 are more than all words"),
        ("training.gradient_accumulation=3", "batch_size 8 can't be shared out"),
        ("model.max_tokens=500", "128 positions"),
        ("model.encoder=nowhere", "no such folder"),
        ("data.texts=nowhere.jsonl", "nowhere.jsonl: no such file"),
        ("data.texts='-'", "'-' is no local file"),
        ("probe.config=nowhere.yaml", "nowhere.yaml: no such config file"),
    ],
)
def test_mistakes_are_found_before_anything_is_written(
    override: str, message: str, write_config: WriteConfig, tmp_path: Path
) -> None:
    path = write_config(tmp_path / "c.yaml")
    with pytest.raises(MarsadError) as refused:
        pretrain(load_pretraining_config(path, [override]))
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["c.yaml"]


def test_too_little_text_is_said(write_config: WriteConfig, tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("قصفت قوات النظام منازل", encoding="utf-8")
    path = write_config(tmp_path / "c.yaml", data={"texts": str(short)})
    with pytest.raises(MarsadError, match=r"documents .* do not fill one window of 30 sub-tokens"):
        pretrain(load_pretraining_config(path))


def test_a_tokenizer_with_more_pieces_than_the_network_is_refused(
    encoders: dict[str, Path], write_config: WriteConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "wide"
    shutil.copytree(encoders["wordpiece"], folder)
    tokenizer = encoder_of(folder).tokenizer
    tokenizer.add_tokens(["ⵣⵣ", "ⵥⵥ"])
    tokenizer.save_pretrained(folder)
    path = write_config(tmp_path / "c.yaml", model={"encoder": str(folder)})
    with pytest.raises(MarsadError, match=r"its tokenizer has \d+ pieces, its network embeddings of \d+"):
        pretrain(load_pretraining_config(path))
    assert not (tmp_path / "encoder.partial").exists()


def test_rows_without_the_texts_column_are_the_reason(texts: Path, write_config: WriteConfig, tmp_path: Path) -> None:
    path = write_config(tmp_path / "c.yaml", data={"texts": str(texts), "text_column": "txt"})
    with pytest.raises(MarsadError, match=r"all \d+ rows were left out.* is data\.text_column right\?"):
        pretrain(load_pretraining_config(path))


def test_a_loss_that_is_no_number_stops_the_run(write_config: WriteConfig, tmp_path: Path) -> None:
    path = write_config(tmp_path / "c.yaml", training={"learning_rate": 1e30, "max_grad_norm": 1e9, "warmup": 0})
    with pytest.raises(MarsadError, match=r"no number any more at step \d+; .*learning_rate"):
        pretrain(load_pretraining_config(path))
    assert not (tmp_path / "encoder").exists()


def test_a_ruined_network_is_no_checkpoint(write_config: WriteConfig, tmp_path: Path) -> None:
    training = {"learning_rate": 1e30, "max_grad_norm": 1e9, "warmup": 0, "log_every": 100, "evaluate_every": 100}
    path = write_config(tmp_path / "c.yaml", training=training)
    with pytest.raises(MarsadError, match="no number any more at step 5; start anew"):
        pretrain(load_pretraining_config(path))
    assert not list((tmp_path / "encoder.partial").glob("checkpoint-*"))


def test_what_is_no_encoder_is_not_overwritten(write_config: WriteConfig, tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "thesis.tex").write_text("years of work")
    config = load_pretraining_config(write_config(tmp_path / "c.yaml"))
    for overwrite in (False, True):
        with pytest.raises(MarsadError, match="encoder"):
            pretrain(config, overwrite=overwrite)
    assert (tmp_path / "encoder" / "thesis.tex").exists()


def test_text_sources_are_files_of_this_machine(texts: Path) -> None:
    assert [one.path for one in text_sources(TextsConfig(texts=(str(texts.parent),)))] == [str(texts)]
    with pytest.raises(MarsadError, match="no local file"):
        text_sources(TextsConfig(texts=("s3://bucket/texts.jsonl",)))


def test_a_new_head_guesses_by_frequency(encoders: dict[str, Path]) -> None:
    torch.manual_seed(1)
    network, has_head = load_masked_network(find_encoder(str(encoders["bpe"])), ModelConfig(max_tokens=32, overlap=0))
    assert not has_head
    counts = np.arange(network.config.vocab_size) ** 2
    before = network.get_output_embeddings().weight.clone()
    begin_from_frequencies(network, counts)
    layer = network.get_output_embeddings()
    assert torch.equal(layer.weight, before)
    with torch.no_grad():
        guesses = layer(torch.zeros(network.config.hidden_size)).softmax(-1).numpy()
    np.testing.assert_allclose(guesses, (counts + 1) / (counts + 1).sum(), rtol=1e-4)


def test_perplexity_of_a_hopeless_network_is_finite() -> None:
    from marsad.modeling.pretraining import Judgement

    assert math.isfinite(Judgement(0, 1e6, 0, 10).perplexity)


def test_configs_are_frozen() -> None:
    config = PretrainingConfig.model_validate({"data": {"texts": "a.jsonl"}, "training": {"tokens": 100_000}})
    assert config.steps == math.ceil(100_000 / (64 * 256))
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"  # type: ignore[misc]
