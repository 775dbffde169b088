from collections.abc import Sequence
from typing import Any

from fsspec.spec import AbstractFileSystem

class AsyncFileSystemWrapper(AbstractFileSystem):
    def __init__(self, fs: AbstractFileSystem, asynchronous: bool | None = None) -> None: ...
    async def _cat_ranges(self, paths: Sequence[str], starts: Any, ends: Any) -> list[Any]: ...
