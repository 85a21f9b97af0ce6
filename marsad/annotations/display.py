"""What the tables and pages about annotations share."""

from __future__ import annotations

from collections.abc import Iterable

from marsad.config import Config

_AROUND = 80


def in_label_order(labels: Iterable[str]) -> list[str]:
    """The project's own entity types in the order of its tables, then others by name."""
    own = Config().labels
    return sorted(labels, key=lambda label: (own.index(label) if label in own else len(own), label))


def text_around(text: str, start: int, end: int) -> tuple[str, str, str]:
    """The text before ``[start, end)``, its own and the text after it.

    The outer two have at most 80 characters and are cut at a blank where there is one.
    """
    before, after = text[max(start - _AROUND, 0) : start], text[end : end + _AROUND]
    if start > _AROUND and " " in before:
        before = before[before.index(" ") + 1 :]
    if end + _AROUND < len(text) and " " in after:
        after = after[: after.rindex(" ")]
    return before, text[start:end], after
