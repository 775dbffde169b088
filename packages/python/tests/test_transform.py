"""What users do to samples, on threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import millpool


def test_results_come_in_order_whoever_made_them(data: millpool.Dataset) -> None:
    wanted = [[len(data[i]) for i in range(start, min(start + 32, 200))] for start in range(0, 200, 32)]
    for threads in (1, 2, 5, 64):
        assert list(millpool.Loader(data, 32, transform=len, num_threads=threads)) == wanted
    names: set[str] = set()
    for _ in millpool.Loader(data, 64, transform=lambda _: names.add(threading.current_thread().name), num_threads=3):
        pass
    assert all(name.startswith("millpool-transform") for name in names)


def test_a_transform_of_two_arguments_is_told_which_sample(data: millpool.Dataset) -> None:
    def labelled(sample: memoryview, index: int) -> tuple[str, int]:
        return data.path(index), len(sample)

    loader = millpool.Loader(data, 50, True, seed=2, transform=labelled, collate_fn=dict)
    for epoch in range(2):
        found: dict[str, int] = {}
        for batch in loader:
            found |= batch
        assert found == {data.path(i): data.size(i) for i in range(200)}, epoch

    def with_default(sample: memoryview, scale: int = 2) -> int:
        return len(sample) * scale

    assert next(iter(millpool.Loader(data, 2, transform=with_default))) == [data.size(0) * 2, data.size(1) * 2]


def test_collate_alone_gets_views_and_they_keep_their_bytes(data: millpool.Dataset) -> None:
    batches = list(millpool.Loader(data, 50, collate_fn=list))
    assert [bytes(sample) for batch in batches for sample in batch] == [data[i] for i in range(200)]


def test_an_error_says_which_sample_and_keeps_its_kind(data: millpool.Dataset) -> None:
    def picky(sample: memoryview, index: int) -> int:
        if index == 77:
            raise KeyError("no such label")
        return index

    loader = millpool.Loader(data, 10, transform=picky)
    seen: list[int] = []
    with pytest.raises(KeyError, match="no such label") as caught:
        seen.extend(i for batch in loader for i in batch)
    assert caught.value.__notes__ == [f"in the transform of sample 77, {data.path(77)}"]
    assert seen == list(range(70)), "what came before it was handed out"
    assert loader.state_dict()["position"] == 70
    skipping = millpool.Loader(data, 10, transform=picky, on_error="skip")
    assert [i for batch in skipping for i in batch] == [i for i in range(200) if i != 77]
    assert skipping.report().skipped == 1
    kept = [one for batch in millpool.Loader(data, 10, transform=picky, on_error="keep") for one in batch]
    assert [i for i, one in enumerate(kept) if i != one] == [77]
    assert isinstance(kept[77], KeyError)


def test_an_error_of_collate_is_raised(data: millpool.Dataset) -> None:
    def ragged(samples: list[Any]) -> None:
        raise ValueError("all the input array dimensions must match")

    with pytest.raises(ValueError, match="dimensions"):
        next(iter(millpool.Loader(data, 10, collate_fn=ragged)))


def test_what_is_left_in_the_middle_is_given_up(data: millpool.Dataset) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(sample: memoryview, index: int) -> int:
        if index >= 60:
            entered.set()
            leave.wait(60)
        return index

    loader = millpool.Loader(data, 20, transform=slow, num_threads=2)
    for batch in loader:
        if batch[-1] == 39:
            assert entered.wait(60)
            break
    assert loader.state_dict()["position"] == 40
    leave.set()
    assert [i for batch in loader for i in batch] == list(range(40, 200))


def test_a_slow_transform_is_what_the_loop_waits_for(data: millpool.Dataset) -> None:
    def slow(sample: memoryview) -> int:
        threading.Event().wait(0.0005)
        return len(sample)

    loader = millpool.Loader(data, 50, transform=slow, num_threads=2)
    for _ in range(2):
        for _batch in loader:
            pass
    report = loader.report()
    assert max(report.wait_seconds, key=lambda cause: report.wait_seconds[cause]) == "transform", str(report)
    assert "waits for its transform" in report.advice
    assert report.ceilings.transform is not None
    assert report.ceilings.transform < 2 / 0.0005
    assert sum(report.wait_seconds.values()) <= report.seconds * 1.001
