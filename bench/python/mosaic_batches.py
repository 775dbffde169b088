"""MosaicML Streaming over shards of its own.

``mosaic_batches.py write FOLDER COUNT OUT``, then ``mosaic_batches.py read FOLDER COUNT OUT BATCH WORKERS``.
Each line is a lap.
"""

from __future__ import annotations

from typing import Any

from lap_lines import answer_laps
from packed_samples import write_or_read
from sample_files import bodies
from streaming import MDSWriter, StreamingDataset
from streaming.base.util import clean_stale_shared_memory
from torch.utils.data import DataLoader

SHARD_BYTES = "64mb"


def write(folder: str, count: int, out: str) -> None:
    with MDSWriter(out=out, columns={"body": "bytes"}, size_limit=SHARD_BYTES) as writer:
        for body in bodies(folder, count):
            writer.write({"body": body})


def read(out: str, batch_size: int, workers: int) -> None:
    clean_stale_shared_memory()
    dataset = StreamingDataset(local=out, shuffle=True, batch_size=batch_size)
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_size=batch_size, num_workers=workers, persistent_workers=workers > 0, collate_fn=list
    )
    answer_laps(lambda _line: loader, lambda each: sum(len(one) for one in each))


if __name__ == "__main__":
    write_or_read(write, read)
