"""What the benchmarks that train or read with a model have in common as programs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from transformers.utils import logging as transformers_logging

from marsad.errors import MarsadError


def quiet(progress_of: str | None = None) -> None:
    """Nothing but warnings and the table is printed; the lines of progress of one part of ``marsad`` too, if named."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if progress_of is not None:
        logging.getLogger(progress_of).setLevel(logging.INFO)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def run(main: Callable[[], int]) -> None:
    """Run a program; a mistake in what it was given is one line, as in the commands."""
    try:
        sys.exit(main())
    except MarsadError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
