"""A file of the namespace, open for reading: the version that it was when it was opened."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from millpool._native import Samples
from millpool.batch import Batch, Rows, settled
from millpool.connection import Connection
from millpool.control import failure_of
from millpool.errors import Closed, MillpoolError, SourceChanged, with_path
from millpool.objects import ObjectList
from millpool.spans import Spans, span_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

_T = TypeVar("_T")


class File(io.RawIOBase):
    """A binary file object, as ``open(path, "rb", buffering=0)`` gives one; ``io.BufferedReader(file)`` buffers it.

    All that is read of it is of one version: ``SourceChanged`` is raised where what is not cached of it was replaced
    meanwhile. ``read_at``, ``read_into`` and ``read_ranges`` do not move the position, and may run at once in many
    threads. Picklable: the other process reads the same version.
    """

    def __init__(self, connection: Connection, path: str, timeout: float, objects: ObjectList | None = None) -> None:
        """For ``Mill.open``."""
        super().__init__()
        self._connection = connection
        self._path = path
        self._timeout = timeout
        # Until something of it was read, one that is no longer what its listing said is opened again.
        self._is_settled = objects is not None
        self._objects = objects or self._resolved(at_source=False)
        self._position = 0

    @property
    def name(self) -> str:
        """Its path."""
        return self._path

    @property
    def size(self) -> int:
        """Bytes."""
        return self._objects.sizes[0]

    def read_at(self, offset: int, length: int | None = None) -> bytes:
        """``length`` bytes from ``offset`` on, fewer at its end; the caller's own."""
        wanted = slice(offset, None if length is None else offset + length)
        return self._of_one_version(lambda: b"".join([bytes(piece) for piece in self._pieces([wanted])]))

    def read_into(self, buffer: Buffer, offset: int = 0) -> int:
        """Fills a writable buffer from ``offset`` on; returns how many bytes that were, fewer at the file's end."""
        with memoryview(buffer) as given:
            return self.read_ranges_into(given, [slice(offset, offset + given.nbytes)])

    def read_ranges_into(self, buffer: Buffer, ranges: Sequence[slice]) -> int:
        """Writes ``data[start:stop]`` of each, one after the other; returns how many bytes that were."""
        with memoryview(buffer) as given, given.cast("B") if given.nbytes else given as target:

            def fill() -> int:
                filled = 0
                for piece in self._pieces(ranges):
                    target[filled : filled + len(piece)] = piece
                    filled += len(piece)
                return filled

            return self._of_one_version(fill)

    def read_ranges(self, ranges: Sequence[slice]) -> Batch:
        """``data[start:stop]`` of each, in one round trip at most; nothing is copied, so all together must fit into
        the ring."""
        return self._of_one_version(lambda: self._batch(ranges))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError(f"seek by {offset} from {whence}: there is no such place in a file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        filled = self.read_into(buffer, self._position)
        self._position += filled
        return filled

    def readall(self) -> bytes:
        rest = self.read_at(self._position)
        self._position += len(rest)
        return rest

    def __repr__(self) -> str:
        return f"<millpool.File {self._path}: {self.size:,} bytes{', closed' if self.closed else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_reopened, ((self._connection, self._path, self._timeout, self._objects), self._position))

    def _batch(self, ranges: Sequence[slice]) -> Batch:
        spans = [span_of(0, self.size, wanted) for wanted in ranges]
        offsets, lengths = Samples([span.offset for span in spans]), Samples([span.length for span in spans])
        objects = self._objects.picked([0] * len(spans))
        native = self._connection.client.read_objects(objects, self._timeout, (offsets, lengths))
        errors = dict(native.failures()) if native.failed else {}
        return settled(native, Rows(range(len(spans)), lambda _: self._path, errors), "raise")

    def _pieces(self, ranges: Sequence[slice]) -> Iterator[memoryview]:
        spans = [span_of(0, self.size, wanted) for wanted in ranges]
        for _, _, piece in Spans(self._connection, self._objects, spans, self._timeout).pieces():
            if isinstance(piece, MillpoolError):
                raise with_path(piece, self._path)
            yield piece

    def _of_one_version(self, read: Callable[[], _T]) -> _T:
        if self.closed:
            raise Closed(f"{self._path} was closed", "Open it again.")
        try:
            answer = read()
        except SourceChanged:
            if self._is_settled:
                raise
            self._objects = self._resolved(at_source=True)
            answer = read()
        self._is_settled = True
        return answer

    def _resolved(self, *, at_source: bool) -> ObjectList:
        found = self._connection.call("resolve", {"paths": [self._path], "atSource": at_source}, self._timeout)
        if found["failures"]:
            raise failure_of(found["failures"][0]["error"])
        return ObjectList(found["objects"])


def _reopened(made_of: tuple[Connection, str, float, ObjectList], position: int) -> File:
    file = File(*made_of)
    file.seek(position)
    return file
