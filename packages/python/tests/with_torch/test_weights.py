"""Weights and checkpoints as torch has them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as checkpoint
from fsspec.registry import register_implementation
from safetensors import safe_open as their_open
from safetensors.torch import save_file
from torch.distributed.checkpoint.fsspec_filesystem import FsspecReader

import millpool
from harness.node import Node
from millpool.fsspec import MillpoolFileSystem
from millpool.safetensors import safe_open, stream

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.uint16,
    torch.float16,
    torch.bfloat16,
    torch.int32,
    torch.float32,
    torch.complex64,
    torch.float64,
    torch.int64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(300, 200), torch.nn.ReLU(), torch.nn.Linear(200, 10))


@pytest.fixture(scope="module")
def source(place: Path, model: torch.nn.Module) -> Path:
    root = place / "models"
    root.mkdir()
    save_file(model.state_dict(), root / "model.safetensors", metadata={"format": "pt"})
    tensors = {str(dtype): torch.arange(24).reshape(4, 6).to(dtype) for dtype in DTYPES}
    tensors |= {"scalar": torch.tensor(2.5), "none": torch.zeros(0, 4)}
    save_file(tensors, root / "types.safetensors")
    checkpoint.save(model.state_dict(), checkpoint_id=root / "checkpoint")
    return root


@pytest.fixture(scope="module")
def node(place: Path, source: Path) -> Iterator[Node]:
    node = Node(place / "models-bed", [str(source)])
    yield node
    node.stop()


@pytest.fixture
def mill(node: Node) -> Iterator[millpool.Mill]:
    with millpool.connect(node.socket) as mill:
        yield mill


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Of the same type, shape and bytes."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    flat = [tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.numel() else tensor for tensor in (one, other)]
    return torch.equal(*flat)


def test_every_type_is_read_as_safetensors_reads_it(mill: millpool.Mill, source: Path) -> None:
    path = "/models/types.safetensors"
    streamed = dict(stream(path, mill=mill))
    with safe_open(path, "pt", mill=mill) as ours, their_open(source / "types.safetensors", "pt") as theirs:
        assert ours.keys() == theirs.keys() == sorted(streamed)
        for name in theirs.keys():  # noqa: SIM118  it is no map
            assert same(ours.get_tensor(name), theirs.get_tensor(name)), name
            assert same(streamed[name], theirs.get_tensor(name)), name
            if theirs.get_slice(name).get_shape() == [4, 6]:
                assert same(ours.get_slice(name)[1:3, ::2], theirs.get_slice(name)[1:3, ::2]), name
                assert same(ours.get_slice(name)[2], theirs.get_slice(name)[2]), name


def test_a_model_is_filled_from_a_stream_without_a_warning(mill: millpool.Mill, model: torch.nn.Module) -> None:
    other = torch.nn.Sequential(torch.nn.Linear(300, 200), torch.nn.ReLU(), torch.nn.Linear(200, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.load_state_dict(dict(stream("/models/model.safetensors", mill=mill)))
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    with torch.no_grad():
        kept = dict(stream("/models/model.safetensors", mill=mill))
        kept["0.weight"].zero_()
    assert torch.equal(safe_open("/models/model.safetensors", "pt", mill=mill).get_tensor("0.weight"), model[0].weight)


def test_a_distributed_checkpoint_is_read_through_fsspec(node: Node, model: torch.nn.Module) -> None:
    register_implementation("millpool", MillpoolFileSystem, clobber=True)
    state = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    checkpoint.load(state, storage_reader=FsspecReader("millpool://models/checkpoint", socket=node.socket))
    for name, tensor in model.state_dict().items():
        assert torch.equal(state[name], tensor)
