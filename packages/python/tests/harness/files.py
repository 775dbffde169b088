"""Files whose bytes a test can tell."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

#: Names that a path must write in a way of its own, and those that only look so.
ODD_NAMES = ["a b", "ü 漢字 🦀", "100%", "%41", "%2F", "#?&+", "line\nbreak", "-", "...", "'\"\\"]


def random_files(count: int, seed: int, size: int | None = None) -> dict[str, bytes]:
    """By path below their root, in path order; of up to 5,000 bytes where ``size`` says nothing."""
    source = random.Random(seed)
    return {
        f"class-{n % 4}/{n:05}.bin": source.randbytes(source.randrange(5_000) if size is None else size)
        for n in range(count)
    }


def write_files(root: Path, files: Mapping[str, bytes]) -> None:
    for path, body in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)


def in_path_order(files: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    """As a dataset has them: by the bytes of their paths."""
    return sorted(files.items(), key=lambda item: item[0].encode())
