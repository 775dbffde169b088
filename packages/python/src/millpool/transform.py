"""What users do to samples before they get them, on a pool of threads."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from millpool.batch import Batch, OnError

#: Of a sample, or of a sample and its number in the dataset.
Transform = Callable[..., Any]
Collate = Callable[[list[Any]], Any]


class TransformStage:
    """Wins wherever a decoder releases the interpreter (Pillow, OpenCV, numpy, torchvision): nothing is pickled, and no
    process is started.
    """

    def __init__(self, transform: Transform | None, collate: Collate | None, threads: int, on_error: OnError) -> None:
        self._transform = transform
        self._takes_index = transform is not None and _takes_two(transform)
        self._collate = collate
        self._threads = threads
        self._on_error = on_error
        self._pool = ThreadPoolExecutor(threads, "millpool-transform")

    def start(self, batch: Batch) -> Transformed:
        """Its samples are divided over the threads, in order; the batch is released when all are done."""
        count = len(batch)
        parts = max(1, min(self._threads, count))
        places = (range(count * n // parts, count * (n + 1) // parts) for n in range(parts))
        return Transformed(batch, [self._pool.submit(self._apply, batch, part) for part in places], self)

    def finish(self, transformed: Transformed) -> Future[Any]:
        """Behind the parts in the pool's queue: each of them has begun when this does, and waits for nobody."""
        return self._pool.submit(transformed.gathered, self._collate)

    def close(self) -> None:
        """Waits for nothing that runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _apply(self, batch: Batch, places: range) -> tuple[list[Any], float]:
        """What became of some samples, failures as ``on_error`` asks for; and the seconds that it took."""
        began = time.monotonic()
        results: list[Any] = []
        for place in places:
            try:
                results.append(self._one(batch, place))
            except Exception as error:
                if self._on_error == "raise":
                    raise
                if self._on_error == "keep":
                    results.append(error)
        return results, time.monotonic() - began

    def _one(self, batch: Batch, place: int) -> Any:
        sample = batch[place]
        if self._transform is None:
            return sample
        try:
            return self._transform(sample, batch.index(place)) if self._takes_index else self._transform(sample)
        except Exception as error:
            error.add_note(f"in the transform of sample {batch.index(place)}, {batch.path(place)}")
            raise


class Transformed:
    """One batch on its way through the stage."""

    def __init__(self, batch: Batch, parts: list[Future[tuple[list[Any], float]]], stage: TransformStage) -> None:
        self._batch = batch
        self._parts = parts
        self.began = time.monotonic()
        #: When all was done, and what the threads took together.
        self.ended = self.began
        self.work = 0.0
        #: Samples that came through.
        self.count = 0
        self._value = stage.finish(self)

    def result(self) -> Any:
        """What became of the batch; raises what its transform raised."""
        return self._value.result()

    def gathered(self, collate: Collate | None) -> Any:
        """In a thread of the pool."""
        with self._batch:
            parts = [part.result() for part in self._parts]
            began = time.monotonic()
            results = [result for results, _seconds in parts for result in results]
            self.count = len(results)
            value = results if collate is None else collate(results)
        self.ended = time.monotonic()
        self.work = sum(seconds for _results, seconds in parts) + self.ended - began
        return value


def _takes_two(transform: Transform) -> bool:
    """Whether it wants the sample's number beside its bytes: where it cannot be called without."""
    try:
        parameters = inspect.signature(transform).parameters.values()
    except (TypeError, ValueError):
        # Written in C, and says nothing of itself.
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [one for one in parameters if one.kind in positional and one.default is inspect.Parameter.empty]
    return len(required) == 2
