"""What one iteration has told the daemon that it will read."""

from __future__ import annotations

import time
from concurrent.futures import Executor
from typing import Any

from millpool.connection import Connection
from millpool.errors import MillpoolError, NotFound
from millpool.report import WAIT_CAUSES, WaitCause
from millpool.tally import Tally

#: How often a loader asks what was fetched ahead of it, and tells what it waited for.
_PROGRESS_EVERY = 1.0
#: For last words: a daemon that is away is not waited for.
_FAREWELL_SECONDS = 1.0


class Plan:
    """A daemon that was restarted meanwhile is told again; one that cannot be told fetches what it is asked for, and
    nothing ahead. Refreshed beside the loop, which never waits for it.
    """

    def __init__(self, connection: Connection, request: dict[str, Any], waited: dict[WaitCause, float]) -> None:
        """Opens it. ``waited``: by the loader before this plan."""
        self._connection = connection
        self._request = request
        self._position: int = request["position"]
        self._told = dict(waited)
        #: By daemons before a restart, and by the one of now.
        self._before = self._now = Tally()
        self._asked = time.monotonic()
        #: By which reads name it.
        self.number: int = connection.call("plan-open", request)["plan"]

    @property
    def progress(self) -> Tally:
        """What was fetched ahead so far, as of the last second or so."""
        return self._before + self._now

    def delivered(self, position: int, now: float, waited: dict[WaitCause, float], aside: Executor) -> None:
        """A batch was: now and then the daemon is asked how far it is, and told what was waited for."""
        self._position = position
        if now - self._asked >= _PROGRESS_EVERY:
            self._asked = now
            aside.submit(self._refresh, dict(waited))

    def close(self, waited: dict[WaitCause, float]) -> None:
        try:
            self._tell(waited, _FAREWELL_SECONDS)
            self._now = self._fetched("plan-close", _FAREWELL_SECONDS)
        except MillpoolError:
            # It has forgotten the plan, or is not there: then it fetches for nobody.
            return

    def _refresh(self, waited: dict[WaitCause, float]) -> None:
        try:
            self._tell(waited)
            self._now = self._fetched("plan-progress")
        except NotFound:
            self._open_again()
        except MillpoolError:
            # The reads meet whatever it is.
            return

    def _tell(self, waited: dict[WaitCause, float], timeout: float | None = None) -> None:
        told, self._told = self._told, dict(waited)
        since = {cause: max(0.0, waited[cause] - told[cause]) for cause in WAIT_CAUSES}
        self._connection.call("plan-report", {"plan": self.number, "waitSeconds": since}, timeout)

    def _fetched(self, method: str, timeout: float | None = None) -> Tally:
        reply = self._connection.call(method, {"plan": self.number}, timeout)
        return Tally(reply["fetchedSamples"], reply["fetchedBytes"], reply["fetchSeconds"])

    def _open_again(self) -> None:
        try:
            opened = self._connection.call("plan-open", {**self._request, "position": self._position})
        except MillpoolError:
            return
        self._before, self._now = self.progress, Tally()
        self.number = opened["plan"]
