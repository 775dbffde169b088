"""What a user says of a loader, checked."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from millpool.batch import ON_ERROR, OnError
from millpool.errors import Invalid
from millpool.loader_state import WHOLE_MAX
from millpool.processors import processors_here
from millpool.transform import Collate, Transform
from millpool.world import World

_THREADS_MAX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderSettings:
    """``Invalid`` names the option that is wrong."""

    batch_size: int
    shuffle: bool
    seed: int
    drop_last: bool
    epoch: int
    rank: int | None
    world: int | None
    prefetch: int | Literal["auto"]
    hints: bool
    on_error: OnError
    transform: Transform | None
    collate_fn: Collate | None
    num_threads: int | None
    timeout: float | None

    def __post_init__(self) -> None:
        _require_whole("batch_size", self.batch_size, 1)
        for name in ("seed", "epoch"):
            _require_whole(name, getattr(self, name), 0)
        for name in ("shuffle", "drop_last", "hints"):
            _require(name, getattr(self, name), lambda value: isinstance(value, bool), "True or False")
        if (self.rank is None) != (self.world is None):
            raise Invalid("rank and world go together", "Give both, or neither.")
        if self.rank is not None and self.world is not None:
            _require_whole("world", self.world, 1)
            _require_whole("rank", self.rank, 0)
            World(self.rank, self.world)
        if self.prefetch != "auto":
            _require("prefetch", self.prefetch, _is_whole(1), '"auto", or a whole number of 1 or more')
        _require("on_error", self.on_error, ON_ERROR.__contains__, '"raise", "skip" or "keep"')
        for name in ("transform", "collate_fn"):
            _require(name, getattr(self, name), lambda value: value is None or callable(value), "callable, or None")
        if self.num_threads is not None:
            wanted = f"None, or a whole number from 1 to {_THREADS_MAX}"
            _require("num_threads", self.num_threads, _is_whole(1, _THREADS_MAX), wanted)
        if self.timeout is not None:
            _require("timeout", self.timeout, _is_above_zero, "a number of seconds above 0, or None")

    @property
    def prefetch_batches(self) -> int | None:
        """None: as many as serve."""
        return None if self.prefetch == "auto" else self.prefetch

    @property
    def threads(self) -> int:
        """That transform: as many as this process may count on processors."""
        return self.num_threads or processors_here()

    @property
    def transforms(self) -> bool:
        return self.transform is not None or self.collate_fn is not None


def _require(name: str, value: Any, is_right: Callable[[Any], bool], wanted: str) -> None:
    if not is_right(value):
        raise Invalid(f"the loader's {name} is {value!r}; it must be {wanted}", "Correct the option.")


def _require_whole(name: str, value: Any, least: int) -> None:
    _require(name, value, _is_whole(least), f"a whole number of {least} or more")


def _is_whole(least: int, most: int = WHOLE_MAX) -> Callable[[Any], bool]:
    def is_within(value: Any) -> bool:
        try:
            return least <= operator.index(value) <= most
        except TypeError:
            return False

    return is_within


def _is_above_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and value > 0
