"""What a program reads through: this node's daemon."""

from __future__ import annotations

import builtins
import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any

from millpool._native import Batch as NativeBatch
from millpool._native import Samples
from millpool.batch import Batch, OnError, Rows, settled
from millpool.connection import Connection, connection_to
from millpool.control import failure_of
from millpool.dataset import Dataset
from millpool.entry import Info, info_of, infos_of
from millpool.errors import Closed, Internal, Invalid, MillpoolError, SourceChanged, with_path
from millpool.file import File
from millpool.resolved import Resolved
from millpool.spans import Span, Spans, span_of

#: The first page is short, so that its entries are there soon.
_FIRST_PAGE_ENTRIES = 256
_PAGE_ENTRIES = 5_000
RING_BYTES = 1 << 30
DEFAULT_TIMEOUT = 30.0

Path = str | os.PathLike[str]


def connect(socket: Path | None = None, *, timeout: float = DEFAULT_TIMEOUT, ring_bytes: int = RING_BYTES) -> Mill:
    """Connects to this node's daemon; raises ``Unreachable`` where none answers.

    ``socket``: without it MILLPOOL_SOCKET, then the node's default. ``timeout``: seconds, of every call that brings
    none of its own. ``ring_bytes``: memory for batches, in use and read ahead; it is taken only as it is needed.
    """
    return Mill(connection_to(socket, timeout, ring_bytes)).ready()


def shared(socket: str | None = None, timeout: float = DEFAULT_TIMEOUT) -> Mill:
    """The one of this process for a socket and a timeout: of ``millpool.fsspec`` and ``millpool.safetensors``.

    It connects when it is first used. Nobody closes it.
    """
    return _shared(connection_to(socket, timeout, RING_BYTES).socket, timeout)


@functools.cache
def _shared(socket: str, timeout: float) -> Mill:
    return Mill(connection_to(socket, timeout, RING_BYTES))


class Mill:
    """A connection to this node's daemon. One a process is enough; all methods may run at once in many threads.

    Picklable and safe to use after a fork: each process has a connection of its own, made at its first call.
    """

    def __init__(self, connection: Connection) -> None:
        """For ``connect``."""
        self._connection = connection
        self._closed = False

    def ready(self) -> Mill:
        """For ``connect``: itself, once the daemon has answered."""
        self._road.client  # noqa: B018  connects
        return self

    @property
    def socket(self) -> str:
        """Where its daemon listens."""
        return self._connection.socket

    @property
    def ring_bytes(self) -> int:
        """What batches of this process may take together."""
        return self._connection.ring_bytes

    @property
    def ring_held_bytes(self) -> int:
        """What of it is held now, by batches and views of them."""
        return self._road.client.ring_held_bytes

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
            yield from infos_of(page["entries"])
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
        wanted = slice(offset, None if length is None else offset + length)
        [answer] = self.read_each([path], [wanted], timeout=timeout)
        if isinstance(answer, MillpoolError):
            raise answer
        return answer

    def open(self, path: Path, *, timeout: float | None = None) -> File:
        """A binary file object, unbuffered, of the version that is there now. Raises ``NotFound``.

        ``timeout``: seconds, of each of its reads.
        """
        road = self._road
        return File(road, os.fspath(path), road.seconds(timeout))

    def read_many(
        self,
        paths: Sequence[Path],
        ranges: Sequence[slice] | None = None,
        *,
        on_error: OnError = "raise",
        timeout: float | None = None,
    ) -> Batch:
        """Many files in one round trip; nothing is copied, so all of them together have to fit into the ring.

        ``ranges``: of each file only ``data[start:stop]``; a path may come more than once. ``on_error``: ``raise`` the
        first failure, ``skip`` files that cannot be read, or ``keep`` their place, where ``batch.error(i)`` tells why.
        """
        attempt = _Attempt(self._road, paths, ranges, timeout)
        native, rows = attempt.read(at_source=False, on_error=on_error)
        if any(isinstance(error, SourceChanged) for error in rows.errors.values()):
            native.release()
            native, rows = attempt.read(at_source=True, on_error=on_error)
        return settled(native, rows, on_error)

    def read_each(
        self,
        paths: Sequence[Path],
        ranges: Sequence[slice] | None = None,
        *,
        timeout: float | None = None,
    ) -> builtins.list[bytes | MillpoolError]:
        """Many files, however large, as bytes of the caller's own; an error stands in the place of its file.

        ``ranges``: as of ``read_many``. ``timeout``: seconds, of each 32 MiB.
        """
        attempt = _Attempt(self._road, paths, ranges, timeout)
        answers = attempt.copy(at_source=False)
        if any(isinstance(answer, SourceChanged) for answer in answers):
            return attempt.copy(at_source=True)
        return answers

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


class _Attempt:
    """A read of paths. Where a file is no longer what its listing said, it is made again: at the source."""

    def __init__(
        self,
        road: Connection,
        paths: Sequence[Path],
        ranges: Sequence[slice] | None,
        timeout: float | None,
    ) -> None:
        if ranges is not None and len(ranges) != len(paths):
            raise Invalid(f"{len(paths)} paths with {len(ranges)} ranges", "Give one slice for each path.")
        self._road = road
        self._paths = [os.fspath(path) for path in paths]
        self._ranges = ranges
        self._timeout = road.seconds(timeout)

    def read(self, *, at_source: bool, on_error: OnError) -> tuple[NativeBatch, Rows]:
        """In one slot; failures keep their place."""
        found = self._resolved(at_source)
        errors = found.errors
        if errors and (on_error == "raise" or len(errors) == len(self._paths)):
            raise errors[min(errors)]
        here = [i for i in range(len(self._paths)) if i not in errors]
        ranges = None
        if self._ranges is not None:
            spans = self._spans(found, here)
            ranges = (Samples([span.offset for span in spans]), Samples([span.length for span in spans]))
        objects = found.objects.picked([found.places[i] for i in here])
        native = self._road.client.read_objects(objects, self._timeout, ranges)
        failed = {here[place]: error for place, error in native.failures()} if native.failed else {}
        # Paths that never became objects have no place in the read.
        places = [-1] * len(self._paths) if errors else None
        if places is not None:
            for place, i in enumerate(here):
                places[i] = place
        return native, Rows(range(len(self._paths)), self._paths.__getitem__, errors | failed, places)

    def copy(self, *, at_source: bool) -> list[bytes | MillpoolError]:
        """As bytes of the caller's own, however many."""
        found = self._resolved(at_source)
        here = [i for i in range(len(self._paths)) if i not in found.errors]
        copied = iter(Spans(self._road, found.objects, self._spans(found, here), self._timeout).copied())
        answers = [found.errors.get(i) or next(copied) for i in range(len(self._paths))]
        return [
            with_path(answer, path) if isinstance(answer, MillpoolError) and answer.path is None else answer
            for answer, path in zip(answers, self._paths, strict=True)
        ]

    def _resolved(self, at_source: bool) -> Resolved:
        return Resolved(self._road, self._paths, self._timeout, at_source=at_source)

    def _spans(self, found: Resolved, here: list[int]) -> list[Span]:
        whole = slice(None)
        spans: builtins.list[Span] = []
        for i in here:
            place = found.places[i]
            wanted = whole if self._ranges is None else self._ranges[i]
            spans.append(span_of(place, found.objects.sizes[place], wanted))
        return spans
