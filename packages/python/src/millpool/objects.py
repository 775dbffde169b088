"""The object list that ``resolve`` answers (docs/formats.md, "Object list")."""

from __future__ import annotations

import struct

_COUNT = struct.Struct("<I")
_HEAD = struct.Struct("<IQ")
_LENGTH = struct.Struct("<H")


def object_sizes(objects: bytes) -> list[int]:
    """Bytes of each object of a list."""
    (count,) = _COUNT.unpack_from(objects)
    sizes, at = [], _COUNT.size
    for _ in range(count):
        _attachment, size = _HEAD.unpack_from(objects, at)
        sizes.append(size)
        at += _HEAD.size
        for _field in ("tag", "key"):
            (length,) = _LENGTH.unpack_from(objects, at)
            at += _LENGTH.size + length
    return sizes
