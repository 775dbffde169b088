"""LitData over single objects, as they are in a bucket: ``litdata_raw_objects.py URL ENDPOINT SCRATCH BATCH WORKERS``.

A line is a lap: an epoch in which every object is fetched.
"""

from __future__ import annotations

import sys
from typing import Any

from lap_lines import answer_laps
from litdata import StreamingRawDataset
from litdata.streaming import downloader
from torch.utils.data import DataLoader

# There is no public way to an endpoint without TLS. Workers load this file too.
downloader._OBSTORE_CLIENT_OPTIONS = {**downloader._OBSTORE_CLIENT_OPTIONS, "allow_http": True}


def main(url: str, endpoint: str, scratch: str, rest: list[str]) -> None:
    batch_size, workers = (int(text) for text in rest)
    storage = {"endpoint_url": endpoint}
    loader: DataLoader[Any] = DataLoader(
        StreamingRawDataset(url, cache_dir=scratch, cache_files=False, storage_options=storage),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        collate_fn=list,
        # What the parent has of clients is of no use in a fork of it.
        multiprocessing_context="forkserver" if workers > 0 else None,
    )
    answer_laps(lambda _line: loader, lambda each: sum(len(one) for one in each))


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.argv[4:])
