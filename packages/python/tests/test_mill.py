"""What a program reads by path."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from datetime import UTC
from pathlib import PurePosixPath

import pytest

import millpool
from conftest import Bed
from harness.files import ODD_NAMES, in_path_order


@pytest.fixture(params=["bed", "s3_bed"])
def each_bed(request: pytest.FixtureRequest) -> Bed:
    bed: Bed = request.getfixturevalue(request.param)
    return bed


def test_a_whole_source_reads_as_it_is(each_bed: Bed) -> None:
    with millpool.connect(each_bed.socket) as mill:
        listed = list(mill.list(each_bed.root, recursive=True))
        wanted = in_path_order(each_bed.files)
        assert [info.path for info in listed] == [f"{each_bed.root}/{path}" for path, _ in wanted]
        assert [info.size for info in listed] == [len(body) for _, body in wanted]
        batch = mill.read_many([info.path for info in listed])
        assert [bytes(sample) for sample in batch] == [body for _, body in wanted]


def test_an_entry_says_what_it_is(each_bed: Bed) -> None:
    path, body = next(iter(each_bed.files.items()))
    with millpool.connect(each_bed.socket) as mill:
        assert mill.read(f"{each_bed.root}/{path}") == body
        info = mill.stat(f"{each_bed.root}/{path}")
        assert (info.type, info.size, info.name) == ("file", len(body), PurePosixPath(path).name)
        assert info.mtime is not None
        assert info.mtime.tzinfo is UTC
        is_strong = info.etag is not None
        assert info.identity == ("strong" if is_strong else "weak")
        assert is_strong == (each_bed.root == "/pictures")
        above = mill.stat(each_bed.root)
        assert (above.type, above.size, above.cached) == ("directory", 0, False)
        assert next(mill.list(each_bed.root)).cached is None


def test_a_directory_is_listed_in_name_order(bed: Bed, mill: millpool.Mill) -> None:
    assert [info.name for info in mill.list(bed.root)] == [f"class-{n}" for n in range(4)]
    assert [info.path for info in mill.list("/")] == ["/train"]


def test_pages_follow_one_another(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    bed = new_bed({f"{n:04}": b"" for n in range(600)})
    with millpool.connect(bed.socket) as mill:
        assert [info.name for info in mill.list(bed.root)] == [f"{n:04}" for n in range(600)]


def test_a_path_may_be_a_path_object_or_a_url(bed: Bed, mill: millpool.Mill) -> None:
    path, body = next(iter(bed.files.items()))
    assert mill.read(PurePosixPath(bed.root) / path) == body
    assert mill.read(f"millpool:/{bed.root}/{path}") == body


@pytest.mark.parametrize(("offset", "length"), [(0, None), (3, None), (3, 4), (0, 0), (1 << 40, 5), (2, 1 << 40)])
def test_a_part_is_cut_at_the_end(mill: millpool.Mill, bed: Bed, offset: int, length: int | None) -> None:
    path, body = next((path, body) for path, body in bed.files.items() if len(body) > 100)
    end = None if length is None else offset + length
    assert mill.read(f"{bed.root}/{path}", offset=offset, length=length) == body[offset:end]


def test_a_range_that_is_none_is_refused(mill: millpool.Mill, bed: Bed) -> None:
    for offset, length in [(-1, None), (0, -1)]:
        with pytest.raises(ValueError, match="is none"):
            mill.read(f"{bed.root}/{next(iter(bed.files))}", offset=offset, length=length)


def test_names_are_what_they_are(new_bed: Callable[[dict[str, bytes]], Bed]) -> None:
    files = {name: name.encode() for name in ODD_NAMES}
    bed = new_bed(files)
    with millpool.connect(bed.socket) as mill:
        listed = list(mill.list(bed.root))
        batch = mill.read_many([info.path for info in listed])
        assert sorted(bytes(sample) for sample in batch) == sorted(files.values())
        data = mill.dataset(bed.root)
        assert {data.path(i) for i in range(len(data))} == {info.path for info in listed}
        assert mill.read(f"{bed.root}/ü 漢字 🦀") == "ü 漢字 🦀".encode()


def test_what_is_not_there_is_a_file_not_found(mill: millpool.Mill, bed: Bed) -> None:
    asked: list[Callable[[], object]] = [
        lambda: mill.read(f"{bed.root}/none"),
        lambda: mill.stat(f"{bed.root}/none"),
        lambda: mill.read_many([f"{bed.root}/none"]),
        lambda: list(mill.list(f"{bed.root}/none")),
        lambda: mill.dataset(f"{bed.root}/none"),
    ]
    for ask in asked:
        with pytest.raises(FileNotFoundError) as caught:
            ask()
        assert isinstance(caught.value, millpool.NotFound)
        assert caught.value.code == "not-found"
        assert caught.value.remedy


def test_failures_of_some_are_raised_skipped_or_kept(mill: millpool.Mill, bed: Bed) -> None:
    first, second = list(bed.files)[:2]
    paths = [f"{bed.root}/{first}", f"{bed.root}/none", f"{bed.root}/{second}"]
    with pytest.raises(millpool.NotFound):
        mill.read_many(paths)
    kept = mill.read_many(paths, on_error="keep")
    assert [len(kept), bytes(kept[2]), kept.error(0)] == [3, bed.files[second], None]
    assert isinstance(kept.error(1), millpool.NotFound)
    with pytest.raises(millpool.NotFound):
        kept[1]
    skipped = mill.read_many(paths, on_error="skip")
    assert [bytes(sample) for sample in skipped] == [bed.files[first], bed.files[second]]
    assert [skipped.path(1), skipped.index(1), skipped.indices] == [paths[2], 2, [0, 2]]
    with pytest.raises(ValueError, match="on_error"):
        mill.read_many(paths[:1], on_error="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["relative", "", "/a//b", "/a/../b", "/half \ud800"])
def test_a_path_that_is_none_is_invalid(mill: millpool.Mill, path: str) -> None:
    with pytest.raises(millpool.Invalid):
        mill.stat(path)


def test_settings_that_are_none_are_refused(bed: Bed, mill: millpool.Mill) -> None:
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            millpool.connect(bed.socket, timeout=wrong)
        with pytest.raises(ValueError, match="timeout"):
            mill.stat(bed.root, timeout=wrong)
    with pytest.raises(ValueError, match="ring_bytes"):
        millpool.connect(bed.socket, ring_bytes=0)


def test_the_socket_is_found_by_the_environment(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLPOOL_SOCKET", bed.socket)
    assert millpool.connect().stat(bed.root).type == "directory"
    monkeypatch.delenv("MILLPOOL_SOCKET")
    monkeypatch.setenv("MILLPOOL_RUNTIME_DIRECTORY", os.path.dirname(bed.socket))
    assert millpool.connect().stat(bed.root).type == "directory"


def test_what_is_closed_says_so(bed: Bed) -> None:
    mill = millpool.connect(bed.socket)
    batch = mill.read_many([f"{bed.root}/{path}" for path in bed.files])
    mill.close()
    mill.close()
    with pytest.raises(millpool.Closed):
        mill.stat(bed.root)
    assert [bytes(sample) for sample in batch] == list(bed.files.values())
    assert "closed" in repr(mill)


def test_a_mill_can_be_pickled(mill: millpool.Mill, bed: Bed) -> None:
    path, body = next(iter(bed.files.items()))
    other = pickle.loads(pickle.dumps(mill))
    assert other.read(f"{bed.root}/{path}") == body
