"""Casualty spans as values: how many, how surely, what became of them, who they were, and of which total a part.

The number is read off the span (:mod:`marsad.facts.numbers`, and the noun's own number: ``طفلان`` is 2), all else
off the words around it, by the tables ``rules/outcomes.yaml``, ``bounds.yaml``, ``groups.yaml`` and ``nouns.yaml``. A
report is read once, from its first span to its last, since breakdowns and coordinated numbers take over what stood
before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise, takewhile
from typing import Any, Literal

from marsad.documents import Document, Entity
from marsad.facts.folding import bare_forms, fold, fold_words, load_rules, stems
from marsad.facts.numbers import Number, Unread, is_number_word, is_scale, read_words
from marsad.text.words import Word, Words, words_in_span

Bound = Literal["exact", "at_least", "more_than", "at_most", "about", "range", "vague"]
Outcome = Literal["killed", "injured", "missing", "mixed"]

_SENTENCE_ENDS = frozenset(".!?؟؛")
_BULLETS = frozenset("-–—•*▪◦●·ـ+✓")
# How far, in words, a phrase after a number may stand from it, and a verb that follows its subject.
_PHRASE_REACH = 7
_VERB_REACH = 14
_PART_REACH = 25
_CUE_REACH = 200
# How many numbers back a total may stand, and how many words back what a number without any sign goes by.
_TOTAL_REACH = 40
_LAST_REACH = 2000


@dataclass(frozen=True, slots=True)
class CasualtyValue:
    """What one casualty span says.

    ``low`` and ``high`` include both ends; ``high`` is None where the number is open upwards. ``more_than`` 30 has
    ``low`` 30, ``at_most`` 30 has ``low`` 0. ``group`` is a key of ``rules/groups.yaml``, None where nothing is said.
    ``part_of`` is the span ``(start, end)`` of the total that a breakdown belongs to. What can't be known is None and
    ``why`` says the reason: one of :class:`~marsad.facts.numbers.Unread`, ``contradictory_bounds``, ``plural_alone``
    (a plural without a number) or ``no_outcome`` (nothing in the report tells it).
    """

    low: int | None = None
    high: int | None = None
    bound: Bound | None = None
    outcome: Outcome | None = None
    group: str | None = None
    part_of: tuple[int, int] | None = None
    why: str | None = None

    def record(self) -> dict[str, Any]:
        """As a plain dictionary; ``why`` is a key only where there is a reason."""
        record: dict[str, Any] = {
            "low": self.low,
            "high": self.high,
            "bound": self.bound,
            "outcome": self.outcome,
            "group": self.group,
            "part_of": list(self.part_of) if self.part_of else None,
        }
        return record | ({"why": self.why} if self.why else {})


def read_casualties(
    document: Document,
    entities: Sequence[Entity] | None = None,
    label: str = "CASUALTY",
    words: Words | None = None,
) -> list[CasualtyValue]:
    """The value of each entity of type ``label``, in the order given; the document's own entities where None.

    The entities of other types are needed too: words inside names (``ساحة الشهداء``) say nothing on an outcome.
    ``words``: those of the text, folded, if the caller has them.
    Never raises, whatever the text and the spans.
    """
    entities = document.entities if entities is None else entities
    if not any(entity.label == label for entity in entities):
        return []
    report = _Report(document.text, entities, label, fold_words(document.text) if words is None else words)
    by_span = {(span.start, span.end): value for span, value in zip(report.spans, report.values(), strict=True)}
    return [by_span[entity.start, entity.end] for entity in entities if entity.label == label]


def casualty_value(document: Document, entity: Entity) -> CasualtyValue:
    """The value of one entity of a document, which need not be among the document's own."""
    others = [other for other in document.entities if other.end <= entity.start or entity.end <= other.start]
    entities = [*others, entity]
    return read_casualties(document, entities, entity.label)[-1]


# The number of a span


def read_count(text: str, between: bool = False) -> Number | Unread:
    """How many persons a casualty span counts: its number, or the number of its noun.

    ``أحد`` and ordinals are one person (``وإصابة ثالث``). Never raises.
    """
    return _count(fold_words(text).words, text, between)


def _count(words: Sequence[Word], text: str, between: bool) -> Number | Unread:
    number = read_words(words, text, between)
    if isinstance(number, Number):
        return Number(1, 1) if number.form == "ordinal" else number
    numeric = [i for i, word in enumerate(words) if is_number_word(word.text)]
    if numeric and numeric[-1] - numeric[0] + 1 == len(numeric) < len(words):
        # A noun stands beside the number: مدنيين اثنين.
        part = read_words(words[numeric[0] : numeric[-1] + 1], text, between)
        if isinstance(part, Number) and number.why != "stray_letters":
            return Number(1, 1) if part.form == "ordinal" else part
    if number.why != "no_number" or not words or not words[0].text[0].isalpha():
        return number
    if any(_is_joined_noun(word.text) for word in words[1:]):
        return Unread("not_one_number")
    count = _noun_number(words[0].text, text[words[0].start : words[0].end])
    return Number(count, count) if count else Unread("plural_alone")


def _is_joined_noun(word: str) -> bool:
    """Whether a word of a span is one more that is counted (رجل وزوجته), not one that begins with a و of its own."""
    return word == "و" or (
        word[0] == "و" and len(word) > 3 and not any(form in _nouns().waw for form in bare_forms(word))
    )


