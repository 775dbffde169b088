"""Writes one JSON object a line for each test of pytest: what deploy/python-suite.mjs counts."""

from __future__ import annotations

import json
import sys
from typing import Any


def pytest_runtest_logreport(report: Any) -> None:
    """A test is told of when it was called, or when it did not come to that; a failed teardown is a failure too."""
    if report.when == "call" or (report.when == "setup" and not report.passed) or report.failed:
        _tell(report)


def pytest_collectreport(report: Any) -> None:
    """A file that could not be read."""
    if not report.passed:
        _tell(report)


def _tell(report: Any) -> None:
    line = {
        "kind": "outcome",
        "name": report.nodeid,
        "passed": not report.failed,
        "skipped": report.skipped,
        "reason": _reason(report) if report.skipped else "",
        "detail": "" if report.passed else f"{report.longreprtext}\n{report.capstdout}{report.capstderr}",
    }
    # Not sys.stdout, which belongs to the test while it runs.
    assert sys.__stdout__ is not None
    sys.__stdout__.write(json.dumps(line) + "\n")
    sys.__stdout__.flush()


def _reason(report: Any) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return str(text).removeprefix("Skipped: ")
