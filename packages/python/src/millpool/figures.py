"""Numbers as people read them: the same text in both languages."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

_UNITS = ("PiB", "TiB", "GiB", "MiB", "KiB")


def fixed(number: float, digits: int) -> str:
    """With so many digits after the point; halves go up."""
    return str(Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def rounded(number: float) -> int:
    """The nearest whole number; halves go up."""
    return math.floor(number + 0.5)


def format_bytes(count: int) -> str:
    """In the largest binary unit of which there is one at least."""
    for place, unit in enumerate(_UNITS):
        size = 1 << 10 * (len(_UNITS) - place)
        if count >= size:
            return f"{count // size if count % size == 0 else fixed(count / size, 1)}{unit}"
    return f"{count}B"
