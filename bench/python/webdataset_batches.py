"""WebDataset over tar files of its own.

``webdataset_batches.py write FOLDER COUNT OUT``, then ``webdataset_batches.py read FOLDER COUNT OUT BATCH WORKERS``.
Each line is a lap.
"""

from __future__ import annotations

from pathlib import Path

import webdataset
from lap_lines import answer_laps
from packed_samples import write_or_read
from sample_files import bodies

SHARD_BYTES = 64 << 20
SHUFFLED_AT_ONCE = 1000


def write(folder: str, count: int, out: str) -> None:
    Path(out).mkdir()
    with webdataset.ShardWriter(f"{out}/shard-%06d.tar", maxsize=SHARD_BYTES, verbose=0) as writer:
        for number, body in enumerate(bodies(folder, count)):
            writer.write({"__key__": f"{number:07}", "bin": body})


def read(out: str, batch_size: int, workers: int) -> None:
    shards = sorted(str(path) for path in Path(out).glob("*.tar"))
    dataset = webdataset.WebDataset(shards, shardshuffle=len(shards), empty_check=False)
    batches = dataset.shuffle(SHUFFLED_AT_ONCE).to_tuple("bin").batched(batch_size, collation_fn=list)
    loader = webdataset.WebLoader(batches, batch_size=None, num_workers=workers)
    answer_laps(lambda _line: loader, lambda each: sum(len(one) for one in each))


if __name__ == "__main__":
    write_or_read(write, read)
