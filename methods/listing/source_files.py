"""Find the source of a base class, in the same file or in a module that the file imports, without importing it."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path

from .literals import bindings
from .old_paths import MOVED

PUBLIC = "prunebench.api"
"""Where plug-ins import from; it defines nothing itself."""

Location = tuple[Path, str | None, str]
"""The file, its module (None for a plug-in) and the name of a class."""


def locate_base(
    tree: ast.Module, source: Path, module: str | None, base: ast.expr, derived: ast.ClassDef
) -> Location | None:
    """The place of a base class; None for one that is not a method's (Protocol, ABC, ...)."""
    if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name | ast.Attribute):
        imported = _imported_module(tree, ast.unparse(base.value), module)
        return definition(imported, base.attr) if imported else None
    if not isinstance(base, ast.Name):
        return None
    # a class may have the name of the one that it derives from; then that one was bound before
    if any(isinstance(n, ast.ClassDef) and n.name == base.id and n.lineno < derived.lineno for n in tree.body):
        return source, module, base.id
    for statement in tree.body:
        if not isinstance(statement, ast.ImportFrom):
            continue
        for alias in statement.names:
            if (alias.asname or alias.name) == base.id:
                origin = _from(statement, module)
                return definition(origin, alias.name) if origin else None
    return None


def _imported_module(tree: ast.Module, name: str, module: str | None) -> str | None:
    """The module that a name such as `magnitude` or `prunebench.methods.magnitude` stands for."""
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return alias.name
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name and (package := _from(statement, module)):
                    return f"{package}.{alias.name}"
    return None


def _from(statement: ast.ImportFrom, module: str | None) -> str | None:
    """The module that `from ... import` names; relative ones are resolved within `module`."""
    target = statement.module or ""
    if not statement.level:
        return target
    if module is None:
        return None
    package = module.rsplit(".", statement.level)[0]
    return f"{package}.{target}" if target else package


def definition(module: str, name: str) -> Location | None:
    """Where a name that is imported from a module is defined, re-exports and old paths followed.

    None if there is no such module; the module's own file if that does not show where the name comes from.
    """
    homes = MOVED.get(module, (module,))
    found = [place for home in homes if (place := _exported(home, name))]
    path = module_file(homes[0])
    if found:
        return found[0]
    return (path, homes[0], name) if path else None


def _exported(module: str, name: str) -> Location | None:
    path = module_file(module)
    if path is None:
        return None
    for statement in top_level(path):
        if isinstance(statement, ast.ImportFrom):
            inside = f"{module}.__init__" if path.name == "__init__.py" else module
            origin = _from(statement, inside)
            for alias in statement.names:
                if (alias.asname or alias.name) == name and origin not in (None, module):
                    return definition(origin, alias.name)
        elif name in (bound for bound, _ in bindings(statement)):
            return path, module, name
    return None


def module_file(module: str) -> Path | None:
    """The Python file of a module; packages above it are imported, itself is not."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


@functools.cache
def top_level(path: Path) -> tuple[ast.stmt, ...]:
    """The statements of a file; none of one that is not valid Python, which whoever reads its classes reports."""
    try:
        return tuple(ast.parse(path.read_bytes()).body)
    except (SyntaxError, ValueError):
        return ()


def defining_imports(node: ast.Import | ast.ImportFrom) -> list[ast.ImportFrom]:
    """The imports that a plug-in's import from `prunebench.api` or from an old path stands for, of where things are."""
    if isinstance(node, ast.Import):
        pairs = [(alias.name, "*") for alias in node.names]
    else:
        module = node.module or ""
        pairs = [(module, alias.name) for alias in node.names] if not node.level else []
        pairs += [(f"{module}.{name}", "*") for _, name in pairs]
    found = [definition(module, name) for module, name in pairs if module in (*MOVED, PUBLIC)]
    return [ast.ImportFrom(place[1], [ast.alias(place[2])], 0) for place in found if place and place[1]]
