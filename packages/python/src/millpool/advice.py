"""One sentence on what a loop waits for most, and what shortens it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from millpool.cache_facts import CacheFacts
from millpool.figures import format_bytes, rounded
from millpool.report import WAIT_CAUSES, Ceilings, WaitCause

#: A loop that waits for less of its time is limited by its own work; for less yet, by nothing else.
_WAITS_LITTLE = 0.2
_HARDLY_WAITS = 0.05
#: What a cache holds of its size beside the records' bytes: headers, footers, room to write.
_HEADROOM = 1.1
#: Of a dataset: what is missing is the last batches under way.
_NEARLY_ALL = 0.98


@dataclass(frozen=True, slots=True)
class Findings:
    """What an advice is made of."""

    seconds: float
    wait_seconds: dict[WaitCause, float]
    #: Of what was waited for ``queue``: in the reads, for a slot or the daemon. The rest is handing batches over.
    lease_seconds: float
    ceilings: Ceilings
    dataset_path: str
    dataset_bytes: int
    cache: CacheFacts | None


def advice_for(findings: Findings) -> str:
    """On the largest share of the waiting."""
    waits, seconds = findings.wait_seconds, findings.seconds
    if seconds == 0:
        return "Nothing was read yet."
    waited = sum(waits.values())
    worst = max(WAIT_CAUSES, key=lambda cause: waits[cause])
    if waited < _WAITS_LITTLE * seconds:
        own = f"The loop's own work takes {rounded(100 * (seconds - waited) / seconds)} % of the time"
        if waited < _HARDLY_WAITS * seconds:
            return f"{own}: faster storage would change nothing."
        return f"{own}, and most of the rest it waits for {worst}."
    return _SENTENCES[worst](findings)


def _on_source(findings: Findings) -> str:
    path, size, cache = findings.dataset_path, findings.dataset_bytes, findings.cache
    waits = "The loop waits for the under-storage"
    if cache is None:
        return f"{waits}: `millpool load {path} --wait` before training brings all of it here."
    if cache.policy == "stream":
        return f"{waits}, since policy stream keeps nothing: attach {path} with --policy auto to keep it."
    if size * _HEADROOM > cache.capacity_bytes:
        return (
            f"{waits}: {format_bytes(cache.capacity_bytes)} of {format_bytes(size)} fits, "
            f"the rest is fetched each epoch: size it to {format_bytes(math.ceil(size * _HEADROOM))} (--size)."
        )
    if cache.state != "on":
        return f"{waits}, and nothing more is kept: {cache.why}"
    if cache.cached_bytes < _NEARLY_ALL * size:
        return (
            f"{waits} in its first pass: `millpool load {path} --wait` before training brings "
            f"{format_bytes(size)} here, and later epochs need no GET."
        )
    return f"{waits}, though {path} is here by now: the next epoch needs no GET."


def _on_device(findings: Findings) -> str:
    device, size, memory = findings.ceilings.device, findings.dataset_bytes, _available_bytes()
    waits = "The loop waits for the cache device"
    if device is not None:
        waits += f", which gives {rounded(device)} samples/s"
    if size > memory:
        return (
            f"{waits}, as {format_bytes(size)} do not fit into the {format_bytes(memory)} of memory there are: "
            "give the cache faster devices, or more of them (--data DIR again)."
        )
    return (
        f"{waits}: what was read once is in memory the next time; to wait less before, give the cache faster devices, "
        "or more of them (--data DIR again)."
    )


def _on_gather(findings: Findings) -> str:
    gather = findings.ceilings.gather
    return (
        "The loop takes batches as fast as memory gives them"
        + ("" if gather is None else f" ({rounded(gather)} samples/s)")
        + ": only fewer bytes a sample, or more work on each, would make it wait less."
    )


def _on_queue(findings: Findings) -> str:
    if findings.lease_seconds > findings.wait_seconds["queue"] / 2:
        remedy = "release batches sooner, or give connect() a larger ring_bytes"
        return f"Reads wait for a free slot or for the daemon: {remedy}."
    return "What a batch costs beside its bytes is the limit: a larger batch_size makes fewer of them."


_SENTENCES: dict[WaitCause, Callable[[Findings], str]] = {
    "source": _on_source,
    "peer": lambda _: "The loop waits for other nodes: the network between them is the limit.",
    "device": _on_device,
    "gather": _on_gather,
    "transform": lambda _: "The loop waits for its transform: give it more threads, or do less in it.",
    "copy": lambda _: "The loop waits for copies to the GPU: move fewer bytes, such as uint8 that the GPU converts.",
    "queue": _on_queue,
}


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
