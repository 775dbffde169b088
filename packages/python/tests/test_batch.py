"""Views, and the slots that they hold."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import millpool
from conftest import Bed

SLOT = 2 << 20


@pytest.fixture
def small(bed: Bed) -> millpool.Dataset:
    """Of a ring that holds one batch."""
    return millpool.connect(bed.socket, ring_bytes=SLOT, timeout=20).dataset(bed.root)


def bodies(bed: Bed) -> list[bytes]:
    return [body for _, body in sorted(bed.files.items())]


def test_a_batch_is_a_sequence_of_views(bed: Bed, data: millpool.Dataset) -> None:
    batch = data.read_many([4, 0, 4])
    wanted = [bodies(bed)[i] for i in (4, 0, 4)]
    assert len(batch) == 3
    assert [bytes(view) for view in batch] == [bytes(batch[i]) for i in range(3)] == wanted
    assert [bytes(view) for view in batch[1:]] == wanted[1:]
    assert batch.copy(-1) == wanted[2]
    assert [batch.index(i) for i in range(3)] == batch.indices == [4, 0, 4]
    assert batch.path(1) == data.path(0)
    assert batch.nbytes == sum(map(len, wanted))
    for outside in (3, -4):
        for ask in (batch.__getitem__, batch.index, batch.path, batch.error, batch.copy):
            with pytest.raises(IndexError):
                ask(outside)


def test_a_view_is_read_only_bytes(data: millpool.Dataset) -> None:
    view = data.read_many([1])[0]
    assert (view.format, view.ndim, view.readonly, view.contiguous) == ("B", 1, True, True)
    with pytest.raises(TypeError):
        view[0] = 1
    array = np.frombuffer(view, dtype=np.uint8)
    assert not array.flags.writeable
    assert array.tobytes() == bytes(view)


def test_an_empty_batch_is_one(data: millpool.Dataset) -> None:
    with data.read_many([]) as batch:
        assert (len(batch), list(batch), batch.nbytes) == (0, [], 0)
        with pytest.raises(IndexError):
            batch[0]


def test_release_gives_the_slot_back(small: millpool.Dataset) -> None:
    for _ in range(3):
        batch = small.read_many(range(50))
        assert batch.release()
        assert not batch.release()
    with pytest.raises(millpool.Closed, match="released"):
        batch[0]
    assert "released" in repr(batch)
    with small.read_many(range(50)) as batch:
        pass
    with pytest.raises(millpool.Closed):
        list(batch)


def test_a_batch_that_is_dropped_gives_its_slot_back(small: millpool.Dataset) -> None:
    for _ in range(3):
        batch = small.read_many(range(50))
        assert bytes(batch[3])
        del batch


KEPT: dict[str, Callable[[millpool.Batch], Any]] = {
    "view": lambda batch: batch[0],
    "part of a view": lambda batch: batch[0][10:20],
    "array": lambda batch: np.frombuffer(batch[0], dtype=np.uint8),
    "array over a view": lambda batch: np.ndarray((len(batch[0]),), np.uint8, buffer=batch[0]),
    "numpy of all": lambda batch: batch.numpy()[0],
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_is_kept_of_a_batch_keeps_its_slot(small: millpool.Dataset, bed: Bed, kind: str) -> None:
    index, wanted = next((i, body) for i, body in enumerate(bodies(bed)) if len(body) > 100)
    batch = small.read_many([index])
    kept = KEPT[kind](batch)
    wanted = wanted[10:20] if kind == "part of a view" else wanted
    assert not batch.release()
    del batch
    with pytest.raises(millpool.Timeout, match="slot of the ring") as caught:
        small.read_many([1], timeout=0.1)
    assert "ring_bytes" in caught.value.remedy
    assert bytes(kept) == wanted
    del kept
    gc.collect()
    small.read_many([1])


def test_a_failure_that_was_raised_keeps_no_slot(bed: Bed) -> None:
    gc.disable()
    try:
        with millpool.connect(bed.socket, ring_bytes=SLOT) as mill:
            paths = [f"{bed.root}/{next(iter(bed.files))}", f"{bed.root}/none"]
            for _ in range(3):
                batch = mill.read_many(paths, on_error="keep", timeout=5)
                with pytest.raises(millpool.NotFound):
                    batch[1]
                del batch
    finally:
        gc.enable()


def test_a_batch_larger_than_the_ring_says_so(small: millpool.Dataset) -> None:
    with pytest.raises(millpool.Full, match="larger than the ring") as caught:
        small.read_many(list(range(200)) * 20)
    assert "ring_bytes" in caught.value.remedy


def test_a_read_waits_for_a_slot_that_another_thread_gives_back(small: millpool.Dataset, bed: Bed) -> None:
    held = small.read_many([0])
    began = threading.Event()
    got: list[bytes] = []

    def read() -> None:
        began.set()
        got.append(small[5])

    thread = threading.Thread(target=read)
    thread.start()
    assert began.wait(20)
    assert not got
    held.release()
    thread.join(20)
    assert got == [bodies(bed)[5]]


def test_samples_of_one_size_are_one_array(bed: Bed, data: millpool.Dataset, sized: millpool.Dataset) -> None:
    batch = sized.read_many(range(10))
    array = batch.numpy()
    assert (array.shape, array.dtype.str, array.flags.writeable) == ((10, 1000), "|u1", False)
    assert array.strides[1] == 1
    assert array.strides[0] % 64 == 0
    assert [row.tobytes() for row in array] == [bytes(sample) for sample in batch]
    assert np.shares_memory(array, np.frombuffer(batch[9], dtype=np.uint8))
    assert sized.read_many([3]).numpy().shape == (1, 1000)
    with pytest.raises(millpool.Invalid, match="one size"):
        data.read_many(range(10)).numpy()
    with pytest.raises(millpool.Invalid):
        data.read_many([]).numpy()


def test_a_batch_is_not_sent_to_another_process(data: millpool.Dataset) -> None:
    with pytest.raises(millpool.Invalid, match="another"):
        pickle.dumps(data.read_many([0]))


def test_faults_of_mapped_memory_stay_ours_beside_other_handlers(bed: Bed, data: millpool.Dataset) -> None:
    import faulthandler

    faulthandler.enable()
    try:
        assert [bytes(view) for view in data.read_many(range(200))] == bodies(bed)
    finally:
        faulthandler.disable()
