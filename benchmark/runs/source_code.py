"""Digests of source code without what changes no number: comments, docstrings, layout, labels of a class.

Files are parsed, never run. The digest does not depend on where the files are. Nothing here imports torch.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from ..api.errors import UserError
from .same_numbers import COUNTS_AS

SCHEME = 2
"""Raised when the same code gets another digest than before: digests of different schemes are not compared.

2: the files of methods have moved, and so the imports in them have changed.
"""

_DESCRIPTIONS = frozenset(("label", "family", "paper", "needs", "version", "search_space"))
"""Attributes of a class that describe it. `version` is part of the run's id, so it is not needed here, and so are the
values that a search has chosen."""

SUITE = "prunebench"

Import = ast.ImportFrom | ast.Import
Resolve = Callable[[Path, Import], Iterator[Path]]
"""Which files an import statement of a file imports, of those that belong to the same code."""


@dataclass
class SourceFiles:
    """Digests of files. Each file is read once, as a process also loads it once."""

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
        # Names of files do not count: a file that was renamed holds the same code.
        return hashlib.sha256("".join(sorted(found.values())).encode()).hexdigest()[:16]

    def _read(self, path: Path) -> tuple[str, list[Import]]:
        if path not in self._known:
            try:
                tree = ast.parse(path.read_bytes(), filename=str(path))
            except (OSError, SyntaxError, ValueError) as error:
                raise UserError(f"cannot read source file {path}: {error}") from error
            imports = [node for node in ast.walk(tree) if isinstance(node, Import)]
            text = _said(tree) + " ".join(sorted(_names_of_the_suite(imports)))
            digest = hashlib.sha256(text.encode()).hexdigest()
            counted = COUNTS_AS.get(digest, digest)
            self._known[path] = counted, imports if counted else []
        return self._known[path]


def imported_files(folder: Path, package: str, excluded: frozenset[str] = frozenset()) -> Resolve:
    """Follow imports of modules that lie in `folder`: relative ones, and absolute ones that begin with `package`.

    With an empty package, files import each other by their bare names, and have no relative imports. `folder` must be
    resolved; `excluded` are names of files, without suffix, and of folders.
    """

    def resolve(path: Path, node: Import) -> Iterator[Path]:
        for parts in _modules(path, node, folder, package):
            place = folder.joinpath(*parts)
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if parts and excluded.isdisjoint((*parts, file.stem)) and file.is_file():
                    yield file

    return resolve


def _modules(path: Path, node: Import, folder: Path, package: str) -> Iterator[tuple[str, ...]]:
    """The modules below `folder` that a statement may import, as parts of their path."""
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
        # `from . import schedule` imports a module, `from .schedule import cubic` does not: the caller tries both.
        names += [f"{name}.{alias.name}" if name else alias.name for name in names for alias in node.names]
    prefix = package.split(".") if package else []
    for name in names:
        words = name.split(".")
        if words[: len(prefix)] == prefix:
            yield tuple(words[len(prefix) :])


def _said(node: Any) -> str:
    """A syntax tree as text without positions, docstrings, and empty fields, which differ between Python versions."""
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
    """A body without bare strings and the suite's imports; the body of a class also without its labels."""
    if not isinstance(body, list):
        return body
    kept = [
        one for one in body if not (isinstance(one, ast.Expr) and _is_text(one.value)) and not _is_of_the_suite(one)
    ]
    return [one for one in kept if not _is_description(one)] if isinstance(node, ast.ClassDef) else kept


def _is_of_the_suite(node: ast.AST) -> TypeGuard[ast.ImportFrom]:
    """Whether a statement imports from the suite: what it imports counts by its content, wherever it is."""
    return isinstance(node, ast.ImportFrom) and (bool(node.level) or (node.module or "").split(".")[0] == SUITE)


def _names_of_the_suite(imports: Iterable[Import]) -> set[str]:
    return {f"{alias.name}:{alias.asname or ''}" for node in imports if _is_of_the_suite(node) for alias in node.names}


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_description(node: ast.stmt) -> bool:
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return isinstance(target, ast.Name) and target.id in _DESCRIPTIONS
