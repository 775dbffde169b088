"""Documents that say what the sources say."""

from __future__ import annotations

import subprocess
import sys

from harness.node import ROOT


def test_the_document_of_the_sdk_is_of_its_sources() -> None:
    check = [sys.executable, "deploy/python_reference.py", "--check"]
    told = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert (told.returncode, told.stdout + told.stderr) == (0, "")
