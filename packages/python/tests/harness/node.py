"""A real daemon, as `millpool up` starts it."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.process import Process

ROOT = Path(__file__).resolve().parents[4]
_MILLPOOL = str(ROOT / "packages/cli/bin/millpool.mjs")


class Node:
    """Holds its socket, state and cache in one directory. May be stopped and started again."""

    def __init__(
        self,
        directory: Path,
        sources: Sequence[str],
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.socket = str(directory / "millpool.sock")
        self._env = {
            "MILLPOOL_SOCKET": self.socket,
            "MILLPOOL_STATE_DIRECTORY": str(directory / "state"),
            **(env or {}),
        }
        data = ["--data", str(directory / "data"), "--size", "256MiB"]
        self._command = ["node", _MILLPOOL, "up", *sources, *data, *args, "--json"]
        self._process = Process(self._command, self._env)
        self._process.first_line()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stderr(self) -> str:
        return self._process.stderr

    def run(self, *args: str) -> object:
        """A verb of the command, by its JSON."""
        process = Process(["node", _MILLPOOL, *args, "--json"], self._env)
        line = process.first_line()
        assert process.wait() == 0, process.stderr
        return json.loads(line)

    def stop(self, number: int = signal.SIGINT) -> None:
        self._process.stop(number)

    def start(self) -> None:
        """Anew, after it was stopped, with what it had."""
        self._process = Process(self._command, self._env)
        self._process.first_line()
