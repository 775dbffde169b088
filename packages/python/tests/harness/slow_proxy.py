"""A proxy before an S3 server that gives each object slowly; the one that the other suites use."""

from __future__ import annotations

import json

from harness.node import ROOT
from harness.process import Process

_SCRIPT = """
import { FaultProxy } from './test/dist/harness/fault-proxy.js';
import { objectGets } from './test/dist/harness/fault.js';
const [upstream, bytesPerSecond] = process.argv.slice(1);
const proxy = await FaultProxy.start(upstream, 1);
proxy.script({ fault: { kind: 'slow', bytesPerSecond: Number(bytesPerSecond) }, probability: 1, matches: objectGets });
process.stdout.write(JSON.stringify(proxy.endpoint) + '\\n');
"""


class SlowProxy:
    """So many bytes a second of each object."""

    def __init__(self, upstream: str, bytes_per_second: int) -> None:
        program = ["node", "--input-type=module", "-e", _SCRIPT, upstream, str(bytes_per_second)]
        self._process = Process(program, cwd=ROOT)
        self.endpoint: str = json.loads(self._process.first_line())

    def stop(self) -> None:
        self._process.stop()
