"""Weights: what `safetensors` itself reads of the same file is the measure."""

from __future__ import annotations

import gc
import json
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save, save_file

import millpool
from harness.files import write_files
from harness.node import Node
from millpool.safetensors import safe_open, stream

Tensors = dict[str, np.ndarray[Any, Any]]


def some_tensors() -> Tensors:
    numbers = np.random.default_rng(5)
    return {
        "embed": numbers.standard_normal((300, 64)).astype(np.float32),
        "cube": numbers.integers(0, 1000, (7, 5, 11)).astype(np.int16),
        "flags": numbers.integers(0, 2, 13).astype(bool),
        "half": numbers.standard_normal((4, 3)).astype(np.float16),
        "scalar": np.array(3.5),
        "none": np.zeros((0, 3), np.uint64),
        "bytes": np.arange(200, dtype=np.uint8),
        "complex": np.array([1 + 2j], np.complex64),
    }


@pytest.fixture(scope="module")
def source(place: Path) -> Path:
    """Files that `safetensors` wrote."""
    root = place / "weights"
    root.mkdir()
    save_file(some_tensors(), root / "small.safetensors", metadata={"format": "np", "ä": "ü"})
    save_file({"bare": np.ones(3)}, root / "bare.safetensors")
    layers = {f"layer.{n}": np.full((1 << 20) // 4 + n, n, np.int32) for n in range(24)}
    save_file(layers, root / "layers.safetensors")
    save_file({"large": np.arange(5 << 18, dtype=np.int64), "last": np.arange(3)}, root / "large.safetensors")
    return root


@pytest.fixture(scope="module")
def node(place: Path, source: Path) -> Iterator[Node]:
    node = Node(place / "weights-bed", [str(source)])
    yield node
    node.stop()


@pytest.fixture
def mill(node: Node) -> Iterator[millpool.Mill]:
    with millpool.connect(node.socket, timeout=20) as mill:
        yield mill


@pytest.fixture
def small_ring(node: Node) -> Iterator[millpool.Mill]:
    """Smaller than the files of layers."""
    with millpool.connect(node.socket, ring_bytes=16 << 20, timeout=20) as mill:
        yield mill


def test_a_file_holds_what_was_saved(mill: millpool.Mill, source: Path) -> None:
    path = "/weights/small.safetensors"
    tensors = some_tensors()
    with (
        safe_open(path, framework="np", mill=mill) as ours,
        safetensors.safe_open(source / "small.safetensors", framework="np") as theirs,
    ):
        assert ours.keys() == theirs.keys() == sorted(tensors)
        assert ours.offset_keys() == theirs.offset_keys()
        assert ours.metadata() == theirs.metadata() == {"format": "np", "ä": "ü"}
        for name, tensor in ours.get_tensors().items():
            assert tensor.dtype == tensors[name].dtype
            assert tensor.shape == tensors[name].shape
            assert np.array_equal(tensor, theirs.get_tensor(name))
            part = ours.get_slice(name)
            assert part.get_shape() == theirs.get_slice(name).get_shape()
            assert part.get_dtype() == theirs.get_slice(name).get_dtype()
        ours.get_tensor("embed")[0] = 1
        with pytest.raises(millpool.Invalid, match="no tensor 'other'"):
            ours.get_tensor("other")
    with pytest.raises(millpool.Closed):
        ours.keys()
    bare = safe_open("millpool://weights/bare.safetensors", framework="numpy", mill=mill)
    assert bare.metadata() is None


def test_slices_are_those_of_numpy(mill: millpool.Mill) -> None:
    tensors = some_tensors()
    opened = safe_open("/weights/small.safetensors", "np", mill=mill)
    chosen: list[tuple[str, Any]] = [
        ("embed", np.s_[:, 8:16]),
        ("embed", np.s_[3]),
        ("embed", np.s_[-2:, ::7]),
        ("embed", np.s_[200:100]),
        ("embed", np.s_[..., 5]),
        ("embed", np.s_[4, 5]),
        ("none", np.s_[:]),
        ("none", np.s_[:, 1]),
        ("scalar", np.s_[...]),
        ("scalar", ()),
        ("flags", np.s_[-4:]),
    ]
    numbers = random.Random(11)
    for _ in range(60):
        chosen.append(("cube", tuple(a_cut(numbers, size) for size in (7, 5, 11)[: numbers.randrange(4)])))
    for name, index in chosen:
        part, whole = opened.get_slice(name)[index], tensors[name][index]
        assert part.shape == whole.shape, (name, index)
        assert np.array_equal(part, whole), (name, index)
    for wrong, kind in ((np.s_[9], IndexError), (np.s_[0, 0, 0, 0], IndexError), (np.s_[::-1], millpool.Invalid)):
        with pytest.raises(kind):
            opened.get_slice("cube")[wrong]
    with pytest.raises(millpool.Invalid, match="whole numbers"):
        opened.get_slice("cube")[[0, 1]]


def a_cut(numbers: random.Random, size: int) -> int | slice:
    if numbers.random() < 0.3:
        return numbers.randrange(-size, size)
    start, stop = sorted(numbers.randrange(-1, size + 2) for _ in range(2))
    return slice(start, stop, numbers.choice([None, 1, 2, 3]))


def test_a_slice_reads_what_it_names(mill: millpool.Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    opened = safe_open("/weights/small.safetensors", "np", mill=mill)
    part = opened.get_slice("embed")
    into = part._file.read_ranges_into

    def counted(buffer: Any, ranges: list[slice]) -> int:
        read.append(into(buffer, ranges))
        return read[-1]

    monkeypatch.setattr(part._file, "read_ranges_into", counted)
    assert part[:, 8:16].shape == (300, 8)
    assert part[5:8].shape == (3, 64)
    assert read == [300 * 8 * 4, 3 * 64 * 4]


def test_a_stream_gives_every_tensor_in_the_order_of_the_files(mill: millpool.Mill, source: Path) -> None:
    names = ["small", "bare", "layers", "large"]
    paths = [f"/weights/{name}.safetensors" for name in names]
    seen = [(name, np.array(tensor)) for name, tensor in stream(paths, "np", mill=mill)]
    wanted = []
    for name in names:
        with safetensors.safe_open(source / f"{name}.safetensors", framework="np") as theirs:
            wanted += [(key, theirs.get_tensor(key)) for key in theirs.offset_keys()]
    assert [name for name, _ in seen] == [name for name, _ in wanted]
    for (name, ours), (_, tensor) in zip(seen, wanted, strict=True):
        assert ours.dtype == tensor.dtype, name
        assert np.array_equal(ours, tensor), name


def test_a_stream_over_more_than_the_ring_goes_on_whatever_is_kept(small_ring: millpool.Mill, source: Path) -> None:
    path = "/weights/layers.safetensors"
    dropped = sum(int(tensor[0]) for _, tensor in stream(path, "np", mill=small_ring))
    assert dropped == sum(range(24))
    kept = dict(stream(path, "np", mill=small_ring))
    again = dict(stream(path, "np", mill=small_ring))
    for n in range(24):
        assert np.array_equal(kept[f"layer.{n}"], np.full((1 << 20) // 4 + n, n, np.int32))
        kept[f"layer.{n}"][:] = -1
        assert (again[f"layer.{n}"] == n).all()
    large = dict(stream("/weights/large.safetensors", "np", mill=small_ring))
    assert np.array_equal(large["large"], np.arange(5 << 18))
    assert np.array_equal(large["last"], np.arange(3))
    # Every slot is free again once nothing is kept: all of the ring can be had in one.
    opened = [safe_open("/weights/layers.safetensors", "np", mill=small_ring).get_tensors() for _ in range(2)]
    assert all((tensors[f"layer.{n}"] == n).all() for n in range(24) for tensors in opened)
    del kept, again, large, opened
    gc.collect()
    with small_ring.read_many(["/weights/layers.safetensors"], [slice(0, 15 << 20)]) as batch:
        assert batch.nbytes == 15 << 20


def test_a_stream_that_a_child_inherited_says_so_and_its_parent_goes_on(mill: millpool.Mill) -> None:
    path = "/weights/layers.safetensors"
    whole = [name for name, _ in stream(path, "np", mill=mill)]
    tensors = iter(stream([path, path], "np", mill=mill))
    first = next(tensors)[0]
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for _ in tensors:
                pass
        except millpool.Closed as error:
            code = 0 if "forked" in str(error) else 2
        finally:
            os._exit(code)
    assert [first, *(name for name, _ in tensors)] == whole + whole
    assert os.waitpid(pid, 0)[1] == 0


def test_a_stream_may_be_left(small_ring: millpool.Mill) -> None:
    for _ in range(5):
        name, tensor = next(iter(stream("/weights/layers.safetensors", "np", mill=small_ring)))
        assert (name, int(tensor[-1])) == ("layer.0", 0)
    with pytest.raises(millpool.NotFound):
        next(stream("/weights/none.safetensors", "np", mill=small_ring))


def a_header(**rows: Any) -> bytes:
    return json.dumps(rows).encode()


def a_tensor(dtype: str, shape: list[Any], start: Any, stop: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


BROKEN: dict[str, tuple[bytes, bytes, int | None]] = {
    "length": (a_header(), b"", 10**9),
    "huge length": (a_header(), b"", 2**64 - 1),
    "no header": (b"", b"", None),
    "no json": (b"{x}", b"", None),
    "no text": (b"\xff\xfe", b"", None),
    "no map": (b"[]", b"", None),
    "deep": (b"[" * 100_000, b"", None),
    "long number": (b'{"a":' + b"9" * 10_000 + b"}", b"", None),
    "twins": (b'{"a":' + json.dumps(a_tensor("U8", [1], 0, 1)).encode() + b',"a":null}', b"1", None),
    "metadata": (a_header(__metadata__={"a": 1}), b"", None),
    "row": (a_header(a=[]), b"", None),
    "type": (a_header(a=a_tensor("Q8", [1], 0, 1)), b"1", None),
    "no type": (a_header(a=a_tensor([], [1], 0, 1)), b"1", None),  # type: ignore[arg-type]
    "shape": (a_header(a=a_tensor("U8", [-1], 0, 1)), b"1", None),
    "true shape": (a_header(a=a_tensor("U8", [True], 0, 1)), b"1", None),
    "large shape": (a_header(a=a_tensor("U8", [2**62, 2**62], 0, 1)), b"1", None),
    "bytes": (a_header(a=a_tensor("F32", [2], 0, 7)), b"1234567", None),
    "half a byte": (a_header(a=a_tensor("F4", [3], 0, 2)), b"12", None),
    "turned": (a_header(a=a_tensor("U8", [0], 1, 0)), b"1", None),
    "behind the end": (a_header(a=a_tensor("U8", [8], 0, 8)), b"1", None),
    "rest": (a_header(a=a_tensor("U8", [1], 0, 1)), b"12", None),
    "hole": (a_header(a=a_tensor("U8", [1], 0, 1), b=a_tensor("U8", [1], 2, 3)), b"123", None),
    "overlap": (a_header(a=a_tensor("U8", [2], 0, 2), b=a_tensor("U8", [2], 1, 3)), b"123", None),
}


def test_a_bad_file_is_one_clear_error(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = {
        f"{name}.st": struct.pack("<Q", len(header) if length is None else length) + header + data
        for name, (header, data, length) in BROKEN.items()
    }
    files |= {"short.st": b"1234567", "empty.st": b"", "cut.st": save(some_tensors())[:-1]}
    write_files(place / "broken", files)
    node = Node(place / "broken-bed", [str(place / "broken")])
    try:
        with millpool.connect(node.socket) as mill:
            for name in files:
                with pytest.raises(millpool.Invalid, match="is not a safetensors file") as error:
                    safe_open(f"/broken/{name}", "np", mill=mill)
                assert error.value.path == f"/broken/{name}"
                with pytest.raises(millpool.Invalid):
                    next(stream(f"/broken/{name}", "np", mill=mill))
    finally:
        node.stop()


def test_what_numpy_does_not_have_is_told(place: Path, mill: millpool.Mill) -> None:
    with pytest.raises(millpool.Invalid, match="framework is 'tf'"):
        safe_open("/weights/bare.safetensors", "tf", mill=mill)
    with pytest.raises(millpool.Invalid, match="device"):
        safe_open("/weights/bare.safetensors", "np", "cuda:0", mill=mill)
