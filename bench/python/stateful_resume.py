"""A StatefulDataLoader that comes back: ``stateful_resume.py COUNT BATCH POSITION``; each line is a lap.

A lap is from making the loader to its first batch after POSITION samples of a shuffled epoch.
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any

from lap_lines import answer_laps
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

count, batch, position = (int(text) for text in sys.argv[1:])
BODY = bytes(4096)


class Samples(Dataset[Any]):
    """Of memory: what a sample costs is no part of it."""

    def __len__(self) -> int:
        return count

    def __getitem__(self, number: int) -> bytes:
        return BODY


def made() -> StatefulDataLoader[Any]:
    return StatefulDataLoader(Samples(), batch_size=batch, shuffle=True, num_workers=0, collate_fn=list)


def state_at_position() -> dict[str, Any]:
    loader = made()
    for _batch in islice(loader, position // batch):
        pass
    state: dict[str, Any] = loader.state_dict()
    return state


state = state_at_position()


def resumed(_line: str) -> int:
    loader = made()
    loader.load_state_dict(state)
    return len(next(iter(loader)))


answer_laps(lambda line: line, resumed)
