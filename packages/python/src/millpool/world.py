"""Who reads which share: this process's rank in its world, read from the environment when it is first needed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from millpool.errors import Invalid

#: As launchers set them: torchrun, accelerate and DeepSpeed; then srun.
_VARIABLES = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))


@dataclass(frozen=True)
class World:
    """``rank`` of ``size`` readers that share one epoch."""

    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise Invalid(
                f"rank {self.rank} is outside a world of {self.size}",
                "Give rank from 0 to world - 1, and the same world to every rank.",
            )


def world_of(rank: int | None = None, size: int | None = None) -> World:
    """What was given, or what the launcher set; in a worker of a torch DataLoader, that worker's share of it."""
    if (rank is None) != (size is None):
        raise Invalid("rank and world go together", "Give both, or neither.")
    if rank is not None and size is not None:
        return World(rank, size)
    here = _launched()
    worker = _torch_worker()
    if worker is None:
        return here
    return World(here.rank * worker.num_workers + worker.id, here.size * worker.num_workers)


def _launched() -> World:
    for rank_name, size_name in _VARIABLES:
        rank, size = os.environ.get(rank_name), os.environ.get(size_name)
        if rank is None and size is None:
            continue
        if rank is None or size is None:
            # Slurm sets one without the other outside of srun; a launcher of ranks sets both.
            continue
        return World(_number(rank_name, rank), _number(size_name, size))
    return World()


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid(f"{name} is {text!r}", "Set it to a whole number, or unset it.") from None


def _torch_worker() -> Any:
    """What torch says of this process, if it is a worker; torch is not imported for it."""
    data = sys.modules.get("torch.utils.data")
    return None if data is None else data.get_worker_info()
