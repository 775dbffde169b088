"""Where the bytes of tensors lie: in slots of the ring, so that they are copied once, or in memory of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from millpool.file import File
from millpool.mill import Mill
from millpool.safetensors_header import TensorPlace

#: Of the ring: a tensor in a slot is at most one such part of it, and while four are held, as batches or as tensors
#: that the program keeps, no more of them stay in slots.
_RING_SHARE = 8
_SHARES_HELD = 4
#: A slot for less would be mostly empty.
_SLOT_BYTES_MIN = 1 << 20


class TensorMemory:
    """Arrays of bytes (numpy, one dimension), which the program may write, and keep as long as it wants."""

    def __init__(self, mill: Mill) -> None:
        self._mill = mill
        #: The largest tensor that may lie in a slot.
        self.slot_bytes_max = mill.ring_bytes // _RING_SHARE

    @property
    def is_scarce(self) -> bool:
        """So much of the ring is held that tensors should lie elsewhere."""
        return self._mill.ring_held_bytes > _SHARES_HELD * self.slot_bytes_max

    def read(self, file: File, place: TensorPlace) -> Any:
        """One tensor's bytes, of whatever size."""
        if _SLOT_BYTES_MIN <= place.nbytes <= self.slot_bytes_max and not self.is_scarce:
            return self.read_together(file, [place], is_copied=False)[0]
        raw = np.empty(place.nbytes, dtype=np.uint8)
        file.read_into(raw.data, place.start)
        return raw

    def read_together(self, file: File, places: Sequence[TensorPlace], *, is_copied: bool) -> list[Any]:
        """Those of several, in one slot or copied out of it."""
        with file.read_ranges([slice(place.start, place.stop) for place in places]) as batch:
            if is_copied:
                return [np.array(np.frombuffer(view, dtype=np.uint8)) for view in batch]
            return [np.asarray(_SlotBytes(view)) for view in batch]


class _SlotBytes:
    """A view of a slot as numpy takes it. What is written there changes nothing but that tensor: nobody else reads it
    until the tensor is gone."""

    def __init__(self, view: memoryview) -> None:
        self._kept = flat = np.frombuffer(view, dtype=np.uint8)
        address, _ = flat.__array_interface__["data"]
        self.__array_interface__ = {**flat.__array_interface__, "data": (address, False)}
