"""Each cause made the bottleneck in turn, by real processes: the report says which it is, and what to do."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import millpool
from conftest import Bed
from harness.files import random_files, write_files
from harness.node import ROOT, Node
from harness.s3_server import S3Server
from harness.slow_proxy import SlowProxy
from millpool.report import WAIT_CAUSES, Report

#: Drops files from the page cache, and fails where they stay (native/bench).
UNCACHE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "native/target")) / "release/millpool-bench"
SLOW_BYTES_PER_SECOND = 4 << 20
OBJECTS, OBJECT_BYTES = 192, 1 << 19


def epoch(loader: millpool.Loader, step_seconds: float = 0.0) -> Report:
    for batch in loader:
        batch.release()
        if step_seconds > 0:
            time.sleep(step_seconds)
    return loader.report()


def worst(report: Report) -> str:
    return max(WAIT_CAUSES, key=lambda cause: report.wait_seconds[cause])


def assert_sound(report: Report) -> None:
    tiers = (report.tiers.memory, report.tiers.device, report.tiers.source)
    assert sum(tier.samples for tier in tiers) == report.samples
    assert sum(tier.bytes for tier in tiers) == report.bytes
    assert sum(report.wait_seconds.values()) <= report.seconds * 1.001


@pytest.fixture(scope="module")
def loaded(place: Path) -> Iterator[Bed]:
    """A node of which all samples are resident."""
    files = random_files(480, seed=3, size=120_000)
    write_files(place / "stalls", files)
    # Written files are kept once they are older than 2 s.
    time.sleep(2.2)
    node = Node(place / "stalls-bed", [str(place / "stalls")])
    node.run("load", "/stalls", "--wait")
    yield Bed(node, "/stalls", files)
    node.stop()


def test_device_is_the_first_pass_over_segments_that_are_not_in_memory(loaded: Bed) -> None:
    # Such a pass takes milliseconds here: a daemon that another process holds up for as long is waited for more.
    for _ in range(5):
        report = first_pass(loaded)
        assert_sound(report)
        assert report.tiers.device.samples > len(loaded.files) / 2, str(report)
        if worst(report) == "device":
            break
    assert worst(report) == "device", str(report)
    assert re.search(r"waits for the cache device.*--data DIR again", report.advice), report.advice


def first_pass(bed: Bed) -> Report:
    segments = bed.node.directory / "data" / "segments"
    dropped = subprocess.run([UNCACHE, "uncache", segments], capture_output=True, text=True, check=False)
    if dropped.returncode != 0:
        pytest.skip(f"segments here stay in memory: {dropped.stderr[:200]}")
    with millpool.connect(bed.socket) as mill:
        return epoch(millpool.Loader(mill.dataset(bed.root), 48, shuffle=True, seed=5))


def test_gather_is_a_loop_that_does_nothing_and_memory(loaded: Bed) -> None:
    with millpool.connect(loaded.socket) as mill:
        # Batches so large that handing them over is nothing beside copying them.
        loader = millpool.Loader(mill.dataset(loaded.root), 240, shuffle=True, seed=5)
        for _ in range(20):
            epoch(loader)
        report = loader.report()
    assert_sound(report)
    assert worst(report) == "gather", str(report)
    assert (report.ceilings.step or 0) > report.samples_per_second, "the step is no limit"
    assert "as fast as memory gives them" in report.advice, report.advice


def test_step_is_a_loop_that_computes_and_its_stages_are_measured_beside_it(loaded: Bed) -> None:
    with millpool.connect(loaded.socket) as mill:
        loader = millpool.Loader(mill.dataset(loaded.root), 24, shuffle=True, seed=5)
        epochs = 0
        # The first replay comes after a second.
        while epochs < 2 or loader.report().ceilings.gather is None:
            epoch(loader, 0.06)
            epochs += 1
        report = loader.report()
    assert_sound(report)
    assert report.samples == epochs * len(loaded.files), "each sample once an epoch"
    assert re.search(r"own work takes \d+ % of the time", report.advice), str(report)
    assert report.ceilings.step is not None
    assert report.ceilings.gather is not None
    assert report.ceilings.step < report.ceilings.gather, str(report)


def test_queue_is_batches_so_small_that_their_bytes_are_nothing(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(2000, seed=8, size=16))
    time.sleep(2.2)
    bed.node.run("load", bed.root, "--wait")
    with millpool.connect(bed.socket) as mill:
        loader = millpool.Loader(mill.dataset(bed.root), 1, shuffle=True, seed=5)
        for _ in range(3):
            epoch(loader)
        report = loader.report()
    assert_sound(report)
    assert worst(report) == "queue", str(report)
    assert "a larger batch_size makes fewer of them" in report.advice, report.advice


def test_queue_is_a_ring_whose_slots_are_held_by_others(loaded: Bed) -> None:
    # Two slots, and each batch fills one, which is held for a while behind the loop's back.
    with millpool.connect(loaded.socket, ring_bytes=4 << 20) as mill, ThreadPoolExecutor(1) as holder:
        loader = millpool.Loader(mill.dataset(loaded.root), 16, shuffle=True, seed=5)

        def hold(batch: millpool.Batch) -> None:
            time.sleep(0.02)
            batch.release()

        for batch in loader:
            holder.submit(hold, batch)
        report = loader.report()
    assert_sound(report)
    assert worst(report) == "queue", str(report)
    assert "release batches sooner, or give connect() a larger ring_bytes" in report.advice, report.advice


@pytest.fixture(scope="module")
def slow_node(place: Path, s3_server: S3Server) -> Iterator[Callable[[str], Bed]]:
    """Nodes, each with a cache of so much, over one bucket that gives its objects slowly."""
    files = random_files(OBJECTS, seed=4, size=OBJECT_BYTES)
    s3_server.put("slow")
    for key, body in files.items():
        s3_server.put("slow", key, body)
    time.sleep(2.2)
    proxy = SlowProxy(s3_server.endpoint, SLOW_BYTES_PER_SECOND)
    nodes: list[Node] = []

    def start(size: str) -> Bed:
        environment = {**s3_server.environment, "AWS_ENDPOINT_URL": proxy.endpoint}
        node = Node(place / f"slow-{size}", ["s3://slow"], args=["--size", size], env=environment)
        nodes.append(node)
        return Bed(node, "/slow", files)

    yield start
    for node in nodes:
        node.stop()
    proxy.stop()


def cached_bytes(bed: Bed) -> int:
    status = bed.node.run("status")
    assert isinstance(status, dict)
    [attachment] = status["attachments"]
    return int(attachment["cachedBytes"])


def test_source_all_of_which_fits_is_to_be_loaded(slow_node: Callable[[str], Bed]) -> None:
    bed = slow_node("256MiB")
    with millpool.connect(bed.socket) as mill:
        loader = millpool.Loader(mill.dataset(bed.root), 16, shuffle=True, seed=2)
        batches = iter(loader)
        for _ in range(4):
            next(batches).release()
        early = loader.report()
        for batch in batches:
            batch.release()
        assert loader.report().tiers.source.samples == OBJECTS
        # The last ones lie in a segment that is not sealed yet.
        deadline = time.monotonic() + 60
        while cached_bytes(bed) < OBJECTS * OBJECT_BYTES:
            assert time.monotonic() < deadline, cached_bytes(bed)
            time.sleep(0.2)
        report = epoch(loader)
    for said in (early, report):
        assert_sound(said)
        assert worst(said) == "source", str(said)
    assert (report.ceilings.source or 0) > 0
    assert "millpool load /slow --wait" in early.advice, early.advice
    assert "is here by now: the next epoch needs no GET" in report.advice, report.advice
    assert report.tiers.source.samples == OBJECTS


def test_source_of_which_a_part_fits_says_how_much_and_how_large_it_must_be(slow_node: Callable[[str], Bed]) -> None:
    bed = slow_node("64MiB")
    with millpool.connect(bed.socket) as mill:
        loader = millpool.Loader(mill.dataset(bed.root), 16, shuffle=True, seed=2)
        for _ in range(3):
            epoch(loader)
        report = loader.report()
    assert_sound(report)
    assert worst(report) == "source", str(report)
    fits = r": [\d.]+MiB of 96(\.0)?MiB fits, the rest is fetched each epoch: size it to [\d.]+MiB"
    assert re.search(fits, report.advice), report.advice
