"""A file or directory as users see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal


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


def info_of(entry: dict[str, Any]) -> Info:
    """An entry as it travels (packages/protocol/src/entry.ts)."""
    tag: str = entry["tag"]
    mtime_ms = entry["mtimeMs"]
    return Info(
        path=entry["path"],
        type=entry["type"],
        size=entry["size"],
        mtime=None if mtime_ms is None else datetime.fromtimestamp(mtime_ms / 1000, UTC),
        etag=tag if tag.startswith('"') else None,
        identity="weak" if tag.startswith(("m:", "f:")) else "strong",
        cached_bytes=entry.get("cachedBytes"),
    )
