"""Batches in one piece of memory, on the CPU: what the copies to a GPU are made of."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
import torch

import millpool
from millpool.torch.packed_batch import ALIGN_BYTES, PackedBatch
from millpool.torch.page_lock import lock_ring
from millpool.torch.slot_batch import SlotBatch
from millpool.torch.tensor_tree import tensors_of, with_tensors

Pair = namedtuple("Pair", ["images", "labels"])


def moved(batch: Any) -> Any:
    packed = PackedBatch(batch)
    memory = torch.full((packed.nbytes + 7,), 255, dtype=torch.uint8)
    packed.pack(memory)
    return packed.unpack(memory.clone())


@pytest.mark.parametrize(
    "batch",
    [
        torch.arange(6.0).view(2, 3),
        (torch.arange(5, dtype=torch.uint8), torch.arange(3)),
        [torch.zeros(0), torch.ones(1, dtype=torch.bfloat16), "name", None],
        {"image": torch.randn(3, 5, 7), "meta": {"label": torch.tensor(4), "path": "/a"}},
        Pair(torch.randn(4, 2).t(), torch.arange(4)),
    ],
)
def test_a_batch_comes_out_as_it_was(batch: Any) -> None:
    after = moved(batch)
    assert type(after) is type(batch)
    ours, theirs = list(tensors_of(after)), list(tensors_of(batch))
    assert len(ours) == len(theirs)
    for own, their in zip(ours, theirs, strict=True):
        assert own.dtype == their.dtype
        assert torch.equal(own, their)


def test_what_is_no_tensor_stays_where_it_is() -> None:
    batch = {"a": [torch.ones(2), "b"], "c": 3}
    assert with_tensors(batch, lambda: torch.zeros(1)) == {"a": [torch.zeros(1), "b"], "c": 3}


def test_every_tensor_begins_aligned() -> None:
    packed = PackedBatch([torch.ones(3, dtype=torch.uint8) for _ in range(5)])
    memory = torch.empty(packed.nbytes, dtype=torch.uint8)
    base = memory.data_ptr()
    assert [(tensor.data_ptr() - base) % ALIGN_BYTES for tensor in packed.unpack(memory)] == [0] * 5


@pytest.mark.parametrize("count", [1, 8])
def test_samples_in_a_slot_come_out_as_they_were(sized: millpool.Dataset, count: int) -> None:
    for batch in millpool.Loader(sized, batch_size=count, shuffle=True, seed=3):
        expected = [bytes(sample) for sample in batch]
        slot = SlotBatch(batch)
        # Samples of 1,000 bytes begin at multiples of 64.
        assert slot.nbytes == 1024 * (count - 1) + 1000
        memory = torch.full((slot.nbytes + 7,), 255, dtype=torch.uint8)
        slot.pack(memory)
        rows = slot.unpack(memory)
        assert rows.is_contiguous()
        assert [row.numpy().tobytes() for row in rows] == expected


def test_slots_that_cannot_be_page_locked_serve_as_they_are(bed) -> None:
    mill = millpool.connect(bed.socket)
    data = mill.dataset(bed.root)
    # Without a GPU, or its driver, the runtime refuses.
    lock_ring(data.connection.client, torch.device("cuda:0"))
    for batch in millpool.Loader(data, batch_size=32):
        assert [bytes(sample) for sample in batch] == [
            bed.files[batch.path(i).removeprefix(f"{bed.root}/")] for i in range(len(batch))
        ]
    mill.close()
