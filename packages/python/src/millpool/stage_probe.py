"""What memory and device alone would give a loader."""

from __future__ import annotations

import time
from concurrent.futures import Executor

from millpool._native import DatasetFile, MixtureFile, Samples
from millpool.connection import Connection
from millpool.errors import MillpoolError
from millpool.tally import Tally

#: The first replay comes so long after the loop began, later ones after as long at least.
_FIRST_AFTER = 1.0
_AGAIN_AFTER = 10.0
#: And no sooner than so many times what the last one took: replays take a five hundredth of the time at most.
_REST_TIMES = 500
_REPLAY_BYTES = 16 << 20
_SAMPLES_MAX = 256


class StageProbe:
    """Seldom, a batch that was delivered long ago is read again, by one thread each way, into a slot that is thrown
    away: the loop sees no sample twice.
    """

    def __init__(self, connection: Connection, file: DatasetFile | MixtureFile) -> None:
        self._connection = connection
        self._file = file
        #: All replays together.
        self.gather = Tally()
        self.device = Tally()
        #: Delivered when the last replay was: by now other batches have taken its place in the processor's caches.
        self._old: Samples | None = None
        self._due = 0.0
        self._is_running = False

    def delivered(self, samples: Samples, now: float, aside: Executor) -> bool:
        """Whether a replay was begun."""
        if self._old is None:
            self._due = now + _FIRST_AFTER
            self._old = self._few(samples)
        if now < self._due or self._is_running:
            return False
        self._is_running = True
        aside.submit(self._replay, self._old)
        self._old = self._few(samples)
        return True

    def _replay(self, samples: Samples) -> None:
        connection = self._connection
        start = time.monotonic()
        try:
            gather, device = connection.client.replay(self._file, samples, connection.timeout)
            self.gather += Tally(*gather)
            self.device += Tally(*device)
        except MillpoolError:
            # No slot was free, or the loop has ended: the next one may find better times.
            pass
        finally:
            end = time.monotonic()
            self._due = end + max(_AGAIN_AFTER, _REST_TIMES * (end - start))
            self._is_running = False

    def _few(self, samples: Samples) -> Samples:
        mean_bytes = max(1.0, self._file.bytes / max(1, len(self._file)))
        count = max(1, min(_SAMPLES_MAX, int(_REPLAY_BYTES // mean_bytes)))
        return Samples(memoryview(samples)[:count])
