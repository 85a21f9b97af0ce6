"""Pretrained encoders: which one a config names, and its tokenizer and network."""

from __future__ import annotations

import copy
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from marsad.config import ModelConfig
from marsad.errors import MarsadError, first_line
from marsad.files import fingerprint_files
from marsad.modeling.encoding import WordEncoder

# The networks of transformers take seconds to import, and ONNX Runtime needs none of them.
if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
# What encoders of one kind or another call their shares of dropout.
_DROPOUT = ("hidden_dropout_prob", "classifier_dropout", "dropout", "mlp_dropout", "embedding_dropout")
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
# What a folder calls a tokenizer that is all in its tokenizer.json: transformers 4, and 5.
_PLAIN_TOKENIZERS = frozenset({"PreTrainedTokenizerFast", "TokenizersBackend"})
# First parts that are folders by habit: a missing one is a mistyped path, not somebody's account.
_FOLDERS = frozenset(
    {"models", "model", "encoders", "encoder", "checkpoints", "data", "configs", "output", "outputs", "runs"}
)


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """Where an encoder is loaded from: ``location`` is a folder, or a hub name where ``hub`` is true."""

    location: str
    hub: bool


def find_encoder(name: str) -> EncoderSource:
    """What ``model.encoder`` names: ``embedded`` (built if need be), a local folder, or a hub model.

    Only a name of the form ``org/name`` that is no path here, and whose first part is no folder here, is
    taken for a hub model; everything else must exist, and no network is tried for it.

    Raises MarsadError when the folder does not exist or is no encoder.
    """
    if name == "embedded":
        from marsad.modeling.embedded import embedded_encoder

        return EncoderSource(str(embedded_encoder()), hub=False)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise MarsadError(f"encoder {name!r}: the folder has no config.json; expected one in Hugging Face form")
        return EncoderSource(str(path), hub=False)
    first = name.split("/")[0]
    if not path.exists() and _HUB_NAME.fullmatch(name) and first not in _FOLDERS and not Path(first).exists():
        return EncoderSource(name, hub=True)
    raise MarsadError(
        f"encoder {name!r}: no such folder; expected 'embedded', a folder in Hugging Face form or a hub name (org/name)"
    )


def encoder_files(source: EncoderSource) -> dict[str, str] | None:
    """The SHA-256 of an encoder's config, weights and tokenizer together; None where they lie in no folder."""
    if source.hub:
        return None
    parts = ("config.json", "tokenizer.json", "vocab.json", "vocab.txt", "merges.txt")
    kinds = (".safetensors", ".bin", ".model")
    folder = Path(source.location)
    paths = [path for path in sorted(folder.iterdir()) if path.name in parts or path.suffix in kinds]
    return {"sha256": fingerprint_files(paths)}


