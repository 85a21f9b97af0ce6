"""What is wrong or odd in annotated reports before anyone trains on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import regex

from marsad.annotations.damaged import Problem, read_damaged
from marsad.annotations.display import in_label_order, text_around
from marsad.annotations.duplicates import FOLDED, alike_reports, equal_reports, spoken_words
from marsad.annotations.jsonl import document_files, read_documents, read_records
from marsad.annotations.shift import Novelty, Reading, Shift, measure_novelty, measure_shift
from marsad.documents import Document, Entity
from marsad.modeling.tagging import Alignment, align_entities
from marsad.text.words import Words, split_words

_SENTENCE = regex.compile(r"[^.!?؟\n]+")
_CLOSING = frozenset("”»\")]’'›")
_OPENING = frozenset("“«\"([‘'‹")
_LINE_NUMBER = regex.compile(r":\d+$")
# What ends a sentence, with a blank after it. An ellipsis doesn't.
_SENTENCE_END = regex.compile(r"(\.{1,2}|[!?؟]+)\p{Cf}*(?=\s)")
# What stands before a full stop that ends no sentence: a title or initial (د. أ.د. م.), a Latin abbreviation (Gen.).
_ABBREVIATION = regex.compile(
    r"(?<![\p{Arabic}&&\p{L}])[\p{Arabic}&&\p{L}]\p{M}*(?:[\p{Arabic}&&\p{L}]\p{M}*)?$|(?<!\p{Latin})\p{Latin}{1,4}$",
    regex.V1,
)
_HELD_OUT = frozenset({"dev", "test", "val", "valid", "validation", "eval", "heldout"})
# A report of more words than this is rather several that were pasted into one.
_LONG = 2000
# Sources named in the table.
_NAMED = 20
# Occurrences of an inconsistent surface shown for each label.
_EXAMPLES = 3

_Run = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. ``level`` is ``error`` (mend it before training) or ``notice`` (for a person to judge).

    ``context``: of a span, the text before it, its own and the text after it.
    """

    level: str
    kind: str
    where: str
    message: str
    context: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """An occurrence of a surface form: its report, its label (None where it is bare) and the text around it."""

    document: str
    label: str | None
    context: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """A surface form that is annotated in some places and in others not, or otherwise.

    ``places``: the report of each occurrence that is bare or has another label than most annotated ones.
    ``examples``: a few occurrences for each label, and bare ones.
    """

    surface: str
    labels: Mapping[str, int]
    bare: int
    places: tuple[str, ...]
    examples: tuple[Example, ...]

    @property
    def deviating(self) -> int:
        """Occurrences that are bare or have another label than most annotated ones."""
        return sum(self.labels.values()) - max(self.labels.values()) + self.bare


@dataclass(frozen=True, slots=True)
class Audit:
    """Counts of a corpus by split, source, conflict and type, and what was found in it.

    ``shifts`` and ``novelties``: each split against the reference, where one was given.
    """

    counts: Mapping[str, Any]
    findings: tuple[Finding, ...]
    inconsistencies: tuple[Inconsistency, ...]
    shifts: tuple[Shift, ...] = ()
    novelties: tuple[Novelty, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that should be mended before training."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    def by_kind(self) -> dict[str, list[Finding]]:
        """The findings of each kind, errors first."""
        groups: dict[str, list[Finding]] = defaultdict(list)
        for finding in sorted(self.findings, key=lambda finding: (finding.level, finding.kind)):
            groups[finding.kind].append(finding)
        return groups

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "counts": dict(self.counts),
            "findings": [asdict(finding) for finding in self.findings],
            "inconsistencies": [asdict(one) for one in self.inconsistencies],
            "shifts": [one.record() for one in self.shifts],
            "novelties": [asdict(one) for one in self.novelties],
        }

    def table(self, most: int = 30) -> str:
        """Counts and findings as text; lists are cut after ``most`` lines, with the rest counted.

        Inconsistent surfaces without a letter (numbers) come after those with one.
        """
        lines = _count_lines(self.counts)
        lines += _shift_lines(self.shifts, self.novelties)
        for kind, group in self.by_kind().items():
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


def audit_files(
    paths: Sequence[Path], against: Sequence[Path] = (), reference: Sequence[Path] = (), rare: int = 0
) -> Audit:
    """Audit files of annotated reports, or folders of them (``*.jsonl``); each file is a split.

    Damaged lines and spans are findings; the rest of a damaged file is audited. ``against``: files (``.jsonl``,
    ``.jsonl.xz``) or folders of other texts of which no run of ten words may stand in the corpus. ``reference``: files
    of reports, sound ones, with which each other file is compared. ``rare`` as in :func:`audit`.

    Raises MarsadError for a file that can't be read or holds no report, and for a reference with anything wrong in it.
    """
    # A file named twice, alone and in its folder, is one.
    files = list({path.resolve(): path for path in document_files(paths)}.values())
    read, problems = read_damaged(files)
    splits: dict[str, Sequence[Document]] = {}
    for path, documents in zip(files, read, strict=True):
        splits[path.stem if path.stem not in splits else str(path)] = documents
    known = document_files(reference)
    references = read_documents(known)
    same = {path.resolve() for path in known}
    compared = [name for name, path in zip(splits, files, strict=True) if path.resolve() not in same]
    return audit(splits, _foreign_texts(against), rare, references, compared, problems)


