"""Slices: the strict scores of a part of the entities, chosen by what they are or where they stand.

A gold entity with the property counts on the recall side, a predicted one with it on the precision side; a right one is
both. An entity that can't be put on a word is in no slice of entities, only in those of whole reports.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import regex

from marsad.documents import Document
from marsad.evaluation.judging import JudgedDocument
from marsad.evaluation.resampling import Interval, as_list, resample_counts, supported_interval
from marsad.evaluation.scoring import PREDICTED, Counts, IntArray, ratios
from marsad.labels import LabelSet
from marsad.text.normalization import TATWEEL, TextConfig
from marsad.text.windows import SENTENCE_ENDS
from marsad.text.words import Words, split_words, words_in_span

_LONG_SENTENCE = 60
# A field of the reports is sliced by when it has at most so many values, and fewer than half as many as reports.
_MOST_VALUES = 20

# و "and", ف "then", ب "in", ل "to", ك "as", and an "and" or "then" before one of the others.
_PROCLITICS = ("و", "ف", "ب", "ل", "ك", "وب", "ول", "وك", "فب", "فل", "فك")
_ARTICLE = regex.compile(r"(?:وال|و?لل)\p{L}{3}")
_LONE_PROCLITICS = frozenset("وفبلك")
_DIACRITIC = regex.compile(r"[\u0610-\u061A\u064B-\u0652\u0657-\u065F\u0670\u06D6-\u06ED]")
_EDGE_TATWEEL = regex.compile(rf"^[{TATWEEL}\p{{M}}\p{{Cf}}]+|[{TATWEEL}\p{{M}}\p{{Cf}}]+$")
_INNER_BREAK = regex.compile(rf"[^\p{{L}}\p{{M}}\p{{Cf}}]|{TATWEEL}")


@dataclass(frozen=True, slots=True)
class SliceScores:
    """The strict scores of one slice; ``reports`` hold at least one of its entities, gold or predicted."""

    group: str
    name: str
    what: str
    reports: int
    by_type: Mapping[str, Counts]
    f1_interval: Interval | None

    @property
    def overall(self) -> Counts:
        """All types together."""
        return sum(self.by_type.values(), Counts())

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "group": self.group,
            "name": self.name,
            "what": self.what,
            "reports": self.reports,
            "scores": self.overall.record(),
            "f1_interval": as_list(self.f1_interval),
            "by_type": {label: counts.record() for label, counts in self.by_type.items()},
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A group of slices that can't be given, and why."""

    group: str
    why: str

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"group": self.group, "why": self.why}


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity on the words of its report; ``sentence`` is the number of words of the sentence that it begins in."""

    words: Words
    text: str
    first: int
    last: int
    label: str
    sentence: int


@dataclass(frozen=True, slots=True)
class Surfaces:
    """What words are known from, to tell a proclitic from the first letter of a word.

    ``openers`` counts the first words of the gold entities by type, ``members`` all their words, ``vocabulary`` all
    words of the texts.
    """

    openers: Mapping[tuple[str, str], int]
    members: Mapping[tuple[str, str], int]
    vocabulary: Mapping[str, int]
    _bare: dict[tuple[str, str], str]

    def bare(self, label: str, word: str) -> str:
        """The first word of an entity without the proclitic written onto it; the word itself where it has none.

        A first letter و ف ب ل ك is taken for a proclitic in three cases. What is left stands in entities of the type at
        least three quarters as often as the whole word opens them (``وحلب`` beside ``حلب``, but not ``بغداد``). Or it
        begins with the article and is as frequent a word of the texts (``بالجيش``). Or the word begins with ``وال`` or
        ``لل`` and three letters more, as hardly an Arabic name does by itself. So a name that is only ever met with
        a proclitic may pass for one without, and a rare name that is another with a letter before it (``بسام`` beside
        ``سام``) for one with.
        """
        if (label, word) not in self._bare:
            self._bare[label, word] = next(self._without_proclitic(label, word), word)
        return self._bare[label, word]

    def _without_proclitic(self, label: str, word: str) -> Iterator[str]:
        for proclitic in _PROCLITICS:
            rest = word.removeprefix(proclitic)
            if rest == word:
                continue
            # ل swallows the alef of an article after it: للجيش is ل and الجيش, لليل is ل and الليل.
            swallowed = proclitic[-1] == "ل" and rest[:1] == "ل"
            readings = (rest, f"ا{rest}", f"ال{rest}") if swallowed else (rest,)
            for bare in sorted(readings, key=lambda bare: (self.members[label, bare], self.vocabulary[bare]))[::-1]:
                known = 4 * self.members[label, bare] >= 3 * max(self.openers[label, word], 1)
                definite = bare.startswith("ال") and len(bare) > 3
                if known or (definite and 4 * self.vocabulary[bare] >= 3 * max(self.vocabulary[word], 1)):
                    yield bare
        if _ARTICLE.match(word):
            conjunction = "و" if word.startswith("و") else ""
            yield f"ال{word[len(conjunction) + 2 :]}"


def collect_surfaces(texts: Sequence[tuple[Document, Words]]) -> Surfaces:
    """The words of the gold entities, and all words, of some texts."""
    openers: Counter[tuple[str, str]] = Counter()
    members: Counter[tuple[str, str]] = Counter()
    vocabulary: Counter[str] = Counter()
    for document, words in texts:
        vocabulary.update(word.text for word in words)
        for entity in document.entities:
            first, last = words_in_span(words.words, entity.start, entity.end)
            named = [(entity.label, word.text) for word in words.words[first:last]]
            openers.update(named[:1])
            members.update(named)
    return Surfaces(openers, members, vocabulary, {})


@dataclass(frozen=True, slots=True)
class _Group:
    """A way to slice: names of its slices with what is in them, and which of them a mention belongs to."""

    name: str
    slices: Mapping[str, str]
    choose: Callable[[Mention], str | None]


def score_slices(
    judged: Sequence[JudgedDocument],
    counts: IntArray,
    labels: LabelSet,
    training: Sequence[Document] | str,
    text: TextConfig,
    resamples: int,
    seed: int,
) -> tuple[tuple[SliceScores, ...], tuple[LeftOut, ...]]:
    """The scores of every slice that has entities, and the groups left out.

    ``counts`` are the strict counts of the reports, [reports, types, 3]; ``training`` the reports that the system was
    trained on, or why they are not to be had.
    """
    known = [(report.document, report.words) for report in judged]
    trained = [] if isinstance(training, str) else [(one, split_words(one.text, text)) for one in training]
    surfaces = collect_surfaces([*known, *trained])
    groups, left_out = [], []
    if isinstance(training, str):
        left_out.append(LeftOut("seen in training", training))
    else:
        groups.append(_seen_in_training(trained, surfaces))
    groups += [_proclitics(surfaces), _length()]
    if "CASUALTY" in labels.types:
        groups.append(_numbers())
    groups += [_sentences(), _spelling(), _diacritics()]
    found: dict[tuple[str, str], tuple[str, IntArray]] = {}
    arrays = _count_mentions(judged, groups, labels)
    for group in groups:
        slices = {name: what for name, what in group.slices.items() if arrays[group.name, name].any()}
        if len(slices) < min(len(group.slices), 2):
            only = f"every entity is in {next(iter(slices))!r}" if slices else "there is no entity for it"
            left_out.append(LeftOut(group.name, only))
            continue
        found |= {(group.name, name): (what, arrays[group.name, name]) for name, what in slices.items()}
    of_reports, too_many = _fields([report.document for report in judged], {group.name for group in groups})
    for (field, value), chosen in of_reports.items():
        found[field, value] = (f"reports whose {field} is {value}", counts * chosen[:, None, None])
    return _score(found, labels, resamples, seed), (*left_out, *too_many)


def _score(
    found: Mapping[tuple[str, str], tuple[str, IntArray]], labels: LabelSet, resamples: int, seed: int
) -> tuple[SliceScores, ...]:
    if not found:
        return ()
    overall = np.stack([counts.sum(axis=1) for _, counts in found.values()], axis=1)
    drawn = resample_counts(overall, resamples, seed)
    f1 = ratios(drawn)["f1"]
    seen = np.asarray((drawn[..., PREDICTED:] > 0).any(axis=-1))
    scores = []
    for index, ((group, name), (what, counts)) in enumerate(found.items()):
        reports = int(counts[:, :, PREDICTED:].any(axis=(1, 2)).sum())
        rows = counts.sum(axis=0).tolist()
        by_type = {label: Counts(*row) for label, row in zip(labels.types, rows, strict=True)}
        interval = supported_interval(f1[:, index], seen[:, index], reports)
        scores.append(SliceScores(group, name, what, reports, by_type, interval))
    return tuple(scores)


def _count_mentions(
    judged: Sequence[JudgedDocument], groups: Sequence[_Group], labels: LabelSet
) -> dict[tuple[str, str], IntArray]:
    """Counts of each slice and report, [reports, types, 3]."""
    names = [(group.name, name) for group in groups for name in group.slices]
    shape = len(names), len(judged), len(labels.types), 3
    place = {label: index for index, label in enumerate(labels.types)}
    rows = {slice_: index * len(judged) for index, slice_ in enumerate(names)}
    codes = array("q")  # of each entity in each of its slices, its place in an array of that shape
    for index, report in enumerate(judged):
        for mention, fate in _mentions(report):
            column = place[mention.label] * 3 + fate
            for group in groups:
                name = group.choose(mention)
                if name is not None:
                    codes.append((rows[group.name, name] + index) * 3 * len(place) + column)
    fates = np.bincount(np.asarray(codes, dtype=np.int64), minlength=int(np.prod(shape))).reshape(shape)
    right, missed, wrong = (fates[..., fate] for fate in (_RIGHT, _MISSED, _WRONG))
    counts = np.stack([right, right + wrong, right + missed], axis=-1)
    return dict(zip(names, counts, strict=True))


# What becomes of an entity: in gold and predicted, in gold alone, predicted alone.
_RIGHT, _MISSED, _WRONG = range(3)


def _mentions(report: JudgedDocument) -> Iterator[tuple[Mention, int]]:
    """Each entity that stands on words, once, with what becomes of it."""
    sentences = _sentence_lengths(report.words)
    gold, predicted = set(report.gold.spans), set(report.predicted.spans)
    fates = [(span, _RIGHT if span in predicted else _MISSED) for span in report.gold.spans]
    fates += [(span, _WRONG) for span in report.predicted.spans if span not in gold]
    for span, fate in fates:
        sentence = sentences[span.first]
        yield Mention(report.words, report.document.text, span.first, span.last, span.label, sentence), fate


def _sentence_lengths(words: Words) -> list[int]:
    """For each word, the number of words (marks not counted) of its sentence."""
    lengths = [0] * len(words)
    for start, end in words.paragraphs:
        cuts = [index + 1 for index in range(start, end - 1) if words.words[index].text in SENTENCE_ENDS]
        for first, last in pairwise([start, *cuts, end]):
            lengths[first:last] = [sum(word.text[0].isalnum() for word in words.words[first:last])] * (last - first)
    return lengths


# --- the groups -----------------------------------------------------------------------------------------


def _surface(mention: Mention, surfaces: Surfaces) -> str:
    first, *rest = (word.text for word in mention.words.words[mention.first : mention.last])
    return " ".join([surfaces.bare(mention.label, first), *rest])


def _seen_in_training(trained: Sequence[tuple[Document, Words]], surfaces: Surfaces) -> _Group:
    seen = set()
    for document, words in trained:
        for entity in document.entities:
            first, last = words_in_span(words.words, entity.start, entity.end)
            if first < last:
                seen.add(_surface(Mention(words, document.text, first, last, entity.label, 0), surfaces))
    return _Group(
        "seen in training",
        {
            "seen": "mentions whose words stand as an entity in the training files (a proclitic before them aside)",
            "unseen": "mentions whose words do not stand as an entity in the training files",
        },
        lambda mention: "seen" if _surface(mention, surfaces) in seen else "unseen",
    )


def _proclitics(surfaces: Surfaces) -> _Group:
    def choose(mention: Mention) -> str:
        word = mention.words.words[mention.first]
        if surfaces.bare(mention.label, word.text) != word.text:
            return "attached"
        if word.text[0].isdigit() and mention.first:
            before = mention.words.words[mention.first - 1]
            if before.end == word.start and before.text in _LONE_PROCLITICS:
                return "attached"
        if word.text in _LONE_PROCLITICS and mention.last > mention.first + 1:
            after = mention.words.words[mention.first + 1]
            if word.end == after.start and after.text[0].isdigit():
                return "attached"
        return "none"

    return _Group(
        "proclitic",
        {
            "attached": "mentions with و ف ب ل ك written onto their first word or number",
            "none": "mentions without",
        },
        choose,
    )


def _length() -> _Group:
    def choose(mention: Mention) -> str:
        length = mention.last - mention.first
        return "1" if length == 1 else "2" if length == 2 else "3–4" if length <= 4 else "5+"

    slices = {"1": "mentions of one word", "2": "mentions of two words", "3–4": "mentions of three or four words"}
    return _Group("length in words", slices | {"5+": "mentions of five words and more"}, choose)


def _numbers() -> _Group:
    def choose(mention: Mention) -> str | None:
        if mention.label != "CASUALTY":
            return None
        words = mention.words.words[mention.first : mention.last]
        return "digits" if any(word.text[0].isdigit() for word in words) else "words"

    slices = {"digits": "CASUALTY with a number in digits", "words": "CASUALTY in words alone"}
    return _Group("casualty number", slices, choose)


def _sentences() -> _Group:
    return _Group(
        "sentence length",
        {
            "long": f"mentions in sentences of more than {_LONG_SENTENCE} words",
            "ordinary": f"mentions in sentences of up to {_LONG_SENTENCE} words",
        },
        lambda mention: "long" if mention.sentence > _LONG_SENTENCE else "ordinary",
    )


def _spelling() -> _Group:
    def choose(mention: Mention) -> str:
        return "broken" if _has_broken_word(mention) else "ordinary"

    slices = {"broken": "mentions with tatweel, blanks or marks inside a word", "ordinary": "mentions without"}
    return _Group("anti-filter spelling", slices, choose)


def _has_broken_word(mention: Mention) -> bool:
    words = mention.words.words[mention.first : mention.last]
    if TATWEEL not in mention.text[words[0].start : words[-1].end]:
        return False  # no word is joined across a gap without one
    written = [mention.text[word.start : word.end] for word in words if word.text[0].isalpha()]
    return any(_INNER_BREAK.search(_EDGE_TATWEEL.sub("", word)) for word in written)


def _diacritics() -> _Group:
    def choose(mention: Mention) -> str:
        start, end = mention.words.words[mention.first].start, mention.words.words[mention.last - 1].end
        return "with" if _DIACRITIC.search(mention.text, start, end) else "without"

    slices = {"with": "mentions with vowel signs, shadda or tanwin", "without": "mentions without"}
    return _Group("diacritics", slices, choose)


def _fields(documents: Sequence[Document], taken: Collection[str]) -> tuple[dict[tuple[str, str], Any], list[LeftOut]]:
    """Which reports have each value of each text field that has few of them, and the fields that have too many."""
    values: dict[str, list[str | None]] = defaultdict(lambda: [None] * len(documents))
    for index, document in enumerate(documents):
        for field, value in (("source", document.source), *document.metadata.items()):
            if isinstance(value, str) and value:
                values[field][index] = value
    chosen: dict[tuple[str, str], Any] = {}
    left_out = []
    for field, column in values.items():
        if field in taken:
            left_out.append(LeftOut(field, "the field has the name of another group of slices"))
            continue
        distinct = Counter(value for value in column if value is not None)
        if len(distinct) > _MOST_VALUES or 2 * len(distinct) > max(len(documents), 4):
            left_out.append(LeftOut(field, f"it has {len(distinct)} values in {len(documents)} reports, too many"))
            continue
        if len(distinct) + (None in column) < 2:
            left_out.append(LeftOut(field, f"it is {next(iter(distinct))!r} in every report"))
            continue
        for value, _ in sorted(distinct.items(), key=lambda item: (-item[1], item[0])):
            chosen[field, value] = np.array([one == value for one in column])
        if None in column:
            chosen[field, "(none)"] = np.array([one is None for one in column])
    return chosen, left_out
