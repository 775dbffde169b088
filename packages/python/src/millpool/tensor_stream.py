"""Tensors of files in the order in which they lie there, read ahead by threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from millpool.errors import Closed
from millpool.file import File
from millpool.mill import Mill
from millpool.safetensors_header import SafetensorsHeader, TensorPlace
from millpool.tensor_framework import TensorFramework
from millpool.tensor_memory import TensorMemory

#: Tensors that lie together are read together, up to this; and a large one in steps of it.
_PART_BYTES = 16 << 20
_READERS = 3
#: Of the ring: what is read ahead.
_RING_SHARE = 4
#: Slots are whole huge pages.
_SLOT_STEP_BYTES = 2 << 20


class _Part(NamedTuple):
    """Read at once."""

    #: What is complete with it.
    places: list[TensorPlace]
    #: Memory that it takes.
    nbytes: int
    #: Gives the bytes of each place.
    read: Callable[[], list[Any]]


class TensorStream:
    """``for name, tensor in stream``: in slots of the ring as far as ``TensorMemory`` allows."""

    def __init__(self, files: Iterable[File], framework: TensorFramework, mill: Mill) -> None:
        """Opens nothing. ``files`` are asked for one by one."""
        self._files = files
        self._framework = framework
        self._memory = TensorMemory(mill)
        self._ahead_bytes = mill.ring_bytes // _RING_SHARE
        self._part_bytes = min(_PART_BYTES, max(1, self._memory.slot_bytes_max))

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        parts = self._parts()
        under_way: deque[tuple[_Part, Future[list[Any]]]] = deque()
        pool = ThreadPoolExecutor(_READERS, "millpool-tensors")
        process = os.getpid()
        try:
            upcoming = next(parts, None)
            while upcoming or under_way:
                if process != os.getpid():
                    # Its threads are not here: what they read would be waited for in vain.
                    raise Closed(
                        "this stream belongs to the process that this one was forked from",
                        "Open the stream again in this process.",
                    )
                while upcoming and self._has_room(under_way, upcoming):
                    under_way.append((upcoming, pool.submit(upcoming.read)))
                    upcoming = next(parts, None)
                yield from self._tensors(*under_way.popleft())
        finally:
            if process == os.getpid():
                pool.shutdown(wait=False, cancel_futures=True)

    def _has_room(self, under_way: deque[tuple[_Part, Future[list[Any]]]], upcoming: _Part) -> bool:
        if len(under_way) > _READERS:
            return False
        return not under_way or sum(part.nbytes for part, _ in under_way) + upcoming.nbytes <= self._ahead_bytes

    def _tensors(self, part: _Part, future: Future[list[Any]]) -> Iterator[tuple[str, Any]]:
        raws = deque(future.result())
        del future
        for place in part.places:
            # Nothing here holds what was given out: the program alone says when its slot is free.
            yield place.name, self._framework.tensor(raws.popleft(), place)

    def _parts(self) -> Iterator[_Part]:
        for file in self._files:
            group: list[TensorPlace] = []
            nbytes = 0
            for place in SafetensorsHeader(file).places:
                if group and nbytes + place.nbytes > self._part_bytes:
                    yield self._together(file, group)
                    group, nbytes = [], 0
                if place.nbytes > self._memory.slot_bytes_max:
                    yield from self._in_steps(file, place)
                else:
                    group.append(place)
                    nbytes += place.nbytes
            if group:
                yield self._together(file, group)

    def _together(self, file: File, places: list[TensorPlace]) -> _Part:
        """In one slot, or copied out of it where the program keeps much of the ring."""
        slot = -(-(places[-1].stop - places[0].start) // _SLOT_STEP_BYTES) * _SLOT_STEP_BYTES
        is_copied = self._memory.is_scarce

        def read() -> list[Any]:
            return self._memory.read_together(file, places, is_copied=is_copied)

        return _Part(places, slot, read)

    def _in_steps(self, file: File, place: TensorPlace) -> Iterator[_Part]:
        """Into memory of its own, by several readers at once; it is complete with the last step."""
        raw = np.empty(place.nbytes, dtype=np.uint8)
        for at in range(0, place.nbytes, self._part_bytes):
            target = raw[at : at + self._part_bytes]
            is_last = at + self._part_bytes >= place.nbytes

            def read(target: Any = target, start: int = place.start + at, is_last: bool = is_last) -> list[Any]:
                file.read_into(target.data, start)
                return [raw] if is_last else []

            yield _Part([place] if is_last else [], len(target), read)
