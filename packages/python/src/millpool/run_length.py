"""How many batches are read together, and how many are under way."""

from __future__ import annotations

import math

from millpool._native import Batch

#: Batches read ahead of the loop when nothing else is said: enough to hide a gather, few enough to hold little.
_AHEAD = 4
#: What is read in less than this costs more to hand to a thread and back than it does.
_RUN_SECONDS = 0.001
_BATCHES_MAX = 8
#: Read ahead of a loop that is at times faster than its device.
AHEAD_MAX = 16
#: Of the ring, for what is read ahead: a loop holds batches, and other loops read.
_RING_SHARE = 0.25
#: Slots are multiples of it.
_SLOT_BYTES = 2 << 20


class RunLength:
    """One batch a run, and as many under way as were asked for, until a batch was read from memory in a fraction of a
    millisecond: then handing each of them to a thread, and waking the loop for it, would cost as much as reading it. A
    batch that had to wait for anything ends that.

    A loop that takes its time for some steps and waits for the device at others (a checkpoint, a validation) is read
    further ahead, each time that it waits again. One that always waits gains nothing by it: its device is busy anyway.
    """

    def __init__(self, prefetch: int | None, ring_bytes: int) -> None:
        self._prefetch = prefetch
        self._ring_bytes = ring_bytes
        self._ahead = _AHEAD
        #: Some batch was there before the loop asked for it.
        self._was_early = False
        #: Batches a run.
        self.batches = 1

    @property
    def ahead(self) -> int:
        """Under way or ready: two runs, so that one is read while the other's batches are used."""
        return max(self._ahead, 2 * self.batches) if self._prefetch is None else self._prefetch

    def came(self, batch: Batch, *, is_late: bool) -> None:
        """``is_late``: after the loop had asked for it."""
        source, peer, device, gather, queue = batch.waits
        is_hit = batch.hits == len(batch)
        slots = self._ring_bytes * _RING_SHARE / max(_SLOT_BYTES, -(-batch.bytes // _SLOT_BYTES) * _SLOT_BYTES)
        if not is_late:
            self._was_early = True
        elif self._was_early and device > 0 and is_hit:
            self._was_early = False
            self._ahead = max(self._ahead, min(2 * self._ahead, AHEAD_MAX, math.floor(slots)))
        if device + source + peer > 0 or not is_hit:
            self.batches = 1
            return
        asked = _BATCHES_MAX if self._prefetch is None else self._prefetch // 2
        most = min(_BATCHES_MAX, math.floor(slots / 2), asked)
        fitting = math.floor(_RUN_SECONDS / max(gather + queue, 1e-9))
        self.batches = max(1, min(most, fitting, 2 * self.batches))
