"""What a daemon is told of a mixture that is read, so that it fetches ahead."""

from __future__ import annotations

from concurrent.futures import Executor

from millpool._native import Schedule
from millpool.mixture import Mixture, MixtureEpoch
from millpool.report import WaitCause
from millpool.tally import Tally

#: Samples of this rank that are told before they are asked for, and how many at once.
_AHEAD = 4096
_CHUNK = 512


class MixtureHints:
    """In the place of a ``Plan``: a daemon knows the order of one dataset, and hears of a mixture by numbers."""

    #: Reads name no plan, and nothing is known of what was fetched for them.
    number = 0
    progress = Tally()

    def __init__(self, mixture: Mixture, order: MixtureEpoch, steps: Schedule, world: int) -> None:
        self._datasets, self._file = mixture.datasets, mixture.file
        self._order = order
        self._steps = steps
        self._world = world
        #: The world's positions up to which samples were told, and delivered; None before the first.
        self._told: int | None = None
        self._delivered: int | None = None
        self._untold: list[list[int]] = [[] for _ in mixture.datasets]
        #: All of the epoch was told, or tried to be.
        self._is_over = False
        self._tell()

    def delivered(self, position: int, _now: float, _waited: dict[WaitCause, float], aside: Executor) -> None:
        """A batch was: now and then the next ones are told, beside the loop."""
        self._delivered = position
        if not self._is_over and self._samples_ahead < _AHEAD - _CHUNK:
            aside.submit(self._tell)

    def close(self, _waited: dict[WaitCause, float]) -> None:
        """There is nothing to take back: what is under way ends by itself."""

    @property
    def _samples_ahead(self) -> int:
        """Of this rank."""
        return ((self._told or 0) - (self._delivered or 0)) // self._world

    def _tell(self) -> None:
        """The next steps, dataset by dataset. What a daemon does not take now it is told again, as long as it helps."""
        while self._samples_ahead < _AHEAD:
            step = next(self._steps, None)
            if step is None:
                self._is_over = True
                break
            start, count, _padded, position, self._told = step
            self._delivered = position if self._delivered is None else self._delivered
            step_samples = self._file.by_source(self._order.samples(start, count))
            for untold, indices in zip(self._untold, step_samples, strict=True):
                untold.extend(indices)
        for source, (data, untold) in enumerate(zip(self._datasets, self._untold, strict=True)):
            self._untold[source] = data.hint(untold)[-_CHUNK:]
