"""Reports rendered from the record of an evaluation."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from marsad.files import to_json


def render_markdown(record: Mapping[str, Any]) -> str:
    """The record as Markdown."""
    overall = record["strict"]["overall"]
    return f"# Evaluation\n\nStrict F1: {overall['f1']:.4f}\n"


def render_html(record: Mapping[str, Any]) -> str:
    """The record as one HTML page."""
    return f"<!doctype html><meta charset=utf-8><title>Evaluation</title><pre>{html.escape(to_json(record, 2))}</pre>\n"