@dataclass(frozen=True, slots=True)
class _Nouns:
    singular: frozenset[str]
    dual: frozenset[str]
    plural: frozenset[str]
    kin: frozenset[str]
    waw: frozenset[str]


@lru_cache(maxsize=1)
def _nouns() -> _Nouns:
    rules = load_rules("nouns")
    return _Nouns(*(frozenset(map(fold, rules[name])) for name in ("singular", "dual", "plural", "kin", "waw")))


def _noun_number(word: str, original: str) -> int | None:
    """1 for a singular, 2 for a dual, None for a plural; ``original`` shows ة and tanwin, which folding hides."""
    nouns = _nouns()
    for form in bare_forms(word):
        if form in nouns.dual:
            return 2
        if form in nouns.plural:
            return None
        if form in nouns.singular:
            return 1
    if word.endswith("ون"):
        return None
    if len(word) > 3 and (word.endswith(("ان", "ين")) or (word.endswith(("تا", "تي")) and "\u064b" not in original)):
        return 2
    if not original.endswith("ة"):
        for suffix in ("هما", "هم", "هن", "ها", "نا", "ه"):
            stem = word.removesuffix(suffix)
            if stem != word and stem.endswith(("ا", "ي")) and any(form in nouns.kin for form in stems(stem[:-1])):
                return 2
    return 1


# The words that say what became of whom


_GOVERNING = frozenset({"verb", "form"})


@dataclass(frozen=True, slots=True)
class _Cue:
    """A word that names an outcome; ``role`` as in the table (verb, form, …), ``joined`` by و or ف to the last."""

    outcome: Outcome
    role: str
    joined: bool = False


_NOUN_ENDINGS = ("", "ه", "ان", "ين", "تان", "تين", "ون", "ات", "و", "ي")


def _noun_forms(noun: str) -> list[str]:
    """A noun with its endings; one in ة keeps to its feminine ones (شابة has no شابين)."""
    if noun.endswith("ه"):
        return [noun, *(noun[:-1] + ending for ending in ("تان", "تين", "تا", "تي", "ات"))]
    return [noun + ending for ending in _NOUN_ENDINGS]


def _verb_forms(stem: str) -> tuple[list[str], list[str]]:
    """The forms that govern what follows, and those that follow whom they speak of; قضي has قضت and قضوا."""
    weak = stem.removesuffix("ي")
    return [stem, stem + "ت", weak + "ت"], [weak + "وا", stem + "ا", stem + "تا", weak + "تا", stem + "ن"]


@dataclass(frozen=True, slots=True)
class _OutcomeRules:
    cues: Mapping[str, tuple[Outcome, str]]
    lists: Mapping[str, frozenset[str]]


@lru_cache(maxsize=1)
def _outcome_rules() -> _OutcomeRules:
    rules = load_rules("outcomes")
    cues: dict[str, tuple[Outcome, str]] = {}

    def add(words: Sequence[str], outcome: Outcome, role: str) -> None:
        for word in words:
            cues.setdefault(word, (outcome, role))

    for outcome, kinds in rules.pop("outcomes").items():
        for stem in map(fold, kinds.get("verbs", [])):
            event, after = _verb_forms(stem)
            add(event, outcome, "verb")
            add(after, outcome, "after")
        add([fold(word) for word in kinds.get("after", [])], outcome, "after")
        add([fold(word) for word in kinds["forms"]], outcome, "form")
        for noun in map(fold, kinds["nouns"]):
            add(_noun_forms(noun), outcome, "noun")
        add([fold(word) for word in kinds["weak"]], outcome, "weak")
    return _OutcomeRules(cues, {name: frozenset(map(fold, words)) for name, words in rules.items()})


@lru_cache(maxsize=65536)
def _cue(word: str) -> _Cue | None:
    rules = _outcome_rules()
    never = rules.lists["not"]
    for form in stems(word):
        if form in never:
            return None
        found = rules.cues.get(form)
        if found is not None:
            joined = form != word and word[0] in "وف" and not word.startswith(form)
            return _Cue(*found, joined)
    return None


@lru_cache(maxsize=65536)
def _in_list(word: str, name: str) -> bool:
    return not _outcome_rules().lists[name].isdisjoint({word, word.removeprefix("و"), word.removeprefix("ف")})


# Bounds


@dataclass(frozen=True, slots=True)
class _BoundRules:
    """Phrases as tuples of folded words, the longest first; ``before`` by the last word, ``after`` by the first."""

    before: Mapping[str, tuple[tuple[tuple[str, ...], Bound], ...]]
    after: Mapping[str, tuple[tuple[tuple[str, ...], Bound], ...]]
    between: frozenset[str]


@lru_cache(maxsize=1)
def _bound_rules() -> _BoundRules:
    rules = load_rules("bounds")
    tables: dict[str, dict[str, list[tuple[tuple[str, ...], Bound]]]] = {"before": {}, "after": {}}
    for bound, places in rules.items():
        if bound == "between":
            continue
        for place, key in (("before", -1), ("after", 0)):
            for phrase in places[place]:
                words = tuple(fold_words(phrase).texts())
                tables[place].setdefault(words[key], []).append((words, bound))
    before, after = (
        {word: tuple(sorted(set(found), key=lambda item: (-len(item[0]), item))) for word, found in table.items()}
        for table in (tables["before"], tables["after"])
    )
    return _BoundRules(before, after, frozenset(map(fold, rules["between"])))


