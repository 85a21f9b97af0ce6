"""Reports dealt out to train, dev and test: whole, near-duplicates together, every type in its share."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marsad.annotations.display import in_label_order
from marsad.annotations.duplicates import FOLDED, connected, duplicate_links, key_links, spoken_words
from marsad.annotations.jsonl import document_to_record, read_documents
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.files import open_together, to_json
from marsad.text.words import split_words

SPLITS = ("train", "dev", "test")
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Split:
    """The reports of ``train``, ``dev`` and ``test``, and what became of those that were not free to go anywhere.

    ``updated``: kept reports whose annotation or other fields were replaced, and their split. ``joined``: new reports
    that went to dev or test with a report that stands there. ``leaks``: groups of reports alike whose kept members
    stand in several splits; they were left there. ``largest``: reports in the largest group.
    """

    documents: Mapping[str, tuple[Document, ...]]
    shares: Mapping[str, float]
    groups: int
    largest: int
    unchanged: int
    updated: Mapping[str, str]
    joined: Mapping[str, str]
    leaks: tuple[tuple[str, ...], ...]

    def table(self) -> str:
        """Reports and entities of each type by split, with their shares, and what was joined, updated or leaks."""
        counts = {
            name: Counter(entity.label for document in documents for entity in document.entities)
            for name, documents in self.documents.items()
        }
        total = sum(counts.values(), Counter())
        labels = in_label_order(total)
        widths = [max(13, len(label)) for label in labels]
        header = "  ".join(f"{label:>{wide}}" for label, wide in zip(labels, widths, strict=True))
        lines = [f"split  asked  {'reports':>13}  {header}".rstrip()]
        reports = sum(len(documents) for documents in self.documents.values())
        for name, documents in self.documents.items():
            cells = [_share(len(documents), reports)]
            cells += [
                f"{_share(counts[name][label], total[label]):>{wide}}"
                for label, wide in zip(labels, widths, strict=True)
            ]
            lines.append(f"{name:5}  {self.shares[name]:5.0%}  {'  '.join(cells)}")
        lines.append(f"{reports} reports in {self.groups} groups, {self.largest} in the largest")
        if self.unchanged or self.updated:
            lines.append(f"already there: {self.unchanged} unchanged, {len(self.updated)} with a new annotation")
        lines += _listed([f"{name} ({split})" for name, split in self.updated.items()])
        if self.joined:
            lines.append(f"gone to dev or test with a report that stands there: {len(self.joined)}")
        lines += _listed([f"{name} ({split})" for name, split in self.joined.items()])
        if self.leaks:
            lines.append(f"groups left in the several splits where they stand: {len(self.leaks)}")
        lines += _listed([", ".join(names) for names in self.leaks])
        return "\n".join(lines)


def _listed(lines: Sequence[str], most: int = 30) -> list[str]:
    more = [f"  … and {len(lines) - most} more"] if len(lines) > most else []
    return [f"  {line}" for line in lines[:most]] + more


def _share(count: int, total: int) -> str:
    return f"{count:6d} {count / max(total, 1):6.1%}"


def split_documents(
    documents: Sequence[Document],
    shares: Mapping[str, float],
    group_by: str | None = None,
    seed: int = 13,
    kept: Mapping[str, Sequence[Document]] | None = None,
) -> Split:
    """Deal reports out to train, dev and test.

    Reports that are equal or nearly so go together, and so do those of one day (``group_by="date"``), source
    (``"source"``) or value of another key; a report without it stands alone. ``kept``: a split that exists. Its
    reports stay where they are; a new report that belongs to the group of one of them goes to the same split, to test
    rather than dev rather than train.

    Raises MarsadError for shares that don't add up to 1, for a split that would hold no report, for a key that no
    report has, and for the id of a kept report with another text.
    """
    if not (min(shares.values()) >= 0 and abs(sum(shares.values()) - 1) <= 1e-6 and shares["train"] > 0):
        given = " ".join(f"{share:g}" for share in shares.values())
        raise MarsadError(f"shares {given}: expected three for train, dev and test that add up to 1, train above 0")
    placed = {document.id: name for name in SPLITS for document in (kept or {}).get(name, ())}
    standing = {document.id: document for documents in (kept or {}).values() for document in documents}
    updated = _updates(documents, standing, placed)
    every = {**standing, **{document.id: document for document in documents}}
    groups = _groups(every, group_by)

    joined: dict[str, str] = {}
    leaks: list[tuple[str, ...]] = []
    free: list[list[Document]] = []
    for names in groups:
        stand = {placed[name] for name in names if name in placed}
        if len(stand) > 1:
            leaks.append(tuple(f"{name} ({placed[name]})" for name in names if name in placed))
        new = [name for name in names if name not in placed]
        if stand:
            split = max(stand, key=SPLITS.index)
            placed |= dict.fromkeys(new, split)
            if split != "train":
                joined |= dict.fromkeys(new, split)
        elif new:
            free.append([every[name] for name in new])
    fixed = {name: [every[one] for one, split in placed.items() if split == name] for name in SPLITS}
    for group, split in zip(free, _deal(free, fixed, shares, seed), strict=True):
        placed |= dict.fromkeys((document.id for document in group), split)
    split_up = {name: tuple(document for one, document in every.items() if placed[one] == name) for name in SPLITS}
    for name, share in shares.items():
        if share and not split_up[name]:
            raise MarsadError(
                f"{name} would hold no report: {len(every)} reports in {len(groups)} groups are too few for that"
            )
    return Split(
        split_up,
        dict(shares),
        len(groups),
        max(map(len, groups), default=0),
        sum(document.id in standing for document in documents) - len(updated),
        updated,
        joined,
        tuple(leaks),
    )


def _updates(
    documents: Sequence[Document], standing: Mapping[str, Document], placed: Mapping[str, str]
) -> dict[str, str]:
    updated = {}
    for document in documents:
        old = standing.get(document.id)
        if old is not None and old.text != document.text:
            raise MarsadError(
                f"report {document.id!r} stands in {placed[document.id]} with another text; give the new one its own id"
            )
        if old is not None and document_to_record(old) != document_to_record(document):
            updated[document.id] = placed[document.id]
    return updated


def _groups(documents: Mapping[str, Document], group_by: str | None) -> list[list[str]]:
    """The ids that have to go together, in the order of their first."""
    texts = {name: spoken_words(split_words(document.text, FOLDED)) for name, document in documents.items()}
    links = duplicate_links(texts)
    if group_by is not None:
        keys = {name: _key(document, group_by) for name, document in documents.items()}
        if all(key is None for key in keys.values()):
            raise MarsadError(f"--group-by {group_by}: no report has it; expected date, source or another key")
        links += key_links(keys)
    groups: dict[int, list[str]] = defaultdict(list)
    for name, group in connected(list(documents), links).items():
        groups[group].append(name)
    return list(groups.values())


def _key(document: Document, key: str) -> Hashable:
    if key == "date":
        return document.published
    if key == "source":
        return document.source
    value = document.metadata.get(key)
    return None if value is None else to_json({key: value})


def _deal(
    groups: Sequence[Sequence[Document]],
    fixed: Mapping[str, Sequence[Document]],
    shares: Mapping[str, float],
    seed: int,
) -> list[str]:
    """A split for each group, so that each gets its share of the reports, of every type and of every source.

    Iterative stratification (Sechidis, Tsoumakas, Vlahavas: On the stratification of multi-label data, 2011), with
    groups for instances and counts for labels: again and again the stratum of which least is left is dealt out, its
    richest groups first. Each goes to the split that lacks most of what the group brings, all its strata weighed: by
    the rarest alone, as in the paper, the others come out worse where reports hold many entities of each type.
    """
    strata = [_strata(group) for group in groups]
    have = {name: _strata(documents) for name, documents in fixed.items()}
    total = sum(strata, sum(have.values(), Counter[Hashable]()))
    left = sum(strata, Counter[Hashable]())
    wanted = {name: share for name, share in shares.items() if share > 0}
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)
    dealt: dict[int, str] = {}

    def lack(name: str, group: Counter[Hashable]) -> float:
        return sum(
            count / total[stratum] * (1 - have[name][stratum] / (wanted[name] * total[stratum]))
            for stratum, count in group.items()
        )

    while +left:
        rarest = min(+left, key=lambda stratum: (left[stratum], str(stratum)))
        waiting = [index for index in order if index not in dealt and strata[index][rarest]]
        for index in sorted(waiting, key=lambda index: -strata[index][rarest]):
            group = strata[index]
            dealt[index] = max(wanted, key=lambda name: (lack(name, group), wanted[name]))
            have[dealt[index]] += group
            left -= group
    return [dealt[index] for index in range(len(groups))]


def _strata(documents: Sequence[Document]) -> Counter[Hashable]:
    counts: Counter[Hashable] = Counter(("label", entity.label) for one in documents for entity in one.entities)
    counts.update(("source", document.source) for document in documents)
    counts["reports"] = len(documents)
    return counts


def read_split(folder: Path) -> dict[str, list[Document]]:
    """The reports of a folder's ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``; a file that isn't there has none.

    Raises MarsadError for a file that can't be read and for an id that stands twice.
    """
    paths = [path for name in SPLITS if (path := folder / f"{name}.jsonl").exists()]
    split = {path.stem: read_documents(path) for path in paths}
    seen: dict[str, str] = {}
    for name, documents in split.items():
        for document in documents:
            if document.id in seen:
                raise MarsadError(f"{folder}: id {document.id!r} stands in {seen[document.id]}.jsonl and {name}.jsonl")
            seen[document.id] = name
    return split


def write_split(split: Split, folder: Path) -> list[Path]:
    """Write ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, all of them or none; returns their paths.

    One without a report, for its share is 0, is not written.

    Raises MarsadError when they can't be written, and when a report of a split that stands in the folder would leave
    its dev or test, or go there from its train: what models were judged on must stay, and what they learned from
    must not get there.
    """
    goes = {document.id: name for name, documents in split.documents.items() for document in documents}
    stands = read_split(folder)
    for name in reversed(SPLITS):
        # A report may be dropped from train, from the others not.
        moved = [one.id for one in stands.get(name, ()) if goes.get(one.id, "train" if name == "train" else "") != name]
        if moved:
            some = ", ".join(moved[:_NAMED]) + (f" and {len(moved) - _NAMED} more" if len(moved) > _NAMED else "")
            raise MarsadError(
                f"{folder / name}.jsonl: {len(moved)} of its reports would leave it: {some}; "
                f"give --keep {folder}, or another folder to write to"
            )
    names = [name for name in SPLITS if split.documents[name]]
    paths = [folder / f"{name}.jsonl" for name in names]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open_together(paths) as files:
            for name, file in zip(names, files, strict=True):
                for document in split.documents[name]:
                    file.write(to_json(document_to_record(document)) + "\n")
    except OSError as error:
        raise MarsadError(f"{error.filename or folder}: can't be written ({error.strerror or error})") from None
    return paths
