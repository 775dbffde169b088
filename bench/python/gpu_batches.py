"""Batches of images of 3 x 224 x 224 on a GPU: ``gpu_batches.py LOOP BATCHES BATCH SOURCE [ARGUMENT...]``.

A line is an epoch's number. LOOP: ``copies`` alone of the bytes of the images, or ``training`` of a ResNet-50 in
bfloat16 on them, or ``decoding``, the same training on JPEGs. SOURCE:

- ``none``: the same batch again and again, out of page-locked memory to be copied, or there already to train on
- ``millpool SOCKET PATH SEED [THREADS]``, that decode
- ``torch FOLDER WORKERS``: its DataLoader over single files, which it copies into page-locked memory
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from lap_lines import answer_laps
from sample_files import place_of, read_file
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, RandomSampler

loop, batches_text, batch_text, source, *arguments = sys.argv[1:]
batches, batch_size = int(batches_text), int(batch_text)
SHAPE = (3, 224, 224)
CLASSES = 1000
# The bytes of a file are nobody else's.
warnings.filterwarnings("ignore", message="The given buffer is not writable")


def image_of(body: bytes | memoryview, _number: int) -> torch.Tensor:
    from torchvision.io import decode_jpeg

    return decode_jpeg(torch.frombuffer(body, dtype=torch.uint8)).flatten()


class Files(Dataset[torch.Tensor]):
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __len__(self) -> int:
        return batches * batch_size

    def __getitem__(self, number: int) -> torch.Tensor:
        body = read_file(place_of(self._folder, number))
        return image_of(body, number) if loop == "decoding" else torch.frombuffer(body, dtype=torch.uint8)


def same_batch() -> Callable[[str], Iterable[torch.Tensor]]:
    batch = torch.randint(256, (batch_size, 3 * 224 * 224), dtype=torch.uint8).pin_memory()
    there = batch.cuda()

    def epoch(_line: str) -> Iterator[torch.Tensor]:
        return (there if loop != "copies" else batch.to("cuda", non_blocking=True) for _ in range(batches))

    return epoch


def by_millpool(socket: str, path: str, seed: str, *threads: str) -> Callable[[str], Iterable[torch.Tensor]]:
    import millpool
    import millpool.torch

    data = millpool.connect(socket).dataset(path)
    order: dict[str, Any] = {"shuffle": True, "seed": int(seed), "drop_last": True}
    if threads:
        order["num_threads"] = int(threads[0])
    transform = image_of if loop == "decoding" else None

    def epoch(line: str) -> Iterable[torch.Tensor]:
        return millpool.torch.DataLoader(data, batch_size, epoch=int(line), device="cuda", transform=transform, **order)

    return epoch


def by_torch(folder: str, workers: str) -> Callable[[str], Iterable[torch.Tensor]]:
    files = Files(folder)
    loader = DataLoader(
        files,
        batch_size,
        sampler=RandomSampler(files),
        num_workers=int(workers),
        persistent_workers=int(workers) > 0,
        pin_memory=True,
        drop_last=True,
    )
    return lambda _line: (batch.to("cuda", non_blocking=True) for batch in loader)


class Training:
    """Steps of a ResNet-50: what it needs of a batch is its number of samples and its bytes."""

    def __init__(self) -> None:
        from torchvision.models import resnet50

        self._model = resnet50().cuda().to(memory_format=torch.channels_last).train()
        self._optimiser = torch.optim.SGD(self._model.parameters(), lr=1e-3, momentum=0.9)
        self._labels = torch.randint(CLASSES, (batch_size,), device="cuda")

    def step(self, batch: torch.Tensor) -> None:
        images = batch.view(-1, *SHAPE).to(torch.bfloat16, memory_format=torch.channels_last).div_(255)
        with torch.autocast("cuda", torch.bfloat16):
            loss = cross_entropy(self._model(images), self._labels)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()


def read(step: Callable[[torch.Tensor], None]) -> Callable[[Iterable[torch.Tensor]], int]:
    def lap(epoch: Iterable[torch.Tensor]) -> int:
        samples = 0
        for batch in islice(epoch, batches):
            step(batch)
            samples += len(batch)
        torch.cuda.synchronize()
        return samples

    return lap


sources: dict[str, Any] = {"none": lambda: same_batch(), "millpool": by_millpool, "torch": by_torch}
answer_laps(sources[source](*arguments), read(Training().step if loop != "copies" else lambda _batch: None))
