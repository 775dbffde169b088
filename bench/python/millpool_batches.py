"""A training loop that only reads, through the Python SDK: ``millpool_batches.py SOCKET PATH BATCH SEED METHOD``.

A line is an epoch's number. METHOD: ``views`` of each sample, or ``tensors``, one a batch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from lap_lines import answer_laps

import millpool

socket, path, batch_text, seed_text, method = sys.argv[1:]
order = {"batch_size": int(batch_text), "shuffle": True, "seed": int(seed_text)}
data = millpool.connect(socket).dataset(path)


def loader_of(line: str) -> Iterable[Any]:
    if method == "views":
        return millpool.Loader(data, epoch=int(line), **order)
    # Loads torch, which the other method does without.
    from millpool.torch import DataLoader

    return DataLoader(data, epoch=int(line), **order)


def read(loader: Iterable[Any]) -> int:
    samples = 0
    for batch in loader:
        samples += len(list(batch)) if method == "views" else batch.shape[0]
    return samples


answer_laps(loader_of, read)
