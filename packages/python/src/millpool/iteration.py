"""One pass over what is left of an epoch."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn

from millpool.batch import Batch, OnError, Rows, settled
from millpool.dataset import Dataset
from millpool.errors import Closed, MillpoolError
from millpool.mixture import Mixture
from millpool.mixture_hints import MixtureHints
from millpool.plan import Plan
from millpool.read_ahead import Read, ReadAhead
from millpool.stage_probe import StageProbe
from millpool.stall_account import Delivery, StallAccount
from millpool.transform import Transformed, TransformStage

#: Batches in the stage of transforms: one that is waited for, one that is worked on, one that is to come.
_TRANSFORMED_AHEAD = 3


@dataclass(frozen=True, slots=True)
class Passage:
    """What an iteration goes through, and whom it tells."""

    data: Dataset | Mixture
    ahead: ReadAhead
    plan: Plan | MixtureHints | None
    #: None where samples are given as they are.
    stage: TransformStage | None
    account: StallAccount
    probe: StageProbe
    on_error: OnError
    #: That the world is at this position: a batch was handed out.
    moved: Callable[[int], None]
    #: That all of it was handed out.
    ended: Callable[[], None]
    #: What the cache can do, for the report; asked now and then, beside the loop.
    ask_cache: Callable[[], None]


class Iteration(Iterator[Any]):
    """Of the process that made it: a forked child iterates anew."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._process = os.getpid()
        self._is_open = True
        self._handed: float | None = None
        #: For what the loop does not wait for: the plan, replays, the cache.
        self._aside = ThreadPoolExecutor(1, "millpool-aside")
        #: In the stage of transforms.
        self._staged: deque[tuple[Read, Transformed | MillpoolError]] = deque()

    def __iter__(self) -> Iteration:
        return self

    def __next__(self) -> Any:
        if not self._is_open:
            raise StopIteration
        if self._process != os.getpid():
            raise Closed(
                "this iteration belongs to the process that this one was forked from",
                "Iterate over the loader again: it goes on where it was.",
            )
        asked = time.monotonic()
        if self._handed is not None:
            self._passage.ahead.worked(asked - self._handed)
        try:
            stage = self._passage.stage
            return self._next_batch(asked) if stage is None else self._next_transformed(asked, stage)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives up what is under way. Idempotent."""
        if not self._is_open or self._process != os.getpid():
            return
        self._is_open = False
        passage = self._passage
        passage.ahead.close()
        if passage.stage is not None:
            passage.stage.close()
        self._staged.clear()
        if sys.is_finalizing():
            return
        self._aside.shutdown(wait=True, cancel_futures=True)
        if passage.plan is not None:
            passage.plan.close(passage.account.wait_seconds)
            passage.account.fetched_ahead(passage.plan.progress)
            passage.account.plan_ended()
        passage.ask_cache()

    def __del__(self) -> None:
        if hasattr(self, "_aside"):
            self.close()

    def _next_batch(self, asked: float) -> Batch:
        read = self._passage.ahead.next(asked)
        if read is None:
            self._end()
        batch = self._batch_of(read)
        skipped = len(read.samples) - len(batch)
        now = time.monotonic()
        self._delivered(read, Delivery(asked, now, read.batch.came, skipped), now)
        return batch

    def _next_transformed(self, asked: float, stage: TransformStage) -> Any:
        ahead, staged = self._passage.ahead, self._staged
        while len(staged) < _TRANSFORMED_AHEAD:
            read = ahead.next(asked, wait=not staged)
            if read is None:
                break
            staged.append((read, self._started(read, stage)))
        if not staged:
            self._end()
        read, transformed = staged.popleft()
        if isinstance(transformed, MillpoolError):
            raise transformed
        value = transformed.result()
        now = time.monotonic()
        skipped, spent = len(read.samples) - transformed.count, transformed.ended - transformed.began
        self._delivered(read, Delivery(asked, now, transformed.ended, skipped, spent, transformed.work), now)
        return value

    def _started(self, read: Read, stage: TransformStage) -> Transformed | MillpoolError:
        """A batch that cannot be had is met in its turn, behind those before it."""
        try:
            return stage.start(self._batch_of(read))
        except MillpoolError as error:
            return error

    def _batch_of(self, read: Read) -> Batch:
        native = read.batch
        errors = dict(native.failures()) if native.failed else {}
        return settled(native, Rows(read.samples, self._passage.data.path, errors), self._passage.on_error)

    def _delivered(self, read: Read, delivery: Delivery, now: float) -> None:
        passage = self._passage
        account, plan = passage.account, passage.plan
        account.delivered(read.batch, delivery)
        passage.moved(read.position)
        if passage.probe.delivered(read.samples, now, self._aside):
            self._aside.submit(passage.ask_cache)
        if plan is not None:
            plan.delivered(read.position, now, account.wait_seconds, self._aside)
            account.fetched_ahead(plan.progress)
        self._handed = time.monotonic()

    def _end(self) -> NoReturn:
        self.close()
        self._passage.ended()
        raise StopIteration
