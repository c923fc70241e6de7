"""What a command says about a file that imports from old paths: the path to use now, or the names that are gone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from .describe import parse_source
from .old_paths import MOVED, moved_imports
from .source_files import PUBLIC, definition, module_file, top_level


def old_import_lines(source: Path) -> Iterator[str]:
    """A line for each old module that a file imports from."""
    for old, names in moved_imports(parse_source(source)):
        if gone := [name for name in names if not any(name in _names(home) for home in MOVED[old])]:
            yield f"{source.name} imports {', '.join(gone)} from {old}, which no longer has it"
        else:
            yield f"{source.name} imports from {old}, which works in this version only; import from {_now(old, names)}"


def _now(old: str, names: Sequence[str]) -> str:
    """`prunebench.api` where it has all the names."""
    if names and all(definition(PUBLIC, name) == definition(old, name) for name in names):
        return PUBLIC
    return MOVED[old][0]


def _names(module: str) -> set[str]:
    """The names that a module defines or imports at its top level."""
    path = module_file(module)
    found: set[str] = set()
    for statement in top_level(path) if path else ():
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            found.add(statement.name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in statement.names}
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found
