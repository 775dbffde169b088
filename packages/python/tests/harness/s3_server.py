"""A real S3 server (versitygw), and a bucket to write to as its owner does: past Millpool."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from harness.node import ROOT
from harness.process import Process

_ACCESS_KEY, _SECRET_KEY, _REGION = "millpool-test", "millpool-test-secret", "us-east-1"
_START_SECONDS = 30.0
_BINARY_SCRIPT = """
import { ensureVersitygw } from './test/dist/harness/versitygw-binary.js';
const had = await ensureVersitygw({ say: (text) => process.stderr.write(text + '\\n') });
process.stdout.write(JSON.stringify(had));
"""


class Unavailable(Exception):
    """Why the server cannot be had on this machine."""


def _binary() -> str:
    """Built once by Go, as the other suites do it."""
    told = subprocess.run(
        ["node", "--input-type=module", "-e", _BINARY_SCRIPT], cwd=ROOT, check=True, capture_output=True, text=True
    )
    had = json.loads(told.stdout)
    if had["kind"] != "ready":
        raise Unavailable(had["why"])
    path: str = had["what"]
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class S3Server:
    """One account, any buckets; its files lie in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        port = _free_port()
        place = ["--port", f"127.0.0.1:{port}", "--region", _REGION]
        self._process = Process(
            [_binary(), "--quiet", "--keep-alive", *place, "posix", str(directory)],
            {"ROOT_ACCESS_KEY": _ACCESS_KEY, "ROOT_SECRET_KEY": _SECRET_KEY},
        )
        self.endpoint = f"http://127.0.0.1:{port}"
        self._wait_until_it_listens(port)

    @property
    def environment(self) -> dict[str, str]:
        """What tells any AWS client of it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": _REGION,
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def put(self, bucket: str, key: str | None = None, body: bytes = b"") -> None:
        """An object; without a key, the bucket itself."""
        path = urllib.parse.quote(f"/{bucket}" if key is None else f"/{bucket}/{key}", safe="/-_.~")
        request = urllib.request.Request(self.endpoint + path, data=body, method="PUT")
        for name, value in self._signed(path, body).items():
            request.add_header(name, value)
        with urllib.request.urlopen(request) as answer:
            answer.read()

    def stop(self) -> None:
        self._process.stop()

    def _signed(self, path: str, body: bytes) -> dict[str, str]:
        """Headers of AWS Signature Version 4."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {
            "host": self.endpoint.removeprefix("http://"),
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
            "x-amz-date": stamp,
        }
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"PUT\n{path}\n\n{lines}\n{names}\n{headers['x-amz-content-sha256']}"
        scope = f"{stamp[:8]}/{_REGION}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{_SECRET_KEY}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"Credential={_ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}

    def _wait_until_it_listens(self, port: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError as error:
                if self._process.has_ended or time.monotonic() > deadline:
                    raise AssertionError(f"the S3 server does not listen: {self._process.stderr}") from error
                time.sleep(0.02)
