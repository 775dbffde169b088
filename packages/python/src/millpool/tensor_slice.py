"""A tensor of a file that is read in part."""

from __future__ import annotations

import math
import operator
from itertools import product
from typing import Any

import numpy as np

from millpool.errors import Invalid, Unsupported
from millpool.file import File
from millpool.safetensors_header import DTYPE_BITS, TensorPlace
from millpool.tensor_framework import TensorFramework

#: Above it fewer and longer pieces are read, and what is not wanted of them is left out afterwards.
_RUNS_MAX = 1 << 14


class TensorSlice:
    """``part[rows, columns]`` reads the rows and columns that it names, by whole numbers, slices and ``...``."""

    def __init__(self, file: File, place: TensorPlace, framework: TensorFramework) -> None:
        """For ``safe_open.get_slice``."""
        if DTYPE_BITS[place.dtype] % 8:
            raise Unsupported(f"elements of {place.dtype} are no whole bytes", "Take get_tensor, and index that.")
        self._file = file
        self._place = place
        self._framework = framework

    def get_shape(self) -> list[int]:
        return list(self._place.shape)

    def get_dtype(self) -> str:
        """As the format names it, such as ``BF16``."""
        return self._place.dtype

    def __getitem__(self, index: Any) -> Any:
        axes, dropped = self._axes(index if isinstance(index, tuple) else (index,))
        if not all(axes):
            kept = tuple(len(axis) for n, axis in enumerate(axes) if n not in dropped)
            return self._framework.tensor(np.empty(0, dtype=np.uint8), self._place, kept)
        last = self._last_cut(axes)
        part = self._read(axes, last)
        rest = [slice(None) if n < last else slice(0, None, axes[n].step) for n in range(last + 1)]
        rest += [slice(axis.start, axis.stop, axis.step) for axis in axes[last + 1 :]]
        chosen = tuple(rest[n].start or 0 if n in dropped else rest[n] for n in range(len(axes)))
        return part[(*chosen, ...)]

    def _axes(self, index: tuple[Any, ...]) -> tuple[list[range], set[int]]:
        """Of each axis the places that are wanted, and which axes a number takes away."""
        shape = self._place.shape
        if Ellipsis in index:
            at = index.index(Ellipsis)
            index = (*index[:at], *[slice(None)] * (len(shape) - len(index) + 1), *index[at + 1 :])
        if len(index) > len(shape):
            raise IndexError(f"{len(index)} indices of tensor {self._place.name!r}, whose shape is {list(shape)}")
        axes, dropped = [range(size) for size in shape], set[int]()
        for n, wanted in enumerate(index):
            if isinstance(wanted, slice):
                axes[n] = range(shape[n])[wanted]
                if axes[n].step < 1:
                    raise Invalid(f"a slice has a step of {wanted.step}", "Give a step of 1 or more.")
                continue
            try:
                place = range(shape[n])[wanted]
            except TypeError:
                raise Invalid(f"{wanted!r} is no index of a part", "Give whole numbers, slices and '...'.") from None
            axes[n] = range(place, place + 1)
            dropped.add(n)
        return axes, dropped

    def _last_cut(self, axes: list[range]) -> int:
        """The last axis of which not all is read; -1 where everything is. What is behind it lies in one piece."""
        cut = [n for n, axis in enumerate(axes) if axis != range(self._place.shape[n])]
        last = cut[-1] if cut else -1
        while last > 0 and math.prod(map(len, axes[:last])) > _RUNS_MAX:
            last -= 1
        return last

    def _read(self, axes: list[range], last: int) -> Any:
        """Of axes before ``last`` what is wanted, of that one all from its first place to its last, of others all."""
        place, shape = self._place, self._place.shape
        item = DTYPE_BITS[place.dtype] // 8
        steps = [item * math.prod(shape[n + 1 :]) for n in range(len(shape))]
        start, length, shape_read = place.start, place.nbytes, shape
        if last >= 0:
            first, end = axes[last][0], axes[last][-1] + 1
            start += first * steps[last]
            length = (end - first) * steps[last]
            shape_read = (*map(len, axes[:last]), end - first, *shape[last + 1 :])
        runs = [start + sum(map(operator.mul, at, steps)) for at in product(*axes[: max(last, 0)])]
        raw = np.empty(length * len(runs), dtype=np.uint8)
        self._file.read_ranges_into(raw.data, [slice(run, run + length) for run in runs])
        return self._framework.tensor(raw, place, shape_read)
