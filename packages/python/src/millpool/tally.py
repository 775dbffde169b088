"""What was read one way, and how long that took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """Fetches ahead of a loop, while one of them was under way; or replays, by one thread."""

    samples: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.samples + other.samples, self.bytes + other.bytes, self.seconds + other.seconds)
