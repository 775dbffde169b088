"""Batches as tensors, on the device where they are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import default_collate
from torch.utils.dlpack import from_dlpack

from millpool.dataset import Dataset
from millpool.loader import Loader
from millpool.processors import processors_here
from millpool.report import Report
from millpool.torch.device_copies import DeviceCopies
from millpool.torch.packed_batch import PackedBatch
from millpool.torch.page_lock import lock_ring
from millpool.torch.slot_batch import SlotBatch
from millpool.transform import Collate, Transform


class DataLoader:
    """``millpool.Loader`` for PyTorch: the same order, state and report; its batches are tensors.

    Without ``transform`` a batch is the samples' bytes: one ``uint8`` tensor of shape ``(batch, size)`` where all are
    of one size, else a list of tensors of shape ``(size,)``. They lie in the ring and are not copied: what is kept
    longer than the loop's step is to be cloned. With it, a batch is what ``collate_fn`` makes of the list of what
    ``transform(view)`` or ``transform(view, index)`` returned for each sample, on a pool of threads; by default what
    torch's own loader would.

    :param device: where tensors are to be. On a GPU they are copied two batches ahead of the loop, out of page-locked
        memory and on a stream of their own; the loop's current stream waits for them, the loop itself does not. What
        no ``transform`` or ``collate_fn`` made is copied straight out of the ring, which is page-locked for it.
    :param num_threads: that transform and collate; by default as for ``millpool.Loader``, and with a GPU half of them:
        the loop needs the interpreter and a processor to give the GPU its work (docs/bench.md has figures).
    :param reading: everything else that ``millpool.Loader`` takes: ``rank``, ``world``, ``prefetch``, ``on_error``, …
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 256,
        shuffle: bool = False,
        *,
        seed: int = 0,
        drop_last: bool = False,
        transform: Transform | None = None,
        collate_fn: Collate | None = None,
        device: torch.device | str | None = None,
        num_threads: int | None = None,
        **reading: Any,
    ) -> None:
        self.dataset = dataset
        self.device = torch.device("cpu" if device is None else device)
        self._collate = default_collate if collate_fn is None and transform is not None else collate_fn
        self._transforms = transform is not None
        self._copies: DeviceCopies | None = None
        if self.device.type == "cuda":
            lock_ring(dataset.connection.client, self.device)
            self._copies = DeviceCopies(self.device)
            if num_threads is None:
                num_threads = max(1, processors_here() // 2)
        self._loader = Loader(
            dataset,
            batch_size,
            shuffle,
            seed=seed,
            drop_last=drop_last,
            transform=transform,
            collate_fn=self._collate if self._transforms else None,
            num_threads=num_threads,
            **reading,
        )
        #: After the last batch that the loop was given, where the loader itself has read further, for the device.
        self._given: dict[str, Any] | None = None

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._loader)

    @property
    def step(self) -> int:
        """Batches of the current epoch that the loop was given: ``tqdm(loader, initial=loader.step)``."""
        state = self.state_dict()
        step: int = -(-state["position"] // state["globalBatch"])
        return step

    def __iter__(self) -> Iterator[Any]:
        if self._copies is not None:
            return self._to_device(self._copies)
        return (self._tensors(batch) for batch in self._loader)

    def _to_device(self, copies: DeviceCopies) -> Iterator[Any]:
        self._return_to_given()
        states: deque[dict[str, Any]] = deque()

        def read() -> Iterator[PackedBatch | SlotBatch]:
            for batch in self._loader:
                states.append(self._loader.state_dict())
                in_slot = not self._transforms and self._collate is None and batch.is_even
                yield SlotBatch(batch) if in_slot else PackedBatch(self._tensors(batch))

        for batch in copies.through(read()):
            self._given = states.popleft()
            yield batch
            self._loader.copied(copies.take_wait_seconds())
        self._given = None

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is this epoch: from its beginning, or the current one from where it stands."""
        self._return_to_given()
        self._loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands, after the last batch that it was given: JSON of less than 1 kB."""
        return self._loader.state_dict() if self._given is None else dict(self._given)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on there, in whatever world this is."""
        self._given = None
        self._loader.load_state_dict(state)

    def report(self) -> Report:
        """Rates, waits by cause, ceilings and one sentence of advice."""
        return self._loader.report()

    def metrics(self, **labels: str) -> str:
        """The report as Prometheus reads it."""
        return self._loader.metrics(**labels)

    def close(self) -> None:
        """Ends what is under way."""
        self._loader.close()

    def _return_to_given(self) -> None:
        """What an iteration that was left had read ahead is read again."""
        if self._given is not None:
            self._loader.load_state_dict(self._given)
            self._given = None

    def _tensors(self, batch: Any) -> Any:
        if self._transforms:
            return batch
        if self._collate is not None:
            return self._collate(_each(batch))
        return from_dlpack(batch.numpy()) if batch.is_even else _each(batch)


def _each(batch: Iterable[memoryview]) -> list[torch.Tensor]:
    import numpy as np

    return [from_dlpack(np.frombuffer(sample, dtype=np.uint8)) for sample in batch]
