"""An existing sampler whose order the daemon is told ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from torch.utils.data import Sampler

from millpool.dataset import Dataset

#: Samples told in one message.
CHUNK = 256


class PlannedSampler(Sampler[Any]):
    """Gives what ``sampler`` gives, and tells the daemon of it ``ahead`` samples before.

    For a loop that keeps its ``torch.utils.data.DataLoader``: wrap its sampler or batch sampler, and what is not in the
    cache is fetched before it is asked for, in whatever order that is.

        DataLoader(data, batch_size=256, sampler=PlannedSampler(RandomSampler(data), data))

    :param sampler: numbers of samples of ``dataset``, or lists of them.
    :param ahead: how many samples the daemon hears of before they are asked for; it takes what its memory allows.
    """

    def __init__(self, sampler: Iterable[Any], dataset: Dataset, ahead: int = 8 * CHUNK) -> None:
        self._sampler = sampler
        self._dataset = dataset
        self._ahead = max(1, ahead)

    def __iter__(self) -> Iterator[Any]:
        given: deque[Any] = deque()
        untold: list[int] = []
        # What the daemon did not take waits for others: it is not asked again for each sample.
        fresh = samples = 0
        for item in self._sampler:
            numbers = item if isinstance(item, list | tuple) else [item]
            given.append(item)
            untold += numbers
            samples += len(numbers)
            fresh += len(numbers)
            if fresh >= CHUNK:
                untold, fresh = self._tell(untold), 0
            while samples > self._ahead:
                first = given.popleft()
                samples -= len(first) if isinstance(first, list | tuple) else 1
                yield first
        self._tell(untold)
        yield from given

    def __len__(self) -> int:
        if isinstance(self._sampler, Sized):
            return len(self._sampler)
        raise TypeError(f"{type(self._sampler).__name__} has no length")

    def set_epoch(self, epoch: int) -> None:
        """As ``DistributedSampler`` has it."""
        self._sampler.set_epoch(epoch)  # type: ignore[attr-defined]

    def _tell(self, untold: list[int]) -> list[int]:
        """Those that the daemon did not take yet, and that are not about to be asked for anyway."""
        return self._dataset.hint(untold)[-self._ahead :]
