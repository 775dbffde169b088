"""What of fsspec is built upon; it has no types of its own."""

from collections.abc import Callable, Iterator
from typing import Any

class AbstractFileSystem:
    def __getattr__(self, name: str) -> Any: ...
    def __init__(self, **storage_options: Any) -> None: ...
    @classmethod
    def _parent(cls, path: str) -> str: ...
    def expand_path(self, path: Any, recursive: bool = False, **kwargs: Any) -> list[str]: ...
    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], Any] = "omit",
        **kwargs: Any,
    ) -> Iterator[Any]: ...

class AbstractBufferedFile:
    fs: Any
    cache: Any
    closed: bool
    loc: int
    size: int
    blocksize: int

    def __init__(self, fs: Any, path: str, mode: str = "rb", *, size: int | None = None, **options: Any) -> None: ...
    def read(self, length: int | None = -1) -> bytes: ...
    def readinto(self, buffer: Any) -> int: ...
    def seek(self, loc: int, whence: int = 0) -> int: ...
