"""Tensors of safetensors files, through the cache: the whole API of ``safetensors.safe_open``, and ``stream``.

with safe_open("/models/llama.safetensors", framework="pt") as weights:
    weights.get_tensor("embed")

for name, tensor in stream("/models/llama.safetensors"):
    model.get_parameter(name).data.copy_(tensor)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from millpool.errors import Closed, Invalid
from millpool.mill import Mill, Path, shared
from millpool.safetensors_header import SafetensorsHeader, TensorPlace
from millpool.tensor_framework import TensorFramework
from millpool.tensor_memory import TensorMemory
from millpool.tensor_slice import TensorSlice
from millpool.tensor_stream import TensorStream

__all__ = ["TensorSlice", "safe_open", "stream"]


def stream(
    paths: Path | Sequence[Path],
    framework: str = "pt",
    device: Any = "cpu",
    *,
    mill: Mill | None = None,
) -> Iterator[tuple[str, Any]]:
    """``for name, tensor in stream(path)``: every tensor of one file or several, in the order in which they lie there.

    Files are read ahead, at the rate of the device or source. A tensor that the loop drops costs no memory beside the
    ring's; those that it keeps hold half of the ring at most, and further ones memory of their own. One of more than an
    eighth of the ring always has memory of its own, which takes about twice the processor time: where tensors are that
    large, give ``connect`` eight times the largest as ``ring_bytes``. ``framework``: ``pt`` or ``np``.
    ``mill``: without it the one of this process. Raises ``Invalid`` for what is not a safetensors file, before any
    tensor of it is given out.
    """
    through = shared() if mill is None else mill
    names = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    files = (through.open(_path(name)) for name in names)
    return iter(TensorStream(files, TensorFramework(framework, device), through))


class safe_open:  # noqa: N801  the name that people know
    """A safetensors file, of which tensors are read as they are asked for: ``safetensors.safe_open`` for paths here.

    ``framework``: ``pt`` or ``np``. ``device``: where tensors are wanted. Raises ``Invalid`` for what is not a
    safetensors file. All that is read is of the version that was opened.
    """

    def __init__(self, filename: Path, framework: str, device: Any = "cpu", *, mill: Mill | None = None) -> None:
        self._framework = TensorFramework(framework, device)
        through = shared() if mill is None else mill
        self._memory = TensorMemory(through)
        self._file = through.open(_path(filename))
        self._header = SafetensorsHeader(self._file)
        self._places = {place.name: place for place in self._header.places}

    def keys(self) -> list[str]:
        """The names of the tensors, sorted."""
        return sorted(self._open())

    def offset_keys(self) -> list[str]:
        """The same in the order of the file."""
        return list(self._open())

    def metadata(self) -> dict[str, str] | None:
        """What whoever wrote the file said of it."""
        self._open()
        return self._header.metadata

    def get_tensor(self, name: str) -> Any:
        """A tensor, the caller's own: it may be written, and kept."""
        place = self._place(name)
        return self._framework.tensor(self._memory.read(self._file, place), place)

    def get_tensors(self) -> dict[str, Any]:
        """All of them, by name."""
        return {name: self.get_tensor(name) for name in self.offset_keys()}

    def get_slice(self, name: str) -> TensorSlice:
        """A tensor to be read in part: ``get_slice("embed")[:, ::8]`` reads the columns that it names."""
        return TensorSlice(self._file, self._place(name), self._framework)

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def __repr__(self) -> str:
        return f"<millpool.safetensors.safe_open {self._file.name}: {len(self._places):,} tensors>"

    def _open(self) -> dict[str, TensorPlace]:
        if self._file.closed:
            raise Closed(f"{self._file.name} was closed", "Open it again.")
        return self._places

    def _place(self, name: str) -> TensorPlace:
        place = self._open().get(name)
        if place is None:
            raise Invalid(f"{self._file.name} holds no tensor {name!r}", "Take one of keys().", self._file.name)
        return place


def _path(name: Path) -> str:
    """Of a path, or of a URL as fsspec takes it."""
    text = os.fspath(name)
    return "/" + text.removeprefix("millpool://").lstrip("/") if text.startswith("millpool://") else text
