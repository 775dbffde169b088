"""What a program reads through: this node's daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from millpool._native import Samples
from millpool.batch import Batch, OnError, Rows, settled
from millpool.connection import Connection, connection_to
from millpool.control import failure_of
from millpool.dataset import Dataset
from millpool.entry import Info, info_of
from millpool.errors import Closed, Internal, Invalid, MillpoolError, SourceChanged
from millpool.objects import object_sizes

#: The first page is short, so that its entries are there soon.
_FIRST_PAGE_ENTRIES = 256
_PAGE_ENTRIES = 5_000
_RING_BYTES = 1 << 30

Path = str | os.PathLike[str]


def connect(socket: Path | None = None, *, timeout: float = 30.0, ring_bytes: int = _RING_BYTES) -> Mill:
    """Connects to this node's daemon; raises ``Unreachable`` where none answers.

    ``socket``: without it MILLPOOL_SOCKET, then the node's default. ``timeout``: seconds, of every call that brings
    none of its own. ``ring_bytes``: memory for batches, in use and read ahead; it is taken only as it is needed.
    """
    return Mill(connection_to(socket, timeout, ring_bytes)).ready()


class Mill:
    """A connection to this node's daemon. One a process is enough; all methods may run at once in many threads.

    Picklable and safe to use after a fork: each process has a connection of its own, made at its first call.
    """

    def __init__(self, connection: Connection) -> None:
        """For ``connect``."""
        self._connection = connection
        self._closed = False

    def ready(self) -> Mill:
        """Itself, once the daemon has answered."""
        self._road.client  # noqa: B018  connects
        return self

    def list(self, path: Path, *, recursive: bool = False, timeout: float | None = None) -> Iterator[Info]:
        """Entries of a directory in name order, or every file below it in path order. Raises ``NotFound``."""
        cursor: str | None = None
        limit = _FIRST_PAGE_ENTRIES
        while True:
            request = {
                "path": os.fspath(path),
                "recursive": recursive,
                "cursor": cursor,
                "limit": limit,
            }
            page = self._road.call("list", request, timeout)
            yield from map(info_of, page["entries"])
            cursor, limit = page["cursor"], _PAGE_ENTRIES
            if cursor is None:
                return

    def stat(self, path: Path, *, timeout: float | None = None) -> Info:
        """One entry, with how much of it is cached. Raises ``NotFound``."""
        results = self._road.call("stat", {"paths": [os.fspath(path)]}, timeout)["results"]
        if not results:
            raise Internal(f"the daemon did not answer for {path}", "Please report it.")
        if "error" in results[0]:
            raise failure_of(results[0]["error"])
        return info_of(results[0])

    def read(
        self,
        path: Path,
        *,
        offset: int = 0,
        length: int | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """A file's bytes, or ``length`` of them from ``offset`` on (fewer at its end); the caller's own."""
        if offset < 0 or (length is not None and length < 0):
            raise Invalid(
                f"the range of {length} bytes from {offset} is none",
                "Give whole numbers of 0 or more.",
            )
        part = None if offset == 0 and length is None else (offset, length)
        with self._read([os.fspath(path)], "raise", timeout, part) as batch:
            return batch.copy(0)

    def read_many(self, paths: Sequence[Path], *, on_error: OnError = "raise", timeout: float | None = None) -> Batch:
        """Many files in one round trip; nothing is copied.

        ``on_error``: ``raise`` the first failure, ``skip`` files that cannot be read, or ``keep`` their place, where
        ``batch.error(i)`` tells why.
        """
        return self._read([os.fspath(path) for path in paths], on_error, timeout, None)

    def dataset(
        self,
        path: Path,
        *,
        version: str | None = None,
        include: str | None = None,
        timeout: float | None = None,
    ) -> Dataset:
        """A dataset version: of what is below the path now, or one made before.

        ``include``: a glob over the path below ``path``, such as ``**/*.png``.
        """
        road = self._road
        request = {"path": os.fspath(path), "version": version, "include": include}
        made: str = road.call("dataset", request, timeout)["version"]
        return Dataset(road, made, road.client.dataset(made, road.seconds(timeout)))

    def close(self) -> None:
        """Ends every call under way. Batches stay readable. Idempotent."""
        if not self._closed:
            self._closed = True
            self._connection.close()

    def __enter__(self) -> Mill:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<millpool.Mill at {self._connection.socket}{', closed' if self._closed else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Mill, (self._connection,))

    @property
    def _road(self) -> Connection:
        if self._closed:
            raise Closed("this connection was closed", "Make another with millpool.connect().")
        return self._connection

    def _read(
        self,
        paths: Sequence[str],
        on_error: OnError,
        timeout: float | None,
        part: tuple[int, int | None] | None,
    ) -> Batch:
        """Resolves the paths in one message and reads what was found; failures of either keep their place.

        Where a file is no longer what its listing said, all are resolved again, at the source, and read as they are.
        """
        attempt = _Attempt(self._road, paths, self._road.seconds(timeout), part)
        native, rows = attempt.read(at_source=False, on_error=on_error)
        if any(isinstance(error, SourceChanged) for error in rows.errors.values()):
            native.release()
            native, rows = attempt.read(at_source=True, on_error=on_error)
        return settled(native, rows, on_error)


class _Attempt:
    """One read of paths, which may have to be made twice."""

    def __init__(
        self,
        road: Connection,
        paths: Sequence[str],
        timeout: float,
        part: tuple[int, int | None] | None,
    ) -> None:
        self._road = road
        self._paths = paths
        self._timeout = timeout
        self._part = part

    def read(self, *, at_source: bool, on_error: OnError) -> tuple[Any, Rows]:
        request = {"paths": self._paths, "atSource": at_source}
        found = self._road.call("resolve", request, self._timeout)
        unresolved = {row["index"]: failure_of(row["error"]) for row in found["failures"]}
        if unresolved and (on_error == "raise" or len(unresolved) == len(self._paths)):
            raise unresolved[min(unresolved)]
        ranges = None if self._part is None else _ranges(found["objects"], *self._part)
        native = self._road.client.read_objects(found["objects"], self._timeout, ranges)
        failed = dict(native.failures()) if native.failed else {}
        return native, self._rows(unresolved, failed)

    def _rows(self, unresolved: dict[int, MillpoolError], failed: dict[int, MillpoolError]) -> Rows:
        """Paths that never became objects have no place in the read."""
        every = range(len(self._paths))
        if not unresolved:
            return Rows(every, self._paths.__getitem__, failed)
        errors, places, following = dict(unresolved), [-1] * len(self._paths), 0
        for i in every:
            if i in unresolved:
                continue
            if following in failed:
                errors[i] = failed[following]
            places[i] = following
            following += 1
        return Rows(every, self._paths.__getitem__, errors, places)


def _ranges(objects: bytes, offset: int, length: int | None) -> tuple[Samples, Samples]:
    """The same part of each object, cut at its end."""
    sizes = object_sizes(objects)
    offsets = [min(offset, size) for size in sizes]
    wanted = [size if length is None else min(length, size) for size in sizes]
    lengths = [min(want, size - start) for want, size, start in zip(wanted, sizes, offsets, strict=True)]
    return Samples(offsets), Samples(lengths)
