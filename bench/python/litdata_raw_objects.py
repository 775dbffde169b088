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

url, endpoint, scratch, batch, workers = sys.argv[1:]
# There is no public way to an endpoint without TLS.
downloader._OBSTORE_CLIENT_OPTIONS = {**downloader._OBSTORE_CLIENT_OPTIONS, "allow_http": True}
dataset = StreamingRawDataset(url, cache_dir=scratch, cache_files=False, storage_options={"endpoint_url": endpoint})
count = int(workers)
loader: DataLoader[Any] = DataLoader(
    dataset,
    batch_size=int(batch),
    shuffle=True,
    num_workers=count,
    collate_fn=list,
    # Clients of the parent are of no use in a fork of it.
    multiprocessing_context="forkserver" if count > 0 else None,
)
answer_laps(lambda _line: loader, lambda each: sum(len(one) for one in each))
