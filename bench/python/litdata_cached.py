"""LitData with a cache smaller than its data: ``litdata_cached.py OUT SCRATCH LIMIT_BYTES BATCH``; each line is a lap.

OUT is what ``litdata_batches.py write`` made. Beside each lap stands what was brought into the cache for it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from lap_lines import answer_laps
from litdata import StreamingDataLoader, StreamingDataset
from litdata.streaming.downloader import LocalDownloaderWithCache, register_downloader

out, scratch, limit, batch = sys.argv[1:]
fetched = 0


class CountedDownloader(LocalDownloaderWithCache):
    def download_file(self, remote_filepath: str, local_filepath: str) -> None:
        global fetched
        is_here = os.path.exists(local_filepath)
        super().download_file(remote_filepath, local_filepath)
        fetched += 0 if is_here else os.path.getsize(local_filepath)

    async def adownload_bytes(self, remote_filepath: str, offset: int, length: int, local_chunkpath: str) -> bytes:
        global fetched
        fetched += length
        return await super().adownload_bytes(remote_filepath, offset, length, local_chunkpath)


register_downloader("local:", CountedDownloader, overwrite=True)
dataset = StreamingDataset(f"local:{out}", cache_dir=scratch, max_cache_size=int(limit), shuffle=True, seed=7)
loader: StreamingDataLoader[Any] = StreamingDataLoader(dataset, batch_size=int(batch), num_workers=0, collate_fn=list)


def prepared(_line: str) -> StreamingDataLoader[Any]:
    global fetched
    fetched = 0
    return loader


answer_laps(prepared, lambda each: sum(len(one) for one in each), lambda: {"fetchedBytes": fetched})
