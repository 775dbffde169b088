"""How many processors this process may count on."""

from __future__ import annotations

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def processors_here(quota: Path = _QUOTA) -> int:
    """1 or more: those that it may run on, and of whose time a container's limit leaves enough. Ranks on one node
    (``LOCAL_WORLD_SIZE``, of torchrun and its like) share them, unless their launcher bound each to some of its own.
    """
    own = os.sched_getaffinity(0)
    count = int(min(len(own), _limit(quota)))
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "")
    if ranks.isdecimal() and own == _of_launcher(own):
        count //= max(1, int(ranks))
    return max(1, count)


def _limit(quota: Path) -> float:
    """In processors, rounded up: ``MAX PERIOD``, in microseconds, where MAX may be ``max``."""
    try:
        most, period = quota.read_text().split()
        return math.ceil(int(most) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def _of_launcher(own: set[int]) -> set[int]:
    try:
        return os.sched_getaffinity(os.getppid())
    except OSError:
        return own
