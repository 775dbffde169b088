"""An immutable snapshot of a subtree: its files in path order, by number."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsIndex

from millpool._native import DatasetFile, Order, Samples
from millpool.batch import Batch, OnError, Rows, settled
from millpool.connection import Connection
from millpool.errors import MillpoolError

#: A hint is no reason to wait.
_HINT_SECONDS = 1.0
#: Of one message.
_HINTED_MAX = 65_536


class Dataset:
    """Map-style, as ``torch.utils.data.DataLoader`` takes it: ``len(data)``, ``data[i]``, ``data.__getitems__([...])``.

    Picklable and safe to use after a fork: a worker process connects by itself when it first reads.
    """

    def __init__(self, connection: Connection, version: str, file: DatasetFile | None = None) -> None:
        """For ``Mill.dataset``."""
        self._connection = connection
        self._version = version
        self._opened = file

    @property
    def file(self) -> DatasetFile:
        """For ``Loader``: the mapped version."""
        if self._opened is None:
            self._opened = self._connection.client.dataset(self._version, self._connection.timeout)
        return self._opened

    @property
    def connection(self) -> Connection:
        """For ``Loader``: what it is read through."""
        return self._connection

    @property
    def version(self) -> str:
        """64 hex digits: a hash of the list of paths, sizes and etags. The same content has the same version."""
        return self._version

    @property
    def nbytes(self) -> int:
        """Of all samples together."""
        return self.file.bytes

    @property
    def root(self) -> str:
        """The path whose subtree this is."""
        return self.file.root

    def __len__(self) -> int:
        return len(self.file)

    def path(self, index: SupportsIndex) -> str:
        """Absolute path of a sample."""
        file = self.file
        root = file.root
        return f"{'' if root == '/' else root}/{file.path(self._number(index))}"

    def size(self, index: SupportsIndex) -> int:
        """Bytes of a sample."""
        return self.file.size(self._number(index))

    def __getitem__(self, index: SupportsIndex) -> bytes:
        """The bytes of one sample, the caller's own."""
        return self.read_many((self._number(index),)).copy(0)

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[bytes]:
        """Of many, in one round trip: what ``torch.utils.data`` calls for a batch."""
        with self.read_many(map(self._number, indices)) as batch:
            return [bytes(sample) for sample in batch]

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))

    def read_many(
        self,
        indices: Iterable[int],
        *,
        on_error: OnError = "raise",
        timeout: float | None = None,
    ) -> Batch:
        """Samples by number, in the order given, in one round trip at most; nothing is copied."""
        file, connection = self.file, self._connection
        samples = indices if isinstance(indices, Samples) else Samples(indices)
        native = connection.client.read_samples(file, samples, connection.seconds(timeout))
        errors = dict(native.failures()) if native.failed else {}
        return settled(native, Rows(samples, self.path, errors), on_error)

    def order(self, seed: int, epoch: int, shuffle: bool) -> Order:
        """For ``Loader``: which sample comes at which position of an epoch."""
        return Order(len(self), seed, epoch, shuffle)

    def shares(self) -> tuple[tuple[str, float], ...]:
        """For ``Loader``: version and weight, as a state names what it reads."""
        return ((self._version, 1),)

    def prefetch(self, indices: Iterable[int], *, timeout: float | None = None) -> int:
        """Tells the daemon which samples will be asked for soon, in an order of the caller's own.

        A ``Loader`` tells its order by itself. Gives how many of the first ones were taken: not all where the cache has
        no room, or is busy with others. At most 65,536 at once.
        """
        request = {"version": self._version, "samples": bytes(Samples(self._number(index) for index in indices))}
        accepted: int = self._connection.call("prefetch", request, timeout)["accepted"]
        return accepted

    def hint(self, indices: list[int]) -> list[int]:
        """For ``Loader``: ``prefetch`` as far as the daemon is there to hear it; gives those that it did not take."""
        told = indices[:_HINTED_MAX]
        if not told:
            return indices
        try:
            return indices[self.prefetch(told, timeout=_HINT_SECONDS) :]
        except (MillpoolError, IndexError, TypeError):
            # The reads meet whatever it is.
            return indices

    def __repr__(self) -> str:
        if self._opened is None:
            return f"<millpool.Dataset: version {self._version[:12]}>"
        return (
            f"<millpool.Dataset {self.root}: {len(self):,} samples, "
            f"{self.nbytes:,} bytes, version {self._version[:12]}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (Dataset, (self._connection, self._version))

    def _number(self, index: SupportsIndex) -> int:
        number = operator.index(index)
        length = len(self.file)
        if -length <= number < length:
            return number + length if number < 0 else number
        raise IndexError(f"sample {number} is outside a dataset of {length}")
