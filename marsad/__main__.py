"""``python -m marsad`` is ``marsad``."""

from marsad.cli import entry_point

entry_point()
