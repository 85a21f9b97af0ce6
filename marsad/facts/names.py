"""Names as they stand in a report, without the proclitics, quotes and blanks around and inside them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from marsad.facts.folding import clean_words, fold_clean_words
from marsad.text.words import Words, words_in_span

_LETTER_CLITICS = "وفبلك"
_QUOTES = frozenset("\"'«»“”„‟‘’‚‹›()[]{}")


@dataclass(frozen=True, slots=True)
class ReportWords:
    """The words of a report, cleaned (:func:`~marsad.facts.folding.clean_words`) and folded; each as long in both."""

    clean: Words
    folded: Words

    @classmethod
    def of(cls, text: str) -> ReportWords:
        """The words of ``text``."""
        clean = clean_words(text)
        return cls(clean, fold_clean_words(clean))

    def name(self, start: int, end: int) -> Name:
        """The words that touch ``[start, end)``, as a name: without quotes and brackets."""
        first, last = words_in_span(self.clean.words, start, end)
        kept = [i for i in range(first, last) if self.clean.words[i].text not in _QUOTES]
        words = self.clean.words
        gaps = zip([first, *kept], kept, strict=False)
        return Name(
            tuple(words[i].text for i in kept),
            tuple(self.folded.words[i].text for i in kept),
            tuple(i > first and any(words[j].end < words[j + 1].start for j in range(before, i)) for before, i in gaps),
        )


@dataclass(frozen=True, slots=True)
class Name:
    """The words of a name, cleaned and folded, and whether a blank stands before each."""

    clean: tuple[str, ...]
    folded: tuple[str, ...]
    blanks: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.folded)

    def text(self) -> str:
        """As a string."""
        return "".join(
            f" {word}" if blank and i else word
            for i, (word, blank) in enumerate(zip(self.clean, self.blanks, strict=True))
        )

    def from_word(self, first: int, last: int | None = None) -> Name:
        """The words from ``first`` on, before ``last``."""
        return Name(self.clean[first:last], self.folded[first:last], self.blanks[first:last])

    def without(self, cut: int, article: bool) -> Name:
        """Without the first ``cut`` letters of its first word; ``article``: لل was cut and ال stands instead."""
        first = ("ال" if article else "") + self.clean[0][cut:], ("ال" if article else "") + self.folded[0][cut:]
        return Name((first[0], *self.clean[1:]), (first[1], *self.folded[1:]), self.blanks)

    def readings(self) -> list[Name]:
        """The name as it stands, then without each run of proclitics that it may begin with; the article stays."""
        if not self.folded:
            return []
        return [self, *(self.without(cut, article) for cut, article in _clitics(self.folded[0]))]


def _clitics(word: str) -> list[tuple[int, bool]]:
    """How many letters may be proclitics, and whether they end in a ل that swallowed the alef of ال."""
    found = []
    at = 1 if word[0] in "وف" else 0
    if at and len(word) > 2:
        found.append((at, False))
    if len(word) > at + 2 and word[at] in "بلك":
        if word[at : at + 2] == "لل" and len(word) > at + 3:
            found.append((at + 2, True))
        found.append((at + 1, False))
    return found


def likely_reading(name: Name, known: Collection[str]) -> Name:
    """The name without what is most likely a proclitic, where no table knows it.

    The first reading whose first word is one of ``known``, with or without the article. Else و ف ب ك and لل are cut off
    before the article, and و before other words too; a lone ب, ل, ك or ف may as well be the name's own.
    """
    readings = name.readings()
    for reading in readings:
        if reading.folded[0] in known or reading.folded[0].removeprefix("ال") in known:
            return reading
    for reading in readings[1:]:
        if reading.folded[0].startswith("ال") and len(reading.folded[0]) > 3:
            return reading
    if name.folded and name.folded[0][0] == "و" and len(name.folded[0]) > 3:
        return name.without(1, False)
    return name


def split_at(name: Name, marks: Collection[str]) -> Sequence[Name]:
    """The parts of a name between words such as a slash."""
    parts, first = [], 0
    for i, word in enumerate([*name.folded, None]):
        if word is None or word in marks:
            if i > first:
                parts.append(name.from_word(first, i))
            first = i + 1
    return parts
