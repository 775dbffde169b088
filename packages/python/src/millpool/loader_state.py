"""Where a loader stands: JSON of less than 1 kB, the same in every language."""

from __future__ import annotations

import hashlib
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
#: More would make a state of more than 1 kB.
_LISTED_MAX = 8
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LoaderState:
    """It names no rank and no world: whoever resumes brings those, and the order does not depend on them."""

    #: As ``datasets_of`` gives it.
    datasets: Any
    seed: int
    epoch: int
    #: Samples delivered to the whole world in this epoch; a step boundary.
    position: int
    #: Samples a step over the whole world.
    global_batch: int
    shuffle: bool
    drop_last: bool

    def as_dict(self) -> dict[str, Any]:
        """As ``loader.state()`` of the TypeScript SDK gives it, which reads no mixtures yet."""
        return {
            "format": _FORMAT,
            "orderVersion": ORDER_VERSION,
            "datasets": self.datasets,
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self.position,
            "globalBatch": self.global_batch,
            "shuffle": self.shuffle,
            "dropLast": self.drop_last,
        }


def datasets_of(shares: tuple[tuple[str, float], ...]) -> Any:
    """Versions and weights; of more than would fit into a state, their digest."""
    listed = [{"version": version, "weight": weight} for version, weight in shares]
    if len(listed) <= _LISTED_MAX:
        return listed
    return {"digest": hashlib.sha256(json.dumps(listed).encode()).hexdigest()}


def check_datasets(found: Any, shares: tuple[tuple[str, float], ...]) -> None:
    """Whether a state's ``datasets`` are those of a loader."""
    wanted = datasets_of(shares)
    if found == wanted:
        return
    if isinstance(found, list) and len(found) == len(shares) == 1:
        raise Invalid(
            f"the state is of dataset version {found[0]['version']}; this dataset is {shares[0][0]}",
            "Open the dataset with version= of the state, or start a new epoch on the new version.",
        )
    raise Invalid(
        f"the state is of {json.dumps(found)}; this loader reads {json.dumps(wanted)}",
        "Give the same datasets, by version=, with the same weights and in the same order.",
    )


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
    if not _is_datasets(state.get("datasets")):
        raise _wrong(state, "datasets", "a list of dataset versions with their weights")
    return LoaderState(
        state["datasets"],
        state["seed"],
        state["epoch"],
        state["position"],
        state["globalBatch"],
        state["shuffle"],
        state["dropLast"],
    )


def _is_datasets(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_digest(value.get("digest"))
    return isinstance(value, list) and 0 < len(value) <= _LISTED_MAX and all(map(_is_share, value))


def _is_share(value: Any) -> bool:
    if not isinstance(value, dict) or isinstance(value.get("weight"), bool):
        return False
    return _is_digest(value.get("version")) and isinstance(value.get("weight"), (int, float))


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= WHOLE_MAX


def _wrong(state: dict[str, Any], field: str, wanted: str) -> Invalid:
    found = json.dumps(state[field], default=repr) if field in state else "missing"
    return Invalid(
        f"the loader state's {field} is {found}; it must be {wanted}",
        "Pass what loader.state_dict() returned, unchanged.",
    )
