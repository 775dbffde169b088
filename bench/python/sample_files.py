"""The single files that the bench writes (``millpool-bench samples``)."""

from __future__ import annotations

from collections.abc import Iterator

_FILES_PER_FOLDER = 1000


def place_of(folder: str, number: int) -> str:
    return f"{folder}/part-{number // _FILES_PER_FOLDER:04}/file-{number:07}.bin"


def read_file(place: str) -> bytes:
    with open(place, "rb", buffering=0) as file:
        return file.read()


def bodies(folder: str, count: int) -> Iterator[bytes]:
    return (read_file(place_of(folder, number)) for number in range(count))
