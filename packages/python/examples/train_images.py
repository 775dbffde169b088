"""Trains a small network on labelled images that come through Millpool, on a GPU where there is one.

    python train_images.py --train /demo/train --test /demo/test

The label of an image is the name of its directory. Under torchrun, or with RANK and WORLD_SIZE set, all ranks train one
network together; each reads its own share of every step. ``--checkpoint`` saves the loader's state beside the weights,
so that a run that was stopped, with ``--stop-after``, is resumed by any number of ranks.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy

import millpool
import millpool.torch


@dataclass(frozen=True)
class World:
    """Who trains together."""

    rank: int
    size: int

    @classmethod
    def join(cls) -> World:
        world = cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
        if world.size > 1:
            torch.distributed.init_process_group("gloo")
        return world

    def average_gradients(self, model: nn.Module) -> None:
        if self.size == 1:
            return
        for parameter in model.parameters():
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= self.size

    def leave(self) -> None:
        if self.size > 1:
            torch.distributed.destroy_process_group()


class ContentSum:
    """Of all that was read, in any order: the sum modulo 2^128 of half a SHA-256 of each path and its bytes."""

    def __init__(self) -> None:
        self._read: list[tuple[str, bytes]] = []

    def add(self, path: str, data: memoryview) -> None:
        self._read.append((path, bytes(data)))

    def take(self) -> str:
        read, self._read = self._read, []
        halves = (hashlib.sha256(path.encode() + b"\0" + data).digest()[:16] for path, data in read)
        return f"{sum(int.from_bytes(half) for half in halves) % 2**128:032x}"


class Labelled:
    """A dataset whose directories are labels, numbered in the order of their names."""

    def __init__(self, data: millpool.Dataset) -> None:
        self.data = data
        names = [data.path(i).rsplit("/", 2)[1] for i in range(len(data))]
        self.classes = sorted(set(names))
        numbers = {name: number for number, name in enumerate(self.classes)}
        self._labels = [numbers[name] for name in names]

    def read(self, view: memoryview, index: int) -> tuple[torch.Tensor, int, int]:
        """What the loader's threads make of a sample."""
        return decode(view), self._labels[index], index


