"""A loop that comes back: ``millpool_resume.py SOCKET PATH``; a line is a loader's state.

A lap is from connecting to the first batch after it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from lap_lines import answer_laps

import millpool

socket, path = sys.argv[1:]


def resumed(state: dict[str, Any]) -> int:
    with millpool.connect(socket) as mill:
        data = mill.dataset(path, version=state["datasets"][0]["version"])
        loader = millpool.Loader(data, batch_size=state["globalBatch"], shuffle=True)
        loader.load_state_dict(state)
        try:
            return len(next(iter(loader)))
        finally:
            loader.close()


answer_laps(json.loads, resumed)
