"""One call to the daemon: MessagePack there and back (docs/formats.md, "Control messages")."""

from __future__ import annotations

import math
from typing import Any

import msgpack

from millpool._native import Client
from millpool.errors import Internal, Invalid, MillpoolError, error_of

#: The daemon ends a call at its deadline and says for what it waited; only one that hangs needs this much more.
_GRACE_SECONDS = 1.0
_TIMEOUT_MS_MAX = 86_400_000


def call(client: Client, method: str, request: dict[str, Any], timeout: float) -> Any:
    """The reply to ``request``; raises what the daemon answers instead."""
    if not timeout > 0:
        raise Invalid(f"timeout is {timeout}", "Give a number of seconds above 0.")
    timeout_ms = math.ceil(min(timeout * 1000, _TIMEOUT_MS_MAX))
    body = _packed({"method": method, "request": request, "timeoutMs": timeout_ms})
    return _answer(method, client.control(body, timeout + _GRACE_SECONDS))


def _packed(message: dict[str, Any]) -> bytes:
    try:
        return msgpack.packb(message)
    except UnicodeEncodeError as error:
        text = error.object
        remedy = "A path is UTF-8; other bytes of a source's key are written %HH."
        raise Invalid(f"the path {text!r} holds half of a surrogate pair", remedy) from error
    except OverflowError as error:
        raise Invalid(f"a number is too large: {error}", "Use whole numbers below 2**53.") from error


def _answer(method: str, body: bytes) -> Any:
    reply = msgpack.unpackb(body, strict_map_key=False)
    if not isinstance(reply, dict) or not ("ok" in reply or "error" in reply):
        raise Internal(
            f"the reply of {method} holds neither ok nor error",
            "Compare the versions of client and daemon.",
        )
    if "error" in reply:
        raise failure_of(reply["error"])
    return reply["ok"]


def failure_of(shape: dict[str, Any]) -> MillpoolError:
    """An error as it travels, as an exception that is not raised."""
    return error_of(
        str(shape.get("code")),
        str(shape.get("message")),
        str(shape.get("remedy", "")),
        shape.get("path"),
    )
