"""Progress over many reports: a bar on a terminal, a line a minute in a batch job."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

logger = logging.getLogger(__name__)

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 60.0


def show_progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Hand on ``items`` and show how many of ``total`` are done, the rate, and the time left."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, unit="report", desc=what)
        return
    began = said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= _SECONDS_BETWEEN_LINES:
            said = now
            rate = done / (now - began)
            logger.info("%s: %d/%d reports, %.1f/s, %s left", what, done, total, rate, clock((total - done) / rate))


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
