"""Reports with their entities marked: ``[L في حلب]``."""

import re
from datetime import date

from marsad.documents import Document, Entity

LABELS = {"A": "ACTOR", "L": "LOCATION", "D": "DATE", "C": "CASUALTY", "X": "WEAPON"}


def marked(text: str, published: date | None = None) -> Document:
    """A document from text such as ``قتل [C 3] في [L حلب]``."""
    plain, entities, at = "", [], 0
    for match in re.finditer(r"\[([ALDCX]) (.*?)\]", text):
        plain += text[at : match.start()]
        entities.append(Entity(len(plain), len(plain) + len(match[2]), LABELS[match[1]]))
        plain += match[2]
        at = match.end()
    return Document("r1", plain + text[at:], tuple(entities), published)
