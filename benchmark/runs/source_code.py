"""Digests of source code that ignore what changes no number: comments, docstrings, layout, a class's labels.

Files are parsed and never run, and nothing here imports torch. The same files have the same digest wherever they
lie.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api.errors import UserError

SCHEME = 1
"""Raised when the same code gets another digest than before: digests of different schemes are not compared."""

_DESCRIPTIONS = frozenset(("label", "family", "paper", "needs", "version"))
"""Attributes of a class that say something about it. A raised `version` makes another run, so it is seen anyway."""

Import = ast.ImportFrom | ast.Import
Resolve = Callable[[Path, Import], Iterator[Path]]
"""The files that an import statement of a file brings in, of those that count as the same code."""


@dataclass
class SourceFiles:
    """Digests of files, each file read once: a process that has loaded a file goes on with what it read then."""

    _known: dict[Path, tuple[str, list[Import]]] = field(default_factory=dict)

    def digest(self, start: Path, resolve: Resolve) -> str:
        """Sixteen hex digits over a file and all files that it imports, directly or not, as far as `resolve` goes.

        Raises UserError for a file that cannot be read or parsed.
        """
        found: dict[Path, str] = {}
        waiting = [start.resolve()]
        while waiting:
            path = waiting.pop()
            if path in found:
                continue
            found[path], imports = self._read(path)
            for node in imports:
                waiting += resolve(path, node)
        # Without the files' names: a file that is moved or renamed is the same code.
        return hashlib.sha256("".join(sorted(found.values())).encode()).hexdigest()[:16]

    def _read(self, path: Path) -> tuple[str, list[Import]]:
        if path not in self._known:
            try:
                tree = ast.parse(path.read_bytes(), filename=str(path))
            except (OSError, SyntaxError, ValueError) as error:
                raise UserError(f"cannot read source file {path}: {error}") from error
            imports = [node for node in ast.walk(tree) if isinstance(node, Import)]
            self._known[path] = hashlib.sha256(_said(tree).encode()).hexdigest(), imports
        return self._known[path]


def imported_files(folder: Path, package: str, excluded: frozenset[str] = frozenset()) -> Resolve:
    """Follow imports of modules that lie in `folder`: relative ones, and absolute ones that begin with `package`.

    An empty package stands for files that import each other by their bare names, which have no relative imports.
    `folder` must be resolved; `excluded` are stems of files.
    """

    def resolve(path: Path, node: Import) -> Iterator[Path]:
        for parts in _modules(path, node, folder, package):
            place = folder.joinpath(*parts)
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if parts and file.stem not in excluded and file.is_file():
                    yield file

    return resolve


def _modules(path: Path, node: Import, folder: Path, package: str) -> Iterator[tuple[str, ...]]:
    """The modules that a statement may import, as parts below `folder`; those elsewhere are left out."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif node.level:
        here = path.parent if node.level == 1 else path.parent.joinpath(*[".."] * (node.level - 1)).resolve()
        if not package or not here.is_relative_to(folder):
            return
        parts = (*here.relative_to(folder).parts, *(node.module or "").split("."))
        names = [".".join(part for part in (package, *parts) if part)]
    else:
        names = [node.module or ""]
    if isinstance(node, ast.ImportFrom):
        # `from . import schedule` and `from .schedule import cubic` look alike: what is no file is a name in one
        names += [f"{name}.{alias.name}" if name else alias.name for name in names for alias in node.names]
    prefix = package.split(".") if package else []
    for name in names:
        words = name.split(".")
        if words[: len(prefix)] == prefix:
            yield tuple(words[len(prefix) :])


def _said(node: Any) -> str:
    """A syntax tree as text, without positions, docstrings and empty fields, which differ between Pythons."""
    if isinstance(node, ast.AST):
        fields = (
            f"{name}={_said(_without_descriptions(node, value) if name == 'body' else value)}"
            for name, value in ast.iter_fields(node)
            if name not in ("ctx", "kind", "type_comment") and not (value is None or value == [])
        )
        return f"{type(node).__name__}({' '.join(fields)})" if not isinstance(node, ast.Constant) else _constant(node)
    if isinstance(node, list):
        return f"[{', '.join(_said(item) for item in node)}]"
    return repr(node)


def _constant(node: ast.Constant) -> str:
    return f"{type(node.value).__name__} {node.value!r}"


def _without_descriptions(node: ast.AST, body: Any) -> Any:
    """A body without bare strings, and a class's without its labels."""
    if not isinstance(body, list):
        return body
    kept = [one for one in body if not (isinstance(one, ast.Expr) and _is_text(one.value))]
    return [one for one in kept if not _is_description(one)] if isinstance(node, ast.ClassDef) else kept


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_description(node: ast.stmt) -> bool:
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return isinstance(target, ast.Name) and target.id in _DESCRIPTIONS
