"""Keeps the reads of the next steps under way, so that the loop finds its batches there."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from millpool._native import Batch, Order, Samples, Schedule
from millpool.at_once import AtOnce
from millpool.dataset import Dataset
from millpool.mixture import Mixture, MixtureEpoch
from millpool.mixture_hints import MixtureHints
from millpool.plan import Plan
from millpool.run_length import AHEAD_MAX, RunLength


@dataclass(frozen=True, slots=True)
class Read:
    """One step's batch."""

    samples: Samples
    #: Of the whole world, after it.
    position: int
    batch: Batch


@dataclass(frozen=True, slots=True)
class Course:
    """What one iteration reads, and how."""

    order: Order | MixtureEpoch
    steps: Schedule
    #: Of this rank, at most.
    batch_size: int
    #: None where the daemon is told nothing.
    plan: Plan | MixtureHints | None
    #: Batches under way or ready; None: as many as serve.
    prefetch: int | None
    #: Seconds of one read.
    timeout: float
    #: Whether small batches are read when they are asked for, on the thread that asks.
    at_once: bool


class ReadAhead:
    def __init__(self, data: Dataset | Mixture, course: Course) -> None:
        file, connection = data.file, data.connection
        self._course = course
        self._ahead = connection.client.ahead(file, min(course.prefetch or AHEAD_MAX, AHEAD_MAX))
        self._run = RunLength(course.prefetch, connection.ring_bytes)
        serves = course.at_once and course.prefetch is None
        batch_bytes = file.bytes / max(1, len(file)) * course.batch_size
        self._at_once = AtOnce(batch_bytes if serves else float("inf"))
        #: Submitted, and not taken: samples, and the position after them.
        self._submitted: deque[tuple[Samples, int]] = deque()
        #: Taken off the schedule for a read at once that could not be made.
        self._left: tuple[Samples, int] | None = None

    def next(self, asked: float, *, wait: bool = True) -> Read | None:
        """The next step in order, having begun reads of those behind it; None at the end of the epoch, or where it is
        not to be waited for and has not come. ``asked``: since when the loop waits.
        """
        if not self._at_once.serves:
            self._start_ahead()
        elif not self._submitted:
            read = self._read_at_once()
            if read is not None:
                return read
        if not self._submitted:
            return None
        batch = self._ahead.next(wait)
        if batch is None:
            return None
        samples, position = self._submitted.popleft()
        # How its read went decides how the next ones are read.
        self._run.came(batch, is_late=batch.came > asked)
        self._at_once.passed()
        return Read(samples, position, batch)

    @property
    def is_over(self) -> bool:
        """All of the epoch was submitted, and taken."""
        if self._left is None and not self._submitted:
            self._left = self._next_step()
        return self._left is None and not self._submitted

    def worked(self, seconds: float) -> None:
        """How long the loop worked on its last batch."""
        self._at_once.worked(seconds)

    def close(self) -> None:
        """Gives up what is still to come."""
        self._ahead.close()

    def _read_at_once(self) -> Read | None:
        step = self._next_step()
        if step is None:
            return None
        samples, position = step
        batch = self._ahead.at_once(samples, self._plan_number, position)
        if batch is not None:
            self._at_once.succeeded()
            return Read(samples, position, batch)
        self._at_once.failed()
        self._left = step
        self._start_ahead()
        return None

    def _start_ahead(self) -> None:
        length = self._run.batches
        while self._run.ahead - len(self._submitted) >= length:
            run: list[tuple[Samples, int]] = []
            while len(run) < length and (step := self._next_step()) is not None:
                run.append(step)
            if not run:
                return
            self._ahead.submit(run, self._plan_number, self._course.timeout)
            self._submitted.extend(run)

    def _next_step(self) -> tuple[Samples, int] | None:
        if self._left is not None:
            left, self._left = self._left, None
            return left
        step = next(self._course.steps, None)
        if step is None:
            return None
        start, count, _padded, _position, next_position = step
        return self._course.order.samples(start, count), next_position

    @property
    def _plan_number(self) -> int:
        plan = self._course.plan
        return 0 if plan is None else plan.number
