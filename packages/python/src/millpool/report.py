"""How fast a loop went and what it waited for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from millpool.cache_facts import Hedges
from millpool.figures import fixed, format_bytes, rounded

#: Why a consumer waited (docs/concepts.md). ``copy`` is the copy to a GPU; ``queue`` is none of the others.
WaitCause = Literal["source", "peer", "device", "gather", "transform", "copy", "queue"]
WAIT_CAUSES: tuple[WaitCause, ...] = ("source", "peer", "device", "gather", "transform", "copy", "queue")


@dataclass(frozen=True, slots=True)
class Tier:
    """Samples, and their bytes, of one origin."""

    samples: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Tiers:
    """Where a loop got its samples."""

    #: Copied from mapped segments that were in memory.
    memory: Tier
    #: In segments, but read from a device, or sent by the daemon where this process maps nothing.
    device: Tier
    #: Fetched from the under-storage, ahead of the loop or while it waited.
    source: Tier


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Samples a second that one stage alone would reach; None where nothing was measured."""

    #: Fetches, while some were under way.
    source: float | None
    #: Reads of a batch past the page cache, measured now and then with a batch that is thrown away.
    device: float | None
    #: Copies out of memory by one thread, measured likewise; at least what the loop got.
    gather: float | None
    #: ``transform`` and ``collate_fn`` by all threads of the pool.
    transform: float | None
    #: The loop's own work, on batches that were ready when it asked.
    step: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """``str(report)`` is a table with the advice last; ``as_dict()`` is what the TypeScript SDK writes as JSON."""

    samples: int
    batches: int
    #: Samples that were left out.
    skipped: int
    bytes: int
    #: Fetched from the under-storage, ahead of the loop or while it waited; the rest of ``bytes`` is ``cache_bytes``.
    source_bytes: int
    cache_bytes: int
    #: Samples that needed no GET / samples.
    hit_ratio: float
    #: Samples that were fetched ahead of the loop, so that it found them in segments.
    prefetched_samples: int
    #: From the first request for a batch to the last delivery.
    seconds: float
    samples_per_second: float
    bytes_per_second: float
    #: What the loop waited for; what is left of ``seconds`` is its own work.
    wait_seconds: dict[WaitCause, float]
    tiers: Tiers
    ceilings: Ceilings
    #: Of the GETs to the dataset's source by this node, whoever asked; None where nothing was asked yet.
    hedges: Hedges | None
    #: One sentence: what would make the loop faster.
    advice: str

    def as_dict(self) -> dict[str, Any]:
        return {_camel_case(name): value for name, value in asdict(self).items()}

    def _repr_pretty_(self, printer: Any, _is_cycle: bool) -> None:
        """A cell of a notebook that ends with a report shows its table."""
        printer.text(str(self))

    def __str__(self) -> str:
        return "\n".join([*map(_line, self._rows()), self.advice])

    def _rows(self) -> list[tuple[str, ...]]:
        seconds, waits = self.seconds, self.wait_seconds
        own = max(0.0, seconds - sum(waits.values()))
        read = f"{self.samples} samples, {format_bytes(self.bytes)}"
        rows: list[tuple[str, ...]] = [
            ("read", f"{read}, in {self.batches} batches and {fixed(seconds, 2)} s"),
            ("rate", f"{_per_second(self.samples_per_second)}, {format_bytes(rounded(self.bytes_per_second))}/s"),
        ]
        for cause in sorted(WAIT_CAUSES, key=lambda cause: -waits[cause]):
            if waits[cause] > 0:
                rows.append((f"wait {cause}", f"{fixed(waits[cause], 2)} s", _share(waits[cause], seconds)))
        rows.append(("own work", f"{fixed(own, 2)} s", _share(own, seconds)))
        for name in ("memory", "device", "source"):
            tier: Tier = getattr(self.tiers, name)
            from_tier = f"{tier.samples} samples, {format_bytes(tier.bytes)}"
            rows.append((f"from {name}", from_tier, _share(tier.samples, self.samples)))
        if self.hedges is not None and self.hedges.sent > 0:
            rows.append(("sent twice", f"{self.hedges.sent} slow GETs of this node, {self.hedges.won} to advantage"))
        for name in ("source", "device", "gather", "transform", "step"):
            ceiling: float | None = getattr(self.ceilings, name)
            if ceiling is not None:
                rows.append((f"{name} alone", _per_second(ceiling)))
        return rows


def _line(row: tuple[str, ...]) -> str:
    name, value, *share = row
    return f"{name:<16}{value:<32}{share[0]:>7}" if share else f"{name:<16}{value}"


def _share(part: float, whole: float) -> str:
    return f"{fixed(100 * part / whole if whole > 0 else 0, 1)} %"


def _per_second(rate: float) -> str:
    return f"{fixed(rate, 1) if rate < 100 else rounded(rate)} samples/s"


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