def audit(
    splits: Mapping[str, Sequence[Document]],
    foreign: Iterable[tuple[str, str]] = (),
    rare: int = 0,
    reference: Sequence[Document] = (),
    compared: Collection[str] | None = None,
    problems: Sequence[Problem] = (),
) -> Audit:
    """Audit the documents of each split; ids are unique over all.

    ``foreign`` gives ``file:line`` and text of what may not be repeated. Labels with fewer than ``rare`` entities are
    named. The splits in ``compared`` (all where None) are compared with the ``reference``. ``problems``: what a
    damaged file's reader met.
    """
    words = {document.id: split_words(document.text, FOLDED) for split in splits.values() for document in split}
    documents = [document for split in splits.values() for document in split]
    alignments = {document.id: align_entities(document, words[document.id]) for document in documents}
    findings = [
        *(Finding("error", problem.kind, problem.where, problem.message) for problem in problems),
        *_span_findings(documents, alignments),
        *_length_findings(documents, words),
        *_label_findings(splits, rare),
        *_duplicate_findings(splits, words),
        *_surface_findings(documents),
        *_foreign_findings(words, alignments, foreign),
    ]
    texts = {document.id: document.text for document in documents}
    inconsistencies = _inconsistencies(texts, words, alignments)
    shifts: list[Shift] = []
    novelties: list[Novelty] = []
    if reference:
        known = [_reading(document, split_words(document.text, FOLDED)) for document in reference]
        for name, split in splits.items():
            if split and (compared is None or name in compared):
                new = [_reading(document, words[document.id], alignments[document.id]) for document in split]
                shifts += measure_shift(name, new, known)
                novelties += measure_novelty(name, new, known)
        findings += [
            Finding("notice", "distribution shift", one.split, f"{one.feature}: {one.words}")
            for one in shifts
            if one.notable
        ]
    return Audit(_counts(splits), tuple(findings), tuple(inconsistencies), tuple(shifts), tuple(novelties))


def _reading(document: Document, words: Words, alignment: Alignment | None = None) -> Reading:
    texts = words.texts()
    spans = (alignment or align_entities(document, words)).spans
    return Reading(document, spoken_words(words), tuple(tuple(texts[span.first : span.last]) for span in spans))


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
            "reports_without_entity": sum(not document.entities for document in documents),
            "entities": sum(labels.values()),
            "labels": dict(labels),
            "longest_report_words": max(lengths, default=0),
        }
        counts["labels"] += labels
        counts["source"] += Counter(document.source or "(none)" for document in documents)
        counts["conflict"] += Counter(str(document.metadata.get("conflict", "(none)")) for document in documents)
    counts["labels"] = {label: counts["labels"][label] for label in in_label_order(counts["labels"])}
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
    splits = counts["splits"]
    width = max([10, *(len(name) for name in splits)])
    widths = [max(8, len(label)) for label in labels]
    header = "  ".join(f"{label:>{wide}}" for label, wide in zip(labels, widths, strict=True))
    lines = [f"{'split':{width}} {'reports':>8} {'words':>8} {'entities':>9}  {header}".rstrip()]
    total: dict[str, Any] = {"labels": counts["labels"]}
    total |= {key: sum(split[key] for split in splits.values()) for key in ("reports", "words", "entities")}
    for name, row in [*splits.items(), ("all", total)]:
        cells = "  ".join(f"{row['labels'].get(label, 0):{wide}d}" for label, wide in zip(labels, widths, strict=True))
        line = f"{name:{width}} {row['reports']:8d} {row['words']:8d} {row['entities']:9d}  {cells}"
        lines.append(line.rstrip())
    for what in ("sentences", "reports"):
        every = sum(split[what] for split in splits.values())
        empty = sum(split[f"{what}_without_entity"] for split in splits.values())
        lines.append(f"{what} without an entity: {empty} of {every} ({empty / max(every, 1):.0%})")
    for key in ("source", "conflict"):
        shares = [f"{name} {n} ({n / total['reports']:.0%})" for name, n in counts[key].most_common(_NAMED)]
        rest = len(counts[key]) - len(shares)
        lines.append(f"{key}: {', '.join(shares)}" + (f" and {rest} others" if rest else ""))
    return lines


