"""All tensors of a batch in one piece of memory, so that one transfer moves them."""

from __future__ import annotations

from typing import Any

import torch

from millpool.torch.tensor_tree import tensors_of, with_tensors

#: Of each tensor's first byte: what any load of a GPU wants.
ALIGN_BYTES = 256


class PackedBatch:
    """Where each tensor of a batch lies. ``pack`` copies them into host memory; ``unpack`` finds them after a move."""

    #: Its tensors lie anywhere.
    locked = None

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self._places: list[tuple[int, torch.Tensor]] = []
        end = 0
        for tensor in tensors_of(batch):
            start = -(-end // ALIGN_BYTES) * ALIGN_BYTES
            self._places.append((start, tensor))
            end = start + tensor.numel() * tensor.element_size()
        self.nbytes = end

    def pack(self, memory: torch.Tensor) -> None:
        """``memory``: uint8, of shape ``(nbytes,)`` or longer."""
        for start, tensor in self._places:
            _view(memory, start, tensor).copy_(tensor)

    def unpack(self, memory: torch.Tensor) -> Any:
        """The batch, of tensors that are views of ``memory``."""
        places = iter(self._places)
        return with_tensors(self._batch, lambda: _view(memory, *next(places)))


def _view(memory: torch.Tensor, start: int, like: torch.Tensor) -> torch.Tensor:
    nbytes = like.numel() * like.element_size()
    return memory[start : start + nbytes].view(like.dtype).view(like.shape)
