"""Nodes that tests share: one over a folder, one over a bucket of a real S3 server."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

import millpool
from harness.files import random_files, write_files
from harness.node import Node
from harness.s3_server import S3Server, Unavailable


@dataclass(frozen=True)
class Bed:
    """A node and what its one source holds."""

    node: Node
    #: Where the source is attached.
    root: str
    #: By path below it.
    files: dict[str, bytes]

    @property
    def socket(self) -> str:
        return self.node.socket


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A short path: a socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="millpool-py-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def bed(place: Path) -> Iterator[Bed]:
    """A node over a folder of 200 files, which nobody changes."""
    files = random_files(200, seed=1)
    write_files(place / "train", files)
    node = Node(place / "bed", [str(place / "train")])
    yield Bed(node, "/train", files)
    node.stop()


@pytest.fixture(scope="session")
def s3_server(place: Path) -> Iterator[S3Server]:
    try:
        server = S3Server(place / "s3")
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_bed(place: Path, s3_server: S3Server) -> Iterator[Bed]:
    """A node over a bucket of 100 objects."""
    files = random_files(100, seed=2)
    s3_server.put("pictures")
    for key, body in files.items():
        s3_server.put("pictures", key, body)
    node = Node(place / "s3-bed", ["s3://pictures"], env=s3_server.environment)
    yield Bed(node, "/pictures", files)
    node.stop()


@pytest.fixture
def new_bed(place: Path) -> Iterator[Callable[[dict[str, bytes]], Bed]]:
    """A node of the test's own over a folder of these files."""
    with ExitStack() as ends:

        def start(files: dict[str, bytes]) -> Bed:
            directory = Path(ends.enter_context(tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True)))
            write_files(directory / "own", files)
            node = Node(directory / "node", [str(directory / "own")])
            ends.callback(node.stop)
            return Bed(node, "/own", files)

        yield start


@pytest.fixture
def mill(bed: Bed) -> Iterator[millpool.Mill]:
    with millpool.connect(bed.socket) as mill:
        yield mill


@pytest.fixture(scope="session")
def data(bed: Bed) -> millpool.Dataset:
    return millpool.connect(bed.socket).dataset(bed.root)


@pytest.fixture(scope="session")
def sized(place: Path) -> Iterator[millpool.Dataset]:
    """Samples of 1,000 bytes each."""
    write_files(place / "sized", random_files(40, seed=4, size=1000))
    node = Node(place / "sized-bed", [str(place / "sized")])
    yield millpool.connect(node.socket).dataset("/sized")
    node.stop()
