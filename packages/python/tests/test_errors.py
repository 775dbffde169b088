"""Kinds of errors, and how they travel."""

from __future__ import annotations

import copy
import errno
import pickle
import re
from pathlib import Path

import pytest

import millpool
from harness.node import ROOT
from millpool.errors import error_of

CODES = re.findall(r"^## ([a-z-]+)$", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
#: What people catch.
BUILTINS = {
    "invalid": ValueError,
    "not-found": FileNotFoundError,
    "exists": FileExistsError,
    "refused": PermissionError,
    "unreachable": ConnectionError,
    "timeout": TimeoutError,
    "full": OSError,
    "io": OSError,
    "closed": ValueError,
}


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_a_kind_of_its_own(code: str) -> None:
    error = error_of(code, "it failed", path="/a")
    assert type(error) is not millpool.MillpoolError
    assert error.code == code
    assert isinstance(error, BUILTINS.get(code, Exception))
    assert type(error).__name__ in millpool.__all__
    assert error.remedy or code == "cancelled"


@pytest.mark.parametrize("code", CODES)
def test_an_error_is_itself_in_another_process(code: str) -> None:
    error = error_of(code, "it failed", "do this", "/a")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert (other.code, other.message, other.remedy, other.path) == (code, "it failed", "do this", "/a")
        assert str(other) == str(error)


def test_an_error_says_what_to_do() -> None:
    error = error_of("not-found", "there is no /a", "Look above it.", "/a")
    assert str(error) == "there is no /a\n  Look above it."
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (errno.ENOENT, "/a")


def test_a_code_of_a_newer_daemon_is_internal() -> None:
    assert isinstance(error_of("unheard-of", "x"), millpool.Internal)


def test_a_socket_that_nobody_answers_is_named(tmp_path: Path) -> None:
    socket = tmp_path / "none.sock"
    with pytest.raises(ConnectionError, match=re.escape(str(socket))) as caught:
        millpool.connect(socket)
    assert isinstance(caught.value, millpool.Unreachable)
    assert "millpool up" in caught.value.remedy


def test_a_path_too_long_for_a_socket_is_invalid() -> None:
    with pytest.raises(millpool.Invalid, match="107"):
        millpool.connect(f"/tmp/{'x' * 200}")


def test_a_panic_of_native_code_is_an_exception() -> None:
    from millpool import _native

    with pytest.raises(BaseException, match="on purpose"):
        _native.panic_for_test()
