"""Loaders in other processes: shares of a world, forks, signals, exits, and a daemon that goes."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import millpool
from conftest import Bed
from harness.files import random_files
from harness.process import Process

HERE = Path(__file__).parent
_SRC = HERE.parent / "src"

#: Reads so many steps of its share of a world, and prints which samples; then the state.
TRAIN = """
import json, sys, millpool
socket, root, steps, state = sys.argv[1:]
data = millpool.connect(socket).dataset(root)
loader = millpool.Loader(data, 5, shuffle=True, seed=11, transform=lambda view, index: index, collate_fn=list)
if state:
    loader.load_state_dict(json.loads(state))
seen = []
for batch in loader:
    seen.append(batch)
    if len(seen) == int(steps):
        break
print(json.dumps({"seen": seen, "state": loader.state_dict()}), flush=True)
"""


def python(program: str, *args: str, env: dict[str, str] | None = None) -> Process:
    path = {"PYTHONPATH": str(_SRC), "PYTHONDONTWRITEBYTECODE": "1"}
    return Process([sys.executable, "-c", program, *args], {**path, **(env or {})})


@contextmanager
def started(program: str, *args: str) -> Iterator[Process]:
    process = python(program, *args)
    try:
        yield process
    finally:
        process.stop(signal.SIGKILL)


def trained(bed: Bed, world: int, steps: int, state: object) -> tuple[list[int], object]:
    """By real processes as a launcher starts them: what all ranks saw, in order, and where they stand."""
    args = (bed.socket, bed.root, str(steps), json.dumps(state) if state else "")
    ranks = [python(TRAIN, *args, env={"RANK": str(rank), "WORLD_SIZE": str(world)}) for rank in range(world)]
    told = [json.loads(rank.first_line()) for rank in ranks]
    assert [rank.wait() for rank in ranks] == [0] * world
    assert all(one["state"] == told[0]["state"] for one in told), "the state is the same on every rank"
    in_steps = zip(*(one["seen"] for one in told), strict=True)
    return [index for step in in_steps for part in step for index in part], told[0]["state"]


@pytest.mark.parametrize("worlds", [(2, 1), (1, 3), (3, 2, 4)])
def test_a_stopped_training_goes_on_exactly_in_a_world_of_another_size(bed: Bed, worlds: Sequence[int]) -> None:
    data = millpool.connect(bed.socket).dataset(bed.root)
    wanted = millpool.Loader(data, 5 * worlds[0], shuffle=True, seed=11)
    whole = [index for batch in wanted for index in batch.indices]
    seen: list[int] = []
    state: object = None
    for n, world in enumerate(worlds):
        part, state = trained(bed, world, 1000 if n == len(worlds) - 1 else 4, state)
        seen += part
    assert seen == whole


def test_a_child_of_the_middle_of_an_epoch_iterates_anew_and_its_parent_goes_on(data: millpool.Dataset) -> None:
    whole = [batch.indices for batch in millpool.Loader(data, 10, shuffle=True)]
    loader = millpool.Loader(data, 10, shuffle=True)
    iteration = iter(loader)
    begun = [next(iteration).indices for _ in range(3)]
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            next(iteration)
        except millpool.Closed as error:
            rest = [batch.indices for batch in loader]
            code = 0 if "forked" in str(error) and begun + rest == whole else 2
        finally:
            os._exit(code)
    assert begun + [batch.indices for batch in iteration] == whole
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("more", ["", ", transform=len", ", prefetch=16"])
def test_an_interpreter_that_exits_with_reads_under_way_does_so_at_once(bed: Bed, more: str) -> None:
    program = f"""
import sys, millpool
data = millpool.connect(sys.argv[1]).dataset(sys.argv[2])
iteration = iter(millpool.Loader(data, 4, shuffle=True{more}))
kept = [next(iteration), next(iteration)]
print("leaving", flush=True)
"""
    for _ in range(5):
        process = python(program, bed.socket, bed.root)
        assert process.first_line() == "leaving\n"
        assert process.wait() == 0, process.stderr
        assert process.stderr == ""


def test_ctrl_c_ends_a_wait_for_the_daemon(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(16, seed=5, size=1000))
    # Nothing is fetched ahead: the second batch waits for a daemon that does not run.
    program = """
import os, signal, sys, millpool
data = millpool.connect(sys.argv[1], timeout=600).dataset(sys.argv[2])
iteration = iter(millpool.Loader(data, 8, prefetch=1, hints=False))
next(iteration)
os.kill(int(sys.argv[3]), signal.SIGSTOP)
try:
    print("waiting", flush=True)
    next(iteration)
except KeyboardInterrupt:
    sys.exit(7)
"""
    try:
        with started(program, bed.socket, bed.root, str(bed.node.pid)) as process:
            assert process.first_line() == "waiting\n"
            os.kill(process.pid, signal.SIGINT)
            assert process.wait() == 7, process.stderr
    finally:
        os.kill(bed.node.pid, signal.SIGCONT)


@pytest.mark.parametrize("transform", [None, bytes])
def test_a_daemon_that_is_started_again_in_the_middle_of_an_epoch_is_waited_for(
    new_bed: Callable[[dict[str, bytes]], Bed], transform: Callable[[memoryview], bytes] | None
) -> None:
    bed = new_bed(random_files(80, seed=6, size=3000))
    data = millpool.connect(bed.socket).dataset(bed.root)
    in_the_middle, is_gone = threading.Event(), threading.Event()

    def epoch() -> list[bytes]:
        seen: list[bytes] = []
        for batch in millpool.Loader(data, 4, shuffle=True, transform=transform):
            seen += map(bytes, batch)
            if len(seen) == 12:
                in_the_middle.set()
                is_gone.wait(60)
        return seen

    with ThreadPoolExecutor(1) as pool:
        looping = pool.submit(epoch)
        assert in_the_middle.wait(60)
        bed.node.stop()
        is_gone.set()
        bed.node.start()
        seen = looping.result(60)
    assert sorted(seen) == sorted(bed.files.values())


def test_a_daemon_that_is_gone_is_a_clear_error_and_one_that_comes_back_is_gone_on_with(
    new_bed: Callable[[dict[str, bytes]], Bed],
) -> None:
    bed = new_bed(random_files(40, seed=7, size=3000))
    data = millpool.connect(bed.socket).dataset(bed.root)
    loader = millpool.Loader(data, 4, prefetch=1, hints=False, timeout=1)
    iteration = iter(loader)
    seen = next(iteration).indices
    bed.node.stop()
    with pytest.raises(millpool.Unreachable, match=bed.socket):
        next(iteration)
    with pytest.raises(ConnectionError):
        next(iter(loader))
    bed.node.start()
    assert seen + [index for batch in loader for index in batch.indices] == list(range(40))
