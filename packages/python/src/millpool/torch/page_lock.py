"""Memory of the ring that a GPU copies from by itself."""

from __future__ import annotations

import ctypes

import torch

from millpool._native import Client

_FUNCTIONS = ("cudaGetDevice", "cudaSetDevice", "cudaHostRegister", "cudaHostUnregister", "cudaGetLastError")


def lock_ring(client: Client, device: torch.device) -> None:
    """Page-locks the client's batches from now on, by the CUDA runtime that torch has loaded.

    Where that has another name than NVIDIA gives it, nothing happens: batches are copied once more on their way.
    """
    if torch.version.cuda is None:
        return
    try:
        # What is loaded already is found by its name alone.
        runtime = ctypes.CDLL(f"libcudart.so.{torch.version.cuda.split('.')[0]}")
        addresses = [ctypes.cast(getattr(runtime, name), ctypes.c_void_p).value for name in _FUNCTIONS]
    except (OSError, AttributeError):
        return
    number = torch.cuda.current_device() if device.index is None else device.index
    client.lock_pages(number, [address or 0 for address in addresses])