def load_tokenizer(source: EncoderSource, config: ModelConfig) -> WordEncoder:
    """The encoder's tokenizer, applied word by word. Raises MarsadError when it can't be loaded or gives no offsets."""
    try:
        tokenizer: PreTrainedTokenizerBase = _tokenizer_class(source).from_pretrained(
            source.location, local_files_only=not source.hub
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise MarsadError(f"encoder {source.location!r}: its tokenizer can't be loaded ({first_line(error)})") from None
    if tokenizer.is_fast and len(tokenizer) <= len(tokenizer.all_special_ids):
        # What transformers makes of a folder without a vocabulary: every word would be unknown, without a word.
        raise MarsadError(f"encoder {source.location!r}: its tokenizer has no vocabulary; is tokenizer.json missing?")
    return WordEncoder(tokenizer, config.max_tokens, config.overlap)


def _tokenizer_class(source: EncoderSource) -> Any:
    """The class to load a tokenizer by: the plain one where its folder says so, since the other imports torch."""
    from transformers import PreTrainedTokenizerFast

    try:
        settings = json.loads((Path(source.location) / "tokenizer_config.json").read_text(encoding="utf-8"))
        plain = not source.hub and settings["tokenizer_class"] in _PLAIN_TOKENIZERS
    except (OSError, ValueError, KeyError, TypeError):
        plain = False
    if plain:
        return PreTrainedTokenizerFast
    from transformers import AutoTokenizer

    return AutoTokenizer


def load_network(
    source: EncoderSource, config: ModelConfig, tags: Sequence[str], trained: bool = False
) -> PreTrainedModel:
    """The encoder under a token-classification head with one output per tag, in fp32.

    The head's weights are those saved where ``trained``; else they are drawn from torch's global generator: seed it
    before.

    Raises MarsadError when the encoder can't be loaded, some of its weights are missing, or it has fewer positions
    than ``model.max_tokens``.
    """
    from transformers import AutoModelForTokenClassification

    settings = _load_settings(source, config)
    settings.num_labels = len(tags)
    settings.id2label = dict(enumerate(tags))
    settings.label2id = {tag: index for index, tag in enumerate(tags)}
    network, missing = _load_weights(AutoModelForTokenClassification, source, settings)
    _check_missing([name for name in missing if trained or name.startswith(network.base_model_prefix)], source)
    return network


def load_masked_network(source: EncoderSource, config: ModelConfig) -> tuple[PreTrainedModel, bool]:
    """The encoder under a head that predicts sub-tokens, in fp32; and whether that head was saved with it.

    Its output embedding is tied to the input one. A head that was not saved is drawn from torch's global generator:
    seed it before.

    Raises MarsadError as :func:`load_network`.
    """
    from transformers import AutoModelForMaskedLM

    settings = _load_settings(source, config)
    settings.tie_word_embeddings = True
    network, missing = _load_weights(AutoModelForMaskedLM, source, settings)
    _check_missing([name for name in missing if name.startswith(network.base_model_prefix)], source)
    return network, not missing


def check_vocabulary(encoder: WordEncoder, network: PreTrainedModel, source: EncoderSource) -> None:
    """Raises MarsadError where the tokenizer gives pieces that the network has no embedding of."""
    rows = len(network.get_input_embeddings().weight)  # type: ignore[arg-type]
    pieces = 1 + max(encoder.tokenizer.get_vocab().values())
    if pieces > rows:
        raise MarsadError(
            f"encoder {source.location!r}: its tokenizer has {pieces} pieces, its network embeddings of {rows}; take "
            "the tokenizer that it was trained with, or resize the embeddings"
        )


def _load_settings(source: EncoderSource, config: ModelConfig) -> Any:
    from transformers import AutoConfig

    try:
        settings = AutoConfig.from_pretrained(source.location, local_files_only=not source.hub)
    except (OSError, ValueError) as error:
        raise MarsadError(f"encoder {source.location!r}: can't be loaded ({first_line(error)})") from None
    _check_positions(settings, source, config)
    known = settings.to_dict()
    for names, share in ((_DROPOUT, config.dropout), (_ATTENTION_DROPOUT, config.attention_dropout)):
        for name in names:
            if name in known:
                setattr(settings, name, share)
    if not any(name in known for name in _DROPOUT):
        logger.warning("model.dropout: encoders of type %r have none that is known here", settings.model_type)
    return settings


def _load_weights(kind: Any, source: EncoderSource, settings: Any) -> tuple[PreTrainedModel, list[str]]:
    """The network of one of transformers' auto classes in fp32, and the names of weights that the source lacks."""
    import torch
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # it would show on every use as a library
    try:
        network: PreTrainedModel
        network, report = kind.from_pretrained(
            source.location,
            config=settings,
            local_files_only=not source.hub,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, ImportError) as error:
        raise MarsadError(f"encoder {source.location!r}: can't be loaded ({first_line(error)})") from None
    except (RuntimeError, SafetensorError):
        raise MarsadError(
            f"encoder {source.location!r}: can't be loaded (its weights are damaged or do not fit its config.json)"
        ) from None
    finally:
        if bars:
            transformers_logging.enable_progress_bar()
    return network, sorted(report["missing_keys"])


def _check_missing(missing: Sequence[str], source: EncoderSource) -> None:
    """Raises MarsadError where weights are missing: transformers draws them at random and only warns."""
    if missing:
        raise MarsadError(
            f"encoder {source.location!r}: can't be loaded ({len(missing)} of its weights are missing, {missing[0]} "
            "for one)"
        )


def carry_head_over(network: PreTrainedModel, tags: Sequence[str], new_tags: Sequence[str]) -> None:
    """Give a network with a head for ``tags`` one for ``new_tags``: the rows of tags in both are kept.

    The other rows are drawn as those of a new head are, from torch's global generator: seed it before.

    Raises MarsadError where the network's last layer is no linear one with an output per tag.
    """
    import torch
    from torch import nn

    name, head = next(
        ((name, part) for name, part in reversed([*network.named_modules()]) if isinstance(part, nn.Linear)), ("", None)
    )
    if head is None or head.out_features != len(tags):
        raise MarsadError("model.init_from: its network has no linear head with an output per tag; train a new one")
    new = nn.Linear(head.in_features, len(new_tags), bias=head.bias is not None)
    nn.init.normal_(new.weight, std=getattr(network.config, "initializer_range", 0.02))
    old = {tag: index for index, tag in enumerate(tags)}
    with torch.no_grad():
        if new.bias is not None:
            new.bias.zero_()
        for index, tag in enumerate(new_tags):
            if tag in old:
                new.weight[index] = head.weight[old[tag]]
                if new.bias is not None:
                    new.bias[index] = head.bias[old[tag]]
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, new)
    setattr(network, "num_labels", len(new_tags))  # noqa: B010 (a plain assignment, to mypy, is one of a module)
    network.config.num_labels = len(new_tags)
    network.config.id2label = dict(enumerate(new_tags))
    network.config.label2id = {tag: index for index, tag in enumerate(new_tags)}


