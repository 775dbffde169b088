"""The one error, and its kinds.

Each code of the closed list (docs/errors.md) has a kind that is also the builtin which people catch:
``except FileNotFoundError`` works, and so does ``except millpool.NotFound``.
"""

from __future__ import annotations

import errno
from typing import Any


class MillpoolError(Exception):
    """What went wrong, in one sentence that names the thing, and what to do about it."""

    #: Of the closed list in docs/errors.md; programs may depend on it.
    code: str = "internal"
    _errno: int | None = None

    def __init__(self, message: str, remedy: str = "", path: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        #: In the namespace, where the error is of one path.
        self.path = path
        if isinstance(self, OSError):
            failed: OSError = self
            failed.errno, failed.filename = self._errno, path

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (error_of, (self.code, self.message, self.remedy, self.path))


class Invalid(MillpoolError, ValueError):
    """An argument, path or message that can never be right."""

    code = "invalid"


class NotFound(MillpoolError, FileNotFoundError):
    """There is no such path, bucket, job or dataset version."""

    code = "not-found"
    _errno = errno.ENOENT


class Exists(MillpoolError, FileExistsError):
    """It is there already, or something else has it."""

    code = "exists"
    _errno = errno.EEXIST


class Refused(MillpoolError, PermissionError):
    """Permission or credentials: the source, a file's mode or a token said no."""

    code = "refused"
    _errno = errno.EACCES


class Unreachable(MillpoolError, ConnectionError):
    """The daemon cannot be reached, or the connection to it was lost."""

    code = "unreachable"
    _errno = errno.ECONNREFUSED


class SourceUnavailable(MillpoolError, OSError):
    """The source answered with server errors or not at all, and retries did not help."""

    code = "source-unavailable"
    _errno = errno.EIO


class SourceChanged(MillpoolError, OSError):
    """The object is no longer the version that was asked for."""

    code = "source-changed"
    _errno = errno.ESTALE


class SourceBroken(MillpoolError, OSError):
    """The source's answer breaks its own promise: cut short, or of another length."""

    code = "source-broken"
    _errno = errno.EIO


class Timeout(MillpoolError, TimeoutError):
    """A wait reached its deadline; the message says for what it waited."""

    code = "timeout"
    _errno = errno.ETIMEDOUT


class Cancelled(MillpoolError):
    """The caller gave up."""

    code = "cancelled"


class Full(MillpoolError, OSError):
    """A device, a budget or the ring has no room."""

    code = "full"
    _errno = errno.ENOSPC


class Corrupt(MillpoolError, OSError):
    """Stored bytes do not match their checksum or format; they are never given out."""

    code = "corrupt"
    _errno = errno.EBADMSG


class Unsupported(MillpoolError, RuntimeError):
    """This machine, kernel, build or version cannot do it."""

    code = "unsupported"


class Closed(MillpoolError, ValueError):
    """It was closed: a batch that was released, a connection."""

    code = "closed"


class Io(MillpoolError, OSError):
    """An error of the operating system that fits none of the others."""

    code = "io"
    _errno = errno.EIO


class Internal(MillpoolError, RuntimeError):
    """A fault of Millpool."""

    code = "internal"


_KINDS: dict[str, type[MillpoolError]] = {
    kind.code: kind
    for kind in (
        Invalid,
        NotFound,
        Exists,
        Refused,
        Unreachable,
        SourceUnavailable,
        SourceChanged,
        SourceBroken,
        Timeout,
        Cancelled,
        Full,
        Corrupt,
        Unsupported,
        Closed,
        Io,
        Internal,
    )
}

_REMEDIES = {
    "invalid": "Correct the argument that the message names.",
    "not-found": "Check the name; `millpool ls` shows what is there.",
    "exists": "Stop what holds it, or choose another name or directory.",
    "refused": "Check the credentials of the source, or the permissions of the file or socket.",
    "unreachable": "Start the daemon with `millpool up`, or name its socket: connect(socket=...) or MILLPOOL_SOCKET.",
    "source-unavailable": "The under-storage does not answer; try again when it does.",
    "source-changed": "Make a new dataset version of what is there now, or `millpool load` before training.",
    "source-broken": "Try again, and look at what lies between here and the under-storage.",
    "timeout": "Allow more with timeout=; `millpool status` shows what the node is busy with.",
    "full": "Make room with `millpool free`, or give the daemon more with --size.",
    "corrupt": "The stored copy is dropped and comes again from the source at the next read.",
    "unsupported": "Use the same version of millpool here and in the daemon.",
    "closed": "Connect again with millpool.connect().",
    "io": "Look at the device or file that the message names.",
    "internal": "This is a fault of Millpool; please report it.",
}

#: The ring is this process's own, so what helps is not what helps with the daemon.
_RING_REMEDIES = {
    "timeout": "Release batches sooner (drop their views, or use `with batch:`), or connect(ring_bytes=...) with more.",
    "full": "Read fewer samples at once, or connect(ring_bytes=...) with more.",
}


def error_of(code: str, message: str, remedy: str | None = None, path: str | None = None) -> MillpoolError:
    """The exception of a code. One that this version does not know is ``internal``."""
    kind = _KINDS.get(code, Internal)
    if remedy is None:
        ring = _RING_REMEDIES.get(code) if "the ring" in message else None
        remedy = ring or _REMEDIES.get(kind.code, "")
    return kind(message, remedy, path)


def with_path(error: MillpoolError, path: str) -> MillpoolError:
    """The same error, of a path."""
    named = error_of(error.code, f"{path}: {error.message}", error.remedy, path)
    named.__cause__ = error
    return named
