"""Tensors inside of tuples, lists and dictionaries, as collate functions return them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch


def tensors_of(batch: Any) -> Iterator[torch.Tensor]:
    """All of them, in the order in which ``with_tensors`` takes their successors."""
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for member in batch.values():
            yield from tensors_of(member)
    elif isinstance(batch, list | tuple):
        for member in batch:
            yield from tensors_of(member)


def with_tensors(batch: Any, successor: Callable[[], torch.Tensor]) -> Any:
    """The same structure with a successor in the place of each tensor; everything else is as it was."""
    if isinstance(batch, torch.Tensor):
        return successor()
    if isinstance(batch, Mapping):
        return {name: with_tensors(member, successor) for name, member in batch.items()}
    if isinstance(batch, list | tuple):
        members = [with_tensors(member, successor) for member in batch]
        if isinstance(batch, list):
            return members
        # A named tuple takes its members one by one.
        return type(batch)(*members) if hasattr(batch, "_fields") else tuple(members)
    return batch
