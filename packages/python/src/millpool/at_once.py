"""Whether the next batch is read on the loop's own thread."""

from __future__ import annotations

#: What is larger is read by another thread; the core has the same bound for what a batch has in fact.
_BATCH_BYTES_MAX = 2 << 20
#: A loop that works longer than this on so many batches in a row has the next ones read meanwhile.
_WORK_SECONDS_MAX = 0.001
_LONG_MAX = 3
_SKIPPED_MAX = 256


class AtOnce:
    """Reading at once takes a fraction of a millisecond, where handing a batch to another thread and being woken for it
    would cost as much as the copy; a loop that computes between batches would rather find them read. A try that fails
    comes before a longer pause each time.
    """

    def __init__(self, batch_bytes: float) -> None:
        """By the mean size of a batch."""
        self._is_small = batch_bytes <= _BATCH_BYTES_MAX
        self._long = 0
        self._skip = 0
        self._left = 0

    @property
    def serves(self) -> bool:
        return self._is_small and self._long < _LONG_MAX and self._left == 0

    def worked(self, seconds: float) -> None:
        """How long the loop worked on its last batch."""
        self._long = self._long + 1 if seconds > _WORK_SECONDS_MAX else 0

    def succeeded(self) -> None:
        self._skip = 0

    def failed(self) -> None:
        self._skip = min(_SKIPPED_MAX, max(4, 2 * self._skip))
        self._left = self._skip

    def passed(self) -> None:
        """A batch came another way."""
        self._left = max(0, self._left - 1)
