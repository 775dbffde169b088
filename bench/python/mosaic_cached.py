"""MosaicML Streaming with a cache smaller than its data: ``mosaic_cached.py OUT SCRATCH LIMIT_BYTES BATCH``.

OUT is what ``mosaic_batches.py write`` made; each line is a lap. Beside it stands what was brought into the cache.
Shuffle blocks are a quarter of what the cache holds: larger ones evict what they are about to read.
"""

from __future__ import annotations

import sys
from typing import Any

import streaming.base.stream as stream
from lap_lines import answer_laps
from streaming import StreamingDataset
from streaming.base.util import clean_stale_shared_memory
from torch.utils.data import DataLoader

SAMPLE_BYTES = 100 << 10

out, scratch, limit, batch = sys.argv[1:]
fetched = 0
clean_stale_shared_memory()
dataset = StreamingDataset(
    remote=out,
    local=scratch,
    shuffle=True,
    batch_size=int(batch),
    cache_limit=int(limit),
    shuffle_block_size=max(1, int(limit) // SAMPLE_BYTES // 4),
)
loader: DataLoader[Any] = DataLoader(dataset, batch_size=int(batch), num_workers=0, collate_fn=list)
prepare_shard = stream.Stream.prepare_shard


def counted(self: Any, shard: Any) -> int:
    """What a shard takes more of the cache is what was brought for it."""
    global fetched
    brought: int = prepare_shard(self, shard)
    fetched += max(0, brought)
    return brought


stream.Stream.prepare_shard = counted


def prepared(_line: str) -> DataLoader[Any]:
    global fetched
    fetched = 0
    return loader


answer_laps(prepared, lambda each: sum(len(one) for one in each), lambda: {"fetchedBytes": fetched})
