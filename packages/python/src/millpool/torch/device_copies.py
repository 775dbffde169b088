"""Copies to a GPU ahead of the loop, on a stream of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from millpool.torch.packed_batch import PackedBatch
from millpool.torch.slot_batch import SlotBatch

#: Batches on their way to the device or there, beside the one that the loop works on.
AHEAD = 2


@dataclass
class _Moving:
    batch: PackedBatch | SlotBatch
    memory: torch.Tensor
    #: The copy has ended.
    copied: torch.cuda.Event


class PinnedRing:
    """Page-locked host memory, piece after piece. One is written again only when its copy to the device has ended."""

    def __init__(self, pieces: int) -> None:
        self._pieces: deque[tuple[torch.Tensor, torch.cuda.Event | None]] = deque([(torch.empty(0), None)] * pieces)

    def take(self, nbytes: int) -> torch.Tensor:
        """The oldest piece, made larger where it is too small. uint8, of shape ``(nbytes,)``."""
        memory, copied = self._pieces.popleft()
        if copied is not None:
            copied.synchronize()
        if memory.numel() < nbytes:
            memory = torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)
        self._taken = memory
        return memory[:nbytes]

    def give(self, copied: torch.cuda.Event) -> None:
        """What was taken last is free again after ``copied``."""
        self._pieces.append((self._taken, copied))


class DeviceCopies:
    """Moves batches to ``device``, ``AHEAD`` of them before the loop asks. Its stream waits for its own batch alone."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._ring = PinnedRing(AHEAD + 1)
        #: Copied out of their slots, which nobody may write meanwhile.
        self._sources: deque[tuple[SlotBatch | PackedBatch, torch.cuda.Event]] = deque()
        #: When the loop's stream came to a batch, and when that was there: not looked at before both have passed.
        self._waits: deque[tuple[torch.cuda.Event, torch.cuda.Event]] = deque()

    def through(self, batches: Iterable[PackedBatch | SlotBatch]) -> Iterator[Any]:
        """The batches, with their tensors on the device."""
        moving: deque[_Moving] = deque()
        try:
            for batch in batches:
                moving.append(self._start(batch))
                if len(moving) > AHEAD:
                    yield self._arrived(moving.popleft())
            while moving:
                yield self._arrived(moving.popleft())
        finally:
            # A loop that is left may keep a batch whose copy is not over yet.
            self._let_go(0)

    def take_wait_seconds(self) -> float:
        """For how long the loop's stream stood still for copies, of those batches of which it is known by now."""
        seconds = 0.0
        while self._waits and all(event.query() for event in self._waits[0]):
            asked, copied = self._waits.popleft()
            seconds += max(0.0, asked.elapsed_time(copied) / 1000)
        return seconds

    def _start(self, batch: PackedBatch | SlotBatch) -> _Moving:
        self._let_go(AHEAD)
        locked = batch.locked
        if locked is None:
            host = self._ring.take(batch.nbytes)
            batch.pack(host)
        else:
            host = locked
        copied = torch.cuda.Event(enable_timing=True)
        with torch.cuda.stream(self._stream):
            memory = host.to(self._device, non_blocking=True)
            copied.record(self._stream)
        if locked is None:
            self._ring.give(copied)
        else:
            self._sources.append((batch, copied))
        return _Moving(batch, memory, copied)

    def _let_go(self, most: int) -> None:
        """Of sources that were copied, and of the oldest of more than ``most``: the loader waits for their slots."""
        while self._sources:
            _, copied = self._sources[0]
            if len(self._sources) > most:
                copied.synchronize()
            elif not copied.query():
                return
            self._sources.popleft()

    def _arrived(self, moving: _Moving) -> Any:
        loop = torch.cuda.current_stream(self._device)
        asked = torch.cuda.Event(enable_timing=True)
        asked.record(loop)
        loop.wait_event(moving.copied)
        # It was allocated on the side stream: nobody else is to have it before the loop is through with it.
        moving.memory.record_stream(loop)
        self._waits.append((asked, moving.copied))
        return moving.batch.unpack(moving.memory)
