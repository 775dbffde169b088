"""s3torchconnector over single objects: ``s3torchconnector_objects.py URL ENDPOINT SCRATCH BATCH KIND WORKERS``.

KIND is ``map`` or ``iterable``. A line is a lap: an epoch in which every object is fetched.
"""

from __future__ import annotations

import sys
from typing import Any

from lap_lines import answer_laps
from s3torchconnector import S3ClientConfig, S3IterableDataset, S3MapDataset
from torch.utils.data import DataLoader

url, endpoint, _scratch, batch, kind, workers = sys.argv[1:]


def body(opened: Any) -> bytes:
    read: bytes = opened.read()
    return read


def made() -> DataLoader[Any]:
    settings: dict[str, Any] = {
        "region": "us-east-1",
        "endpoint": endpoint,
        "transform": body,
        "s3client_config": S3ClientConfig(force_path_style=True),
    }
    count = int(workers)
    common: dict[str, Any] = {"batch_size": int(batch), "num_workers": count, "collate_fn": list}
    if kind == "map":
        return DataLoader(S3MapDataset.from_prefix(url, **settings), shuffle=True, **common)
    return DataLoader(S3IterableDataset.from_prefix(url, enable_sharding=True, **settings), **common)


loader = made()
answer_laps(lambda _line: loader, lambda each: sum(len(one) for one in each))