def keep_layers(network: PreTrainedModel, count: int) -> PreTrainedModel:
    """A network with ``count`` of the encoder's layers, evenly spaced from the first to the last; all else is kept.

    Of 12 layers, 6 are the 1st, 3rd, 5th, 8th, 10th and 12th: those from which DistilBERT starts (Sanh et al. 2019). It
    is built from the config that is saved with it, so that it loads as it was trained.

    Raises MarsadError where the encoder has fewer layers, or they are no one list of as many blocks as its config says.
    """
    import numpy as np
    from torch import nn

    layers: int = network.config.num_hidden_layers
    stacks = [name for name, part in network.named_modules() if isinstance(part, nn.ModuleList) and len(part) == layers]
    if count > layers:
        raise MarsadError(
            f"model.layers is {count}, but the encoder has {layers} layers; set model.layers={layers} or less"
        )
    if len(stacks) != 1:
        raise MarsadError(
            f"model.layers: an encoder of type {network.config.model_type!r} has no plain list of layers to choose "
            "from; set model.layers=null"
        )
    kept = {int(old): new for new, old in enumerate(np.linspace(0, layers - 1, count).round())}
    settings = copy.deepcopy(network.config)
    settings.num_hidden_layers = count
    kinds = getattr(settings, "layer_types", None)
    if kinds is not None:  # whether each layer sees all of a window
        settings.layer_types = [kinds[old] for old in kept]
    smaller = type(network)(settings)
    weights = {}
    for name, tensor in network.state_dict().items():
        rest = name.removeprefix(f"{stacks[0]}.")
        if rest != name:
            number, _, rest = rest.partition(".")
            if int(number) not in kept:
                continue
            name = f"{stacks[0]}.{kept[int(number)]}.{rest}"
        weights[name] = tensor
    smaller.load_state_dict(weights)
    return smaller


def positions_of(settings: object) -> int | None:
    """How many sub-tokens an encoder's config lets it read at once; None where it sets no end."""
    positions: int | None = getattr(settings, "max_position_embeddings", None)
    if positions is not None and getattr(settings, "model_type", "") in {"roberta", "xlm-roberta", "camembert"}:
        positions -= 2  # these count from the padding id on
    return positions


def _check_positions(settings: object, source: EncoderSource, config: ModelConfig) -> None:
    positions = positions_of(settings)
    if positions is not None and config.max_tokens > positions:
        raise MarsadError(
            f"model.max_tokens is {config.max_tokens}, but the encoder {source.location!r} has {positions} positions; "
            f"set model.max_tokens={positions} or less"
        )
