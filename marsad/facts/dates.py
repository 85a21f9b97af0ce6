"""What a date says, as days: ``الـ 7 من آذار الفائت`` in a report of 2019-04-02 is 2019-03-07.

:mod:`marsad.facts.date_words` makes tokens of the words, :mod:`marsad.facts.date_grammar` days of the tokens; here is
what stands around a date: the day of the report, the dates read before it, the preposition and the tense.

Conventions, where the language leaves a choice:

- A weekday alone is the last one not after the report, a month without a year likewise; the future tense (``ستبدأ
  الأحد``) or a modifier (``المقبل``) turns both. A weekday that contradicts the day of the report wins, and
  what follows is told on that day.
- A festival without a year is the last one, or one at most 60 days ahead.
- The beginning of a year is January, of a month its first ten days; the middle June and July, or the days 11 to 20; the
  end likewise. A night between two days is both. A week runs from Monday to Sunday.
- A count backwards (``منذ 5 أيام``) ends with the day of the report, and so do ``الساعات الـ 24 الماضية``, which begin
  the day before. ``قبل شهرين`` is one day, of the grain month.
- Hijri days are those of the Umm al-Qura calendar, which may be a day off what a country observed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import regex

from marsad.documents import Document, Entity
from marsad.facts.date_grammar import Anchor, Report, UnreadableError, read_tokens
from marsad.facts.date_words import date_rules, tokenize
from marsad.facts.folding import fold_words
from marsad.facts.intervals import HijriRangeError
from marsad.text.words import Words, words_in_span

# A mark, with a blank behind it or hard between two words (أمس.وأصيب), not inside 3.5 or a link.
SENTENCE_END = r"[.!?؟…]+(?=\s|$)|(?<=\p{Arabic})[.!?؟…]+(?=\p{Arabic})"
_SENTENCE_END = regex.compile(SENTENCE_END + r"|[\n\r\u000b\u000c\u0085\u2028\u2029]")
_CLAUSE_ENDS = frozenset('،,؛;:()«»"“”')
# How many characters before a date are looked at for its preposition, a verb of reporting or a future tense.
_REACH = 80
# Stands for a word inside a name, which is neither verb nor preposition.
_NAME = "_"


REASONS = {
    "no_publication_date": "counted from the day of the report, which is not known",
    "no_date_to_refer_to": "refers to a date before it (the same period), of which there is none",
    "relative_to_undated_event": "counted from an event whose date is not said",
    "duration_without_anchor": "a bare count of days, hours …, without since, in or ago",
    "open_interval": "before or after a date, with no other end",
    "vague_number": "a count without a number (days ago)",
    "vague_period": "a period that is not said to be one named before",
    "impossible_date": "a day that no calendar has (31 April)",
    "hijri_out_of_range": "a Hijri date outside the tables of Umm al-Qura (1343 to 1500)",
    "reversed_range": "a range that ends before it begins",
    "months_disagree": "two names of a month that are not the same month",
    "weekday_contradicts_date": "the date was no such weekday",
    "ambiguous_month": "a name that two months share, without the word that tells them apart",
    "ambiguous_calendar": "a year that may be of either calendar, or a Hijri month that the year has twice or never",
    "ambiguous_festival": "a festival whose day differs between countries, or is not said",
    "ambiguous_winter": "the winter of one year, which may be the one before or after it",
    "ambiguous_part": "a part of a week, decade or century that writers draw differently",
    "not_understood": "words that the tables do not know, or that make no date together",
}
"""Why a date has no value."""


@dataclass(frozen=True, slots=True)
class DateValue:
    """``start`` to ``end``, both included, and the ``grain`` that the text speaks in; or nothing and ``why``.

    ``why`` is one of :data:`REASONS`.
    """

    start: date | None
    end: date | None
    grain: str | None = None
    why: str | None = None

    def record(self) -> dict[str, Any]:
        """As a JSON record: ``start``, ``end`` and ``grain``, or nulls and ``why``."""
        if self.start is None or self.end is None:
            return {"start": None, "end": None, "why": self.why}
        return {"start": self.start.isoformat(), "end": self.end.isoformat(), "grain": self.grain}


def read_dates(
    document: Document, entities: Sequence[Entity], words: Words | None = None, names: Sequence[Entity] = ()
) -> list[DateValue]:
    """The value of each entity, in the order given; the entities are DATE spans of ``document``.

    They are read in the order of the text, since a date may refer to those before it. ``words``: those of the text,
    folded, if the caller has them. ``names``: entities of other types, whose words are no verbs (``ستيفان``). Never
    raises, whatever the text.
    """
    if not entities:
        return []
    text = _Text(document.text, words, names)
    report = Report(document.published)
    values: list[DateValue] = [DateValue(None, None, why="not_understood")] * len(entities)
    for place in sorted(range(len(entities)), key=lambda i: (entities[i].start, entities[i].end)):
        sentence = text.sentence(entities[place].start)
        before, inside = text.words(entities[place].start, entities[place].end)
        try:
            read = read_tokens(tokenize(inside), _anchor(report, sentence, before, inside))
        except UnreadableError as reason:
            values[place] = DateValue(None, None, why=str(reason))
        except HijriRangeError:
            values[place] = DateValue(None, None, why="hijri_out_of_range")
        except (ValueError, OverflowError):  # from the calendars: no such day, or none that they can hold
            values[place] = DateValue(None, None, why="impossible_date")
        else:
            values[place] = DateValue(read.start, read.end, read.grain)
            reporting = date_rules().reporting
            reported = any(form in reporting for word in before for form in _joined(word))
            report.remember(read, sentence, reported)
    return values


class _Text:
    """A report's text, cut into sentences, and folded only around its dates."""

    def __init__(self, text: str, words: Words | None, names: Sequence[Entity]) -> None:
        self.text = text
        self.folded = words
        self.names = sorted((name.start, name.end) for name in names)
        self.breaks = [match.end() for match in _SENTENCE_END.finditer(text)]

    def sentence(self, offset: int) -> int:
        """The number of the sentence that ``offset`` lies in."""
        return bisect_right(self.breaks, offset)

    def words(self, start: int, end: int) -> tuple[list[str], list[str]]:
        """The words before ``start`` in its sentence, nearest first, and those of the span itself."""
        sentence = self.sentence(start)
        first = max(self.breaks[sentence - 1] if sentence else 0, start - _REACH)
        before = self._between(first, start)
        if first == start - _REACH and before:
            del before[0]  # perhaps cut
        said = [_NAME if self._in_name(offset) else word for offset, word in before]
        return said[::-1], [word for _, word in self._between(start, end)]

    def _in_name(self, offset: int) -> bool:
        at = bisect_right(self.names, (offset, len(self.text))) - 1
        return at >= 0 and offset < self.names[at][1]

    def _between(self, start: int, end: int) -> list[tuple[int, str]]:
        """The words of ``[start, end)`` and where each begins; read anew where it cuts one of the report's in two."""
        if self.folded is not None:
            words = self.folded.words
            first, last = words_in_span(words, start, end)
            if first == last or (words[first].start >= start and words[last - 1].end <= end):
                return [(word.start, word.text) for word in words[first:last]]
        return [(start + word.start, word.text) for word in fold_words(self.text[start:end])]