# Groups


@dataclass(frozen=True, slots=True)
class _GroupRules:
    """Word → (rank, group), rank 0 first; phrases of several words by their first word."""

    words: Mapping[str, tuple[int, str]]
    phrases: Mapping[str, tuple[tuple[tuple[str, ...], int, str], ...]]
    ends: frozenset[str]
    shares: frozenset[str]
    men: frozenset[str]


@lru_cache(maxsize=1)
def _group_rules() -> _GroupRules:
    words: dict[str, tuple[int, str]] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], int, str]]] = {}
    rules = load_rules("groups")
    for rank, (group, entries) in enumerate(rules["groups"].items()):
        for entry in map(fold, entries):
            first, *rest = entry.split()
            if rest:
                phrases.setdefault(first, []).append(((first, *rest), rank, group))
            else:
                for form in _noun_forms(entry):
                    words.setdefault(form, (rank, group))
    ends, shares, men = (frozenset(map(fold, rules[name])) for name in ("ends", "shares", "men"))
    return _GroupRules(words, {first: tuple(found) for first, found in phrases.items()}, ends, shares, men)


@lru_cache(maxsize=65536)
def _group(word: str) -> tuple[int, str] | None:
    table = _group_rules().words
    for form in stems(word):
        if form in table:
            return table[form]
    return None


# A report


@dataclass(frozen=True, slots=True)
class _Span:
    """A casualty span: offsets in the text, and the half-open range of its words, phrases of bounds left out."""

    start: int
    end: int
    first: int
    last: int


