"""What is wrong or odd in annotated reports before anyone trains on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import regex

from marsad.annotations.jsonl import document_files, read_documents, read_records
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.modeling.tagging import Alignment, align_entities
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

# Spelling that hides that two texts are the same: everything that can be folded is folded.
_FOLDED = TextConfig(alef_hamza=True, ya_kaf=True)
_SENTENCE = regex.compile(r"[^.!?؟\n]+")
_CLOSING = frozenset("”»\")]’'›")
_OPENING = frozenset("“«\"([‘'‹")
_LINE_NUMBER = regex.compile(r":\d+$")
# A run of words that stands in more reports than this is boilerplate: it does not make two of them alike.
_BOILERPLATE = 50

_Run = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. ``level`` is ``error`` (mend it before training) or ``notice`` (for a person to judge)."""

    level: str
    kind: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """A surface form that is annotated in some places and in others not, or otherwise.

    ``places``: the report of each occurrence that is bare or has another label than most annotated ones.
    """

    surface: str
    labels: Mapping[str, int]
    bare: int
    places: tuple[str, ...]

    @property
    def deviating(self) -> int:
        """Occurrences that are bare or have another label than most annotated ones."""
        return sum(self.labels.values()) - max(self.labels.values()) + self.bare


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
        """Counts and findings as text; lists are cut after ``most`` lines, with the rest counted.

        Inconsistent surfaces without a letter (numbers) come after those with one.
        """
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
            shown = sorted(self.inconsistencies, key=lambda one: not any(char.isalpha() for char in one.surface))
            for one in shown[:most]:
                labels = ", ".join(f"{label} {count}" for label, count in one.labels.items())
                lines.append(f"  {one.surface}: {labels}, bare {one.bare} ({', '.join(one.places[:3])})")
            if len(shown) > most:
                lines.append(f"  … and {len(shown) - most} more")
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
    seen: dict[str, Path] = {}
    for path in files:
        documents = read_documents(path)
        for document in documents:
            if document.id in seen:
                raise MarsadError(
                    f"{path}: id {document.id!r} already stands in {seen[document.id]}; every report needs its own id"
                )
        seen |= dict.fromkeys((document.id for document in documents), path)
        splits[path.stem if path.stem not in splits else str(path)] = documents
    return audit(splits, _foreign_texts(against))


def audit(splits: Mapping[str, Sequence[Document]], foreign: Iterable[tuple[str, str]] = ()) -> Audit:
    """Audit the documents of each split; ``foreign`` gives ``file:line`` and text of what may not be repeated."""
    words = {document.id: split_words(document.text, _FOLDED) for split in splits.values() for document in split}
    documents = [document for split in splits.values() for document in split]
    alignments = {document.id: align_entities(document, words[document.id]) for document in documents}
    findings = [
        *_span_findings(documents, alignments),
        *_duplicate_findings(splits, words),
        *_surface_findings(documents),
        *_foreign_findings(words, alignments, foreign),
    ]
    return Audit(_counts(splits), tuple(findings), tuple(_inconsistencies(words, alignments)))


# --- counts ----------------------------------------------------------------------------------------------


