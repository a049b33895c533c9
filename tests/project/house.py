"""Where things stand in the repository: what the tests of the project itself look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("tuning", "reports", "objectives", "models", "storage")


@dataclass(frozen=True)
class Module:
    """One file of the package: its name once installed (`greentune.storage.windows`), its path, its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def folder(self) -> str:
        return self.name.split(".")[1]


@dataclass(frozen=True)
class Import:
    """One imported name, absolute; `lazy` inside a function, `typing_only` below `if TYPE_CHECKING`."""

    importer: Module
    target: str
    line: int
    relative: bool
    lazy: bool
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.importer.path.relative_to(ROOT)}:{self.line} imports {self.target}"


def modules() -> tuple[Module, ...]:
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(("greentune", *(part for part in parts if part != "__init__")))
            found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))))
    return tuple(found)


def imports(module: Module) -> tuple[Import, ...]:
    return tuple(_walk(module, module.tree, lazy=False, typing_only=False))


def _walk(module: Module, node: ast.AST, *, lazy: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(module, alias.name, child.lineno, False, lazy, typing_only)
        elif isinstance(child, ast.ImportFrom):
            base = _base(module, child)
            for alias in child.names:
                yield Import(module, f"{base}.{alias.name}", child.lineno, child.level > 0, lazy, typing_only)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield from _walk(module, ast.Module([part], []), lazy=lazy, typing_only=True)
            for part in child.orelse:
                yield from _walk(module, ast.Module([part], []), lazy=lazy, typing_only=typing_only)
        else:
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(module, child, lazy=inside, typing_only=typing_only)


def _base(module: Module, node: ast.ImportFrom) -> str:
    """The absolute name of what stands between `from` and `import`."""
    if node.level == 0:
        return node.module or ""
    parts = module.name.split(".")
    package = parts if module.is_package else parts[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join((*package, *([node.module] if node.module else [])))
