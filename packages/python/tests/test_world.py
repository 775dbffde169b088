"""Rank and world, as launchers say them."""

from __future__ import annotations

import pytest

import millpool
from millpool.world import World, world_of

NAMES = ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, World(0, 1)),
        ({"RANK": "3", "WORLD_SIZE": "8"}, World(3, 8)),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, World(1, 2)),
        ({"RANK": "3", "WORLD_SIZE": "8", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, World(3, 8)),
        ({"SLURM_NTASKS": "2"}, World(0, 1)),
    ],
)
def test_the_launcher_says_who_this_is(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], wanted: World) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert world_of() == wanted
    assert world_of(5, 6) == World(5, 6)


@pytest.mark.parametrize("env", [{"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "x", "WORLD_SIZE": "2"}])
def test_an_environment_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(millpool.Invalid):
        world_of()


def test_half_of_a_place_is_refused() -> None:
    for rank, size in [(1, None), (None, 2), (-1, 2), (2, 2), (0, 0)]:
        with pytest.raises(millpool.Invalid):
            world_of(rank, size)
