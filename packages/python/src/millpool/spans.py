"""Bytes of resolved files, however many they are: read in parts of which each fits into a slot of the ring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from millpool._native import Samples
from millpool.connection import Connection
from millpool.errors import Invalid, MillpoolError
from millpool.objects import ObjectList

#: Of one read: as much as keeps a source or a device busy, and little beside the ring.
_PART_BYTES = 32 << 20
_RING_SHARE = 4
_PART_SPANS = 1 << 14


class Span(NamedTuple):
    """Some bytes of one object of a list."""

    place: int
    offset: int
    length: int


def span_of(place: int, size: int, wanted: slice) -> Span:
    """What ``data[wanted]`` would be of an object of ``size`` bytes; raises ``Invalid`` for one with a step."""
    if wanted.step not in (None, 1):
        raise Invalid(f"a range of bytes has a step of {wanted.step}", "Give slice(start, stop).")
    try:
        start, stop, _ = wanted.indices(size)
    except TypeError:
        raise Invalid(f"{wanted} is no range of bytes", "Give slice(start, stop) of whole numbers.") from None
    return Span(place, start, max(0, stop - start))


class Spans:
    """Spans of a list of objects, to be read."""

    def __init__(self, connection: Connection, objects: ObjectList, spans: Sequence[Span], timeout: float) -> None:
        """``timeout``: seconds, of each part."""
        self._connection = connection
        self._objects = objects
        self._spans = spans
        self._timeout = timeout
        self._part_bytes = max(1, min(_PART_BYTES, connection.ring_bytes // _RING_SHARE))

    def copied(self) -> list[bytes | MillpoolError]:
        """The bytes of each span, the caller's own, or why they could not be read."""
        pieces: list[list[bytes]] = [[] for _ in self._spans]
        failed: dict[int, MillpoolError] = {}
        for number, _, piece in self.pieces():
            if isinstance(piece, MillpoolError):
                failed.setdefault(number, piece)
            else:
                pieces[number].append(bytes(piece))
        return [failed.get(i) or (own[0] if len(own) == 1 else b"".join(own)) for i, own in enumerate(pieces)]

    def pieces(self) -> Iterator[tuple[int, int, memoryview | MillpoolError]]:
        """The number of a span, how many of its bytes came before, and those that follow: a view of a slot, which is
        read again for later ones once the view is dropped."""
        client = self._connection.client
        for part in self._parts():
            ranges = (Samples([span.offset for _, _, span in part]), Samples([span.length for _, _, span in part]))
            native = client.read_objects(self._objects.picked(span.place for _, _, span in part), self._timeout, ranges)
            errors = dict(native.failures()) if native.failed else {}
            view = memoryview(native)
            for k, (number, at, _) in enumerate(part):
                start, length = native.span(k)
                yield number, at, errors.get(k) or view[start : start + length]
            del view
            native.release()

    def _parts(self) -> Iterator[list[tuple[int, int, Span]]]:
        """The number of a span, where in it the piece lies, and the piece."""
        part: list[tuple[int, int, Span]] = []
        room = self._part_bytes
        for number, (place, offset, length) in enumerate(self._spans):
            at = 0
            while True:
                if room == 0 or len(part) == _PART_SPANS:
                    yield part
                    part, room = [], self._part_bytes
                piece = min(length - at, room)
                part.append((number, at, Span(place, offset + at, piece)))
                at, room = at + piece, room - piece
                if at == length:
                    break
        if part:
            yield part
