"""What a loader's batches cost, and how long their consumer waited for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from millpool.advice import Findings, advice_for
from millpool.cache_facts import CacheFacts
from millpool.report import WAIT_CAUSES, Ceilings, Report, Tier, Tiers, WaitCause
from millpool.tally import Tally

#: A batch whose consumer waited for less of its reading was ready.
_READY_SHARE = 0.25


class Counted(Protocol):
    """What batches are counted by (``_native.Batch`` has it)."""

    def __len__(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def hits(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def fetched_bytes(self) -> int: ...
    @property
    def device(self) -> int: ...
    @property
    def device_bytes(self) -> int: ...
    @property
    def waits(self) -> tuple[float, float, float, float, float]: ...
    @property
    def came(self) -> float: ...


class Delivery(NamedTuple):
    """How a batch came to its consumer, in monotonic seconds."""

    asked: float
    delivered: float
    #: When it could be handed over.
    ready: float
    #: Samples left out of it.
    skipped: int = 0
    #: That its transform took, from its begin to its end, and together in all threads.
    transform: float = 0.0
    transform_work: float = 0.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the batches."""

    dataset_path: str
    dataset_bytes: int
    gather: Tally
    device: Tally
    #: None where the daemon has not said.
    cache: CacheFacts | None
    #: That transform.
    threads: int = 1


