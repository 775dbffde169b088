"""LitData over chunks of its own.

``litdata_batches.py write FOLDER COUNT OUT``, then ``litdata_batches.py read FOLDER COUNT OUT BATCH WORKERS``.
Each line is a lap.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from lap_lines import answer_laps
from litdata import StreamingDataLoader, StreamingDataset, optimize
from packed_samples import write_or_read
from sample_files import place_of, read_file

CHUNK_BYTES = "64MB"


def body(folder: str, number: int) -> dict[str, bytes]:
    return {"body": read_file(place_of(folder, number))}


def write(folder: str, count: int, out: str) -> None:
    # One worker keeps the order; the chunks are shuffled when they are read.
    optimize(
        fn=partial(body, folder), inputs=list(range(count)), output_dir=out, chunk_bytes=CHUNK_BYTES, num_workers=1
    )


def copies(rows: list[dict[str, memoryview]]) -> list[bytes]:
    """Views of a chunk that is mapped cannot leave their process."""
    return [bytes(row["body"]) for row in rows]


def read(out: str, batch_size: int, workers: int) -> None:
    loader: StreamingDataLoader[Any] = StreamingDataLoader(
        StreamingDataset(out, shuffle=True, seed=7),
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=list if workers == 0 else copies,
    )
    answer_laps(lambda _line: loader, lambda each: sum(len(batch) for batch in each))


if __name__ == "__main__":
    write_or_read(write, read)
