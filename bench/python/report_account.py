"""What the stall report adds to a batch in Python: ``report_account.py BATCH TIMES`` prints the mean of so many."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass

from millpool.stall_account import Delivery, StallAccount


@dataclass(slots=True)
class Read:
    """What the loader knows of a batch."""

    samples: int
    hits: int
    bytes: int
    failed: int = 0
    fetched_bytes: int = 0
    device: int = 0
    device_bytes: int = 0
    waits: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 1e-4, 2e-5)
    came: float = 0.0

    def __len__(self) -> int:
        return self.samples


def account(batch: int, count: int) -> None:
    """As many objects and clock readings as the loader makes for it."""
    stalls = StallAccount()
    for _ in range(count):
        asked = time.monotonic()
        read = Read(batch, batch, 4096 * batch)
        stalls.delivered(read, Delivery(asked, time.monotonic(), read.came))


batch_size, times = map(int, sys.argv[1:])
account(batch_size, times // 10)
before = time.process_time()
account(batch_size, times)
print(json.dumps({"micros": (time.process_time() - before) / times * 1e6}))