def _joined(word: str) -> tuple[str, ...]:
    """A word as it stands and without a و or ف written onto it."""
    return (word, word[1:]) if word[0] in "وف" else (word,)


def _anchor(report: Report, sentence: int, before: Sequence[str], words: Sequence[str]) -> Anchor:
    here = report.last_day if sentence == report.sentence else None
    told = here if report.reported else None
    # A preposition taken into the span says the same as one before it.
    return Anchor(report, report.today, here, told, _is_future(before), _lead(words[:1]) or _lead(before))


def _lead(before: Sequence[str]) -> str:
    """What the preposition before a date says, past words that only say "about"."""
    rules = date_rules()
    lead = ""
    for word in before:
        form = next((form for form in _joined(word) if form in rules.leads), "")
        if form:
            lead = rules.leads[form]
        if word not in rules.approximate:
            break
    return lead


def _is_future(before: Sequence[str]) -> bool:
    rules = date_rules()
    future = False
    for i, word in enumerate(before):
        if word in _CLAUSE_ENDS:
            break
        if any(form in rules.past_auxiliaries for form in _joined(word)):
            return False
        # المقرر is an office too: what is planned is so من المقرر أن, or المقرر الأحد.
        if any(form in rules.planned for form in _joined(word)):
            directly = all(between in rules.leads for between in before[:i])
            future = future or directly or before[i - 1] == "ان" or before[i + 1 : i + 2] == ["من"]
        else:
            future = future or any(rules.is_future(form) for form in _joined(word))
    return future
