"""Processors that a process may count on: by affinity, by a container's limit, among the ranks of a node."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.node import ROOT
from millpool.processors import processors_here

OWN = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def no_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        ("max 100000", math.inf),
        ("150000 100000", 2),
        ("100000 100000", 1),
        ("1000 100000", 1),
        ("800000 100000", 8),
        ("", math.inf),
        ("x y", math.inf),
        ("1 0", math.inf),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, limit: str, wanted: float) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    assert processors_here(tmp_path / "cpu.max") == min(OWN, wanted)


def test_where_there_is_no_limit_affinity_alone_does(tmp_path: Path) -> None:
    assert processors_here(tmp_path / "none") == OWN


@pytest.mark.parametrize(("ranks", "wanted"), [("1", OWN), (str(OWN), 1), ("64", 1), ("0", OWN), ("x", OWN)])
def test_ranks_of_a_node_share_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ranks: str, wanted: int) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
    assert processors_here(tmp_path / "none") == wanted


def test_a_rank_that_its_launcher_bound_has_its_own() -> None:
    if OWN < 2:
        pytest.skip("this machine has one processor")
    # On two processors the launcher is bound to one, and its rank to both.
    every = sorted(os.sched_getaffinity(0))
    rank = f"import os; os.sched_setaffinity(0, {every}); from millpool.processors import processors_here; "
    launcher = (
        f"import os, subprocess, sys; os.sched_setaffinity(0, {every[:1]}); "
        f"subprocess.run([sys.executable, '-c', {rank + 'print(processors_here())'!r}], check=True)"
    )
    environment = {**os.environ, "LOCAL_WORLD_SIZE": str(OWN), "PYTHONPATH": str(ROOT / "packages/python/src")}
    said = subprocess.run([sys.executable, "-c", launcher], env=environment, capture_output=True, text=True, check=True)
    assert int(said.stdout) == processors_here()
