"""DataLoader over single files: ``torch_batches.py FOLDER BATCH METHOD WORKERS``; a line is the file of an order.

METHOD: ``bytes`` of each sample, or ``tensors``, one a batch, as its own collate function makes them.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch
from lap_lines import answer_laps, order_of
from sample_files import place_of, read_file
from torch.utils.data import DataLoader, Dataset

folder, batch_text, method, workers = sys.argv[1:]
# The bytes of a file are nobody else's.
warnings.filterwarnings("ignore", message="The given buffer is not writable")


class Files(Dataset[Any]):
    def __getitem__(self, number: int) -> Any:
        body = read_file(place_of(folder, number))
        return body if method == "bytes" else torch.frombuffer(body, dtype=torch.uint8)


def loader_of(line: str) -> DataLoader[Any]:
    collate = list if method == "bytes" else None
    return DataLoader(
        Files(), batch_size=int(batch_text), sampler=order_of(line), num_workers=int(workers), collate_fn=collate
    )


answer_laps(loader_of, lambda loader: sum(len(batch) for batch in loader))
