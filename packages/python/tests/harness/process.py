"""A program that runs beside the tests and ends with them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 30


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """Its standard error is kept; its standard output is read by whoever started it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self._child = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_die_with_parent,
        )
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._said.extend, args=(self._stderr,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def stderr(self) -> str:
        return "".join(self._said)

    @property
    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def first_line(self) -> str:
        """Of its standard output; raises what it said where it ends without one."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            self.wait()
            raise AssertionError(f"ended with {self._child.returncode}: {self.stderr}")
        return line

    def wait(self, seconds: float = _STOP_SECONDS) -> int:
        code = self._child.wait(seconds)
        self._reader.join(seconds)
        return code

    def stop(self, number: int = signal.SIGINT) -> int:
        """Harmless when it has ended already."""
        if not self.has_ended:
            self._child.send_signal(number)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._child.kill()
            raise

    @property
    def _stderr(self) -> IO[str]:
        assert self._child.stderr is not None
        return self._child.stderr
