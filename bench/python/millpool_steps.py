"""A training loop whose accelerator is emulated: ``millpool_steps.py SOCKET PATH BATCH STEP_SECONDS``.

A line is the number of an epoch. Beside each lap stands for how long the accelerator worked: as long as it slept.
"""

from __future__ import annotations

import sys
import time

from lap_lines import answer_laps

import millpool

socket, path, batch_text, step_text = sys.argv[1:]
data = millpool.connect(socket).dataset(path)
batch_size, step_seconds = int(batch_text), float(step_text)
worked = 0.0


def epoch(line: str) -> millpool.Loader:
    return millpool.Loader(data, batch_size=batch_size, shuffle=True, seed=7, drop_last=True, epoch=int(line))


def train(loader: millpool.Loader) -> int:
    global worked
    worked, samples = 0.0, 0
    for batch in loader:
        start = time.perf_counter()
        time.sleep(step_seconds)
        worked += time.perf_counter() - start
        samples += len(batch)
    return samples


answer_laps(epoch, train, lambda: {"workedSeconds": worked})
