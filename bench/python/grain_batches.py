"""grain over the single files, or over ArrayRecord files of its own.

``grain_batches.py write FOLDER COUNT OUT``, then ``grain_batches.py read FOLDER COUNT OUT BATCH SOURCE THREADS``, where
SOURCE is ``files`` or ``records``; a line is the number of an epoch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import grain
from array_record.python.array_record_module import ArrayRecordWriter
from lap_lines import answer_laps
from sample_files import bodies, place_of, read_file

RECORDS_A_FILE = 1000
READ_AHEAD = 500


class Files:
    def __init__(self, folder: str, count: int) -> None:
        self._folder = folder
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> bytes:
        return read_file(place_of(self._folder, number))


def write(folder: str, count: int, out: str) -> None:
    Path(out).mkdir()
    writer: Any = None
    for number, body in enumerate(bodies(folder, count)):
        if number % RECORDS_A_FILE == 0:
            if writer is not None:
                writer.close()
            # One record a group: only so are they read in any order.
            writer = ArrayRecordWriter(
                f"{out}/part-{number // RECORDS_A_FILE:04}.array_record", "group_size:1,uncompressed"
            )
        writer.write(body)
    if writer is not None:
        writer.close()


def read(source: Any, batch_size: int, threads: int) -> None:
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=READ_AHEAD if threads > 0 else 0)

    def epoch(line: str) -> Any:
        shuffled = grain.MapDataset.source(source).shuffle(seed=int(line))
        return shuffled.to_iter_dataset(options).batch(batch_size, batch_fn=list)

    answer_laps(epoch, lambda each: sum(len(one) for one in each))


what, folder, count, out, *rest = sys.argv[1:]
if what == "write":
    write(folder, int(count), out)
else:
    batch, kind, threads = rest
    records = sorted(str(path) for path in Path(out).iterdir())
    source: Any = Files(folder, int(count)) if kind == "files" else grain.sources.ArrayRecordDataSource(records)
    read(source, int(batch), int(threads))
