"""How far and how is read ahead: the numbers of packages/client/src/run-length.test.ts and at-once.test.ts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from millpool.at_once import AtOnce
from millpool.run_length import RunLength

_RING = 1 << 30


@dataclass(frozen=True)
class Came:
    """What is looked at of a batch."""

    #: Of source, peer, device, gather, queue.
    waits: tuple[float, ...] = (0, 0, 0, 0.0001, 0.00002)
    count: int = 256
    hits: int = 256
    bytes: int = 1 << 20

    def __len__(self) -> int:
        return self.count


QUICK: Any = Came()


def after(run: RunLength, batch: Any, times: int = 1) -> tuple[int, int]:
    for _ in range(times):
        run.came(batch, is_late=False)
    return run.batches, run.ahead


def test_quick_batches_are_read_several_by_a_run_and_twice_as_many_are_under_way() -> None:
    run = RunLength(None, _RING)
    assert (run.batches, run.ahead) == (1, 4)
    assert after(run, QUICK) == (2, 4)
    assert after(run, QUICK, 5) == (8, 16)


@pytest.mark.parametrize("cause", [0, 1, 2])
def test_a_batch_that_waited_is_read_alone_again(cause: int) -> None:
    run = RunLength(None, _RING)
    after(run, QUICK, 5)
    waits = tuple(1e-9 if n == cause else wait for n, wait in enumerate(QUICK.waits))
    assert after(run, replace(QUICK, waits=waits)) == (1, 4)


def test_a_batch_that_was_fetched_or_is_slow_is_read_alone() -> None:
    run = RunLength(None, _RING)
    after(run, QUICK, 5)
    assert after(run, replace(QUICK, hits=255)) == (1, 4)
    assert after(RunLength(None, _RING), replace(QUICK, waits=(0, 0, 0, 0.003, 0)), 5) == (1, 4)


def test_what_was_asked_for_is_never_exceeded_and_a_small_ring_is_not_filled() -> None:
    assert after(RunLength(6, _RING), QUICK, 5) == (3, 6)
    assert after(RunLength(1, _RING), QUICK, 5) == (1, 1)
    assert after(RunLength(None, 32 << 20), QUICK, 5) == (2, 4)
    assert after(RunLength(None, 2 << 20), QUICK, 5) == (1, 4)


def test_a_loop_that_waits_for_the_device_now_and_then_is_read_further_ahead() -> None:
    cold = replace(QUICK, bytes=24 << 20, waits=(0, 0, 0.03, 0, 0))
    run = RunLength(None, _RING)

    def burst() -> int:
        run.came(cold, is_late=False)
        # The first of a burst counts, and what follows it is the same burst.
        for _ in range(3):
            run.came(cold, is_late=True)
        return run.ahead

    assert [burst(), burst(), burst()] == [8, 10, 10]
    always_late = RunLength(None, _RING)
    for _ in range(20):
        always_late.came(cold, is_late=True)
    assert always_late.ahead == 4


def test_small_batches_are_tried_at_once_until_the_loop_works_long_on_one() -> None:
    at_once = AtOnce(1 << 20)
    assert at_once.serves
    for serves in (True, True, False, False):
        at_once.worked(0.005)
        assert at_once.serves is serves
    at_once.worked(0.0002)
    assert at_once.serves
    assert not AtOnce(3 << 20).serves


def test_after_a_try_that_failed_it_waits_for_twice_as_many_batches_as_before() -> None:
    at_once = AtOnce(1 << 20)
    pauses: list[int] = []
    for _ in range(9):
        at_once.failed()
        pauses.append(0)
        while not at_once.serves:
            at_once.passed()
            pauses[-1] += 1
    assert pauses == [4, 8, 16, 32, 64, 128, 256, 256, 256]
    at_once.succeeded()
    at_once.failed()
    for _ in range(4):
        at_once.passed()
    assert at_once.serves
