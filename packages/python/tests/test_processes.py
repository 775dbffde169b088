"""Other processes, threads, signals, and a daemon that goes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

import millpool
from conftest import Bed
from harness.files import in_path_order, random_files

HERE = Path(__file__).parent


def digest(data: millpool.Dataset, indices: list[int]) -> str:
    """In a worker."""
    with data.read_many(indices) as batch:
        return sha256(b"".join(batch)).hexdigest()


def wanted_digest(bed: Bed, indices: list[int]) -> str:
    bodies = [body for _, body in in_path_order(bed.files)]
    return sha256(b"".join(bodies[i] for i in indices)).hexdigest()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_each_kind_read(bed: Bed, data: millpool.Dataset, method: str) -> None:
    assert data[0] == in_path_order(bed.files)[0][1]
    shares = [list(range(start, 200, 4)) for start in range(4)]
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        found = list(pool.map(digest, [data] * 4, shares, timeout=60))
    assert found == [wanted_digest(bed, share) for share in shares]
    assert digest(data, shares[0]) == found[0]


def test_a_child_reads_while_its_parent_does(bed: Bed, data: millpool.Dataset) -> None:
    held = data.read_many(range(50))
    pid = os.fork()
    if pid == 0:
        fine = digest(data, list(range(200))) == wanted_digest(bed, list(range(200)))
        fine = fine and bytes(held[3]) == in_path_order(bed.files)[3][1]
        os._exit(0 if fine else 1)
    for _ in range(20):
        assert digest(data, list(range(200))) == wanted_digest(bed, list(range(200)))
    assert os.waitpid(pid, 0)[1] == 0
    assert bytes(held[3]) == in_path_order(bed.files)[3][1]


def test_threads_read_at_once(bed: Bed, data: millpool.Dataset) -> None:
    shares = [list(range(start, 200, 7)) for start in range(7)] * 20
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda share: digest(data, share), shares))
    assert found == [wanted_digest(bed, share) for share in shares]


def test_a_worker_that_is_killed_leaves_nothing_behind(bed: Bed, data: millpool.Dataset) -> None:
    before = set(os.listdir("/dev/shm"))
    reading, telling = os.pipe()
    pid = os.fork()
    if pid == 0:
        kept = data.read_many(range(100))
        os.write(telling, bytes(kept[0])[:1])
        signal.pause()
    os.read(reading, 1)
    assert set(os.listdir("/dev/shm")) == before
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert set(os.listdir("/dev/shm")) == before
    assert digest(data, [1, 2]) == wanted_digest(bed, [1, 2])


def stopped(node_pid: int) -> Callable[[], None]:
    """The daemon hangs until what this returns is called."""
    os.kill(node_pid, signal.SIGSTOP)
    return lambda: os.kill(node_pid, signal.SIGCONT)


def interrupted_after(seconds: float, call: Callable[[], object]) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()
    call()


def test_ctrl_c_ends_every_wait(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(4, seed=5))
    with millpool.connect(bed.socket, timeout=100) as mill:
        data = mill.dataset(bed.root)
        wake = stopped(bed.node.pid)
        calls: list[Callable[[], object]] = [
            lambda: mill.stat(bed.root),
            lambda: data.read_many(range(4)),
            lambda: millpool.connect(bed.socket, timeout=100),
        ]
        try:
            for call in calls:
                with pytest.raises(KeyboardInterrupt):
                    interrupted_after(0.2, call)
        finally:
            wake()
        assert list(data) == [body for _, body in in_path_order(bed.files)]
        assert mill.stat(bed.root).type == "directory"


def test_a_signal_whose_handler_returns_ends_nothing(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(4, seed=6))
    seen = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.set())
    try:
        with millpool.connect(bed.socket) as mill:
            wake = stopped(bed.node.pid)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()

            def wake_when_seen() -> None:
                seen.wait(20)
                wake()

            waker = threading.Thread(target=wake_when_seen)
            waker.start()
            # The handler runs in the midst of the call, or nobody would wake the daemon.
            assert mill.stat(bed.root).type == "directory"
            waker.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_deadline_says_for_what_it_waited(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(4, seed=7))
    with millpool.connect(bed.socket) as mill:
        data = mill.dataset(bed.root)
        wake = stopped(bed.node.pid)
        try:
            with pytest.raises(TimeoutError, match="waited") as caught:
                mill.stat(bed.root, timeout=0.1)
            assert isinstance(caught.value, millpool.Timeout)
            with pytest.raises(millpool.Timeout, match="waited"):
                data.read_many([0], timeout=0.1)
        finally:
            wake()


def test_a_daemon_that_is_gone_is_unreachable_and_one_that_comes_back_is_used(
    new_bed: Callable[[dict[str, bytes]], Bed],
) -> None:
    bed = new_bed(random_files(20, seed=8))
    wanted = [body for _, body in in_path_order(bed.files)]
    with millpool.connect(bed.socket, timeout=30) as mill:
        data = mill.dataset(bed.root)
        assert list(data) == wanted
        bed.node.stop(signal.SIGKILL)
        for call in (lambda: mill.stat(bed.root, timeout=0.3), lambda: data.read_many([0] * 3000, timeout=0.3)):
            with pytest.raises(ConnectionError, match="no daemon answers") as caught:
                call()
            assert isinstance(caught.value, millpool.Unreachable)
            assert "millpool up" in caught.value.remedy
        bed.node.start()
        assert list(data) == wanted
        assert mill.stat(bed.root).type == "directory"


ENDINGS = {
    "with all open": "",
    "closed": "mill.close()",
    "with a batch held": "held = data.read_many(range(10)); view = held[0]",
    "with threads in a read": """
import threading
for _ in range(4):
    threading.Thread(target=lambda: [data.read_many(range(200)) for _ in range(1000)], daemon=True).start()
""",
    "in an exception": "raise SystemExit(0)",
    "before a cycle is collected": "data.self = data; mill.self = mill",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interpreter_ends_cleanly(bed: Bed, ending: str) -> None:
    script = f"""
import millpool
mill = millpool.connect({bed.socket!r})
data = mill.dataset({bed.root!r})
assert len(data[0]) == {len(in_path_order(bed.files)[0][1])}
{ENDINGS[ending]}
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_importing_needs_neither_numpy_nor_torch() -> None:
    script = "import millpool, sys; print([name for name in ('numpy', 'torch', 'fsspec') if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_a_wait_lets_other_threads_run(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(4, seed=9))
    with millpool.connect(bed.socket) as mill:
        wake = stopped(bed.node.pid)
        counted = threading.Event()

        def count() -> None:
            time.sleep(0)
            counted.set()
            wake()

        thread = threading.Thread(target=count)
        thread.start()
        # With the interpreter held, the daemon would never be woken.
        assert mill.stat(bed.root).type == "directory"
        thread.join()
        assert counted.is_set()
