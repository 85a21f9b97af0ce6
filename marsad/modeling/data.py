"""What a config's run learns from and what chooses its checkpoint: files of their own, or a share held out of train.

Whatever reads the dev split of a config comes through here, so that what was held out is found again.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marsad.annotations.gold import read_gold
from marsad.annotations.jsonl import document_to_record
from marsad.config import DataConfig
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.files import fingerprint_files, to_json


@dataclass(frozen=True, slots=True)
class Splits:
    """The annotated reports of a run.

    ``sources`` tells for each split its ``files`` and ``sha256``. Of a dev split that was ``held_out``, the files are
    those of train and the hash is that of its reports themselves.
    """

    train: Sequence[Document]
    dev: Sequence[Document]
    sources: dict[str, dict[str, Any]]


def read_splits(config: DataConfig, labels: Sequence[str]) -> Splits:
    """Read what ``config`` names. Raises MarsadError as ``read_gold`` and :func:`hold_out`."""
    train = read_gold(config.train, labels, config.join_sentences)
    if config.dev is None:
        train, dev = hold_out(train, config)
    else:
        dev = read_gold(config.dev, labels, config.join_sentences)
    return Splits(train, dev, {"train": _source(config.train), "dev": dev_source(config, dev)})


def read_train(config: DataConfig, labels: Sequence[str] | None = None) -> list[Document]:
    """The reports to train on alone. Raises MarsadError as :func:`read_splits`."""
    train = read_gold(config.train, labels, config.join_sentences)
    return train if config.dev is not None else hold_out(train, config)[0]


def read_dev(config: DataConfig, labels: Sequence[str] | None = None) -> list[Document]:
    """The dev reports alone. Raises MarsadError as :func:`read_splits`."""
    return (
        read_gold(config.dev, labels, config.join_sentences)
        if config.dev is not None
        else hold_out(read_gold(config.train, labels, config.join_sentences), config)[1]
    )


def dev_source(config: DataConfig, dev: Sequence[Document]) -> dict[str, Any]:
    """Where the dev split comes from, as in ``Splits.sources``."""
    if config.dev is not None:
        return _source(config.dev)
    return {"files": _names(config.train), "sha256": fingerprint_documents(dev), "held_out": True}


def describe_source(source: Mapping[str, Any]) -> str:
    """A split in words: its files, or what it was held out of."""
    names = ", ".join(source["files"])
    return f"held out of {names}" if source.get("held_out") else names


def hold_out(documents: Sequence[Document], config: DataConfig) -> tuple[list[Document], list[Document]]:
    """The documents to train on, and those held out for dev, both in their order.

    Neighbours are held out together, in blocks of at least ``dev_block`` lines, since those of a corpus that marks no
    documents tell one story and share its names. Blocks are drawn by ``dev_seed`` alone, so that runs with other
    seeds are judged on the same dev; so are those with another ``join_sentences`` that divides ``dev_block``.

    Raises MarsadError where the documents make fewer than two blocks.
    """
    blocks: list[int] = []  # of each document
    block = lines = 0
    for document in documents:
        if lines >= config.dev_block:
            block, lines = block + 1, 0
        blocks.append(block)
        lines += document.text.count("\n") + 1
    if block == 0:
        raise MarsadError(
            f"data.dev_share: {len(documents)} reports make one block of data.dev_block {config.dev_block} lines, so "
            "that none can be held out; set a smaller data.dev_block"
        )
    wanted = min(max(round((config.dev_share or 0) * (block + 1)), 1), block)
    held = set(random.Random(config.dev_seed).sample(range(block + 1), wanted))
    train = [document for document, block in zip(documents, blocks, strict=True) if block not in held]
    dev = [document for document, block in zip(documents, blocks, strict=True) if block in held]
    return train, dev


def fingerprint_documents(documents: Sequence[Document]) -> str:
    """SHA-256 over reports and their annotation, in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(to_json(document_to_record(document)).encode("utf-8") + b"\n")
    return digest.hexdigest()


def _source(paths: Sequence[Path]) -> dict[str, Any]:
    return {"files": _names(paths), "sha256": fingerprint_files(paths)}


def _names(paths: Sequence[Path]) -> list[str]:
    return [path.as_posix() for path in paths]
