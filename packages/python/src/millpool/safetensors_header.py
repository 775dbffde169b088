"""The header of a safetensors file: which tensors it holds, and where. Checked before anything of it is used."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from millpool.errors import Invalid
from millpool.file import File

#: Bits of an element, by the names of the format.
DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}

_LENGTH_BYTES = 8
#: As the format's own library has it.
_HEADER_BYTES_MAX = 100_000_000
#: Most headers are shorter: they come with their length, in one read.
_FIRST_BYTES = 1 << 18


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies."""

    name: str
    #: A name of ``DTYPE_BITS``.
    dtype: str
    shape: tuple[int, ...]
    #: Bytes of the file: the first, and the one behind the last.
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        return self.stop - self.start


class SafetensorsHeader:
    """The tensors of a file, which cover all of it behind the header: no holes, no overlaps."""

    def __init__(self, file: File) -> None:
        """Reads it; raises ``Invalid`` for what is no such file."""
        self._file = file
        text = self._text()
        header = self._parsed(text)
        metadata = header.pop("__metadata__", None)
        if not _is_texts(metadata):
            self._refuse("its __metadata__ is not a map of texts")
        #: What whoever wrote the file said of it; None where that is nothing.
        self.metadata: dict[str, str] | None = metadata
        base = _LENGTH_BYTES + len(text)
        places = [self._place(name, row, base) for name, row in header.items()]
        #: In the order of the file.
        self.places = sorted(places, key=lambda place: (place.start, place.stop, place.name))
        end = base
        for place in self.places:
            if place.start != end:
                self._refuse(
                    f"tensor {place.name!r} begins at byte {place.start}, not at {end} where the last one ends"
                )
            end = place.stop
        if end != file.size:
            self._refuse(f"its tensors end at byte {end}, the file at {file.size}")

    def _text(self) -> bytes:
        size = self._file.size
        if size < _LENGTH_BYTES:
            self._refuse(f"it has {size} bytes, less than the length of a header")
        first = self._file.read_at(0, _FIRST_BYTES)
        length = int.from_bytes(first[:_LENGTH_BYTES], "little")
        if length > min(_HEADER_BYTES_MAX, size - _LENGTH_BYTES):
            self._refuse(f"it says that its header has {length} bytes, and has {size} in all")
        text = first[_LENGTH_BYTES : _LENGTH_BYTES + length]
        return text + self._file.read_at(len(first), length - len(text)) if len(text) < length else text

    def _parsed(self, text: bytes) -> dict[str, Any]:
        try:
            header = json.loads(text.decode(), object_pairs_hook=_without_twins)
        except (ValueError, RecursionError) as error:
            self._refuse(f"its header is not JSON: {error}")
        if not isinstance(header, dict):
            self._refuse("its header is not a map")
        return header

    def _place(self, name: str, row: Any, base: int) -> TensorPlace:
        row = row if isinstance(row, dict) else {}
        dtype, shape, offsets = row.get("dtype"), row.get("shape"), row.get("data_offsets")
        bits = DTYPE_BITS.get(dtype) if isinstance(dtype, str) else None
        if bits is None:
            self._refuse(f"tensor {name!r} is of type {dtype!r}")
        if not _is_counts(shape):
            self._refuse(f"tensor {name!r} has the shape {shape!r}")
        if not _is_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            self._refuse(f"tensor {name!r} lies at {offsets!r}")
        if math.prod(shape) * bits != (offsets[1] - offsets[0]) * 8:
            self._refuse(f"tensor {name!r}, {dtype} of shape {shape}, has {offsets[1] - offsets[0]} bytes")
        return TensorPlace(name, str(dtype), tuple(shape), base + offsets[0], base + offsets[1])

    def _refuse(self, why: str) -> NoReturn:
        path = self._file.name
        raise Invalid(f"{path} is not a safetensors file: {why}", "Write it again, with the safetensors package.", path)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name comes twice")
    return members


def _is_texts(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(text, str) for text in value.values()))


def _is_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(count) is int and 0 <= count < 1 << 63 for count in value)
