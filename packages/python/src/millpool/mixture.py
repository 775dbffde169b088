"""Several datasets as one stream, each with its share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from millpool._native import MixtureFile, MixtureOrder, Samples
from millpool.connection import Connection
from millpool.dataset import Dataset
from millpool.errors import Invalid


class Mixture:
    """What a ``Loader`` takes in place of a dataset: ``Mixture([web, code], [0.7, 0.3])``.

    Of every 10,000 samples each dataset gives exactly its share (a hundredth of a percent at least), dealt in an order
    that depends on the seed. What it gives are its own epochs, one after the other, each of all its samples in an
    order of its own: a small dataset comes again as often as its share asks for. All of it is a pure function of seed
    and position, so a loader resumes exactly, in any world. An epoch of the mixture is as many samples as the datasets
    have together; ``docs/formats.md``, "Mixture", has the arithmetic.

    :param datasets: of one daemon.
    :param weights: one a dataset, of any sum; without them, by how many samples each has.
    """

    def __init__(self, datasets: Sequence[Dataset], weights: Sequence[float] | None = None) -> None:
        if not datasets or not all(isinstance(data, Dataset) for data in datasets):
            raise Invalid("a mixture is of one dataset or more", "Give a list of what mill.dataset(...) returned.")
        sockets = {data.connection.socket for data in datasets}
        if len(sockets) > 1:
            raise Invalid(
                f"the datasets of a mixture are of several daemons: {', '.join(sorted(sockets))}",
                "Open all of them through one connection.",
            )
        self._datasets = tuple(datasets)
        self._weights = tuple(map(float, map(len, datasets) if weights is None else weights))
        # What the core does not take is refused here, not by the first batch.
        self._order(seed=0, shuffle=False)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return self._datasets

    @property
    def weights(self) -> tuple[float, ...]:
        return self._weights

    @property
    def connection(self) -> Connection:
        """For ``Loader``: what all of them are read through."""
        return self._datasets[0].connection

    @cached_property
    def file(self) -> MixtureFile:
        """For ``Loader``: the mapped versions; samples are numbered one dataset behind the other."""
        return MixtureFile([data.file for data in self._datasets])

    @property
    def root(self) -> str:
        """Of the largest dataset: what a report's advice is about."""
        return max(self._datasets, key=lambda data: data.nbytes).root

    def __len__(self) -> int:
        """Samples of an epoch."""
        return len(self.file)

    def source(self, number: int) -> tuple[int, int]:
        """Which dataset a sample is of, and its number there."""
        return self.file.source(number)

    def path(self, number: int) -> str:
        """Absolute path of a sample."""
        source, index = self.file.source(number)
        return self._datasets[source].path(index)

    def order(self, seed: int, epoch: int, shuffle: bool) -> MixtureEpoch:
        """For ``Loader``. Without ``shuffle`` each dataset comes in path order; which is next is dealt all the same."""
        return MixtureEpoch(self._order(seed, shuffle), epoch * len(self))

    def shares(self) -> tuple[tuple[str, float], ...]:
        """For ``Loader``: version and weight of each, as a state names them."""
        return tuple((data.version, weight) for data, weight in zip(self._datasets, self._weights, strict=True))

    def __repr__(self) -> str:
        parts = ", ".join(f"{data.root} {weight:g}" for data, weight in zip(self._datasets, self._weights, strict=True))
        return f"<millpool.Mixture: {parts}>"

    def _order(self, seed: int, shuffle: bool) -> MixtureOrder:
        return MixtureOrder([len(data) for data in self._datasets], list(self._weights), seed, shuffle)


class MixtureEpoch:
    """The order of one epoch: a stretch of the order over all of them."""

    def __init__(self, order: MixtureOrder, start: int) -> None:
        self._whole = order
        self._start = start

    def samples(self, start: int, count: int) -> Samples:
        """The numbers of ``count`` positions of the epoch, from ``start`` on."""
        return self._whole.samples(self._start + start, count)
