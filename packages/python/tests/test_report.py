"""What a loader says of its waits: the same numbers, sentences and table as in TypeScript."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from harness.node import ROOT
from millpool.cache_facts import CacheFacts, Hedges, cache_facts_of
from millpool.figures import fixed, format_bytes
from millpool.report import Report
from millpool.stall_account import Delivery, StallAccount, Surroundings
from millpool.tally import Tally

VECTORS: list[dict[str, Any]] = json.loads((ROOT / "test/vectors/stall-report.json").read_text())


@dataclass(frozen=True)
class Counted:
    count: int
    hits: int = 10
    failed: int = 0
    bytes: int = 1000
    fetched_bytes: int = 0
    device: int = 0
    device_bytes: int = 0
    waits: tuple[float, float, float, float, float] = (0, 0, 0, 0, 0)
    came: float = 0

    def __len__(self) -> int:
        return self.count


def counted(batch: dict[str, Any], came: float) -> Counted:
    source, peer, device, gather, queue = (
        batch["waits"][f"{cause}Ns"] / 1e9 for cause in ("source", "peer", "device", "gather", "queue")
    )
    return Counted(
        count=batch["length"],
        hits=batch["hits"],
        failed=batch["failed"],
        bytes=batch["bytes"],
        fetched_bytes=batch["fetchedBytes"],
        device=batch["device"],
        device_bytes=batch["deviceBytes"],
        waits=(source, peer, device, gather, queue),
        came=came,
    )


def facts_of(cache: dict[str, Any] | None) -> CacheFacts | None:
    if cache is None:
        return None
    sizes = cache["capacityBytes"], cache["cachedBytes"]
    return CacheFacts(*sizes, cache["policy"], cache["state"], cache["why"], Hedges(**cache["hedges"]))


def report_of(vector: dict[str, Any]) -> Report:
    account = StallAccount()
    for one in vector["deliveries"]:
        came = one["cameMs"] / 1000
        delivery = Delivery(one["askedMs"] / 1000, one["deliveredMs"] / 1000, came, one["skipped"])
        account.delivered(counted(one["batch"], came), delivery)
    if vector["ahead"] is not None:
        ahead = vector["ahead"]
        account.fetched_ahead(Tally(ahead["fetchedSamples"], ahead["fetchedBytes"], ahead["fetchSeconds"]))
    gather, device = (Tally(**vector["replays"][stage]) for stage in ("gather", "device"))
    dataset = vector["dataset"]
    return account.report(Surroundings(dataset["path"], dataset["bytes"], gather, device, facts_of(vector["cache"])))


def assert_near(found: Any, wanted: Any) -> None:
    """Seconds here, milliseconds there: equal but for the last digits."""
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for name in wanted:
            assert_near(found[name], wanted[name])
    elif isinstance(wanted, (int, float)):
        assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9)
    else:
        assert found == wanted


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_an_account_says_what_the_shared_vectors_do(vector: dict[str, Any]) -> None:
    def in_python(text: str) -> str:
        return text.replace("batchSize", "batch_size").replace("ringBytes", "ring_bytes")

    report = report_of(vector)
    wanted = {**vector["report"], "advice": in_python(vector["report"]["advice"])}
    assert_near(json.loads(json.dumps(report.as_dict())), wanted)
    assert str(report) == in_python(vector["text"])


def test_a_transform_has_its_share_of_the_wait_and_a_ceiling_of_all_its_threads() -> None:
    account = StallAccount()
    for n in range(3):
        delivery = Delivery(n, n + 0.4, n + 0.4, 0, transform=0.3, transform_work=0.5)
        account.delivered(Counted(10, waits=(0, 0, 0, 0.1, 0)), delivery)
    report = account.report(Surroundings("/data", 1000, Tally(), Tally(), None, threads=2))
    assert report.wait_seconds["transform"] == pytest.approx(0.9)
    assert report.wait_seconds["gather"] == pytest.approx(0.3)
    assert report.ceilings.transform == pytest.approx(2 * 30 / 1.5)
    assert "own work" in str(report)


def test_reads_that_waited_for_a_slot_ahead_of_the_loop_are_not_what_it_waits_for() -> None:
    account = StallAccount()
    for n in range(10):
        account.delivered(Counted(10, waits=(0, 0, 0, 0, 0.4)), Delivery(n, n, n))
        account.delivered(Counted(10), Delivery(n, n + 0.9, n))
    report = account.report(Surroundings("/data", 1000, Tally(), Tally(), None))
    assert "a larger batch_size makes fewer of them" in report.advice, report.advice


def test_facts_are_of_the_nearest_attachment_and_of_devices_that_work() -> None:
    hedges = {"sent": 1, "won": 0}
    near = {"path": "/a/b", "cachedBytes": 5, "policy": "keep", "hedges": hedges}
    status = {
        "attachments": [
            {**near, "path": "/"},
            near,
            {**near, "path": "/a/bc"},
            {**near, "path": "/a", "shareBytes": 3},
        ],
        "devices": [{"sizeBytes": 10, "state": "ok"}, {"sizeBytes": 90, "state": "failed"}],
        "cache": {"state": "on", "why": ""},
    }
    assert cache_facts_of("/a/b/c", status) == CacheFacts(10, 5, "keep", "on", "", Hedges(1, 0))
    found = cache_facts_of("/a/x", status)
    assert found is not None
    assert found.capacity_bytes == 3
    assert cache_facts_of("/a/x", {**status, "attachments": [near]}) is None


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (
            lambda: [format_bytes(count) for count in (0, 1023, 1024, 1536, 2**40)],
            ["0B", "1023B", "1KiB", "1.5KiB", "1TiB"],
        ),
        (lambda: [format_bytes(1280), fixed(0.25, 1), fixed(2.5, 0), fixed(1 / 3, 2)], ["1.3KiB", "0.3", "3", "0.33"]),
    ],
)
def test_figures_are_written_as_in_typescript(write: Callable[[], list[str]], wanted: list[str]) -> None:
    assert write() == wanted
