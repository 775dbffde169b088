"""A file or directory as users see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import msgpack

_TYPES: tuple[Literal["file", "directory"], ...] = ("file", "directory")


@dataclass(frozen=True)
class Info:
    """An entry of the namespace."""

    path: str
    type: Literal["file", "directory"]
    #: Bytes; 0 for a directory.
    size: int
    #: With a zone; None where the source does not say (directories of a bucket).
    mtime: datetime | None
    #: As the source sent it, quotes included; None where it gives none.
    etag: str | None
    #: Without an etag, versions are told apart by size and time alone: ``weak``.
    identity: Literal["strong", "weak"]
    #: Bytes of it in segments of this node; None in listings, which do not ask.
    cached_bytes: int | None = None

    @property
    def name(self) -> str:
        """The last name of the path."""
        return self.path if self.path == "/" else self.path.rsplit("/", 1)[-1]

    @property
    def cached(self) -> bool | None:
        """Whether every byte of the file is in segments of this node; None in listings."""
        if self.cached_bytes is None:
            return None
        return self.type == "file" and self.cached_bytes == self.size


def infos_of(packed: bytes) -> Iterator[Info]:
    """The entries of a page of a listing, as they travel (packages/protocol/src/packed-entries.ts)."""
    path, *fields = msgpack.unpackb(packed)
    before = path if path == "/" else f"{path}/"
    for name, kind, size, mtime_ms, tag in zip(*[iter(fields)] * 5, strict=True):
        yield _info(before + name, _TYPES[kind], size=size, mtime_ms=mtime_ms, tag=tag)


def info_of(entry: dict[str, Any]) -> Info:
    """An entry as it travels by itself (packages/protocol/src/entry.ts)."""
    fields = {"size": entry["size"], "mtime_ms": entry["mtimeMs"], "tag": entry["tag"]}
    return replace(_info(entry["path"], entry["type"], **fields), cached_bytes=entry.get("cachedBytes"))


def _info(path: str, kind: Literal["file", "directory"], *, size: float, mtime_ms: float | None, tag: str) -> Info:
    return Info(
        path=path,
        type=kind,
        # JavaScript writes numbers beyond 32 bits as floating ones, exact up to 2**53.
        size=int(size),
        mtime=None if mtime_ms is None else datetime.fromtimestamp(mtime_ms / 1000, UTC),
        etag=tag if tag.startswith('"') else None,
        identity="weak" if tag.startswith(("m:", "f:")) else "strong",
    )
