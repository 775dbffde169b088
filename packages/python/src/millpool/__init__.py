"""Millpool: a cache between object storage and training loops, and loaders that know what comes next.

import millpool

mill = millpool.connect()
data = mill.dataset("/train", include="**/*.png")
data[0], len(data)
"""

from __future__ import annotations

from millpool._native import version as __version__
from millpool.batch import Batch
from millpool.dataset import Dataset
from millpool.entry import Info
from millpool.errors import (
    Cancelled,
    Closed,
    Corrupt,
    Exists,
    Full,
    Internal,
    Invalid,
    Io,
    MillpoolError,
    NotFound,
    Refused,
    SourceBroken,
    SourceChanged,
    SourceUnavailable,
    Timeout,
    Unreachable,
    Unsupported,
)
from millpool.file import File
from millpool.loader import Loader
from millpool.mill import Mill, connect
from millpool.mixture import Mixture
from millpool.report import Report

__all__ = [
    "Batch",
    "Cancelled",
    "Closed",
    "Corrupt",
    "Dataset",
    "Exists",
    "File",
    "Full",
    "Info",
    "Internal",
    "Invalid",
    "Io",
    "Loader",
    "Mill",
    "MillpoolError",
    "Mixture",
    "NotFound",
    "Refused",
    "Report",
    "SourceBroken",
    "SourceChanged",
    "SourceUnavailable",
    "Timeout",
    "Unreachable",
    "Unsupported",
    "__version__",
    "connect",
]
