"""Bytes as tensors of the library that a program works with."""

from __future__ import annotations

import importlib
from typing import Any

from millpool.errors import Invalid, Unsupported
from millpool.safetensors_header import TensorPlace

_NAMES = {"np": "numpy", "numpy": "numpy", "pt": "torch", "torch": "torch", "pytorch": "torch"}

_NUMPY_TYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "C64": "complex64",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
}

#: Of the package ml_dtypes, where it is installed: numpy has none of its own.
_ML_TYPES = {
    "BF16": "bfloat16",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}

_TORCH_TYPES = {
    **_NUMPY_TYPES,
    **_ML_TYPES,
    #: Two elements a byte: the last dimension is half as long.
    "F4": "float4_e2m1fn_x2",
}


class TensorFramework:
    """``numpy`` or ``torch``, and the device where tensors are wanted."""

    def __init__(self, name: str, device: Any = "cpu") -> None:
        library = _NAMES.get(name)
        if library is None:
            raise Invalid(f"framework is {name!r}", "Give 'np' or 'pt'; arrays of 'np' are what others make theirs of.")
        if library == "numpy" and str(device) != "cpu":
            raise Invalid(f"device is {device!r}, and framework 'np'", "Give framework 'pt', or device 'cpu'.")
        self._library = library
        self._device = device
        try:
            self._module: Any = importlib.import_module(library)
        except ImportError as error:
            raise Unsupported(f"framework {name!r} needs {library}", f"Install it: pip install {library}.") from error

    def tensor(self, raw: Any, place: TensorPlace, shape: tuple[int, ...] | None = None) -> Any:
        """An array of bytes (numpy, one dimension) as what it holds: of ``place``, or of ``shape`` if it is a part."""
        wanted = place.shape if shape is None else shape
        if self._library == "numpy":
            return raw.view(self._numpy_type(place)).reshape(wanted)
        if place.dtype == "F4":
            wanted = (*wanted[:-1], wanted[-1] // 2)
        dtype = self._torch_type(place)
        # What is empty has no strides by which it could be another type.
        typed = self._module.from_numpy(raw).view(dtype) if len(raw) else self._module.empty(0, dtype=dtype)
        tensor = typed.reshape(wanted)
        return tensor if str(self._device) == "cpu" else tensor.to(self._device)

    def _numpy_type(self, place: TensorPlace) -> Any:
        name = _NUMPY_TYPES.get(place.dtype)
        if name is not None:
            return self._module.dtype(name)
        try:
            types = importlib.import_module("ml_dtypes")
            return self._module.dtype(getattr(types, _ML_TYPES[place.dtype]))
        except (ImportError, KeyError, AttributeError) as error:
            raise Unsupported(
                f"numpy has no {place.dtype}, which is the type of tensor {place.name!r}",
                "Install ml_dtypes, or give framework 'pt'.",
            ) from error

    def _torch_type(self, place: TensorPlace) -> Any:
        dtype = getattr(self._module, _TORCH_TYPES.get(place.dtype, ""), None)
        if dtype is None:
            raise Unsupported(
                f"this torch has no {place.dtype}, which is the type of tensor {place.name!r}",
                "Install a newer torch, or read the file's bytes with mill.read.",
            )
        return dtype
