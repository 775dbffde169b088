"""Programs of loaders that keep samples in a format of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable


def write_or_read(write: Callable[[str, int, str], None], read: Callable[[str, int, int], None]) -> None:
    """``PROGRAM write FOLDER COUNT OUT``, then ``PROGRAM read FOLDER COUNT OUT BATCH WORKERS``."""
    what, folder, count, out, *rest = sys.argv[1:]
    if what == "write":
        write(folder, int(count), out)
    else:
        batch_size, workers = rest
        read(out, int(batch_size), int(workers))
