"""``millpool://`` as fsspec's users see it."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
from fsspec.core import url_to_fs
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from fsspec.registry import register_implementation

import millpool
from conftest import Bed
from millpool.fsspec import MillpoolFileSystem


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    """As the entry point of an installed package does."""
    register_implementation("millpool", MillpoolFileSystem, clobber=True)


@pytest.fixture
def fs(bed: Bed) -> MillpoolFileSystem:
    return MillpoolFileSystem(socket=bed.socket)


@pytest.fixture
def paths(bed: Bed) -> list[str]:
    return sorted(f"{bed.root}/{name}" for name in bed.files)


def body_of(bed: Bed, path: str) -> bytes:
    return bed.files[path.removeprefix(bed.root + "/")]


def test_two_and_three_slashes_name_one_path(bed: Bed) -> None:
    for url in ("millpool://train/class-1/00001.bin", "millpool:///train/class-1/00001.bin"):
        fs, path = url_to_fs(url, socket=bed.socket)
        assert isinstance(fs, MillpoolFileSystem)
        assert path == "/train/class-1/00001.bin"
        assert fs.cat_file(url) == bed.files["class-1/00001.bin"]
        assert fs.unstrip_protocol(path) == "millpool:///train/class-1/00001.bin"
    assert MillpoolFileSystem._strip_protocol(["millpool://", "millpool://train/"]) == ["/", "/train"]


def test_entries_are_told_as_the_daemon_tells_them(fs: MillpoolFileSystem, bed: Bed) -> None:
    classes = [f"/train/class-{n}" for n in range(4)]
    assert fs.ls("millpool://train", detail=False) == classes
    assert [(row["name"], row["type"]) for row in fs.ls("/train")] == [(name, "directory") for name in classes]
    path = "/train/class-1/00001.bin"
    row = fs.info(path)
    assert (row["name"], row["type"], row["size"]) == (path, "file", len(body_of(bed, path)))
    assert fs.ls(path) == [row]
    assert fs.modified(path) == row["mtime"]
    assert (fs.exists(path), fs.isfile(path), fs.isdir(path)) == (True, True, False)
    assert (fs.exists("/train"), fs.isfile("/train"), fs.isdir("/train")) == (True, False, True)
    assert (fs.exists("/no"), fs.isfile("/no"), fs.isdir("/no")) == (False, False, False)
    with pytest.raises(FileNotFoundError):
        fs.ls("/no")
    with pytest.raises(FileNotFoundError):
        fs.info("/no")


def test_what_nobody_can_say_is_no_answer(bed: Bed) -> None:
    fs = MillpoolFileSystem(socket=bed.socket + "-nobody", timeout=5)
    doubts: list[Callable[[], object]] = [
        lambda: fs.exists("/train"),
        lambda: fs.isdir("/train"),
        lambda: fs.find("/train"),
        lambda: list(fs.walk("/train")),
        lambda: fs.glob("/train/*"),
    ]
    for doubt in doubts:
        with pytest.raises(millpool.Unreachable):
            doubt()


def test_find_walk_and_glob_agree(fs: MillpoolFileSystem, paths: list[str]) -> None:
    assert fs.find("/train") == paths
    assert fs.find("/train", maxdepth=1) == []
    assert fs.find("/train", maxdepth=2) == paths
    classes = [f"/train/class-{n}" for n in range(4)]
    assert fs.find("/train", withdirs=True) == sorted(["/train", *classes, *paths])
    assert fs.find("/train", withdirs=True, maxdepth=1) == ["/train", *classes]
    assert fs.find("/", withdirs=True) == sorted(["/", "/train", *classes, *paths])
    assert fs.find(paths[0]) == [paths[0]]
    assert fs.find("/no") == fs.glob("/no/*") == list(fs.walk("/no")) == []
    assert fs.find("/train", detail=True)[paths[3]] == fs.info(paths[3])
    assert [name for root, _, files in fs.walk("/train") for name in (f"{root}/{file}" for file in files)] == paths
    assert fs.glob("millpool://train/*/00*7.bin") == [path for path in paths if path.endswith("7.bin")]
    assert fs.glob("/train/**/*.bin") == paths
    assert fs.du("/train") == sum(fs.size(path) for path in paths)


def test_bytes_of_one_and_of_many(fs: MillpoolFileSystem, bed: Bed, paths: list[str]) -> None:
    path = max(paths, key=lambda path: len(body_of(bed, path)))
    body = body_of(bed, path)
    for start, end in [(None, None), (5, 9), (-7, None), (-7, -2), (10**9, None), (9, 5), (None, -1)]:
        assert fs.cat_file(path, start=start, end=end) == body[start:end]
    assert fs.cat(path) == fs.read_bytes(path) == body
    assert fs.cat(paths) == {path: body_of(bed, path) for path in paths}
    assert fs.cat("millpool://train", recursive=True) == fs.cat(paths)
    assert fs.cat("/train/class-1/*") == {path: body_of(bed, path) for path in paths if "class-1" in path}
    some = [paths[0], "/no"]
    with pytest.raises(FileNotFoundError):
        fs.cat(some)
    assert fs.cat(some, on_error="omit") == {paths[0]: body_of(bed, paths[0])}
    assert isinstance(fs.cat(some, on_error="return")["/no"], FileNotFoundError)


def test_ranges_of_many_files_come_in_one_read(fs: MillpoolFileSystem, bed: Bed, paths: list[str]) -> None:
    starts = [n % 50 for n in range(len(paths))]
    ends = [n % 50 + 100 if n % 3 else None for n in range(len(paths))]
    parts = list(zip(paths, starts, ends, strict=True))
    wanted = [body_of(bed, path)[start:end] for path, start, end in parts]
    assert fs.cat_ranges(paths, starts, ends) == wanted
    assert fs.cat_ranges([paths[0]] * 3, 0, [1, 2, 3]) == [body_of(bed, paths[0])[:n] for n in (1, 2, 3)]
    assert fs.cat_ranges([], 0, 1) == []
    first, second = fs.cat_ranges(["/no", paths[0]], 0, 4)
    assert isinstance(first, millpool.NotFound)
    assert second == body_of(bed, paths[0])[:4]
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(["/no"], 0, 4, on_error="raise")

    async def from_a_loop() -> Any:
        return await AsyncFileSystemWrapper(fs, asynchronous=True)._cat_ranges(paths, starts, ends)

    assert asyncio.run(from_a_loop()) == wanted


def test_an_open_file_reads_what_it_needs(fs: MillpoolFileSystem, bed: Bed, paths: list[str]) -> None:
    path = max(paths, key=lambda path: len(body_of(bed, path)))
    body = body_of(bed, path)
    for block_size in (1, 64, None):
        with fs.open(path, "rb", block_size=block_size) as file:
            assert file.read(10) == body[:10]
            assert file.seek(-20, 2) == len(body) - 20
            assert file.read() == body[-20:]
            assert file.seek(3) == 3
            buffer = bytearray(500)
            assert file.readinto(buffer) == 500
            assert buffer == body[3:503]
            assert file.readline() == body[503:].split(b"\n")[0] + (b"\n" if b"\n" in body[503:] else b"")
            other = pickle.loads(pickle.dumps(file))
            assert (other.tell(), other.read()) == (file.tell(), file.read())
        with pytest.raises(ValueError, match="closed"):
            file.read(1)
    with pytest.raises(FileNotFoundError):
        fs.open("/no")
    with pytest.raises(millpool.Invalid):
        fs.open("/train")


def test_text_is_decoded(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed({"lines.txt": "ä\nb\n".encode()})
    with MillpoolFileSystem(socket=bed.socket).open("millpool://own/lines.txt", "r", encoding="utf-8") as lines:
        assert list(lines) == ["ä\n", "b\n"]


def test_every_way_of_writing_is_refused_with_one_error(fs: MillpoolFileSystem, paths: list[str]) -> None:
    path = paths[0]
    ways: list[Callable[[], object]] = [
        lambda: fs.open(path, "wb"),
        lambda: fs.open(path, "a"),
        lambda: fs.open(path, "r+b"),
        lambda: fs.pipe(path, b""),
        lambda: fs.pipe({path: b""}),
        lambda: fs.touch(path),
        lambda: fs.write_text(path, ""),
        lambda: fs.rm(path),
        lambda: fs.delete([path]),
        lambda: fs.rm_file(path),
        lambda: fs.mv(path, "/train/other"),
        lambda: fs.copy(path, "/train/other"),
        lambda: fs.put(__file__, "/train/other"),
        lambda: fs.mkdir("/train/new"),
        lambda: fs.makedirs("/train/new", exist_ok=True),
        lambda: fs.rmdir("/train/new"),
    ]
    for way in ways:
        with pytest.raises(PermissionError, match="millpool:// is for reading"):
            way()
    assert fs.find("/train") == paths


def test_versions_have_keys(s3_bed: Bed, fs: MillpoolFileSystem, paths: list[str]) -> None:
    assert fs.ukey(paths[0]) == fs.ukey(f"millpool:/{paths[0]}") != fs.ukey(paths[1])
    s3 = MillpoolFileSystem(socket=s3_bed.socket)
    one, other = s3.find("/pictures")[:2]
    assert s3.info(one)["etag"].startswith('"')
    assert s3.ukey(one) != s3.ukey(other)
    assert s3.checksum(one) == s3.checksum(one) != s3.checksum(other)
    assert s3.cat([one, other]) == {path: s3_bed.files[path.removeprefix("/pictures/")] for path in (one, other)}


def test_threads_pickles_and_forks_read(fs: MillpoolFileSystem, bed: Bed, paths: list[str]) -> None:
    wanted = fs.cat(paths)
    copied = pickle.loads(pickle.dumps(fs))
    assert copied == fs
    assert copied.cat(paths) == wanted
    answers: list[bool] = []

    def read() -> None:
        own = MillpoolFileSystem(socket=bed.socket)
        answers.append(own.cat(paths) == wanted and own.mill is fs.mill)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 4
    child = os.fork()
    if child == 0:
        own = MillpoolFileSystem(socket=bed.socket)
        os._exit(0 if fs.cat(paths) == own.cat(paths) == wanted else 1)
    assert os.waitpid(child, 0) == (child, 0)