def _shift_lines(shifts: Sequence[Shift], novelties: Sequence[Novelty]) -> list[str]:
    if not shifts:
        return []
    width = max(len(one.split) for one in shifts)
    lines = ["", "against the reference: divergence in bits (0 the same, 1 nothing in common), by chance, p; ! a shift"]
    for one in shifts:
        lines.append(
            f"{'!' if one.notable else ' '} {one.split:{width}}  {one.feature:22}  {one.divergence:.3f}  "
            f"{one.by_chance:.3f}  {one.p_value:.3f}  {one.words if one.notable else ''}".rstrip()
        )
    for new in novelties:
        share = new.unseen / max(new.total, 1)
        unseen = f"{new.unseen} of {new.total} ({share:.0%})"
        lines.append(f"  {new.split:{width}}  {new.feature} unseen in the reference: {unseen}")
    return lines


# --- spans -----------------------------------------------------------------------------------------------


def _span_findings(documents: Sequence[Document], alignments: Mapping[str, Alignment]) -> Iterator[Finding]:
    for document in documents:
        alignment = alignments[document.id]

        def finding(level: str, kind: str, entity: Entity, message: str, document: Document = document) -> Finding:
            return Finding(level, kind, document.id, message, text_around(document.text, entity.start, entity.end))

        for entity in alignment.widened:
            text = document.text[entity.start : entity.end]
            yield finding("notice", "span cuts a word", entity, f"[{entity.start}, {entity.end}) {text!r}")
        for entity, why in alignment.dropped:
            yield finding("error", "span fits no words", entity, f"[{entity.start}, {entity.end}) {why}")
        for entity in document.entities:
            text = document.text[entity.start : entity.end]
            if _edge_punctuation(text):
                yield finding("error", "punctuation at the edge of a span", entity, repr(text))
            if crosses_sentences(text):
                yield finding("error", "span crosses sentences", entity, repr(text))


def crosses_sentences(text: str) -> bool:
    """Whether a sentence ends inside the text of a span.

    A full stop inside a number or a name (2.5, 3.6.2016, ش.م.م) has no blank after it; one after a title, an initial or
    a short Latin abbreviation, and one between two numbers, ends nothing.
    """
    for match in _SENTENCE_END.finditer(text, 1):
        before, after = text[: match.start()], text[match.end() :].lstrip()
        if not after:
            return False
        single = match.group(1) == "."
        if not (single and (_ABBREVIATION.search(before) or (before[-1].isdecimal() and after[0].isdecimal()))):
            return True
    return False


def _length_findings(documents: Sequence[Document], words: Mapping[str, Words]) -> Iterator[Finding]:
    for document in documents:
        if not document.text.strip():
            yield Finding("error", "empty report", document.id, "no text")
        elif len(words[document.id]) > _LONG:
            message = f"{len(words[document.id])} words; is it several in one?"
            yield Finding("notice", "very long report", document.id, message)


def _label_findings(splits: Mapping[str, Sequence[Document]], rare: int) -> Iterator[Finding]:
    counts = {
        name: Counter(entity.label for document in documents for entity in document.entities)
        for name, documents in splits.items()
    }
    total = sum(counts.values(), Counter())
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in in_label_order(total):
        spellings["".join(label.split()).casefold()].append(label)
        if total[label] < rare:
            yield Finding("notice", "rare label", label, f"{total[label]} entities, fewer than {rare}")
        learned = [name for name in splits if not held_out(name)]
        if learned and not any(counts[name][label] for name in learned):
            where = ", ".join(name for name in splits if counts[name][label])
            yield Finding("error", "label without training data", label, f"stands in {where} alone")
    for labels in spellings.values():
        if len(labels) > 1:
            message = f"{', '.join(repr(label) for label in labels)} differ in case or blanks only"
            yield Finding("error", "one label in several spellings", labels[0], message)


def held_out(name: str) -> bool:
    """Whether a split's name says that models are judged on it (``dev``, ``new-test``), not trained."""
    return any(part in _HELD_OUT for part in regex.split(r"[^\p{L}]+", Path(name).stem.casefold()))


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


