"""Words as the rule tables know them: one spelling for what writers spell in many ways.

Nothing here is shown or stored; it is for looking words up. أ إ آ are read as ا, ؤ as و, ئ as ي, ى as ي, ة as ه, on top
of what the project's normalisation always does (tatweel, diacritics, digits, broken words …).
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

import regex
import yaml

from marsad.text.normalization import TextConfig, normalize_text
from marsad.text.words import Word, Words, split_words

CLEAN = TextConfig()
"""How the words of a report are read before they are folded."""
# What folding does on top of cleaning is one letter for one.
_LETTERS = str.maketrans("أإآٱؤئیېےىکڪة", "ااااويييييككه")
_PLAIN = regex.compile(r"[\u0621-\u063A\u0641-\u064A]+(?: [\u0621-\u063A\u0641-\u064A]+)*")
# Longest first: with the article after one-letter words, then those words alone.
_PROCLITICS = (
    "وبال",
    "فبال",
    "وال",
    "فال",
    "بال",
    "كال",
    "ولل",
    "فلل",
    "لل",
    "ال",
    "وب",
    "ول",
    "و",
    "ف",
    "ب",
    "ل",
    "ك",
)
_SUFFIXES = ("هما", "هم", "هن", "ها", "نا", "كم", "ه")


def fold(text: str) -> str:
    """``text`` as the rule tables spell it."""
    clean = text if _PLAIN.fullmatch(text) else normalize_text(text, CLEAN).text
    return clean.translate(_LETTERS)


def clean_words(text: str) -> Words:
    """The words of ``text`` without tatweel, diacritics and so on, but with their own letters."""
    return split_words(text, CLEAN)


def fold_words(text: str) -> Words:
    """The words of ``text``, folded; spans lead back to the original."""
    return fold_clean_words(clean_words(text))


def fold_clean_words(words: Words) -> Words:
    """As :func:`fold_words`, of words that :func:`clean_words` gave. Each keeps its length."""
    folded = (Word(word.text.translate(_LETTERS), word.start, word.end) for word in words.words)
    return Words(tuple(folded), words.paragraphs)


def bare_forms(word: str) -> list[str]:
    """A folded word, then without each run of proclitics (و ف ب ل ك ال) that it may begin with."""
    return [word, *(word[len(clitic) :] for clitic in _PROCLITICS if word.startswith(clitic))]


@lru_cache(maxsize=65536)
def stems(word: str) -> tuple[str, ...]:
    """What a folded word may be looked up as, the likeliest first.

    Its :func:`bare_forms`, each of them also without the alef of the accusative (``طفلا``), then without a pronoun at
    its end (``ثالثهم``). At least two letters are left.
    """
    bare = bare_forms(word)
    forms = [*bare, *(form[:-1] for form in bare if form.endswith("ا") and len(form) > 3)]
    forms += [
        form[: -len(end)] for form in bare for end in _SUFFIXES if form.endswith(end) and len(form) > len(end) + 2
    ]
    return tuple(dict.fromkeys(form for form in forms if form is word or len(form) > 1))


def load_rules(name: str) -> Any:
    """The rule table ``rules/NAME.yaml`` of this package, as YAML reads it."""
    return yaml.safe_load((files("marsad.facts") / "rules" / f"{name}.yaml").read_text(encoding="utf-8"))