class StallAccount:
    def __init__(self) -> None:
        self._samples = self._batches = self._skipped = self._hits = self._device = 0
        self._bytes = self._fetched_bytes = self._device_bytes = 0
        self._transformed = 0
        #: By plans that ended, and by the one of now.
        self._ahead_before = self._ahead_now = Tally()
        #: What the loop waited for, since the loader was made.
        self.wait_seconds: dict[WaitCause, float] = dict.fromkeys(WAIT_CAUSES, 0.0)
        self._lease_seconds = 0.0
        self._device_cost = self._gather_cost = self._transform_cost = 0.0
        #: Time in which some read of ours waited for the source, and until when it is counted.
        self._source_seconds = self._source_until = 0.0
        #: The loop's own work on batches that had been ready when it asked, and on all: samples and seconds.
        self._ready_step = (0, 0.0)
        self._step = (0, 0.0)
        self._last_was_ready = False
        self._last_samples = 0
        self._first_asked: float | None = None
        self._last_delivered = 0.0

    def delivered(self, batch: Counted, delivery: Delivery) -> None:
        waits = batch.waits
        count = len(batch)
        read_seconds = sum(waits)
        self._stepped(delivery, count, read_seconds + delivery.transform)
        self._batches += 1
        self._samples += count - batch.failed
        self._skipped += delivery.skipped
        self._bytes += batch.bytes
        self._hits += batch.hits
        self._fetched_bytes += batch.fetched_bytes
        self._device += batch.device
        self._device_bytes += batch.device_bytes
        self._attribute(waits, read_seconds + delivery.transform, delivery)
        if delivery.transform_work > 0:
            self._transformed += count
            self._transform_cost += delivery.transform_work
        if waits[0] > 0:
            self._waited_for_source(waits[0], batch.came)

    def _stepped(self, delivery: Delivery, count: int, work: float) -> None:
        """What the loop did since the delivery before is its work on that batch."""
        asked, delivered = delivery.asked, delivery.delivered
        if self._first_asked is None:
            self._first_asked = asked
        else:
            seconds = max(0.0, asked - self._last_delivered)
            self._step = (self._step[0] + self._last_samples, self._step[1] + seconds)
            if self._last_was_ready:
                self._ready_step = (self._ready_step[0] + self._last_samples, self._ready_step[1] + seconds)
        # One that was read at once was not ready, but took no time to speak of.
        self._last_was_ready = delivery.ready <= asked or delivered - asked < work * _READY_SHARE
        self._last_samples = count
        self._last_delivered = delivered

    def _attribute(self, waits: tuple[float, ...], total: float, delivery: Delivery) -> None:
        """A wait is dealt over the causes in the proportion of what the batch took of each; what exceeds all that was
        spent before it began or on handing it over, and is ``queue``.
        """
        source, peer, device, gather, queue = waits
        waited = delivery.delivered - delivery.asked
        explained = min(waited, total)
        share = explained / total if total > 0 else 0.0
        wait = self.wait_seconds
        wait["source"] += source * share
        wait["peer"] += peer * share
        wait["device"] += device * share
        wait["gather"] += gather * share
        wait["transform"] += delivery.transform * share
        wait["queue"] += queue * share + waited - explained
        self._lease_seconds += queue * share
        self._device_cost += device
        self._gather_cost += gather

    def _waited_for_source(self, seconds: float, came: float) -> None:
        """Reads that wait at the same time are one time of the source."""
        begun = max(self._source_until, came - seconds)
        self._source_seconds += max(0.0, came - begun)
        self._source_until = max(self._source_until, came)

    def copied(self, seconds: float) -> None:
        """For so long a GPU stood still for batches that were on their way to it."""
        self.wait_seconds["copy"] += seconds

    def fetched_ahead(self, progress: Tally) -> None:
        """What the plan under way has fetched so far."""
        self._ahead_now = progress

    def plan_ended(self) -> None:
        self._ahead_before, self._ahead_now = self._ahead, Tally()

    @property
    def _ahead(self) -> Tally:
        return self._ahead_before + self._ahead_now

    def report(self, around: Surroundings) -> Report:
        seconds = 0.0 if self._first_asked is None else self._last_delivered - self._first_asked
        prefetched = min(self._hits, self._ahead.samples)
        tiers = self._tiers()
        waits = dict(self.wait_seconds)
        per_second = _rate(self._samples, seconds) or 0.0
        ceilings = self._ceilings(around, per_second)
        findings = Findings(
            seconds, waits, self._lease_seconds, ceilings, around.dataset_path, around.dataset_bytes, around.cache
        )
        return Report(
            samples=self._samples,
            batches=self._batches,
            skipped=self._skipped,
            bytes=self._bytes,
            source_bytes=tiers.source.bytes,
            cache_bytes=self._bytes - tiers.source.bytes,
            hit_ratio=(self._hits - prefetched) / self._samples if self._samples > 0 else 0.0,
            prefetched_samples=prefetched,
            seconds=seconds,
            samples_per_second=per_second,
            bytes_per_second=_rate(self._bytes, seconds) or 0.0,
            wait_seconds=waits,
            tiers=tiers,
            ceilings=ceilings,
            hedges=None if around.cache is None else around.cache.hedges,
            advice=advice_for(findings),
        )

    def _tiers(self) -> Tiers:
        """What was fetched ahead of the loop, it then found in memory (or, much later, on the device); it is the
        source's all the same.
        """
        ahead = self._ahead
        samples = _split(self._samples, self._samples - self._hits, self._device, ahead.samples)
        sizes = _split(self._bytes, self._fetched_bytes, self._device_bytes, ahead.bytes)
        return Tiers(*map(Tier, samples, sizes))

    def _ceilings(self, around: Surroundings, reached: float) -> Ceilings:
        """A stage that gave more than it was measured to give alone has that as its ceiling."""
        gather, device, ahead = around.gather, around.device, self._ahead
        copied = _rate(gather.samples, gather.seconds) or _rate(self._hits - self._device, self._gather_cost)
        fetched = self._samples - self._hits + ahead.samples
        step = self._ready_step if self._ready_step[0] > 0 else self._step
        return Ceilings(
            source=_rate(fetched, max(self._source_seconds, ahead.seconds)),
            device=_rate(device.samples, device.seconds) or _rate(self._device, self._device_cost),
            gather=None if copied is None else max(copied, reached),
            transform=_rate(self._transformed * around.threads, self._transform_cost),
            step=_rate(*step),
        )


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if seconds > 0 and count > 0 else None


def _split(every: int, fetched: int, device: int, ahead: int) -> tuple[int, int, int]:
    """Of memory, device and source. ``ahead``: fetched by the plan, also what a batch then waited for."""
    source = fetched + min(every - fetched, ahead)
    from_device = min(device, every - source)
    return (every - source - from_device, from_device, source)
