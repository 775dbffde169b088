"""What the cache can do for one dataset, as its daemon says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Hedges:
    """GETs that were sent a second time for being slow, and how often the second was faster."""

    sent: int
    won: int


@dataclass(frozen=True, slots=True)
class CacheFacts:
    #: What it may hold of the dataset's attachment.
    capacity_bytes: int
    #: What it holds of it now.
    cached_bytes: int
    policy: str
    #: ``on`` where something is admitted.
    state: str
    #: Why nothing is admitted; empty where something is.
    why: str
    hedges: Hedges


def cache_facts_of(root: str, status: dict[str, Any]) -> CacheFacts | None:
    """Of what is attached at ``root`` or above it; None where nothing is any more."""
    above = [one for one in status["attachments"] if _is_below(root, one["path"])]
    if not above:
        return None
    attachment = max(above, key=lambda one: len(one["path"]))
    size = sum(device["sizeBytes"] for device in status["devices"] if device["state"] != "failed")
    share = attachment.get("shareBytes")
    return CacheFacts(
        capacity_bytes=size if share is None else min(size, share),
        cached_bytes=attachment["cachedBytes"],
        policy=attachment["policy"],
        state=status["cache"]["state"],
        why=status["cache"]["why"],
        hedges=Hedges(attachment["hedges"]["sent"], attachment["hedges"]["won"]),
    )


def _is_below(path: str, place: str) -> bool:
    return place == "/" or path == place or path.startswith(f"{place}/")
