"""The state is the same JSON in both languages."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

import millpool
from harness.node import ROOT
from millpool.loader_state import parse_loader_state

GOLDEN: dict[str, Any] = json.loads((ROOT / "test/vectors/loader-state.json").read_text())


def test_a_state_that_another_program_wrote_is_read_as_what_it_says() -> None:
    state = parse_loader_state(GOLDEN).as_dict()
    assert state == GOLDEN
    assert list(state) == list(GOLDEN)
    assert len(json.dumps(state)) < 1000


def test_a_field_that_is_missing_or_of_another_type_or_version_is_named() -> None:
    wrong: dict[str, list[Any]] = {
        "format": ["millpool-loader-2", 1],
        "orderVersion": [2, "1", True],
        "datasets": [[], [{"version": "x", "weight": 1}], GOLDEN["datasets"] * 9, "all"],
        "seed": [-1, 1.5, "7", 2**60, True],
        "epoch": [-1, math.nan],
        "position": [-1, None],
        "globalBatch": [0, -4],
        "shuffle": [1, "yes"],
        "dropLast": [0, None],
    }
    assert list(wrong) == list(GOLDEN)
    for field, values in wrong.items():
        for value in values:
            with pytest.raises(millpool.Invalid, match=f"state's {field} is"):
                parse_loader_state({**GOLDEN, field: value})
        with pytest.raises(millpool.Invalid, match=f"state's {field} is missing"):
            parse_loader_state({name: value for name, value in GOLDEN.items() if name != field})
    for value in (None, 7, "text", []):
        with pytest.raises(millpool.Invalid):
            parse_loader_state(value)
