"""Numbers on the command line, with errors for people."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return an argparse type: a whole number of at least `least`, and at most `most`."""
    limits = f"at least {least}" if most is None else f"{least} to {most}"

    def read(text: str) -> int:
        number = int(text) if text.isdecimal() else least - 1
        if number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"expected a number of {limits}, got {text}")
        return number

    return read


positive = whole_number(1)
seed = whole_number(0, 2**32 - 1)
"""What numpy's generators take, and a study's own."""
