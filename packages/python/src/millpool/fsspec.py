"""The namespace as an fsspec file system: ``millpool://train/a.parquet`` wherever pandas, pyarrow, Hugging Face
datasets, zarr or ``torch.distributed.checkpoint`` take a URL.

    pandas.read_parquet("millpool://tables/a.parquet")
    datasets.load_dataset("parquet", data_files="millpool://tables/*.parquet")
    pyarrow.dataset.dataset("/tables", filesystem=MillpoolFileSystem(), format="parquet")
    checkpoint.load(state, storage_reader=FsspecReader("millpool://models/checkpoint"))

``millpool://train/a`` and ``millpool:///train/a`` are the path ``/train/a``; ``storage_options={"socket": ...}`` names
the daemon's socket. Many paths or ranges at once (``cat``, ``cat_ranges``) are one read. Nothing can be written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Never

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from millpool.entry import Info
from millpool.errors import Invalid, MillpoolError, NotFound, Refused
from millpool.file import File
from millpool.mill import DEFAULT_TIMEOUT, Mill, shared

#: Read ahead by a file that is read in small steps. More would be copied for nothing where the steps are not in order.
_BLOCK_BYTES = 1 << 20


class MillpoolFileSystem(AbstractFileSystem):
    """What this node's daemon has attached. Listings are the daemon's, and as fresh; nothing is kept here.

    ``socket``: without it MILLPOOL_SOCKET, then the node's default. ``timeout``: seconds, of every wait. All file
    systems of a process that have both in common share one connection, whatever thread makes them; pickled or
    inherited by a fork, it is made again.
    """

    protocol = "millpool"
    root_marker = "/"

    def __init__(self, socket: str | None = None, timeout: float = DEFAULT_TIMEOUT, **storage_options: Any) -> None:
        super().__init__(socket=socket, timeout=timeout, **storage_options)
        #: What it reads through; connected when it is first needed.
        self.mill: Mill = shared(socket, timeout)

    @property
    def fsid(self) -> str:
        return f"millpool_{self.mill.socket}"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        name = os.fspath(path).removeprefix("millpool::").removeprefix("millpool://")
        return "/" + name.strip("/")

    def ls(self, path: str, detail: bool = True, **_kwargs: Any) -> list[Any]:
        path = self._strip_protocol(path)
        try:
            entries = [_row(entry) for entry in self.mill.list(path)]
        except Invalid:
            row = self.info(path)
            if row["type"] == "directory":
                raise
            entries = [row]
        return entries if detail else [row["name"] for row in entries]

    def info(self, path: str, **_kwargs: Any) -> dict[str, Any]:
        return _row(self.mill.stat(self._strip_protocol(path)))

    def exists(self, path: str, **_kwargs: Any) -> bool:
        """Whether there is such a path. Raises where nobody can say."""
        return self._type(path) is not None

    def isdir(self, path: str) -> bool:
        return self._type(path) == "directory"

    def isfile(self, path: str) -> bool:
        return self._type(path) == "file"

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_kwargs: Any
    ) -> Any:
        """Every file below a path in one listing; of a few levels only, as many listings as they have directories."""
        path = self._strip_protocol(path)
        if maxdepth is not None and maxdepth < 1:
            raise Invalid(f"maxdepth is {maxdepth}", "Give 1 or more, or None for all levels.")
        try:
            rows = self._below(path) if maxdepth is None else self._levels(path, maxdepth)
            found = {row["name"]: row for row in rows if withdirs or row["type"] == "file"}
        except NotFound:
            found = {}
        if withdirs and path not in found and self.isdir(path):
            found[path] = self.info(path)
        names = sorted(found)
        return {name: found[name] for name in names} if detail else names

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], Any] = "omit",
        **kwargs: Any,
    ) -> Iterator[Any]:
        """As fsspec's; ``omit`` leaves out what is not there, never what could not be listed."""
        handler = _raise_unless_missing if on_error == "omit" else on_error
        yield from super().walk(path, maxdepth=maxdepth, topdown=topdown, on_error=handler, **kwargs)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_kwargs: Any) -> bytes:
        [answer] = self.mill.read_each([self._strip_protocol(path)], [slice(start, end)])
        return _given(answer)

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """The bytes of a path, or a dict of those of many, which are read together."""
        paths = self.expand_path(path, recursive=False, **kwargs)
        if recursive:
            paths = sorted({file for root in paths for file in self.find(root)})
        elif not isinstance(path, list) and paths == [self._strip_protocol(path)]:
            return self.cat_file(paths[0])
        answers = dict(zip(paths, self.mill.read_each(paths), strict=True))
        if on_error == "raise":
            return {name: _given(answer) for name, answer in answers.items()}
        if on_error == "return":
            return answers
        return {name: answer for name, answer in answers.items() if isinstance(answer, bytes)}

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **_kwargs: Any,
    ) -> list[Any]:
        """``data[start:end]`` of each path, all read together. Nothing is read that lies between: ``max_gap`` is not
        needed."""
        names = [self._strip_protocol(path) for path in paths]
        ranges = [slice(*bounds) for bounds in zip(_each(starts, names), _each(ends, names), strict=True)]
        answers = self.mill.read_each(names, ranges)
        return answers if on_error == "return" else [_given(answer) for answer in answers]

    def ukey(self, path: str) -> str:
        """Another one for another version of the file."""
        row = self.info(path)
        version = row["etag"] or (row["size"], row["mtime"])
        return sha256(repr((row["name"], version)).encode()).hexdigest()

    def checksum(self, path: str) -> int:
        return int(self.ukey(path), 16)

    def modified(self, path: str) -> datetime | None:
        mtime: datetime | None = self.info(path)["mtime"]
        return mtime

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> MillpoolFile:
        if mode != "rb":
            self._refuse(path)
        options = {"block_size": block_size or _BLOCK_BYTES, "cache_options": cache_options, **kwargs}
        return MillpoolFile(self, self.mill.open(path), **options)

    def _type(self, path: str) -> str | None:
        try:
            return self.mill.stat(self._strip_protocol(path)).type
        except NotFound:
            return None

    def _below(self, path: str) -> Iterator[dict[str, Any]]:
        """Every file and directory; a path that is a file, alone."""
        seen = {path}
        try:
            for entry in self.mill.list(path, recursive=True):
                parent = self._parent(entry.path)
                while parent not in seen:
                    seen.add(parent)
                    yield _row(Info(parent, "directory", 0, None, None, "strong"))
                    parent = self._parent(parent)
                yield _row(entry)
        except Invalid:
            row = self.info(path)
            if row["type"] == "directory":
                raise
            yield row

    def _levels(self, path: str, depth: int) -> Iterator[dict[str, Any]]:
        for row in self.ls(path):
            yield row
            if depth > 1 and row["type"] == "directory":
                yield from self._levels(row["name"], depth - 1)

    def _refuse(self, path: Any, *_args: Any, **_kwargs: Any) -> Never:
        name = self._strip_protocol(path if isinstance(path, (str, os.PathLike)) else next(iter(path)))
        raise Refused(
            f"{name} cannot be written: millpool:// is for reading",
            "Write to where the data lives, such as s3://; it is seen here within the attachment's freshness.",
            name,
        )

    # All ways by which fsspec changes something; those that it leaves open would do nothing, or half of it.
    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = copy = mv = _refuse
    pipe_file = put_file = put = touch = _refuse


