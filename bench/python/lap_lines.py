"""What the programs here do with each line of stdin; the answer goes to stdout (bench/src/laps does the same)."""

from __future__ import annotations

import json
import resource
import sys
import time
from array import array
from collections.abc import Callable
from typing import TypeVar

Prepared = TypeVar("Prepared")


def answer_laps(
    prepare: Callable[[str], Prepared],
    lap: Callable[[Prepared], int],
    beside: Callable[[], dict[str, float]] = dict,
) -> None:
    """``lap`` returns how many samples it read, ``beside`` what else there is to tell of it."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        prepared = prepare(line.rstrip("\n"))
        cpu_before, start = _cpu_seconds(), time.perf_counter()
        samples = lap(prepared)
        seconds = time.perf_counter() - start
        told = {"samples": samples, "seconds": seconds, "cpuSeconds": _cpu_seconds() - cpu_before, **beside()}
        print(json.dumps(told), flush=True)


def order_of(path: str) -> list[int]:
    """An order as the bench writes it: little-endian numbers of 32 bits."""
    numbers = array("I")
    with open(path, "rb") as file:
        numbers.frombytes(file.read())
    return numbers.tolist()


def _cpu_seconds() -> float:
    """Of this process and of its workers that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in spent)