def decode(data: memoryview) -> torch.Tensor:
    """An image of 64 by 64 pixels on white: float32, (3, 64, 64), 0 to 1."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, image).convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1) / 255


def network(classes: int) -> nn.Module:
    def halve(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, classes)]
    return nn.Sequential(*halve(3, 24), *halve(24, 48), *halve(48, 96), *halve(96, 96), *head)


@torch.no_grad()
def evaluate(model: nn.Module, batches: millpool.torch.DataLoader) -> tuple[float, float]:
    """Accuracy, and that of who always says the most frequent label."""
    model.eval()
    hits, counts = 0, torch.zeros(0, dtype=torch.long)
    for images, labels, _ in batches:
        hits += int((model(images).argmax(1) == labels).sum())
        seen = torch.bincount(labels.cpu(), minlength=len(counts))
        counts = seen + nn.functional.pad(counts, (0, len(seen) - len(counts)))
    total = int(counts.sum())
    return hits / total, int(counts.max()) / total


class Run:
    """A network, its optimiser and its place in the data, as they are saved."""

    def __init__(self, args: argparse.Namespace, world: World) -> None:
        self.args, self.world = args, world
        self.device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.mill = millpool.connect()
        self.train = Labelled(self.mill.dataset(args.train))
        torch.manual_seed(args.seed)
        self.model = network(len(self.train.classes)).to(self.device)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), weight_decay=0.05)
        self.content = ContentSum() if args.digest else None
        batch_size = args.global_batch // world.size
        self.loader = self.loader_of(self.train, batch_size=batch_size, shuffle=True, seed=args.seed)
        self.steps = 0

    @property
    def epoch(self) -> int:
        return self.loader.state_dict()["epoch"]

    def loader_of(self, labelled: Labelled, **order: object) -> millpool.torch.DataLoader:
        def read(view: memoryview, index: int) -> tuple[torch.Tensor, int, int]:
            if self.content is not None:
                self.content.add(labelled.data.path(index), view)
            return labelled.read(view, index)

        return millpool.torch.DataLoader(labelled.data, transform=read, device=self.device, **order)

    def resume(self, file: Path) -> None:
        saved = torch.load(file, map_location=self.device, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.loader.load_state_dict(json.loads(saved["loader"]))

    def save(self, file: Path) -> None:
        if self.world.rank > 0:
            return
        saved = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "loader": json.dumps(self.loader.state_dict()),
        }
        torch.save(saved, file.with_suffix(".part"))
        file.with_suffix(".part").replace(file)

    def train_epoch(self) -> float:
        """Trains what is left of the epoch, or as far as it was told to; gives the mean loss of this rank's share."""
        self.model.train()
        epoch, losses = self.epoch, []
        for images, labels, indices in self.loader:
            self._set_rate()
            loss = cross_entropy(self.model(images), labels)
            self.optimiser.zero_grad()
            loss.backward()
            self.world.average_gradients(self.model)
            self.optimiser.step()
            losses.append(loss.item())
            self._trace(epoch, indices)
            self.steps += 1
            if self.steps == self.args.stop_after:
                break
        return float(np.mean(losses))

    def _set_rate(self) -> None:
        """Falls in a straight line over all epochs, and depends on the loader's place alone: it resumes with it."""
        state = self.loader.state_dict()
        done = (state["epoch"] + state["position"] / len(self.train.data)) / self.args.epochs
        for group in self.optimiser.param_groups:
            group["lr"] = self.args.rate * max(0.02, 1 - done)

    def _trace(self, epoch: int, indices: torch.Tensor) -> None:
        """What was read, for whoever compares two runs."""
        if self.args.trace is None:
            return
        position = self.loader.state_dict()["position"]
        line = {"epoch": epoch, "position": position, "indices": indices.tolist()}
        with open(f"{self.args.trace}.{self.world.rank}", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def tell(self, line: dict[str, object], text: str) -> None:
        if self.world.rank == 0:
            print(json.dumps(line) if self.args.json else text, flush=True)


def main() -> None:
    args = arguments()
    world = World.join()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // world.size))
    run = Run(args, world)
    if args.checkpoint is not None and args.checkpoint.exists():
        run.resume(args.checkpoint)
    while run.epoch < args.epochs and run.steps != args.stop_after:
        epoch, before = run.epoch, run.loader.report()
        loss = run.train_epoch()
        figures = figures_between(before, run.loader.report())
        figures["checksum"] = run.content.take() if run.content is not None else None
        text = f"epoch {epoch + 1}: loss {loss:.3f}, {figures['samplesPerSecond']:.0f} samples/s"
        run.tell({"epoch": epoch + 1, "loss": loss, **figures}, text)
        if args.checkpoint is not None:
            run.save(args.checkpoint)
    if world.rank == 0 and run.epoch >= args.epochs:
        test = run.loader_of(Labelled(run.mill.dataset(args.test)), batch_size=256, rank=0, world=1)
        accuracy, majority = evaluate(run.model, test)
        text = f"held-out images: {accuracy:.3f} right; the most frequent label alone {majority:.3f}"
        run.tell({"accuracy": accuracy, "majority": majority}, text)
        print(run.loader.report(), file=sys.stderr)
    world.leave()


def figures_between(before: millpool.Report, after: millpool.Report) -> dict[str, object]:
    samples, seconds = after.samples - before.samples, after.seconds - before.seconds
    hits = after.hit_ratio * after.samples - before.hit_ratio * before.samples
    waits = {cause: after.wait_seconds[cause] - waited for cause, waited in before.wait_seconds.items()}
    return {
        "samples": samples,
        "bytes": after.bytes - before.bytes,
        "seconds": seconds,
        "samplesPerSecond": samples / seconds,
        "sourceBytes": after.source_bytes - before.source_bytes,
        "cacheBytes": after.cache_bytes - before.cache_bytes,
        "hitRatio": hits / samples,
        "waitSeconds": waits,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a small network on labelled images through Millpool.")
    parser.add_argument("--train", required=True, metavar="PATH", help="directories of images, one a label")
    parser.add_argument("--test", required=True, metavar="PATH", help="the same, to be measured by")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--global-batch", type=int, default=60, help="samples a step, over all ranks")
    parser.add_argument("--rate", type=float, default=4e-3, help="of learning, at the beginning")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device", help="cpu or cuda; without it a GPU where there is one")
    parser.add_argument("--checkpoint", type=Path, help="is resumed from; written after each epoch")
    parser.add_argument("--stop-after", type=int, default=-1, metavar="STEPS", help="save and end after so many steps")
    parser.add_argument("--trace", metavar="FILE", help="write what each rank read to FILE.RANK")
    parser.add_argument("--digest", action="store_true", help="a sum over all that each epoch read")
    parser.add_argument("--json", action="store_true", help="an object a line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