def _counts(splits: Mapping[str, Sequence[Document]]) -> dict[str, Any]:
    counts: dict[str, Any] = {"splits": {}, "source": Counter(), "conflict": Counter(), "labels": Counter()}
    for name, documents in splits.items():
        labels = Counter(entity.label for document in documents for entity in document.entities)
        sentences, empty = _sentences(documents)
        lengths = [len(document.text.split()) for document in documents]
        counts["splits"][name] = {
            "reports": len(documents),
            "words": sum(lengths),
            "sentences": sentences,
            "sentences_without_entity": empty,
            "entities": sum(labels.values()),
            "labels": dict(labels),
            "longest_report_words": max(lengths, default=0),
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


def _span_findings(documents: Sequence[Document], alignments: Mapping[str, Alignment]) -> Iterator[Finding]:
    for document in documents:
        alignment = alignments[document.id]
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


def _inconsistencies(words: Mapping[str, Words], alignments: Mapping[str, Alignment]) -> list[Inconsistency]:
    """Surfaces annotated at least twice of which 0.2–0.8 of the occurrences are bare or have not the majority label.

    Single letters are left out. Most deviating occurrences first.
    """
    labels: dict[_Run, Counter[str]] = defaultdict(Counter)
    occurrences: dict[_Run, list[tuple[str, str | None]]] = defaultdict(list)
    texts = {name: one.texts() for name, one in words.items()}
    for name, alignment in alignments.items():
        for span in alignment.spans:
            surface = tuple(texts[name][span.first : span.last])
            if len(surface) > 1 or len(surface[0]) > 1 or not surface[0].isalpha():
                labels[surface][span.label] += 1
                occurrences[surface].append((name, span.label))
    prefixes = {surface[:length] for surface in labels for length in range(1, len(surface) + 1)}
    for name, alignment in alignments.items():
        covered = _covered(alignment, len(texts[name]))
        for surface in _bare_surfaces(words[name], texts[name], covered, prefixes):
            if surface in labels:
                occurrences[surface].append((name, None))
    found = []
    for surface, counts in labels.items():
        majority = counts.most_common(1)[0][0]
        places = tuple(name for name, label in occurrences[surface] if label != majority)
        if counts.total() >= 2 and 0.2 <= len(places) / len(occurrences[surface]) <= 0.8:
            bare = len(occurrences[surface]) - counts.total()
            found.append(Inconsistency(" ".join(surface), dict(counts), bare, places))
    return sorted(found, key=lambda one: (-one.deviating, one.surface))


def _covered(alignment: Alignment, length: int) -> list[int | None]:
    """For each word of a report, which of its entities it belongs to."""
    covered: list[int | None] = [None] * length
    for index, span in enumerate(alignment.spans):
        covered[span.first : span.last] = [index] * (span.last - span.first)
    return covered


def _bare_surfaces(
    words: Words, texts: Sequence[str], covered: Sequence[int | None], prefixes: set[_Run]
) -> Iterator[_Run]:
    """The runs of words within a paragraph and outside all entities that are among ``prefixes``."""
    for start, end in words.paragraphs:
        for first in range(start, end):
            for last in range(first, end):
                surface = tuple(texts[first : last + 1])
                if covered[last] is not None or surface not in prefixes:
                    break
                yield surface


# --- repeated text ---------------------------------------------------------------------------------------


def _spoken(words: Words) -> list[str]:
    """The words without punctuation and symbols."""
    return [word.text for word in words if word.text[0].isalnum()]


def _runs(texts: Sequence[str], length: int) -> Iterator[_Run]:
    return (tuple(texts[i : i + length]) for i in range(len(texts) - length + 1))


def _duplicate_findings(splits: Mapping[str, Sequence[Document]], words: Mapping[str, Words]) -> Iterator[Finding]:
    """Reports that are equal once folded, or nearly so: half of the shorter one's runs of five words in the other.

    Equal ones are each held against the first of them. For the rest, boilerplate runs are left out of account.
    """
    split_of = {document.id: name for name, documents in splits.items() for document in documents}

    def finding(one: str, other: str, part: float) -> Finding:
        across = split_of[one] != split_of[other]
        kind = "near-duplicates across splits" if across else "near-duplicates within a split"
        message = f"{part:.0%} of it stands in {other} ({split_of[other]})"
        return Finding("error" if across else "notice", kind, f"{one} ({split_of[one]})", message)

    equal: dict[_Run, list[str]] = defaultdict(list)
    for name in split_of:
        if spoken := tuple(_spoken(words[name])):
            equal[spoken].append(name)
    # Of equal reports, one of each split goes on to be compared with the others.
    texts: dict[str, _Run] = {}
    for spoken, names in equal.items():
        for name in names[1:]:
            yield finding(name, names[0], 1.0)
        texts |= dict.fromkeys({split_of[name]: name for name in reversed(names)}.values(), spoken)
    for one, other, part in _alike(texts):
        if part >= 0.5 and texts[one] != texts[other]:
            yield finding(one, other, part)


def _alike(texts: Mapping[str, _Run]) -> Iterator[tuple[str, str, float]]:
    """Pairs that share runs of five words, the one with fewer runs first, and which part of its runs is shared."""
    owners: dict[_Run, list[str]] = defaultdict(list)
    for name, text in texts.items():
        for run in set(_runs(text, 5)):
            owners[run].append(name)
    lengths: Counter[str] = Counter()
    shared: Counter[tuple[str, str]] = Counter()
    for names in owners.values():
        if len(names) <= _BOILERPLATE:
            lengths.update(names)
            shared.update(combinations(names, 2))
    for (one, other), count in shared.items():
        shorter, longer = (one, other) if lengths[one] <= lengths[other] else (other, one)
        yield shorter, longer, count / max(1, lengths[shorter])


def _foreign_findings(
    words: Mapping[str, Words],
    alignments: Mapping[str, Alignment],
    foreign: Iterable[tuple[str, str]],
    length: int = 10,
) -> Iterator[Finding]:
    """One finding for each report and each file that shares runs of ten words with it."""
    owners: dict[_Run, list[str]] = defaultdict(list)
    for name, alignment in alignments.items():
        for run in _own_runs(words[name], alignment, length):
            owners[run].append(name)
    shared: dict[tuple[str, str], dict[_Run, str]] = defaultdict(dict)
    for where, text in foreign if owners else ():
        source = _LINE_NUMBER.sub("", where)
        for run in _runs(_spoken(split_words(text, _FOLDED)), length):
            for name in owners.get(run, ()):
                shared[name, source].setdefault(run, where)
    for (name, source), runs in shared.items():
        run, where = next(iter(runs.items()))
        message = f"{len(runs)} run{'s' * (len(runs) > 1)} of {length} words in {source}, first at {where}: "
        yield Finding("error", "text that stands elsewhere", name, message + " ".join(run))


def _own_runs(words: Words, alignment: Alignment, length: int) -> set[_Run]:
    """The runs of a report, without those inside one entity: the full name of a body stands in many texts."""
    covered = _covered(alignment, len(words))
    spoken = [index for index, word in enumerate(words) if word.text[0].isalnum()]
    texts = words.texts()
    ranges = (spoken[i : i + length] for i in range(len(spoken) - length + 1))
    return {
        tuple(texts[index] for index in run)
        for run in ranges
        if covered[run[0]] is None or covered[run[0]] != covered[run[-1]]
    }


def _foreign_texts(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in document_files(paths, ("*.jsonl", "*.jsonl.xz")):
        for where, record in read_records(path):
            yield where, str(record.get("text", ""))
