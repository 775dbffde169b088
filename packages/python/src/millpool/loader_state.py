"""Where a loader stands: JSON of less than 1 kB, the same in every language."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from millpool.errors import Invalid

#: Which permutation a seed means. A state of another version is refused, never read as this one.
ORDER_VERSION = 1
#: A larger whole number would be another one in JavaScript.
WHOLE_MAX = 2**53 - 1

_FORMAT = "millpool-loader-1"
_VERSION = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LoaderState:
    """It names no rank and no world: whoever resumes brings those, and the order does not depend on them."""

    version: str
    seed: int
    epoch: int
    #: Samples delivered to the whole world in this epoch; a step boundary.
    position: int
    #: Samples a step over the whole world.
    global_batch: int
    shuffle: bool
    drop_last: bool

    def as_dict(self) -> dict[str, Any]:
        """As ``loader.state()`` of the TypeScript SDK gives it."""
        return {
            "format": _FORMAT,
            "orderVersion": ORDER_VERSION,
            "datasets": [{"version": self.version, "weight": 1}],
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self.position,
            "globalBatch": self.global_batch,
            "shuffle": self.shuffle,
            "dropLast": self.drop_last,
        }


def parse_loader_state(value: Any) -> LoaderState:
    """Checks what came from a checkpoint; ``Invalid`` names the field that is wrong."""
    state: dict[str, Any] = value if isinstance(value, dict) else {}
    if state.get("format") != _FORMAT:
        raise _wrong(state, "format", f'"{_FORMAT}"')
    if not _is_whole(state.get("orderVersion")) or state["orderVersion"] != ORDER_VERSION:
        raise _wrong(state, "orderVersion", f"{ORDER_VERSION}, the order of this release")
    for field in ("seed", "epoch", "position", "globalBatch"):
        if not _is_whole(state.get(field)):
            raise _wrong(state, field, "a whole number of 0 or more")
    if state["globalBatch"] == 0:
        raise _wrong(state, "globalBatch", "1 or more")
    for field in ("shuffle", "dropLast"):
        if not isinstance(state.get(field), bool):
            raise _wrong(state, field, "true or false")
    return LoaderState(
        _version_of(state),
        state["seed"],
        state["epoch"],
        state["position"],
        state["globalBatch"],
        state["shuffle"],
        state["dropLast"],
    )


def _version_of(state: dict[str, Any]) -> str:
    datasets = state.get("datasets")
    if isinstance(datasets, list) and len(datasets) == 1 and isinstance(datasets[0], dict):
        version = datasets[0].get("version")
        if isinstance(version, str) and _VERSION.fullmatch(version):
            return version
    raise _wrong(state, "datasets", "a list of one dataset version")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= WHOLE_MAX


def _wrong(state: dict[str, Any], field: str, wanted: str) -> Invalid:
    found = json.dumps(state[field], default=repr) if field in state else "missing"
    return Invalid(
        f"the loader state's {field} is {found}; it must be {wanted}",
        "Pass what loader.state_dict() returned, unchanged.",
    )
