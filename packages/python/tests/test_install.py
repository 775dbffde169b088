"""What is installed, and on which versions of Python it runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Bed
from harness.files import in_path_order
from harness.node import ROOT

PACKAGE = ROOT / "packages/python"
READS = """
import sys, os, pickle, threading, millpool
socket, root, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
mill = millpool.connect(socket)
data = mill.dataset(root)
with data.read_many(range(len(data))) as batch:
    view = batch[0]
    assert view.readonly and sum(map(len, batch)) == wanted
assert bytes(view) == data[0] == mill.read(data.path(0))
assert pickle.loads(pickle.dumps(data))[-1] == data[-1]
try:
    mill.read(root + "/none")
except FileNotFoundError as error:
    assert error.code == "not-found"
pid = os.fork()
if pid == 0:
    os._exit(0 if data[1] == mill.read(data.path(1)) else 1)
assert os.waitpid(pid, 0)[1] == 0
print(millpool.__version__)
"""

OPENS_A_URL = """
import sys, fsspec
with fsspec.open("millpool:/" + sys.argv[2], socket=sys.argv[1]) as file:
    sys.stdout.buffer.write(file.read())
"""


def reads(python: str, paths: list[Path], bed: Bed) -> None:
    """That interpreter reads all of a bed; it has what is needed of these folders."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    total = sum(len(body) for _, body in in_path_order(bed.files))
    # Newer ones warn of every fork of a process with threads, and our connection has one; it is made for that.
    command = [python, "-W", "ignore::DeprecationWarning", "-c", READS, bed.socket, bed.root, str(total)]
    told = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stderr, told.stdout) == (0, "", "0.1.0\n")


def msgpack_folder() -> Path:
    found = importlib.util.find_spec("msgpack")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parents[1]


def interpreter(version: str) -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    places = [*sorted(pyenv.glob(f"{version}.*/bin/python")), shutil.which(f"python{version}")]
    for place in filter(None, map(str, filter(None, places))):
        # What pyenv puts on PATH may stand for a version that is not installed.
        if subprocess.run([place, "-c", ""], capture_output=True).returncode == 0:
            return place
    return None


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_one_extension_module_serves_every_python(bed: Bed, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed here")
    reads(python, [PACKAGE / "src", msgpack_folder()], bed)


@pytest.mark.timeout(900)
def test_pip_builds_and_installs_it(bed: Bed, tmp_path: Path) -> None:
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed here")
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(PACKAGE)]
    subprocess.run([*pip, *build], env=env, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith("millpool-0.1.0-cp311-abi3-")
    place = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(place), str(wheel)], env=env, check=True)
    assert (place / "millpool/py.typed").exists()
    reads(sys.executable, [place, msgpack_folder()], bed)
    # fsspec finds what opens such a URL by the entry point of the installed package.
    path, body = in_path_order(bed.files)[0]
    command = [sys.executable, "-c", OPENS_A_URL, bed.socket, f"{bed.root}/{path}"]
    opened = subprocess.run(command, env={**env, "PYTHONPATH": str(place)}, capture_output=True, timeout=60)
    assert (opened.stdout, opened.stderr) == (body, b"")
