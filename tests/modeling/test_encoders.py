import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from marsad.config import ModelConfig
from marsad.errors import MarsadError
from marsad.modeling.encoders import EncoderSource, encoder_files, find_encoder, load_network, load_tokenizer

TAGS = ("O", "B-ACTOR", "I-ACTOR")
SMALL = ModelConfig(max_tokens=64, overlap=16, dropout=0.25, attention_dropout=0.0625)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any try to reach a host fails the test: pytest's own exception passes every `except Exception`."""

    def refuse(*arguments: Any, **_: Any) -> None:
        pytest.fail(f"the network was tried: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    "name",
    [
        "models/nowhere",
        "encoders/arabert",
        "checkpoints/best",
        "data/encoder",
        "./x",
        "./org/name",
        "../org/name",
        "/nonexistent/y",
        "~/no/such/encoder",
        "arabert",
        "org/name/",
        "org/name/extra",
        "org//name",
        "org name/model",
        "embeded",
        "",
        " ",
    ],
)
def test_a_missing_folder_is_an_error_at_once(
    name: str, no_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MarsadError) as caught:
        find_encoder(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistyped_name_below_a_folder_that_is_here_is_no_hub_name(
    no_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MarsadError, match="no such folder"):
        find_encoder("mine/arabert")


@pytest.mark.parametrize("name", ["aubmindlab/bert-base-arabertv02", "CAMeL-Lab/bert-base-arabic", "intfloat/e5_1.0"])
def test_hub_names_are_recognised_without_a_network(
    name: str, no_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_encoder(name) == EncoderSource(name, hub=True)


def test_a_hub_model_that_cannot_be_had_offline_is_one_clear_line(
    no_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = find_encoder("someorg/some-model")
    for load in (lambda: load_tokenizer(source, SMALL), lambda: load_network(source, SMALL, TAGS)):
        with pytest.raises(MarsadError) as caught:
            load()
        assert "someorg/some-model" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_folder_is_taken_as_it_is_even_where_it_looks_like_a_hub_name(
    encoders: dict[str, Path], tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(encoders["wordpiece"], tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    source = find_encoder("org/name")
    assert not source.hub
    assert load_tokenizer(source, SMALL).tokenizer.is_fast
    assert load_network(source, SMALL, TAGS).config.hidden_size == 32


def test_a_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(MarsadError, match=r"no config\.json"):
        find_encoder(str(tmp_path))


def test_a_file_is_no_encoder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(MarsadError, match="no such folder"):
        find_encoder(str(tmp_path / "x"))


def test_a_slow_tokenizer_is_refused(slow_encoder: Path) -> None:
    with pytest.raises(MarsadError, match="gives no offsets"):
        load_tokenizer(find_encoder(str(slow_encoder)), SMALL)


def test_a_tokenizer_without_padding_is_refused(encoders: dict[str, Path], tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path / "unpadded"
    shutil.copytree(encoders["wordpiece"], folder)
    PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), unk_token="[UNK]").save_pretrained(folder)
    with pytest.raises(MarsadError, match="no padding token"):
        load_tokenizer(find_encoder(str(folder)), SMALL)


def test_a_folder_without_a_tokenizer(encoders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(encoders["wordpiece"] / name, tmp_path / name)
    with pytest.raises(MarsadError, match="tokenizer") as caught:
        load_tokenizer(find_encoder(str(tmp_path)), SMALL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_tokenizer(name: str, encoders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(encoders["wordpiece"], folder)
    (folder / name).write_text('{"model": ', encoding="utf-8")
    with pytest.raises(MarsadError, match="tokenizer can't be loaded") as caught:
        load_tokenizer(find_encoder(str(folder)), SMALL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["config not json", "unknown kind", "no weights", "cut weights", "other sizes"])
def test_a_damaged_encoder(damage: str, encoders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(encoders["wordpiece"], folder)
    config, weights = folder / "config.json", folder / "model.safetensors"
    match damage:
        case "config not json":
            config.write_text("{")
        case "unknown kind":
            config.write_text('{"model_type": "no-such-kind"}')
        case "no weights":
            weights.unlink()
        case "cut weights":
            weights.write_bytes(weights.read_bytes()[:5000])
        case "other sizes":
            config.write_text(json.dumps(json.loads(config.read_text()) | {"intermediate_size": 48}))
    with pytest.raises(MarsadError, match="can't be loaded") as caught:
        load_network(find_encoder(str(folder)), SMALL, TAGS)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_cover_the_encoder_are_refused(encoders: dict[str, Path], tmp_path: Path) -> None:
    # Else the missing layers would be drawn at random, in silence, and every result would be poor.
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "partial"
    shutil.copytree(encoders["wordpiece"], folder)
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "layer.1.attention" not in name}
    assert 0 < len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MarsadError, match=r"layer\.1\.attention"):
        load_network(find_encoder(str(folder)), SMALL, TAGS)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_max_tokens_may_not_pass_the_positions(kind: str, encoders: dict[str, Path]) -> None:
    source = find_encoder(str(encoders[kind]))  # each has room for 128 sub-tokens
    with pytest.raises(MarsadError, match=r"max_tokens is 129.*max_tokens=128"):
        load_network(source, ModelConfig(max_tokens=129), TAGS)
    network = load_network(source, ModelConfig(max_tokens=128), TAGS).eval()
    with torch.inference_mode():
        logits = network(input_ids=torch.full((1, 128), 7)).logits
    assert logits.shape == (1, 128, 3)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_the_network_is_the_encoder_under_a_head_of_ours(kind: str, encoders: dict[str, Path]) -> None:
    from safetensors.torch import load_file

    network = load_network(find_encoder(str(encoders[kind])), SMALL, TAGS)
    assert network.config.id2label == dict(enumerate(TAGS))
    assert network.config.label2id == {tag: index for index, tag in enumerate(TAGS)}
    shares = {name: part.p for name, part in network.named_modules() if isinstance(part, torch.nn.Dropout)}
    assert {share for name, share in shares.items() if "attention.self" not in name} == {0.25}
    assert {share for name, share in shares.items() if "attention.self" in name} == {0.0625}
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    saved = load_file(encoders[kind] / "model.safetensors")
    ours = network.base_model.state_dict()
    assert len(ours) > 30
    for name, tensor in ours.items():
        if name in saved:
            assert torch.equal(tensor, saved[name]), name
    assert {name for name in ours if name not in saved} <= {"embeddings.position_ids", "embeddings.token_type_ids"}


def test_dropout_is_set_whatever_an_encoder_calls_it(encoders: dict[str, Path], tmp_path: Path) -> None:
    from transformers import DistilBertConfig, DistilBertModel, ModernBertConfig, ModernBertModel

    kinds: dict[str, Any] = {
        "distilbert": DistilBertModel(DistilBertConfig(vocab_size=20, dim=8, n_layers=1, n_heads=2, hidden_dim=16)),
        "modernbert": ModernBertModel(
            ModernBertConfig(
                vocab_size=20,
                hidden_size=8,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                pad_token_id=0,
            )
        ),
    }
    for kind, network in kinds.items():
        network.save_pretrained(tmp_path / kind)
        loaded = load_network(EncoderSource(str(tmp_path / kind), hub=False), SMALL, TAGS)
        shares = {part.p for part in loaded.modules() if isinstance(part, torch.nn.Dropout)}
        assert shares | {loaded.config.attention_dropout} == {0.25, 0.0625}, kind


def test_the_head_is_drawn_from_the_seed(encoders: dict[str, Path]) -> None:
    source = find_encoder(str(encoders["wordpiece"]))
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(load_network(source, SMALL, TAGS).classifier.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize("name", ["pytorch_model.bin", "sentencepiece.bpe.model", "vocab.txt", "model.safetensors"])
def test_an_encoder_is_known_by_whatever_it_is_loaded_from(name: str, tmp_path: Path):
    source = EncoderSource(str(tmp_path), hub=False)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_bytes(b"one")
    before = encoder_files(source)
    (tmp_path / name).write_bytes(b"two")
    assert encoder_files(source) != before
