"""The audit and the disagreements of two annotations as pages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from marsad.annotations.agreement import Agreement
from marsad.annotations.audit import Audit
from marsad.annotations.display import in_label_order
from marsad.documents import Entity
from marsad.evaluation.scoring import Counts
from marsad.pages.page import render_page

# Findings of one kind, and inconsistent surfaces, on the page; all are in audit.json.
_MOST = 500


def audit_page(audit: Audit) -> str:
    """The HTML of an audit: counts, shifts, findings by kind with their text, inconsistent surfaces."""
    labels = list(audit.counts["labels"])
    splits = audit.counts["splits"]
    keys = ("reports", "words", "sentences", "sentences_without_entity", "reports_without_entity", "entities")
    total: dict[str, Any] = {key: sum(split[key] for split in splits.values()) for key in keys}
    total["labels"] = audit.counts["labels"]
    return render_page(
        "audit.html.j2",
        rows=[*splits.items(), ("all", total)],
        labels=labels,
        colors=type_classes(labels),
        shares=[(name, audit.counts[name].most_common()) for name in ("source", "conflict")],
        reports=total["reports"],
        errors=len(audit.errors),
        notices=len(audit.findings) - len(audit.errors),
        kinds=audit.by_kind(),
        shifts=audit.shifts,
        novelties=audit.novelties,
        inconsistencies=audit.inconsistencies,
        most=_MOST,
    )


def agreement_page(agreement: Agreement, first: str, second: str) -> str:
    """The HTML of an agreement: the scores, and each disagreement side by side to decide on.

    ``first`` and ``second`` name the annotations. The choices are kept in the browser and come out of it as JSON Lines
    that :func:`marsad.annotations.agreement.read_decisions` reads.
    """
    labels = in_label_order(agreement.strict)
    rows = [(name, agreement.strict[name], agreement.partial[name], agreement.kappas[name]) for name in labels]
    overall = [sum(scores.values(), Counts()) for scores in (agreement.strict, agreement.partial)]
    keys = [one.key for one in agreement.disagreements]
    digest = hashlib.sha256(repr(keys).encode("utf-8", "backslashreplace"))
    named = [dict(zip(("id", "start", "end", "first", "second"), key, strict=True)) for key in keys]
    return render_page(
        "agreement.html.j2",
        agreement=agreement,
        first=first,
        second=second,
        rows=[*rows, ("all", overall[0], overall[1], agreement.kappa)],
        colors=type_classes(labels),
        kinds=sorted({one.kind for one in agreement.disagreements}),
        cards=[
            (one, *(segments(one.around[1], one.start, side) for side in (one.first, one.second)))
            for one in agreement.disagreements
        ],
        data={"disagreements": named, "name": f"marsad-decisions-{digest.hexdigest()[:16]}"},
    )


def segments(text: str, offset: int, side: Sequence[Entity]) -> list[tuple[str, str | None]]:
    """The text of a stretch, which begins at ``offset``, in pieces, each with the label that a side gives it."""
    pieces: list[tuple[str, str | None]] = []
    end = 0
    for entity in side:
        pieces.append((text[end : entity.start - offset], None))
        pieces.append((text[entity.start - offset : entity.end - offset], entity.label))
        end = entity.end - offset
    pieces.append((text[end:], None))
    return [piece for piece in pieces if piece[0]]


def type_classes(labels: Sequence[str]) -> dict[str, str]:
    """The class of each entity type's colour: those of the style sheet, in order, then again."""
    return {label: f"type-{index % 6}" for index, label in enumerate(labels)}
