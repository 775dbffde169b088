"""The example that trains: what it reads, stopped and resumed by real processes in other worlds."""

from __future__ import annotations

import io
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import Bed

EXAMPLE = Path(__file__).parents[2] / "examples/train_images.py"


def images(count: int, seed: int) -> dict[str, bytes]:
    """Of one colour each, which is also their label's."""
    source = random.Random(seed)
    files = {}
    for n in range(count):
        colour = ("red", "green", "blue")[n % 3]
        image = Image.new("RGBA", (64, 64), colour)
        image.putpixel((source.randrange(64), source.randrange(64)), (0, 0, 0, 0))
        out = io.BytesIO()
        image.save(out, "PNG")
        files[f"{colour}/{n:03}.png"] = out.getvalue()
    return files


class Training:
    """Runs of the example over one node."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed

    def run(self, world: int, *args: str) -> list[dict[str, float]]:
        """What the first rank printed, once all have ended well."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = ["--train", f"{self._bed.root}/train", "--test", f"{self._bed.root}/test", "--global-batch", "12"]
        shared = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        shared["MILLPOOL_SOCKET"] = self._bed.socket
        ranks = [
            subprocess.Popen(
                [sys.executable, str(EXAMPLE), *data, "--json", *args],
                env={**os.environ, **shared, "RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]
        ends = [rank.communicate(timeout=500) for rank in ranks]
        for rank, (_, stderr) in zip(ranks, ends, strict=True):
            assert rank.returncode == 0, stderr
        return [json.loads(line) for line in ends[0][0].splitlines()]


def steps_of(trace: Path, ranks: int) -> dict[tuple[int, int], list[int]]:
    """What each step of the world read. It is dealt to the ranks contiguously."""
    steps: dict[tuple[int, int], list[int]] = {}
    for rank in range(ranks):
        for line in Path(f"{trace}.{rank}").read_text().splitlines():
            step = json.loads(line)
            steps.setdefault((step["epoch"], step["position"]), []).extend(step["indices"])
    return steps


@pytest.mark.timeout(600)
def test_a_stopped_run_reads_exactly_what_is_left_whatever_world_it_is(
    new_bed: Callable[[dict[str, bytes]], Bed], tmp_path: Path
) -> None:
    train = {f"train/{name}": body for name, body in images(75, 1).items()}
    test = {f"test/{name}": body for name, body in images(30, 2).items()}
    training = Training(new_bed({**train, **test}))
    whole, parts, checkpoint = tmp_path / "whole", tmp_path / "parts", str(tmp_path / "checkpoint")
    told = training.run(1, "--epochs", "2", "--trace", str(whole), "--digest")
    assert [line["samples"] for line in told[:2]] == [75, 75]
    assert told[0]["checksum"] == told[1]["checksum"]
    assert told[1]["loss"] < told[0]["loss"]
    assert told[-1]["majority"] <= 0.5
    resumable = ("--epochs", "2", "--trace", str(parts), "--checkpoint", checkpoint)
    training.run(2, *resumable, "--stop-after", "4")
    training.run(3, *resumable)
    steps = steps_of(whole, 1)
    assert len(steps) == 14
    assert steps_of(parts, 3) == steps
