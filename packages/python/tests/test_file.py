"""Files that are opened, and reads of parts: one version each, of any size."""

from __future__ import annotations

import io
import os
import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import millpool
from conftest import Bed
from harness.files import write_files
from harness.node import Node
from millpool.file import File

BIG = random.Random(7).randbytes((9 << 20) + 17)


@pytest.fixture(scope="module")
def node(place: Path) -> Iterator[Node]:
    write_files(place / "big", {"big.bin": BIG, "empty.bin": b"", "a.bin": b"abcdef"})
    node = Node(place / "big-bed", [str(place / "big")])
    yield node
    node.stop()


@pytest.fixture
def mill(node: Node) -> Iterator[millpool.Mill]:
    """Its ring is smaller than the large file."""
    with millpool.connect(node.socket, ring_bytes=8 << 20) as mill:
        yield mill


@pytest.fixture
def file(mill: millpool.Mill) -> File:
    return mill.open("/big/big.bin")


def test_a_file_that_is_larger_than_the_ring_is_read_whole(mill: millpool.Mill) -> None:
    with pytest.raises(millpool.Full):
        mill.read_many(["/big/big.bin"])
    assert mill.read("/big/big.bin") == BIG
    assert mill.read("/big/big.bin", offset=len(BIG) - 5, length=100) == BIG[-5:]


def test_ranges_are_those_of_python_slices(mill: millpool.Mill, file: File) -> None:
    numbers = random.Random(3)
    bounds: list[int | None] = [None, 0, -1, 3, len(BIG), len(BIG) + 9, -len(BIG) - 9]
    ranges = [slice(numbers.choice(bounds), numbers.choice(bounds)) for _ in range(20)]
    paths = [numbers.choice(["/big/a.bin", "/big/empty.bin", "/big/big.bin"]) for _ in ranges]
    bodies = {"/big/a.bin": b"abcdef", "/big/empty.bin": b"", "/big/big.bin": BIG}
    wanted = [bodies[path][part] for path, part in zip(paths, ranges, strict=True)]
    assert mill.read_each(paths, ranges) == wanted
    few = [slice(-3, None), slice(2, 5), slice(5, 2), slice(10**12, None)]
    with file.read_ranges(few) as batch:
        assert [bytes(view) for view in batch] == [BIG[part] for part in few]
    with mill.read_many(["/big/a.bin"] * 4, few) as batch:
        assert [bytes(view) for view in batch] == [b"def", b"cde", b"", b""]
    for wrong in (slice(0, 9, 2), slice("a", None)):
        with pytest.raises(millpool.Invalid):
            mill.read_each(["/big/a.bin"], [wrong])
    with pytest.raises(millpool.Invalid):
        mill.read_each(["/big/a.bin"], [])


def test_what_cannot_be_read_keeps_its_place(mill: millpool.Mill) -> None:
    paths = ["/big/a.bin", "/big/none", "/big", "/big/a.bin", "/big/none"]
    first, missing, directory, last, again = mill.read_each(paths)
    assert (first, last) == (b"abcdef", b"abcdef")
    assert isinstance(missing, millpool.NotFound)
    assert isinstance(directory, millpool.Invalid)
    assert isinstance(again, FileNotFoundError)
    with mill.read_many(paths, on_error="skip") as batch:
        assert [(batch.path(i), batch.copy(i)) for i in range(len(batch))] == [("/big/a.bin", b"abcdef")] * 2
    with pytest.raises(millpool.NotFound):
        mill.read_many(paths)


def test_a_file_is_a_python_file(file: File) -> None:
    assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
    assert (file.size, file.name) == (len(BIG), "/big/big.bin")
    assert file.read(4) == BIG[:4]
    assert file.seek(-4, io.SEEK_END) == len(BIG) - 4
    assert file.read() == BIG[-4:]
    assert file.read(5) == b""
    assert file.seek(2) == file.tell() == 2
    with pytest.raises(ValueError, match="no such place"):
        file.seek(-9)
    buffered = io.BufferedReader(file, 1 << 16)
    assert buffered.read() == BIG[2:]
    buffered.close()
    with pytest.raises(millpool.Closed):
        file.read_at(0, 1)


def test_a_buffer_is_filled_as_far_as_the_file_goes(file: File) -> None:
    for size, offset in [(9 << 20, 0), (100, len(BIG) - 40), (10, len(BIG)), (0, 3)]:
        buffer = bytearray(size)
        filled = file.read_into(buffer, offset)
        assert filled == min(size, len(BIG) - offset)
        assert buffer[:filled] == BIG[offset : offset + filled]
        assert not any(buffer[filled:])
    with pytest.raises((TypeError, BufferError)):
        file.read_into(b"read only", 0)


def test_a_pickled_file_goes_on_where_it_was(file: File) -> None:
    file.seek(1000)
    other = pickle.loads(pickle.dumps(file))
    assert (other.tell(), other.read(50)) == (1000, BIG[1000:1050])


def test_a_forked_child_reads_the_same_file(file: File) -> None:
    assert file.read_at(0, 10) == BIG[:10]
    child = os.fork()
    if child == 0:
        os._exit(0 if file.read_at(5_000_000, 1000) == BIG[5_000_000:5_001_000] else 1)
    assert os.waitpid(child, 0) == (child, 0)


def test_what_was_opened_stays_one_version(new_bed: Callable[[dict[str, bytes]], Bed], place: Path) -> None:
    bed = new_bed({"resident.bin": b"old" * 10, "begun.bin": b"old", "fresh.bin": b"old"})
    [root] = place.glob("*/own")
    with millpool.connect(bed.socket) as mill:
        resident, begun, fresh = (mill.open(f"/own/{name}.bin") for name in ("resident", "begun", "fresh"))
        bed.node.run("load", "/own/resident.bin", "--wait")
        sent = pickle.dumps(begun)
        for name in bed.files:
            write_files(root, {f"{name}.new": b"newer"})
            (root / f"{name}.new").rename(root / name)
        assert resident.read_at(0) == b"old" * 10
        # What another process was told to read is not cached, and nothing else is read in its place.
        with pytest.raises(millpool.SourceChanged):
            pickle.loads(sent).read_at(0)
        assert (fresh.read_at(0), fresh.size) == (b"newer", 5)
