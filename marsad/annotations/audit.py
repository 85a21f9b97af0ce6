"""What is wrong or odd in annotated reports before anyone trains on them."""

from __future__ import annotations

import json
import lzma
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import regex

from marsad.annotations.jsonl import document_files, read_documents, read_records
from marsad.documents import Document
from marsad.modeling.tagging import align_entities
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

# Spelling that hides that two texts are the same: everything that can be folded is folded.
_FOLDED = TextConfig(alef_hamza=True, ya_kaf=True)
_SENTENCE = regex.compile(r"[^.!?؟\n]+")
_CLOSING = frozenset("”»\")]’'›")
_OPENING = frozenset("“«\"([‘'‹")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. ``level`` is ``error`` (mend it before training) or ``notice`` (for a person to judge)."""

    level: str
    kind: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """A surface form that is annotated in some places and in others not, or otherwise."""

    surface: str
    labels: Mapping[str, int]
    bare: int
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """Counts of a corpus by split, source, conflict and type, and what was found in it."""

    counts: Mapping[str, Any]
    findings: tuple[Finding, ...]
    inconsistencies: tuple[Inconsistency, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that should be mended before training."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "counts": dict(self.counts),
            "findings": [asdict(finding) for finding in self.findings],
            "inconsistencies": [asdict(one) for one in self.inconsistencies],
        }

    def table(self, most: int = 30) -> str:
        """Counts and findings as text; lists are cut after ``most`` lines, with the rest counted."""
        lines = _count_lines(self.counts)
        for kind, group in _grouped(self.findings).items():
            lines.append(f"\n{group[0].level}: {kind} ({len(group)})")
            lines += [f"  {finding.where}: {finding.message}" for finding in group[:most]]
            if len(group) > most:
                lines.append(f"  … and {len(group) - most} more")
        if self.inconsistencies:
            lines.append(
                f"\nfor a person to decide: annotated here, otherwise or not there ({len(self.inconsistencies)})"
            )
            for one in self.inconsistencies[:most]:
                labels = ", ".join(f"{label} {count}" for label, count in one.labels.items())
                lines.append(f"  {one.surface}: {labels}, bare {one.bare} ({', '.join(one.places[:3])})")
        lines.append(f"\n{len(self.errors)} errors, {len(self.findings) - len(self.errors)} notices")
        return "\n".join(lines)


def audit_files(paths: Sequence[Path], against: Sequence[Path] = ()) -> Audit:
    """Audit files of annotated reports, or folders of them (``*.jsonl``); each file is a split.

    ``against``: files (``.jsonl``, ``.jsonl.xz``) or folders of other texts of which no run of ten words may stand in
    the corpus.

    Raises MarsadError for an unreadable file, and for an id that stands twice.
    """
    files = document_files(paths)
    splits: dict[str, list[Document]] = {}
    read_documents(files)  # ids are unique over all files
    for path in files:
        splits[path.stem if path.stem not in splits else str(path)] = read_documents(path)
    return audit(splits, _foreign_texts(against))


def audit(splits: Mapping[str, Sequence[Document]], foreign: Iterable[tuple[str, str]] = ()) -> Audit:
    """Audit the documents of each split; ``foreign`` gives name and text of what may not be repeated."""
    words = {document.id: split_words(document.text, _FOLDED) for split in splits.values() for document in split}
    documents = [document for split in splits.values() for document in split]
    findings = [
        *_span_findings(documents, words),
        *_duplicate_findings(splits, words),
        *_surface_findings(documents),
        *_foreign_findings(documents, words, foreign),
    ]
    return Audit(_counts(splits, words), tuple(findings), tuple(_inconsistencies(documents, words)))


# --- counts ----------------------------------------------------------------------------------------------


def _counts(splits: Mapping[str, Sequence[Document]], words: Mapping[str, Words]) -> dict[str, Any]:
    counts: dict[str, Any] = {"splits": {}, "source": Counter(), "conflict": Counter(), "labels": Counter()}
    for name, documents in splits.items():
        labels = Counter(entity.label for document in documents for entity in document.entities)
        sentences, empty = _sentences(documents)
        counts["splits"][name] = {
            "reports": len(documents),
            "words": sum(len(document.text.split()) for document in documents),
            "sentences": sentences,
            "sentences_without_entity": empty,
            "entities": sum(labels.values()),
            "labels": dict(labels),
            "longest_report": max((len(words[document.id]) for document in documents), default=0),
        }
        counts["labels"] += labels
        counts["source"] += Counter(document.source or "(none)" for document in documents)
        counts["conflict"] += Counter(str(document.metadata.get("conflict", "(none)")) for document in documents)
    return counts


def _sentences(documents: Sequence[Document]) -> tuple[int, int]:
    """Sentences of at least four words, and how many of them hold no entity."""
    total = empty = 0
    for document in documents:
        for match in _SENTENCE.finditer(document.text):
            if len(match.group().split()) >= 4:
                total += 1
                empty += not any(match.start() <= entity.start < match.end() for entity in document.entities)
    return total, empty


def _count_lines(counts: Mapping[str, Any]) -> list[str]:
    labels = list(counts["labels"])
    header = f"{'split':10} {'reports':>8} {'words':>8} {'entities':>9}  " + "  ".join(
        f"{label:>9}" for label in labels
    )
    lines = [header]
    splits = counts["splits"]
    for name, split in splits.items():
        cells = "  ".join(f"{split['labels'].get(label, 0):9d}" for label in labels)
        lines.append(f"{name:10} {split['reports']:8d} {split['words']:8d} {split['entities']:9d}  {cells}")
    total = {key: sum(split[key] for split in splits.values()) for key in ("reports", "words", "entities")}
    cells = "  ".join(f"{counts['labels'][label]:9d}" for label in labels)
    lines.append(f"{'all':10} {total['reports']:8d} {total['words']:8d} {total['entities']:9d}  {cells}")
    sentences = sum(split["sentences"] for split in splits.values())
    empty = sum(split["sentences_without_entity"] for split in splits.values())
    lines.append(f"sentences without an entity: {empty} of {sentences} ({empty / max(sentences, 1):.0%})")
    for key in ("source", "conflict"):
        shares = ", ".join(f"{name} {n} ({n / total['reports']:.0%})" for name, n in counts[key].most_common())
        lines.append(f"{key}: {shares}")
    return lines


def _grouped(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = defaultdict(list)
    for finding in sorted(findings, key=lambda finding: (finding.level, finding.kind)):
        groups[finding.kind].append(finding)
    return groups


# --- spans -----------------------------------------------------------------------------------------------


def _span_findings(documents: Sequence[Document], words: Mapping[str, Words]) -> Iterator[Finding]:
    for document in documents:
        alignment = align_entities(document, words[document.id])
        for entity in alignment.widened:
            text = document.text[entity.start : entity.end]
            yield Finding("notice", "span cuts a word", document.id, f"[{entity.start}, {entity.end}) {text!r}")
        for entity, why in alignment.dropped:
            yield Finding("error", "span fits no words", document.id, f"[{entity.start}, {entity.end}) {why}")
        for entity in document.entities:
            text = document.text[entity.start : entity.end]
            if _edge_punctuation(text):
                yield Finding("error", "punctuation at the edge of a span", document.id, repr(text))
        if not document.text.strip():
            yield Finding("error", "empty report", document.id, "no text")


def _edge_punctuation(text: str) -> bool:
    """Brackets and quotes are right at an edge where their other half is in the span."""
    opened, closed = sum(char in _OPENING for char in text), sum(char in _CLOSING for char in text)
    for edge in (text[0], text[-1]):
        if edge.isspace() or (
            regex.match(r"[\p{P}]", edge) and not (edge in _OPENING | _CLOSING and opened and closed)
        ):
            return True
    return False


def _surface_findings(documents: Sequence[Document], share: float = 0.03) -> Iterator[Finding]:
    surfaces = Counter(
        document.text[entity.start : entity.end] for document in documents for entity in document.entities
    )
    total = sum(surfaces.values())
    for surface, count in surfaces.items():
        if total >= 1000 and count > share * total:
            yield Finding("notice", "one surface form dominates", surface, f"{count} of {total} entities")


def _inconsistencies(documents: Sequence[Document], words: Mapping[str, Words]) -> list[Inconsistency]:
    """Surfaces of two letters or more annotated at least twice, and at least a fifth of the time otherwise or not."""
    labels: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    bare: Counter[tuple[str, ...]] = Counter()
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    spans = {document.id: align_entities(document, words[document.id]).spans for document in documents}
    for document in documents:
        texts = words[document.id].texts()
        for span in spans[document.id]:
            labels[tuple(texts[span.first : span.last])][span.label] += 1
    longest = max((len(surface) for surface in labels), default=0)
    for document in documents:
        texts = words[document.id].texts()
        covered = [False] * len(texts)
        for span in spans[document.id]:
            covered[span.first : span.last] = [True] * (span.last - span.first)
        for first in range(len(texts)):
            for last in range(first + 1, min(first + longest, len(texts)) + 1):
                if covered[last - 1]:
                    break
                surface = tuple(texts[first:last])
                if surface in labels:
                    bare[surface] += 1
                    places[surface].append(document.id)
    found = []
    for surface, counts in labels.items():
        annotated, other = counts.total(), counts.total() - max(counts.values()) + bare[surface]
        if annotated >= 2 and other and 0.2 <= other / (annotated + bare[surface]) <= 0.8:
            found.append(Inconsistency(" ".join(surface), dict(counts), bare[surface], tuple(places[surface])))
    return sorted(found, key=lambda one: (-min(sum(one.labels.values()), one.bare), one.surface))


# --- repeated text ---------------------------------------------------------------------------------------


def _runs(words: Words, length: int) -> set[tuple[str, ...]]:
    texts = [word.text for word in words if word.text[0].isalnum()]
    return {tuple(texts[i : i + length]) for i in range(len(texts) - length + 1)}


def _duplicate_findings(splits: Mapping[str, Sequence[Document]], words: Mapping[str, Words]) -> Iterator[Finding]:
    """Reports that are equal or nearly so once folded: half of the shorter one's runs of five words in the other."""
    split_of = {document.id: name for name, documents in splits.items() for document in documents}
    runs = {name: _runs(words[name], 5) for name in split_of}
    owners: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, shingles in runs.items():
        for shingle in shingles:
            owners[shingle].append(name)
    shared: Counter[tuple[str, str]] = Counter()
    for names in owners.values():
        shared.update((one, other) for i, one in enumerate(names) for other in names[i + 1 :])
    for (one, other), count in shared.items():
        part = count / min(len(runs[one]), len(runs[other]))
        if part >= 0.5:
            across = split_of[one] != split_of[other]
            kind = "near-duplicates across splits" if across else "near-duplicates within a split"
            message = f"{part:.0%} of it stands in {other} ({split_of[other]})"
            yield Finding("error" if across else "notice", kind, f"{one} ({split_of[one]})", message)


def _foreign_findings(
    documents: Sequence[Document], words: Mapping[str, Words], foreign: Iterable[tuple[str, str]]
) -> Iterator[Finding]:
    owners: dict[tuple[str, ...], str] = {}
    for document in documents:
        owners.update(dict.fromkeys(_runs(words[document.id], 10), document.id))
    for name, text in foreign:
        for run in _runs(split_words(text, _FOLDED), 10):
            if run in owners:
                yield Finding("error", "text that stands elsewhere", owners[run], f"in {name}: {' '.join(run)}")


def _foreign_texts(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in document_files(paths, ("*.jsonl", "*.jsonl.xz")):
        if path.suffix == ".xz":
            with lzma.open(path, "rt", encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    yield f"{path}:{number}", str(json.loads(line).get("text", ""))
        else:
            for where, record in read_records(path):
                yield where, str(record.get("text", ""))
