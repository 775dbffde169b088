"""The object list that ``resolve`` answers (docs/formats.md, "Object list")."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_COUNT = struct.Struct("<I")
_HEAD = struct.Struct("<IQ")
_LENGTH = struct.Struct("<H")


class ObjectList:
    """Files as they were resolved, each of one version: what a read is asked of."""

    __slots__ = ("_entries", "packed", "sizes")

    def __init__(self, packed: bytes) -> None:
        #: As it travels.
        self.packed = packed
        #: Bytes of each object.
        self.sizes: list[int] = []
        self._entries: list[bytes] = []
        (count,) = _COUNT.unpack_from(packed)
        at = _COUNT.size
        for _ in range(count):
            start = at
            _attachment, size = _HEAD.unpack_from(packed, at)
            self.sizes.append(size)
            at += _HEAD.size
            for _field in ("tag", "key"):
                (length,) = _LENGTH.unpack_from(packed, at)
                at += _LENGTH.size + length
            self._entries.append(packed[start:at])

    def __len__(self) -> int:
        return len(self.sizes)

    def picked(self, places: Iterable[int]) -> bytes:
        """A list of some of them, packed, in the order given; one may come more than once."""
        entries = [self._entries[place] for place in places]
        return _COUNT.pack(len(entries)) + b"".join(entries)

    def __reduce__(self) -> tuple[type[ObjectList], tuple[bytes]]:
        return (ObjectList, (self.packed,))