def _inconsistencies(
    reports: Mapping[str, str], words: Mapping[str, Words], alignments: Mapping[str, Alignment]
) -> list[Inconsistency]:
    """Surfaces annotated at least twice of which 0.2–0.8 of the occurrences are bare or have not the majority label.

    Single letters are left out. Most deviating occurrences first.
    """
    labels: dict[_Run, Counter[str]] = defaultdict(Counter)
    # Report, first word and label of each occurrence.
    occurrences: dict[_Run, list[tuple[str, int, str | None]]] = defaultdict(list)
    texts = {name: one.texts() for name, one in words.items()}
    for name, alignment in alignments.items():
        for span in alignment.spans:
            surface = tuple(texts[name][span.first : span.last])
            if len(surface) > 1 or len(surface[0]) > 1 or not surface[0].isalpha():
                labels[surface][span.label] += 1
                occurrences[surface].append((name, span.first, span.label))
    prefixes = {surface[:length] for surface in labels for length in range(1, len(surface) + 1)}
    for name, alignment in alignments.items():
        covered = _covered(alignment, len(texts[name]))
        for first, surface in _bare_surfaces(words[name], texts[name], covered, prefixes):
            if surface in labels:
                occurrences[surface].append((name, first, None))
    found = []
    for surface, counts in labels.items():
        majority = counts.most_common(1)[0][0]
        places = tuple(name for name, _, label in occurrences[surface] if label != majority)
        if counts.total() >= 2 and 0.2 <= len(places) / len(occurrences[surface]) <= 0.8:
            bare = len(occurrences[surface]) - counts.total()
            examples = []
            shown: Counter[str | None] = Counter()
            for name, first, label in occurrences[surface]:
                shown[label] += 1
                if shown[label] <= _EXAMPLES:
                    start, end = words[name].words[first].start, words[name].words[first + len(surface) - 1].end
                    examples.append(Example(name, label, text_around(reports[name], start, end)))
            found.append(Inconsistency(" ".join(surface), dict(counts), bare, places, tuple(examples)))
    return sorted(found, key=lambda one: (-one.deviating, one.surface))


def _covered(alignment: Alignment, length: int) -> list[int | None]:
    """For each word of a report, which of its entities it belongs to."""
    covered: list[int | None] = [None] * length
    for index, span in enumerate(alignment.spans):
        covered[span.first : span.last] = [index] * (span.last - span.first)
    return covered


def _bare_surfaces(
    words: Words, texts: Sequence[str], covered: Sequence[int | None], prefixes: set[_Run]
) -> Iterator[tuple[int, _Run]]:
    """The runs of words within a paragraph and outside all entities that are among ``prefixes``, with their place."""
    for start, end in words.paragraphs:
        for first in range(start, end):
            for last in range(first, end):
                surface = tuple(texts[first : last + 1])
                if covered[last] is not None or surface not in prefixes:
                    break
                yield first, surface


# --- repeated text ---------------------------------------------------------------------------------------


def _runs(texts: Sequence[str], length: int) -> Iterator[_Run]:
    return (tuple(texts[i : i + length]) for i in range(len(texts) - length + 1))


def _duplicate_findings(splits: Mapping[str, Sequence[Document]], words: Mapping[str, Words]) -> Iterator[Finding]:
    """Reports that are equal once folded, or nearly so: half of the shorter one's runs of five words in the other.

    Equal ones are each held against the first of them. For the rest, boilerplate runs are left out of account.
    """
    split_of = {document.id: name for name, documents in splits.items() for document in documents}

    def finding(one: str, other: str, part: float) -> Finding:
        level, kind = "notice", "near-duplicates within a split"
        if split_of[one] != split_of[other]:
            # Two files to train on may repeat one another; what a model is judged on may not stand in either.
            leak = held_out(split_of[one]) or held_out(split_of[other])
            level = "error" if leak else "notice"
            kind = "near-duplicates across splits" if leak else "near-duplicates across files"
        message = f"{part:.0%} of it stands in {other} ({split_of[other]})"
        return Finding(level, kind, f"{one} ({split_of[one]})", message)

    texts = {name: spoken_words(words[name]) for name in split_of}
    # Of equal reports, one of each split goes on to be compared with the others.
    compared: dict[str, _Run] = {}
    for names in equal_reports(texts):
        for name in names[1:]:
            yield finding(name, names[0], 1.0)
        for name in {split_of[name]: name for name in reversed(names)}.values():
            compared[name] = texts[name]
    for one, other, part in alike_reports(compared):
        if texts[one] != texts[other]:
            yield finding(one, other, part)


def _foreign_findings(
    words: Mapping[str, Words],
    alignments: Mapping[str, Alignment],
    foreign: Iterable[tuple[str, str]],
    length: int = 10,
) -> Iterator[Finding]:
    """One finding for each report and each file that shares runs of ten words with it."""
    foreign = iter(foreign)
    first = next(foreign, None)
    if first is None:
        return
    # By the hash of the run: a tenth of the memory.
    owners: dict[int, list[str]] = defaultdict(list)
    for name, alignment in alignments.items():
        for run in _own_runs(words[name], alignment, length):
            owners[hash(run)].append(name)
    shared: dict[tuple[str, str], dict[_Run, str]] = defaultdict(dict)
    for where, text in chain([first], foreign):
        source = _LINE_NUMBER.sub("", where)
        for run in _runs(spoken_words(split_words(text, FOLDED)), length):
            for name in owners.get(hash(run), ()):
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
