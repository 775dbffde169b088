"""Datasets, as torch's DataLoader uses them and by many at once."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

import millpool
from conftest import Bed
from harness.files import in_path_order, random_files, write_files
from harness.node import ROOT
from millpool._native import Order, Samples, Schedule


def test_samples_are_the_files_in_path_order(bed: Bed, data: millpool.Dataset) -> None:
    wanted = in_path_order(bed.files)
    assert len(data) == len(wanted)
    assert data.nbytes == sum(len(body) for _, body in wanted)
    assert [data.path(i) for i in range(len(data))] == [f"{bed.root}/{path}" for path, _ in wanted]
    assert [data.size(i) for i in range(len(data))] == [len(body) for _, body in wanted]
    assert list(data) == [body for _, body in wanted]


def test_a_number_counts_from_either_end(data: millpool.Dataset) -> None:
    assert data[-1] == data[len(data) - 1]
    assert data[np.int64(3)] == data[3]
    for outside in (len(data), -len(data) - 1):
        with pytest.raises(IndexError):
            data[outside]
        with pytest.raises(IndexError):
            data.path(outside)
        with pytest.raises(IndexError):
            data.size(outside)
    with pytest.raises(TypeError):
        data[1.5]  # type: ignore[index]


def test_a_batch_is_one_call(data: millpool.Dataset) -> None:
    assert data.__getitems__([5, 0, 5, -1]) == [data[5], data[0], data[5], data[len(data) - 1]]
    assert data.__getitems__([]) == []


@pytest.mark.parametrize(
    "numbers",
    [
        [3, 1, 2],
        (3, 1, 2),
        np.array([3, 1, 2]),
        np.array([3, 1, 2], dtype=np.uint64),
        np.array([3, 1, 2], dtype=np.int32),
        np.array([3, 9, 1, 9, 2])[::2],
        Samples([3, 1, 2]),
        {3: "a", 1: "b", 2: "c"},
        iter([3, 1, 2]),
    ],
)
def test_numbers_may_come_in_many_forms(data: millpool.Dataset, numbers: object) -> None:
    batch = data.read_many(numbers)  # type: ignore[arg-type]
    assert batch.indices == [3, 1, 2]
    assert [bytes(sample) for sample in batch] == [data[3], data[1], data[2]]


@pytest.mark.parametrize("numbers", [[-1], np.array([-1]), [10**6], [1 << 64], [1.5], ["a"], 3])
def test_numbers_of_no_sample_are_refused(data: millpool.Dataset, numbers: object) -> None:
    with pytest.raises((ValueError, OverflowError, TypeError)):
        data.read_many(numbers)  # type: ignore[arg-type]


def test_numbers_lie_in_memory_that_arrays_share() -> None:
    samples = Samples(range(1000))
    array = np.asarray(samples)
    assert (array.dtype.str, array.flags.writeable) == ("<u8", False)
    assert np.array_equal(array, np.arange(1000, dtype=np.uint64))
    view = memoryview(samples)
    assert (view.format, view.readonly, view.nbytes) == ("Q", True, 8000)
    del samples
    assert array[999] == 999


def test_a_version_is_the_same_for_the_same_content(bed: Bed, mill: millpool.Mill, data: millpool.Dataset) -> None:
    again = mill.dataset(bed.root)
    assert again.version == data.version
    some = mill.dataset(bed.root, include="class-1/*")
    assert (len(some), some.path(0)) == (50, f"{bed.root}/class-1/00001.bin")
    assert some.version != data.version
    named = mill.dataset(bed.root, version=some.version)
    assert list(named) == list(some)


def test_a_version_that_is_none_or_nowhere_is_told(bed: Bed, mill: millpool.Mill) -> None:
    with pytest.raises(millpool.Invalid):
        mill.dataset(bed.root, version="abc")
    with pytest.raises(millpool.NotFound):
        mill.dataset(bed.root, version="0" * 64)


def test_a_dataset_can_be_pickled(data: millpool.Dataset) -> None:
    other = pickle.loads(pickle.dumps(data))
    assert other.version == data.version
    assert other[7] == data[7]
    assert len(pickle.dumps(data)) < 500


def test_a_version_that_is_gone_is_told(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(4, seed=3))
    with millpool.connect(bed.socket) as mill:
        data = mill.dataset(bed.root)
        sent = pickle.dumps(data)
        bed.node.run("dataset", "free", data.version)
        with pytest.raises(millpool.NotFound, match=data.version):
            pickle.loads(sent)[0]
        # Who has it mapped has it still.
        assert list(data) == [body for _, body in in_path_order(bed.files)]


def test_a_file_that_changed_is_not_mixed_with_what_it_was(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed({"a": b"before", "b": b"other"})
    with millpool.connect(bed.socket) as mill:
        data = mill.dataset(bed.root)
        write_files(bed.node.directory.parent / "own", {"a": b"after!"})
        with pytest.raises(millpool.SourceChanged) as caught:
            data[0]
        assert caught.value.path == f"{bed.root}/a"
        kept = data.read_many([0, 1], on_error="keep")
        assert isinstance(kept.error(0), millpool.SourceChanged)
        assert bytes(kept[1]) == b"other"
        assert mill.read(f"{bed.root}/a") == b"after!"


def test_the_order_is_that_of_the_shared_vectors() -> None:
    lines = (ROOT / "test/vectors/order.tsv").read_text().splitlines()
    rows = [[int(field) for field in line.split("\t")] for line in lines if not line.startswith("#")]
    assert len(rows) >= 40
    for count, seed, epoch, position, sample in rows:
        order = Order(count, seed, epoch, True)
        assert order.samples(position, 1)[0] == sample
        assert order.position_of(sample) == position


def test_an_order_without_shuffle_is_the_order_of_the_files() -> None:
    order = Order(10, 7, 3, False)
    assert list(order.samples(8, 4)) == [8, 9, 0, 1]
    assert order.position_of(4) == 4
    assert sorted(Order(10, 7, 3, True).samples(0, 10)) == list(range(10))
    with pytest.raises(millpool.Invalid, match="sample 10"):
        order.position_of(10)
    with pytest.raises(millpool.Invalid, match="no positions"):
        Order(0, 0, 0, True).samples(0, 1)


def test_a_schedule_deals_every_position_once() -> None:
    read: list[int] = []
    for rank in range(3):
        for start, count, padded, position, after in Schedule(
            count=100, global_batch=7, world=3, rank=rank, drop_last=False, position=4
        ):
            assert position < after <= 100
            read += range(start, start + count - padded)
    assert sorted(read) == list(range(4, 100))
    with pytest.raises(ValueError, match="rank 3"):
        Schedule(count=100, global_batch=7, world=3, rank=3, drop_last=False, position=0)


def test_a_hint_is_told_as_far_as_somebody_hears_it(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed(random_files(40, seed=6))
    with millpool.connect(bed.socket) as mill:
        data = mill.dataset(bed.root)
        assert data.hint([]) == []
        assert data.prefetch([-1]) == 1
        with pytest.raises(IndexError):
            data.prefetch([len(data)])
        assert data.hint([0, len(data)]) == [0, len(data)]
        # More than one message holds: what it does not is left.
        many = [n % len(data) for n in range(70_000)]
        assert data.hint(many)[-4_464:] == many[65_536:]
        with pytest.raises(millpool.Invalid):
            data.prefetch(many)
        bed.node.stop()
        assert data.hint([1, 2, 3]) == [1, 2, 3]
        bed.node.start()
        assert data.hint([1, 2, 3]) == []
