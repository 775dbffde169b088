"""Writes into docs/api-python.md what the Python package declares, between its two marks; ``--check`` compares only.

It reads the sources and imports nothing of them, so it runs with any Python of the package's own versions.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "packages/python/src/millpool"
DOCUMENT = ROOT / "docs/api-python.md"
MARKED = re.compile(r"(<!-- written by deploy/python_reference\.py -->\n).*(<!-- end -->)", re.DOTALL)
#: Loaded only when they are imported.
MODULES = ("torch", "fsspec", "safetensors")
#: What an operator or a statement of the language calls.
OPERATORS = {"__len__", "__getitem__", "__getitems__", "__iter__", "__enter__"}

Definition = ast.ClassDef | ast.FunctionDef


class Source:
    """One file, and what it defines at its top."""

    def __init__(self, path: Path) -> None:
        text = path.read_text()
        self.tree = ast.parse(text)
        self.path = path
        self._lines = text.splitlines()
        defined = (node for node in self.tree.body if isinstance(node, Definition))
        self.definitions = {node.name: node for node in defined}

    def exported(self) -> list[str]:
        """Of ``__all__``; without it, what has a public name."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names: list[str] = ast.literal_eval(node.value)
                return names
        return [name for name in self.definitions if not name.startswith("_")]

    def found(self, name: str) -> tuple[Source, Definition] | None:
        """Where a name is defined: here, or in a module that it is imported from. None for a plain value."""
        if name in self.definitions:
            return self, self.definitions[name]
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and any((each.asname or each.name) == name for each in node.names):
                path = SOURCE.joinpath(*(node.module or "").split(".")[1:])
                places = (path.with_suffix(".py"), path / "__init__.py")
                return next((Source(place).found(name) for place in places if place.exists()), None)
        return None

    def declaration(self, node: Definition) -> list[str]:
        """A class with its members, or a function: each with its text, and no bodies.

        Members without a text are as in the class above, and those whose text begins with "For" are for our own use.
        """
        lines = self._head(node)
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                lines += self._member(member)
        return lines

    def _member(self, member: ast.stmt) -> list[str]:
        if isinstance(member, ast.FunctionDef):
            name, text = member.name, ast.get_docstring(member) or ""
            is_told = text != "" and not text.startswith("For ``") and (name == "__init__" or not name.startswith("_"))
            return ["", *self._head(member)] if is_told or name in OPERATORS else []
        if isinstance(member, ast.AnnAssign) and not ast.unparse(member.target).startswith("_"):
            return [*self._comment_above(member), *self._text(member.lineno, member.end_lineno)]
        return []

    def _head(self, node: Definition) -> list[str]:
        """Decorators, signature and text."""
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        body = node.body[0]
        has_text = ast.get_docstring(node) is not None
        head = self._text(first, body.end_lineno if has_text else body.lineno - 1)
        return head if has_text else [*head[:-1], f"{head[-1].rstrip()} ..."]

    def _comment_above(self, node: ast.stmt) -> list[str]:
        first = node.lineno
        while self._lines[first - 2].lstrip().startswith("#:"):
            first -= 1
        return self._text(first, node.lineno - 1)

    def _text(self, first: int, last: int | None) -> list[str]:
        return [re.sub(r"  # (type|noqa):.*", "", line) for line in self._lines[first - 1 : last]]


def sections() -> Iterator[str]:
    package = Source(SOURCE / "__init__.py")
    kinds: list[tuple[Source, ast.ClassDef]] = []
    for name in package.exported():
        found = package.found(name)
        if found is None:
            continue
        source, node = found
        if source.path.name == "errors.py" and isinstance(node, ast.ClassDef) and name != "MillpoolError":
            kinds.append((source, node))
        else:
            yield f"## {name}\n\n{block(source.declaration(node))}"
    yield "## Kinds of MillpoolError\n\n" + table(kinds)
    for name in MODULES:
        for path in (SOURCE / f"{name}.py", SOURCE / name / "__init__.py"):
            if path.exists():
                yield module(name, Source(path))


def module(name: str, source: Source) -> str:
    found = [each for each in map(source.found, source.exported()) if each is not None]
    text = (ast.get_docstring(source.tree) or "").replace("``", "`")
    return "\n\n".join([f"## millpool.{name}", text, *(block(where.declaration(node)) for where, node in found)])


def table(kinds: list[tuple[Source, ast.ClassDef]]) -> str:
    rows = ["| kind | is also | when |", "|---|---|---|"]
    for _, node in kinds:
        also = ", ".join(ast.unparse(base) for base in node.bases if ast.unparse(base) != "MillpoolError")
        rows.append(f"| {node.name} | {also or '-'} | {ast.get_docstring(node)} |")
    return "\n".join(rows)


def block(lines: list[str]) -> str:
    return "\n".join(["```python", *lines, "```"])


def main() -> int:
    before = DOCUMENT.read_text()
    written = "\n\n".join(sections())
    after = MARKED.sub(lambda marks: f"{marks[1]}\n{written}\n\n{marks[2]}", before)
    if after == before:
        return 0
    if "--check" not in sys.argv:
        DOCUMENT.write_text(after)
        return 0
    sys.stderr.write("docs/api-python.md is not what the sources say: run `python3 deploy/python_reference.py`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
