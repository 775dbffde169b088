"""This process's connection to its node's daemon: made when it is first needed, and by each process anew."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from millpool import control
from millpool._native import Client
from millpool.errors import Invalid


@dataclass(frozen=True)
class Connection:
    """Where the daemon is, and how to speak with it. Picklable: the other process connects by itself.

    A forked child may use what it inherited; it gets a socket and a ring of its own at its first call.
    """

    socket: str
    #: Seconds, of every call that brings none of its own.
    timeout: float
    ring_bytes: int
    _made: dict[str, Client] = field(default_factory=dict, repr=False, compare=False)

    @property
    def client(self) -> Client:
        """Raises ``Unreachable`` where nobody answers."""
        client = self._made.get("client")
        if client is None:
            # Two threads may both come here: the first to be stored is the one that is used.
            client = self._made.setdefault("client", Client(self.socket, self.timeout, self.ring_bytes))
        return client

    def call(self, method: str, request: dict[str, Any], timeout: float | None = None) -> Any:
        """What the daemon answers to one request; raises the error that it sends instead."""
        return control.call(self.client, method, request, self.seconds(timeout))

    def seconds(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else timeout

    def close(self) -> None:
        """Ends calls under way and all later ones, of datasets too."""
        client = self._made.get("client")
        if client is not None:
            client.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return (Connection, (self.socket, self.timeout, self.ring_bytes))


def connection_to(socket: str | os.PathLike[str] | None, timeout: float, ring_bytes: int) -> Connection:
    """Not connected yet."""
    if not timeout > 0:
        raise Invalid(f"timeout is {timeout}", "Give a number of seconds above 0.")
    if not ring_bytes > 0:
        raise Invalid(f"ring_bytes is {ring_bytes}", "Give a number of bytes above 0.")
    chosen = socket or os.environ.get("MILLPOOL_SOCKET") or default_socket()
    return Connection(os.fspath(chosen), timeout, ring_bytes)


def default_socket() -> str:
    """Where the daemon of this node listens when nothing else is said (packages/host/src/place.ts)."""
    return str(PurePosixPath(os.environ.get("MILLPOOL_RUNTIME_DIRECTORY") or _runtime_directory()) / "millpool.sock")


def _runtime_directory() -> PurePosixPath:
    if os.getuid() == 0:
        return PurePosixPath("/run/millpool")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return PurePosixPath(runtime) / "millpool"
    state = os.environ.get("XDG_STATE_HOME", "")
    home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    base = PurePosixPath(state) if state.startswith("/") else PurePosixPath(home) / ".local/state"
    return base / "millpool" / "run"
