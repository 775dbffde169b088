"""Samples of one size as they lie in their slot of the ring, which is moved as it is."""

from __future__ import annotations

import torch
from torch.utils.dlpack import from_dlpack

from millpool.batch import Batch


class SlotBatch:
    """A batch that ``is_even``. Holds its slot."""

    def __init__(self, batch: Batch) -> None:
        self._rows = from_dlpack(batch.numpy())
        count, size = self._rows.shape
        #: Of all samples, and what lies between them.
        self.nbytes = (count - 1) * self._rows.stride(0) + size

    @property
    def locked(self) -> torch.Tensor | None:
        """The slot's memory, uint8 of shape ``(nbytes,)``, where a GPU can copy from it by itself."""
        return self._flat if self._rows.is_pinned() else None

    def pack(self, memory: torch.Tensor) -> None:
        """``memory``: uint8, of shape ``(nbytes,)`` or longer."""
        memory[: self.nbytes].copy_(self._flat)

    def unpack(self, memory: torch.Tensor) -> torch.Tensor:
        """The batch, of shape ``(batch, size)`` and contiguous; a view of ``memory`` where samples lie end to end."""
        return memory.as_strided(self._rows.shape, self._rows.stride()).contiguous()

    @property
    def _flat(self) -> torch.Tensor:
        return self._rows.as_strided((self.nbytes,), (1,))