class _Report:
    """The words of one report with what each says, and the values of its spans, found from left to right."""

    def __init__(self, text: str, entities: Sequence[Entity], label: str, words: Words) -> None:
        self.text = text
        self.words: Sequence[Word] = words.words
        self.texts = words.texts()
        self.spans: list[_Span] = []
        self.owner: dict[int, int] = {}  # word → index of its span
        self.masked: set[int] = set()  # words inside the names of others
        for start, end, name in sorted({(entity.start, entity.end, entity.label) for entity in entities}):
            first, last = words_in_span(self.words, start, end)
            if name == label:
                first, last = self._with_scale(*self._without_bounds(first, last))
                self.owner.update(dict.fromkeys(range(first, last), len(self.spans)))
                self.spans.append(_Span(start, end, first, last))
            else:
                self.masked.update(range(first, last))
        self._split(words)
        self.cues: list[_Cue | None] = [None if i in self.masked else _cue(word) for i, word in enumerate(self.texts)]
        self._drop_false_cues()
        self.found: list[CasualtyValue] = []
        self.totals: list[int | None] = []  # of each span, the index of the span that it is a part of
        self.chained: list[bool] = []  # whether a span is part of a breakdown inside its sentence

    def _without_bounds(self, first: int, last: int) -> tuple[int, int]:
        """The words of a span that has phrases of bounds inside (نحو 200), without these: as if they stood outside."""
        rules = _bound_rules()
        for i in range(last - 1, first, -1):
            phrases = [words for form in stems(self.texts[i - 1]) for words, _ in rules.before.get(form, ())]
            if any(len(words) == i - first and self._matches(words, range(first, i)) for words in phrases):
                first = i
                break
        for i in range(first + 1, last):
            if any(words == tuple(self.texts[i:last]) for words, _ in rules.after.get(self.texts[i], ())):
                return first, i
        return first, last

    def _with_scale(self, first: int, last: int) -> tuple[int, int]:
        """The words of a span and the thousands or millions right behind it: [30] ألف قتيل is no thirty."""
        if first < last < len(self.texts) and is_number_word(self.texts[last - 1]) and is_scale(self.texts[last]):
            return first, last + 1
        return first, last

    def _split(self, words: Words) -> None:
        """The sentence and the paragraph that each word stands in, as half-open ranges."""
        self.sentence: list[tuple[int, int]] = []
        self.paragraph: list[int] = []
        self.paragraphs = words.paragraphs
        self.head: list[int] = []  # of each paragraph, the last one up to it that is no item of a list
        self.heading: list[int | None] = []  # and the last one before it that ends in a colon
        for number, (first, last) in enumerate(words.paragraphs):
            self.head.append(self.head[-1] if number and self._is_item(number) else number)
            colon = number and self.texts[words.paragraphs[number - 1][1] - 1] == ":"
            self.heading.append(number - 1 if colon else self.heading[-1] if number else None)
            ends = [i + 1 for i in range(first, last) if self.texts[i] in _SENTENCE_ENDS]
            for start, end in pairwise([first, *ends, last]):
                self.sentence += [(start, end)] * (end - start)
            self.paragraph += [number] * (last - first)

    def _drop_false_cues(self) -> None:
        for i, word in enumerate(self.texts):
            cue = self.cues[i]
            if cue is None:
                continue
            following = self.cues[i + 1] if i + 1 < len(self.cues) else None
            if word == "فقد" and following is not None:
                self.cues[i] = None  # فقد قُتل: the particle
            elif cue.outcome == "missing" and self._is_bereft(i):
                self.cues[i] = replace(cue, outcome="killed")
            elif cue.outcome == "injured" and any(
                _in_list(self.texts[j], "died_of") for j in range(max(self.sentence[i][0], i - 4), i)
            ):
                self.cues[i] = None

    def _is_bereft(self, i: int) -> bool:
        """Whether who "lost" somebody lost them to death: فقدت ثلاثة من أحفادها, فقد طفل حياته."""
        if not any(_in_list(form, "lost") for form in stems(self.texts[i])):
            return False
        clause = list(takewhile(lambda word: word not in {"،", ","}, self.texts[i + 1 : self.sentence[i][1]]))
        pairs = pairwise(["", *clause[:_PHRASE_REACH]])
        return any(_in_list(word, "lives") or (before == "من" and _in_list(word, "own")) for before, word in pairs)

    def values(self) -> list[CasualtyValue]:
        for index, span in enumerate(self.spans):
            value, total, chained = self._value(index, span)
            self.found.append(value)
            self.totals.append(total)
            self.chained.append(chained)
        return self.found

    def _value(self, index: int, span: _Span) -> tuple[CasualtyValue, int | None, bool]:
        """The value of a span, the index of its total, and whether it stands in a breakdown inside its sentence."""
        if span.first == span.last:
            return CasualtyValue(why="no_number"), None, False
        count = _count(self.words[span.first : span.last], self.text, self._after_between(span))
        low = count.low if isinstance(count, Number) else 0
        total, chained = self._total(index, span, low)
        outcome = self._outcome(index, span, total)
        if total is None and outcome is not None:
            total = self._listed_total(span, outcome, low)
        elif total is not None and self.found[total].outcome not in {outcome, "mixed", None}:
            # Another outcome than the total's: the part of another total, or of none unless the words say so.
            if self._is_marked_part(index, span):
                same = self._whole(index, span, low, outcome=outcome, named=self._names_total(span))
                total = total if same is None else same
            elif not (self._is_part_after(span) or self._is_one_of(span)):
                total, chained = None, False
        value = CasualtyValue(
            outcome=outcome,
            group=self._group(index, span),
            part_of=None if total is None else (self.spans[total].start, self.spans[total].end),
            why=None if outcome is not None else "no_outcome",
        )
        if isinstance(count, Unread):
            return replace(value, why=count.why), total, chained
        bounds = self._bounds(span)
        if "at_most" in bounds and bounds & {"at_least", "more_than"}:
            return replace(value, why="contradictory_bounds"), total, chained
        low, high, bound = _bounded(count, bounds)
        return replace(value, low=low, high=high, bound=bound), total, chained

    def _after_between(self, span: _Span) -> bool:
        """Whether بين, not من بين, stands before the span."""
        i = span.first - 1
        if i < 0 or self.texts[i] not in {"بين", "وبين"} or i < self.sentence[span.first][0]:
            return False
        return i == 0 or self.texts[i - 1] not in {"من", "ومن"}

    # Bounds

    def _bounds(self, span: _Span) -> set[Bound]:
        """The kinds of bound that the phrases before and after the number name, one of each place at most."""
        before = self._bound_before(span)
        after = self._bound_after(span)
        return {bound for bound in (before, after) if bound is not None}

    def _bound_before(self, span: _Span) -> Bound | None:
        rules = _bound_rules()
        start = max(self.sentence[span.first][0], span.first - _PHRASE_REACH)
        # What is counted may stand inside the phrase: لا يقل عدد القتلى عن 30, تجاوزت حصيلة الضحايا 30.
        places = [i for i in range(start, span.first) if not self._names_victims(i)]
        for _ in range(3):
            if not places or places[-1] in self.owner:
                return None
            for form in stems(self.texts[places[-1]]):
                for words, bound in rules.before.get(form, ()):
                    if len(words) <= len(places) and self._matches(words, places[-len(words) :]):
                        return bound
            if self.texts[places[-1]] not in rules.between:
                return None
            places.pop()
        return None

    def _names_victims(self, i: int) -> bool:
        """Whether the word is part of عدد القتلى or حصيلة الضحايا."""
        if i in self.owner or i + 1 == len(self.texts):
            return False
        here, following = self.cues[i], self.cues[i + 1]
        if _in_list(self.texts[i], "tallies"):
            return following is not None and following.role == "noun"
        return here is not None and here.role == "noun" and i > 0 and _in_list(self.texts[i - 1], "tallies")

    def _matches(self, words: tuple[str, ...], places: Sequence[int]) -> bool:
        """Whether the phrase stands at these places; its first word may carry proclitics."""
        return words[0] in stems(self.texts[places[0]]) and words[1:] == tuple(self.texts[i] for i in places[1:])

    def _bound_after(self, span: _Span) -> Bound | None:
        rules = _bound_rules()
        _, end = self.sentence[span.first]
        for i in range(span.last, min(end, span.last + _PHRASE_REACH)):
            cue, word = self.cues[i], self.texts[i]
            for words, bound in rules.after.get(word, ()):
                if words == tuple(self.texts[i : i + len(words)]):
                    return bound
            if i in self.owner or (cue is not None and cue.role in _GOVERNING) or _in_list(word, "part_before"):
                return None
            if word in {"(", ":", "-", "–"}:
                return None
        return None

    # Parts

    def _total(self, index: int, span: _Span, low: int) -> tuple[int | None, bool]:
        """The span that this one is a part of, if any, and whether it stands in a breakdown."""
        start, _ = self.sentence[span.first]
        if not index:
            return None, False
        previous = self.spans[index - 1]
        if self._is_one_of(span) or self._is_part_after(span):
            return self._whole(index, span, max(low, 2), through=True), True
        if self._is_marked_part(index, span) or self._is_listed_part(index, span):
            return self._whole(index, span, low), True
        # Coordinated with a part: بينهم 12 طفلاً و5 مواطنات.
        if self.chained[index - 1] and previous.first >= start and self._is_joined(previous, span):
            total = self.totals[index - 1]
            if total is not None and self._reaches(total, low):
                return total, True
        return None, False

    def _is_one_of(self, span: _Span) -> bool:
        """أحدهم, إحداهما: one of those just counted."""
        return span.last - span.first == 1 and any(
            self.texts[span.first].endswith(end) and stem in stems(self.texts[span.first])
            for stem in ("احد", "احدا")
            for end in ("هم", "هن", "هما", "ها")
        )

    def _is_part_after(self, span: _Span) -> bool:
        return (
            span.last < self.sentence[span.first][1] and self.texts[span.last] in (_outcome_rules().lists["part_after"])
        )

    def _is_marked_part(self, index: int, span: _Span) -> bool:
        """Whether بينهم or the like, or an opening bracket, stands between this span and the one before."""
        start = max(self.sentence[span.first][0], span.first - _PART_REACH)
        if index:
            start = max(start, self.spans[index - 1].last)
        opened = False
        for i in range(span.first - 1, start - 1, -1):
            if opened and i in self.masked:
                return False  # the number in the brackets is told of the name before them: صلاح الدين (37)
            word, cue = self.texts[i], self.cues[i]
            if word == ")":
                return False
            if i not in self.masked and (_in_list(word, "part_before") or self._is_among_victims(i)):
                return True
            if tuple(self.texts[max(start, i - 2) : i + 1]) == _INCLUDING:
                return True
            if word == "(":
                opened = True
            if _in_list(word, "clause_breaks"):
                return False
            if cue is not None and (cue.role in {"verb", "form", "after"} or (cue.role == "weak" and cue.joined)):
                # A new clause, unless the part is told of at once: وأصيب من بينهم تسعة, ومنهم قُتل ثلاثة.
                return i - 1 >= start and _in_list(self.texts[i - 1], "part_before")
        return opened and bool(index) and self.spans[index - 1].last == start

    def _names_total(self, span: _Span) -> bool:
        """Whether the total that the number is part of is named by its noun: ومن بين القتلى خمسة."""
        start = max(self.sentence[span.first][0], span.first - _PHRASE_REACH)
        return any(self._is_among_victims(i) for i in range(start, span.first))

    def _is_among_victims(self, i: int) -> bool:
        """Whether the word is the definite noun of بين القتلى."""
        cue = self.cues[i]
        named = cue is not None and cue.role == "noun" and self.texts[i].startswith("ال")
        return named and i > 0 and _in_list(self.texts[i - 1], "among")

    def _is_listed_part(self, index: int, span: _Span) -> bool:
        """Whether numbers that add up to the one before, or less, follow its colon: 9 قتلى: 4 في حلب و5 في حماة."""
        total, (start, end) = self.spans[index - 1], self.sentence[span.first]
        if self.texts[span.first - 1] != ":" or total.first < start or span.first - total.last > _PHRASE_REACH:
            return False
        if any(cue is not None and cue.role in _GOVERNING for cue in self.cues[total.last : span.first]):
            return False
        most, parts = self.found[index - 1].high, []
        for i, part in enumerate(self.spans[index:], index):
            if part.first >= end or (i > index and not self._is_joined(self.spans[i - 1], part)):
                break
            count = _count(self.words[part.first : part.last], self.text, between=False)
            if isinstance(count, Unread):
                return False
            parts.append(count.low)
        return len(parts) > 1 and most is not None and sum(parts) <= most

    def _is_joined(self, previous: _Span, span: _Span) -> bool:
        """Whether only a noun phrase parts the two, and و or a comma joins them."""
        words = self.texts[previous.last : span.first]
        if any(cue is not None and cue.role in _GOVERNING for cue in self.cues[previous.last : span.first]):
            return False
        if ")" in words:
            return False
        if self.texts[span.first].startswith("و") or (words and words[-1] == "و"):
            return True
        return bool(words) and words[-1] in {"،", ","} and not any(_in_list(word, "clause_breaks") for word in words)

    def _reaches(self, index: int, low: int) -> bool:
        """Whether the span's number is as large as a part of it."""
        value = self.found[index]
        if value.low is None or value.high is None:
            return value.low is None or value.low >= low
        return value.high >= low

    def _whole(
        self,
        index: int,
        span: _Span,
        low: int,
        through: bool = False,
        outcome: Outcome | None = None,
        named: bool = False,
    ) -> int | None:
        """The nearest number before in the paragraph that is large enough, and has the outcome if one is given.

        One of an outcome stands in the sentence, unless its noun is ``named``. ``through``: a part may have parts
        itself, but 3 منهم نساء and 2 منهم أطفال are of the same.
        """
        paragraph = self.paragraph[span.first]
        for i in range(index - 1, max(-1, index - 1 - _TOTAL_REACH), -1):
            other = self.spans[i]
            if other.first == other.last or self.paragraph[other.first] < paragraph:
                return None
            if outcome is not None and not named and other.first < self.sentence[span.first][0]:
                return None
            if through and self._is_part_after(other) and self._is_part_after(span):
                continue
            if outcome is not None and self.found[i].outcome != outcome:
                continue
            if (through or not self.chained[i]) and self._reaches(i, low):
                return i
        return None

    def _listed_total(self, span: _Span, outcome: Outcome, low: int) -> int | None:
        """The total in the line that heads a list, for the numbers of an item."""
        number = self.paragraph[span.first]
        head = self.head[number]
        first, last = self.paragraphs[head]
        if head == number or self.texts[last - 1] != ":":
            return None
        for i in sorted({self.owner[word] for word in range(first, last) if word in self.owner}):
            if not self.chained[i] and self.found[i].outcome in {outcome, "mixed"}:
                return i if self._reaches(i, low) else None
        return None

    def _is_item(self, paragraph: int) -> bool:
        """Whether the line is an item of a list: a bullet or ``1.`` or ``2-`` stands first."""
        first, last = self.paragraphs[paragraph]
        if self.texts[first] in _BULLETS:
            return True
        return last - first > 2 and self.texts[first].isdecimal() and self.texts[first + 1] in {".", ")", "-", "–"}

    # Outcomes

    def _outcome(self, index: int, span: _Span, whole: int | None) -> Outcome | None:
        """What became of the counted ones; the nearest sign in the sentence decides, then what stood before."""
        governor = self._governor(span)
        counted = self._counted(span) or self._own(span)
        if counted is not None:
            # وفاة ثلاثة جرحى: the verb tells the news, the noun what they were before.
            news = governor is not None and governor.outcome == "killed" and counted != "mixed"
            return "killed" if news else counted
        if governor is not None:
            return governor.outcome
        noun = self._noun_before(span)
        if noun == "killed":
            return noun  # whatever became of them before: رفات ثلاثة رجال خُطفوا
        predicate = self._predicate(span) or noun
        if predicate is not None:
            return predicate
        if whole is not None and self.found[whole].outcome is not None:
            return self.found[whole].outcome
        if self._has_other_fate(span):
            return None
        return (
            self._nearest(span, strong=True)
            or self._following(span, strong=True)
            or self._nearest(span, strong=False)
            or self._following(span, strong=False)
            or self._inherited(index, span)
        )

    def _has_other_fate(self, span: _Span) -> bool:
        """Whether a verb that tells of no casualty stands directly before: وأسر تسعة."""
        start, _ = self.sentence[span.first]
        between = _bound_rules().between
        for i in range(span.first - 1, start - 1, -1):
            if i in self.owner:
                return False
            if _in_list(self.texts[i], "other_fates"):
                return True
            if not (self.texts[i] in between or self._is_bound_word(self.texts[i])):
                return False
        return False

    def _own(self, span: _Span) -> Outcome | None:
        """The outcome in the span's own noun (قتيلان); a verb before it in the clause may tell a later one."""
        cue = next((cue for cue in self.cues[span.first : span.last] if cue is not None and cue.role == "noun"), None)
        if cue is None:
            return None
        if not cue.joined and cue.outcome != "killed":
            for i in range(span.first - 1, max(self.sentence[span.first][0], span.first - _CUE_REACH) - 1, -1):
                before = self.cues[i]
                if i in self.owner or not self.texts[i][0].isalnum():
                    break
                if before is not None and before.role in {"verb", "form", "after"}:
                    return before.outcome
        return cue.outcome

    def _governor(self, span: _Span) -> _Cue | None:
        """The verb or verbal noun that stands directly before (``مقتل ما لا يقل عن``)."""
        start, _ = self.sentence[span.first]
        between = _bound_rules().between - {"و"}
        for i in range(span.first - 1, max(start, span.first - 8) - 1, -1):
            cue, word = self.cues[i], self.texts[i]
            if i in self.owner or self._is_joined_word(span, i):
                return None
            if cue is not None and cue.role in _GOVERNING:
                return replace(cue, outcome=self._paired(i))
            if not (word in between or _in_list(word, "bridges") or self._is_bound_word(word)):
                return None
        return None

    def _noun_before(self, span: _Span) -> Outcome | None:
        """The outcome of a counted noun directly before: عدد القتلى 9, الجرحى: 12."""
        start, _ = self.sentence[span.first]
        between = _bound_rules().between - {"و"}
        for i in range(span.first - 1, max(start, span.first - 6) - 1, -1):
            cue, word = self.cues[i], self.texts[i]
            if i in self.owner or self._is_joined_word(span, i):
                return None
            if cue is not None and cue.role == "noun":
                return self._paired(i)
            if not (word in between or self._is_bound_word(word)):
                return None
        return None

    def _is_joined_word(self, span: _Span, i: int) -> bool:
        return i + 1 == span.first and self.texts[span.first].startswith("و") and self.texts[span.first] != "واحد"

    def _paired(self, i: int) -> Outcome:
        """The outcome of the cue at ``i``; mixed where another is joined to it (``مقتل وإصابة``).

        A finite verb is joined to another only where that one begins its clause (``وقتل وجرح خمسة``); otherwise its
        subject stands before it (``إن رجلاً قتل وجرح خمسة``).
        """
        start = self.sentence[i][0]
        cue = self._cue_at(i)
        first = i - 1 if cue.joined else i - 2 if self.texts[i - 1] in {"و", "او"} else -1
        if first < start or first in self.owner:
            return cue.outcome
        other = self.cues[first]
        if other is None or other.outcome == cue.outcome:
            return cue.outcome
        if other.role == "form" and any(
            form in _outcome_rules().lists["verbal_nouns"] for form in stems(self.texts[i])
        ):
            return "mixed"  # مقتل وجرح 30
        if other.role != cue.role:
            return cue.outcome
        if cue.role == "verb":
            same_subject = self.texts[i].endswith("ت") == self.texts[first].endswith("ت")
            begins = other.joined or first == start or not self.texts[first - 1][0].isalpha()
            begins = begins or _in_list(self.texts[first - 1], "clause_breaks")
            if not (same_subject and begins):
                return cue.outcome
        return "mixed"

    def _cue_at(self, i: int) -> _Cue:
        cue = self.cues[i]
        if cue is None:
            raise ValueError(f"no cue at word {i}")
        return cue

    def _is_bound_word(self, word: str) -> bool:
        return any(form in _bound_words() for form in stems(word))

    def _counted(self, span: _Span) -> Outcome | None:
        """The outcome in the counted noun after the number: قتيلاً, من الجرحى, بين قتيل وجريح."""
        _, end = self.sentence[span.first]
        if self._is_between_outcomes(span, end):
            return "mixed"
        for i in range(span.last, min(end, span.last + 3)):
            if i in self.owner or self.texts[i] in {"،", ",", ":", "(", ")", "-", "–"}:
                return None
            cue = self.cues[i]
            word = self.texts[i]
            if (cue is not None and cue.joined) or word in _group_rules().ends or _in_list(word, "were"):
                return None
            if cue is not None and (cue.role == "noun" or (cue.role in _GOVERNING and self.texts[i - 1] in _CASES)):
                return self._counted_pair(i, end)
            if cue is not None and i == span.last and word in _outcome_rules().lists["counted_forms"]:
                return cue.outcome
        return None

    def _is_between_outcomes(self, span: _Span, end: int) -> bool:
        """Whether بين قتيل وجريح stands behind what is counted, before anything else is said."""
        for i in range(span.last, min(end - 2, span.last + _PHRASE_REACH)):
            cue, word = self.cues[i], self.texts[i]
            if i in self.owner or not word[0].isalpha() or (cue is not None and cue.role in {*_GOVERNING, "after"}):
                return False
            first, second = self.cues[i + 1], self.cues[i + 2]
            if word == "بين" and first is not None and second is not None:
                return first.role == second.role == "noun" and second.joined and first.outcome != second.outcome
        return False

    def _counted_pair(self, i: int, end: int) -> Outcome:
        """Mixed where the noun at ``i`` has another beside it that no number counts: قتيل وجريح."""
        first = self._cue_at(i)
        for j in range(i + 1, min(end, i + 3)):
            cue = self.cues[j]
            if cue is not None and j not in self.owner and cue.role in {"noun", "form", "verb"}:
                joined = cue.joined or self.texts[j - 1] in {"و", "او"}
                # «قتيل وإصابة 5» goes on with another number.
                counted = any(k in self.owner for k in range(j + 1, min(end, j + 2)))
                if joined and cue.outcome != first.outcome and cue.role == first.role and not counted:
                    return "mixed"
        return first.outcome

    def _predicate(self, span: _Span) -> Outcome | None:
        """The outcome of a verb that follows its subject: ثلاثة جنود قتلوا, إن جندياً قُتل."""
        start, end = self.sentence[span.first]
        subject = self._is_subject(span, start)
        weak: Outcome | None = None
        comma = aside = False
        for i in range(span.last, min(end, span.last + _VERB_REACH)):
            cue = self.cues[i]
            if self.texts[i] in {"،", ","}:
                comma, aside = True, False
            if i in self.owner:
                if comma and not self._is_aside(i):
                    break
                aside = True
                continue
            if _in_list(self.texts[i], "clause_breaks"):
                break
            if cue is None:
                continue
            if comma and aside:
                break  # ستة مدنيين، بينهم رجل وابنه أصيبا: it speaks of those
            if cue.joined or self.texts[i - 1] == "و":
                break
            if cue.role == "after":
                return cue.outcome
            if cue.role in _GOVERNING:
                if not subject or i + 1 in self.owner:
                    break  # it speaks of others
                return cue.outcome
            if cue.role in {"weak", "noun"} and subject and weak is None:
                weak = cue.outcome
        return weak

    def _is_aside(self, i: int) -> bool:
        """Whether the number at word ``i`` only tells of a part: ستة منهم أطفال."""
        span = self.spans[self.owner[i]]
        return self._is_part_after(span) or self._is_one_of(span) or _in_list(self.texts[span.first - 1], "part_before")

    def _is_subject(self, span: _Span, start: int) -> bool:
        i = span.first - 1
        while i >= start and (self.texts[i] in _bound_rules().between or self._is_bound_word(self.texts[i])):
            i -= 1
        return i < start or _in_list(self.texts[i], "subject_openers") or self.texts[i] in _BULLETS

    def _nearest(self, span: _Span, strong: bool) -> Outcome | None:
        """The nearest cue before in the sentence."""
        start, _ = self.sentence[span.first]
        for i in range(span.first - 1, max(start, span.first - _CUE_REACH) - 1, -1):
            cue = self.cues[i]
            if cue is None or (cue.role == "weak") == strong:
                continue
            if i in self.owner:
                return self.found[self.owner[i]].outcome
            return self._paired(i)
        return None

    def _following(self, span: _Span, strong: bool) -> Outcome | None:
        """The nearest cue after in the sentence, before the next number."""
        _, end = self.sentence[span.first]
        for i in range(span.last, min(end, span.last + _CUE_REACH)):
            if i in self.owner or _in_list(self.texts[i], "clause_breaks"):
                return None
            cue = self.cues[i]
            if cue is not None and (cue.role == "weak") != strong:
                return None if cue.joined else cue.outcome
        return None

    def _inherited(self, index: int, span: _Span) -> Outcome | None:
        """What the heading of a list says, or the number before, or the last cue before, or the first after."""
        paragraph = self.paragraph[span.first]
        listed = self._heading_outcome(paragraph)
        if listed is not None and self._is_item(paragraph):
            return listed
        if index:
            previous = self.spans[index - 1]
            if previous.first < previous.last and self.paragraph[previous.first] == paragraph:
                return self.found[index - 1].outcome
        if listed is not None:
            return listed
        before = range(span.first - 1, max(-1, span.first - 1 - _LAST_REACH), -1)
        after = range(span.last, min(len(self.cues), span.last + _LAST_REACH))
        for places, weak in ((before, False), (after, False), (before, True)):
            for i in places:
                cue = self.cues[i]
                if cue is not None and (cue.role == "weak") == weak:
                    if i not in self.owner:
                        return self._paired(i)
                    if self.owner[i] < index:
                        return self.found[self.owner[i]].outcome
        return None

    def _heading_outcome(self, paragraph: int) -> Outcome | None:
        """The outcome in the last line before that ends in a colon: القتلى بحسب الجهة:"""
        heading = self.heading[paragraph]
        if heading is None:
            return None
        first, last = self.paragraphs[heading]
        for i in range(first, last):
            cue = self.cues[i]
            if cue is not None and cue.role != "weak":
                if i in self.owner:
                    return self.found[self.owner[i]].outcome
                return self._counted_pair(i, last)
        return None

    # Groups

    def _group(self, index: int, span: _Span) -> str | None:
        """The first group of the table that a word of the counted noun phrase belongs to."""
        rules = _group_rules()
        _, end = self.sentence[span.first]
        best: tuple[int, str] | None = None
        men = False
        counted_word = is_number_word(self.texts[span.first])
        for i in range(span.first, min(end, span.last + (4 if counted_word else 2))):
            word = self.texts[i]
            if i == span.last and word in _outcome_rules().lists["part_after"]:
                continue  # 3 منهم أطفال
            if i >= span.last and (word in rules.ends or word in rules.shares):
                break
            if i >= span.last:
                cue = self.cues[i]
                if i in self.owner or not word[0].isalpha() or _in_list(word, "part_before"):
                    break
                if (cue is not None and cue.role in {"verb", "form", "after"}) or (
                    word[0] == "و" and word not in rules.words
                ):
                    break
            if _in_list(word, "others") and best is None:
                return self._group_of_total(index)
            found = self._group_of_word(i)
            men = men or any(form in rules.men for form in stems(word))
            for stem in stems(word):
                for phrase, rank, group in rules.phrases.get(stem, ()):
                    if phrase[1:] == tuple(self.texts[i + 1 : i + len(phrase)]):
                        found = min(found or (rank, group), (rank, group))
            if men and found is not None and found[1] in _NO_MEN:
                continue  # رجل عجوز, شاب ابن عم القتيل
            if found is not None and (best is None or found < best):
                best = found
        return best[1] if best else None

    def _group_of_word(self, i: int) -> tuple[int, str] | None:
        """The group of the noun at ``i``; شقيقه is his brother, though folding makes it one with شقيقة."""
        word = self.texts[i]
        original = self.text[self.words[i].start : self.words[i].end]
        if original.endswith("ه") and any(form in _nouns().kin for form in stems(word[:-1])):
            return _group(word[:-1])
        return _group(word)

    def _group_of_total(self, index: int) -> str | None:
        """The group of the last number before that is no part of a breakdown: خمسة آخرون are such as those."""
        for i in range(index - 1, max(-1, index - 1 - _TOTAL_REACH), -1):
            if not self.chained[i]:
                return self.found[i].group
        return None


_INCLUDING = ("بما", "في", "ذلك")
_NO_MEN = frozenset({"women", "children"})

# «5 حالات وفاة» counts what the verbal noun says.
_CASES = frozenset({"حالات", "حاله", "حالتي", "حالتا"})


@lru_cache(maxsize=1)
def _bound_words() -> frozenset[str]:
    """Every word of a phrase that may stand before a number."""
    return frozenset(word for found in _bound_rules().before.values() for words, _ in found for word in words)


def _bounded(count: Number, bounds: set[Bound]) -> tuple[int, int | None, Bound]:
    """The ends of the interval and its kind; a vague number or a range stays what it is."""
    if count.form in {"vague", "range"}:
        return count.low, count.high, "vague" if count.form == "vague" else "range"
    if "more_than" in bounds:
        return count.low, None, "more_than"
    if "at_least" in bounds:
        return count.low, None, "at_least"
    if "at_most" in bounds:
        return 0, count.high, "at_most"
    return count.low, count.high, "about" if "about" in bounds else "exact"
