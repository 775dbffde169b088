"""The samples of one read, in one slot of this process's ring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Literal

from millpool._native import Batch as NativeBatch
from millpool._native import Samples
from millpool.errors import Closed, Invalid, MillpoolError, with_path

if TYPE_CHECKING:
    import numpy as np

#: What becomes of samples that cannot be read: ``raise`` raises the first one's error, ``skip`` leaves them out (the
#: batch is shorter), ``keep`` leaves their place, where ``batch.error(i)`` tells why.
OnError = Literal["raise", "skip", "keep"]
ON_ERROR: tuple[OnError, ...] = ("raise", "skip", "keep")


class Rows:
    """What a batch's samples are called, and where in the read they lie."""

    __slots__ = ("errors", "indices", "path_of", "places")

    def __init__(
        self,
        indices: Samples | Sequence[int],
        path_of: Callable[[int], str],
        errors: dict[int, MillpoolError],
        places: Sequence[int] | None = None,
    ) -> None:
        #: Of each sample: its number in what was asked for (a dataset, or a list of paths).
        self.indices = indices
        #: The path of a number of ``indices``.
        self.path_of = path_of
        #: By place in the batch: why a sample could not be read.
        self.errors = errors
        #: Of each sample: its place in the read, -1 where it has none; None where each has its own.
        self.places = places

    def without_errors(self) -> Rows:
        kept = [i for i in range(len(self.indices)) if i not in self.errors]
        places = self.places
        return Rows(
            [self.indices[i] for i in kept],
            self.path_of,
            {},
            kept if places is None else [places[i] for i in kept],
        )


class Batch(Sequence[memoryview]):
    """Samples in the order asked for: ``batch[i]`` is a read-only view of bytes, of shape ``(size,)``.

    Nothing is copied: views lie in a slot of the ring, which goes back to it when the batch and every view of it are
    gone (or, for the batch's own part, at ``release()`` or at the end of ``with batch:``). A view that is kept stays
    valid, and keeps its slot. ``copy(i)`` is yours for good.
    """

    __slots__ = ("_native", "_rows", "_view")

    def __init__(self, native: NativeBatch, rows: Rows) -> None:
        self._native = native
        self._rows = rows
        self._view: memoryview | None = None

    def __len__(self) -> int:
        return len(self._rows.indices)

    def __getitem__(self, i: Any) -> Any:
        """A view of sample ``i``; of a slice, a list of views. Raises a failed sample's own error."""
        if isinstance(i, slice):
            return [self._sample(k) for k in range(*i.indices(len(self)))]
        return self._sample(self._place(i))

    def __iter__(self) -> Iterator[memoryview]:
        return (self._sample(i) for i in range(len(self)))

    def copy(self, i: int) -> bytes:
        """The bytes of sample ``i``, the caller's own."""
        return bytes(self._sample(self._place(i)))

    def index(self, i: int) -> int:  # type: ignore[override]
        """Which one it is: its number in the dataset, or in the list of paths that was asked for."""
        return self._rows.indices[self._place(i)]

    def path(self, i: int) -> str:
        """Absolute path of sample ``i``."""
        return self._rows.path_of(self.index(i))

    def error(self, i: int) -> MillpoolError | None:
        """Why sample ``i`` could not be read; None where it was."""
        return self._rows.errors.get(self._place(i))

    @property
    def indices(self) -> list[int]:
        """The numbers of all samples."""
        return list(self._rows.indices)

    @property
    def nbytes(self) -> int:
        """Of all samples that were read."""
        return self._native.bytes

    @property
    def is_even(self) -> bool:
        """All samples are of one size and were read: ``numpy()`` has them in one array."""
        return self._rows.places is None and self._native.stride() is not None

    def numpy(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """All samples as one array of ``uint8``, of shape ``(len(batch), size)``; nothing is copied.

        Raises ``Invalid`` where sizes differ or a sample failed. The array keeps the slot as a view does.
        """
        import numpy as np

        stride = self._native.stride() if self._rows.places is None else None
        if stride is None:
            raise Invalid(
                "the samples of this batch are not of one size",
                "Take batch[i] of each, or np.frombuffer(batch[i], dtype=np.uint8).",
            )
        step, size = stride
        start, _ = self._native.span(0)
        flat = np.frombuffer(self._slot(), dtype=np.uint8)[start:]
        return np.lib.stride_tricks.as_strided(flat, shape=(len(self), size), strides=(step, 1), writeable=False)

    def __dlpack__(self, **how: Any) -> Any:
        """``numpy()`` for whoever speaks DLPack, such as ``torch.from_dlpack(batch)``: read-only, and not copied."""
        return self.numpy().__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        """In host memory."""
        return (1, 0)

    def release(self) -> bool:
        """Gives the slot back now; False where views hold it, and it goes with the last of them. Idempotent."""
        self._view = None
        return self._native.release()

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "released" if self._native.released else f"{self.nbytes:,} bytes"
        failed = f", {len(self._rows.errors)} failed" if self._rows.errors else ""
        return f"<millpool.Batch: {len(self)} samples, {state}{failed}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise Invalid(
            "a batch lies in this process's memory and cannot be sent to another",
            "Send copy(i) of its samples, or let the other process read them.",
        )

    def _place(self, i: int) -> int:
        length = len(self._rows.indices)
        if -length <= i < length:
            return i + length if i < 0 else i
        # The sequence protocol ends an iteration by it.
        raise IndexError(f"sample {i} is outside this batch of {length}")

    def _sample(self, i: int) -> memoryview:
        rows = self._rows
        if rows.errors:
            error = rows.errors.get(i)
            if error is not None:
                # A copy: the traceback of what is raised holds this batch, which would hold itself for ever.
                raise copy(error)
        view = self._view or self._slot()
        start, length = self._native.span(i if rows.places is None else rows.places[i])
        return view[start : start + length]

    def _slot(self) -> memoryview:
        if self._native.released:
            raise Closed(
                "this batch was released",
                "Use its samples before that, or take copy(i) of what must outlive it.",
            )
        self._view = memoryview(self._native)
        return self._view


def settled(native: NativeBatch, rows: Rows, on_error: OnError) -> Batch:
    """A read as the batch that ``on_error`` asks for; under ``raise`` the first failure is raised."""
    if on_error not in ON_ERROR:
        raise Invalid(f"on_error is {on_error!r}", "Give 'raise', 'skip' or 'keep'.")
    if not rows.errors or on_error == "keep":
        return Batch(native, rows)
    if on_error == "skip":
        return Batch(native, rows.without_errors())
    native.release()
    place = min(rows.errors)
    raise with_path(rows.errors[place], rows.path_of(rows.indices[place]))