class MillpoolFile(AbstractBufferedFile):
    """A file of one version, buffered. Large reads are not."""

    def __init__(self, fs: MillpoolFileSystem, file: File, **options: Any) -> None:
        super().__init__(fs, file.name, "rb", size=file.size, **options)
        self._file = file

    def read(self, length: int | None = -1) -> bytes:
        wanted = self.size - self.loc if length is None or length < 0 else length
        if self.closed or wanted < self.blocksize:
            return super().read(wanted)
        data = self._file.read_at(self.loc, wanted)
        self.loc += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        if self.closed or memoryview(buffer).nbytes < self.blocksize:
            return super().readinto(buffer)
        filled = self._file.read_into(buffer, self.loc)
        self.loc += filled
        return filled

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._file.read_at(start, end - start)

    def __reduce__(self) -> tuple[Any, ...]:
        """The same version at the same place."""
        options = {"block_size": self.blocksize, "cache_type": self.cache.name if self.cache else "none"}
        return (_reopened, (self.fs, self._file, options, self.loc))


def _reopened(fs: MillpoolFileSystem, file: File, options: dict[str, Any], position: int) -> MillpoolFile:
    opened = MillpoolFile(fs, file, **options)
    opened.seek(position)
    return opened


def _row(entry: Info) -> dict[str, Any]:
    return {
        "name": entry.path,
        "size": entry.size,
        "type": entry.type,
        "mtime": entry.mtime,
        "etag": entry.etag,
        "identity": entry.identity,
    }


def _each(bounds: Any, paths: Sequence[str]) -> Sequence[Any]:
    return bounds if isinstance(bounds, Sequence) else [bounds] * len(paths)


def _given(answer: bytes | MillpoolError) -> bytes:
    if isinstance(answer, MillpoolError):
        raise answer
    return answer


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, NotFound):
        raise error
