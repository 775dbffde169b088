"""Loops in the cells of a notebook: a real kernel, spoken to as a notebook does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from conftest import Bed
from harness.node import ROOT

SECONDS = 60


@dataclass
class Said:
    """What a cell came to."""

    status: str = ""
    #: Of the exception that ended it.
    error: str = ""
    #: What it printed, and what its last line gave.
    text: list[str] = field(default_factory=list)


class Notebook:
    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "packages/python/src")}
        self._kernel: KernelManager
        self._client: BlockingKernelClient
        self._kernel, self._client = start_new_kernel(env=environment)

    def run(self, cell: str, interrupt_at: str | None = None) -> Said:
        """Interrupts the cell, as the button does, when it has printed that."""
        said = Said()

        def heard(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                said.text.append(content["text"])
                if interrupt_at is not None and interrupt_at in content["text"]:
                    self._kernel.interrupt_kernel()
            elif message["msg_type"] == "execute_result":
                said.text.append(content["data"]["text/plain"])

        reply = self._client.execute_interactive(cell, timeout=SECONDS, output_hook=heard)["content"]
        said.status, said.error = reply["status"], reply.get("ename", "")
        return said

    def stop(self) -> None:
        self._client.stop_channels()
        self._kernel.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def notebook(bed: Bed) -> Iterator[Notebook]:
    notebook = Notebook()
    opened = notebook.run(f"import millpool, time\ndata = millpool.connect({bed.socket!r}).dataset({bed.root!r})")
    assert opened.status == "ok", opened
    yield notebook
    notebook.stop()


def test_a_cell_that_reads_does_so_beside_a_running_event_loop(notebook: Notebook, bed: Bed) -> None:
    said = notebook.run(
        "import asyncio\n"
        "assert asyncio.get_running_loop().is_running()\n"
        "sum(batch.nbytes for batch in millpool.Loader(data, batch_size=16, shuffle=True, seed=1))"
    )
    assert said.text == [str(sum(map(len, bed.files.values())))], said


def test_an_interrupted_epoch_goes_on_in_the_next_cell(notebook: Notebook, bed: Bed) -> None:
    loop = (
        "for batch in loader:\n"
        "    seen += batch.indices\n"
        "    if len(seen) == 80:\n"
        "        print('sleeps', flush=True)\n"
        "        time.sleep(60)\n"
    )
    made = notebook.run("seen = []\nloader = millpool.Loader(data, batch_size=16, shuffle=True, seed=1)")
    assert made.status == "ok", made
    stopped = notebook.run(loop, interrupt_at="sleeps")
    assert (stopped.status, stopped.error) == ("error", "KeyboardInterrupt"), stopped
    said = notebook.run(loop.replace("== 80", "== -1") + "(len(seen), sorted(seen) == list(range(len(data))))")
    assert said.text == [str((len(bed.files), True))], said


def test_a_wait_for_a_slot_is_interrupted(notebook: Notebook) -> None:
    # All slots are held by the cell itself, so the next batch would never come.
    said = notebook.run(
        "held = []\n"
        "small = millpool.connect(data.connection.socket, ring_bytes=4 << 20, timeout=600).dataset(data.root)\n"
        "for batch in millpool.Loader(small, batch_size=1):\n"
        "    held.append(batch)\n"
        "    if len(held) == 2: print('waits', flush=True)\n",
        interrupt_at="waits",
    )
    assert (said.status, said.error) == ("error", "KeyboardInterrupt"), said
    assert notebook.run("held.clear(); batch.release(); len(small)").text == ["200"]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("data", "200 samples"),
        ("millpool.Loader(data, batch_size=16)", "batch"),
        ("next(iter(millpool.Loader(data, batch_size=16)))", "16 samples"),
        ("loader.report()", "The loop"),
    ],
)
def test_what_a_cell_ends_with_is_told_in_words(notebook: Notebook, expression: str, wanted: str) -> None:
    [text] = notebook.run(expression).text
    assert wanted in text, text
