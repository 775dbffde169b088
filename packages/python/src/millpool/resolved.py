"""Paths as the daemon resolved them: each is an object to read, or an error."""

from __future__ import annotations

from collections.abc import Sequence

from millpool.connection import Connection
from millpool.control import failure_of
from millpool.errors import MillpoolError
from millpool.objects import ObjectList


class Resolved:
    """The objects of some paths. A path may come more than once; it is asked for once."""

    __slots__ = ("errors", "objects", "places")

    def __init__(self, connection: Connection, paths: Sequence[str], timeout: float, *, at_source: bool) -> None:
        """One message. ``at_source``: whatever listings say, the source is asked."""
        unique = dict(zip(paths, range(len(paths)), strict=True))
        asked = unique if len(unique) < len(paths) else paths
        found = connection.call("resolve", {"paths": list(asked), "atSource": at_source}, timeout)
        self.objects = ObjectList(found["objects"])
        failures = {row["index"]: failure_of(row["error"]) for row in found["failures"]}
        here = iter(range(len(self.objects)))
        place_of = {path: -1 if i in failures else next(here) for i, path in enumerate(asked)}
        #: By place in the paths: of its object in the list; -1 where there is none.
        self.places = [place_of[path] for path in paths]
        failed = {path: failures[i] for i, path in enumerate(asked) if i in failures}
        #: By place in the paths: why there is no object.
        self.errors: dict[int, MillpoolError] = {i: failed[path] for i, path in enumerate(paths) if path in failed}
