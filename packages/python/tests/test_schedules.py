"""Jobs of real processes that are killed and resumed in worlds of other sizes, over and over, at random.

``MILLPOOL_TEST_SCHEDULES=200`` for more of them; ``MILLPOOL_TEST_SEED`` for those of a run that failed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest

import millpool
from conftest import Bed

SCHEDULES = int(os.environ.get("MILLPOOL_TEST_SCHEDULES", "20"))
SEED = int(os.environ.get("MILLPOOL_TEST_SEED", random.randrange(100_000)))
EPOCHS = 2

#: One rank: a line for each step says what it read, and the state behind it.
RANK = """
import hashlib, json, sys
import millpool

root, options, state, epochs = json.loads(sys.argv[1])
data = millpool.connect().dataset(root)
loader = millpool.Loader(data, **options)
loader.load_state_dict(state)
while loader.epoch < epochs:
    epoch = loader.epoch
    for batch in loader:
        read = [[i, hashlib.sha256(view).hexdigest()] for i, view in zip(batch.indices, batch, strict=True)]
        print(json.dumps([epoch, read, loader.state_dict()]), flush=True)
"""


@dataclass
class Step:
    epoch: int
    #: Of all ranks, one after the other: number and digest.
    read: list[tuple[int, str]]
    #: Of the job, behind the step.
    state: dict[str, Any]


class Ranks:
    """A job's processes, as they are between two kills."""

    def __init__(self, bed: Bed, world: int, options: dict[str, Any], state: dict[str, Any]) -> None:
        self._ranks = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    RANK,
                    json.dumps([bed.root, {**options, "rank": rank, "world": world}, state, EPOCHS]),
                ],
                env={**os.environ, "MILLPOOL_SOCKET": bed.socket},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]

    def steps(self, most: int) -> list[Step]:
        """The first ones that all ranks had read when they were killed, ``most`` of them at most."""
        found: list[Step] = []
        while len(found) < most:
            lines = [rank.stdout.readline() for rank in self._ranks if rank.stdout is not None]
            if not all(lines):
                break
            told = [json.loads(line) for line in lines]
            assert all(one[2] == told[0][2] for one in told), "all ranks say the same of where the job is"
            read = [tuple(sample) for one in told for sample in one[1]]
            # Where a last step has fewer samples than there are ranks, some of them repeat one.
            is_padded = len(read) == len(told) and len(set(read)) < len(read)
            found.append(Step(told[0][0], list(dict.fromkeys(read)) if is_padded else read, told[0][2]))
        return found

    def kill(self) -> None:
        for rank in self._ranks:
            rank.kill()
            rank.wait(30)
            if rank.stdout is not None:
                rank.stdout.close()


@pytest.mark.timeout(1200)
def test_killed_jobs_read_what_one_that_never_stops_does(bed: Bed, data: millpool.Dataset) -> None:
    digests = {i: sha256(data[i]).hexdigest() for i in range(len(data))}
    chance = random.Random(SEED)
    for schedule in range(SCHEDULES):
        seed, drop_last, world = chance.randrange(2**53), chance.random() < 0.3, chance.randint(1, 3)
        options: dict[str, Any] = {
            "batch_size": chance.randint(6, 25),
            "shuffle": True,
            "seed": seed,
            "drop_last": drop_last,
        }
        about = f"seed {SEED}, schedule {schedule}: {options}"
        global_batch = options["batch_size"] * world
        end = len(data) - len(data) % global_batch if drop_last else len(data)
        # Before its first step a job has a state too: it says of how many samples a step is.
        state = millpool.Loader(data, **options, rank=0, world=world).state_dict()
        read: dict[int, list[tuple[int, str]]] = {epoch: [] for epoch in range(EPOCHS)}
        while state["epoch"] < EPOCHS:
            ranks = Ranks(bed, world, options, state)
            try:
                steps = ranks.steps(chance.randint(0, 8))
            finally:
                ranks.kill()
            for step in steps:
                read[step.epoch] += step.read
                state = step.state
            # The last step of an epoch says that position, from which nothing is left.
            if state["position"] >= end:
                state = {**state, "epoch": state["epoch"] + 1, "position": 0}
            world = chance.randint(1, 3)
        for epoch in range(EPOCHS):
            expected = data.order(seed, epoch, True).samples(0, end)
            assert read[epoch] == [(i, digests[i]) for i in expected], about
