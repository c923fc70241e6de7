"""Find the source of a base class, in the same file or in a module that the file imports, without importing it."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

Location = tuple[Path, str | None, str]
"""The file, its module (None for a plug-in) and the name of a class."""


def locate_base(
    tree: ast.Module, source: Path, module: str | None, base: ast.expr, derived: ast.ClassDef
) -> Location | None:
    """The place of a base class; None for one that is not a method's (Protocol, ABC, ...)."""
    if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name | ast.Attribute):
        return _module_source(_imported_module(tree, ast.unparse(base.value), module), base.attr)
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
                return _module_source(_from(statement, module), alias.name)
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


def _module_source(target: str | None, name: str) -> Location | None:
    if target is None:
        return None
    try:
        spec = importlib.util.find_spec(target)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin), target, name
