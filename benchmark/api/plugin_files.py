"""Plug-in files: their tables of methods, models and data sets, and their code. Nothing here imports torch."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from .errors import UserError, raised_at

TABLES = ("METHODS", "MODELS", "DATASETS")
"""Names of the tables of a plug-in file, at least one of which it has: `METHODS = {"my_method": "MyMethod"}`."""


def plugin_source(path: str | Path) -> Path:
    """The file of a plug-in, resolved. Raises UserError if it is not there."""
    source = Path(path).resolve()
    if not source.is_file():
        raise UserError(f"plug-in {path}: no such file")
    return source


@functools.cache
def parse_source(source: Path) -> ast.Module:
    """The syntax tree of a file, in the encoding that it declares. Raises UserError for what Python cannot read."""
    try:
        return ast.parse(importlib.util.decode_source(source.read_bytes()), filename=str(source))
    except OSError as error:
        raise UserError(f"cannot read file {source}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise UserError(f"{source}{line} is not valid Python: {getattr(error, 'msg', error)}") from error
    except (RecursionError, MemoryError) as error:
        raise UserError(f"{source} is not valid Python: nested too deeply") from error


def plugin_table(source: Path, name: str) -> dict[str, str] | None:
    """The table of this name in a plug-in file, None if there is none. Raises UserError for one of another kind."""
    for statement in parse_source(source).body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if isinstance(target, ast.Name) and target.id == name:
            try:
                table = ast.literal_eval(statement.value)  # pyright: ignore[reportAttributeAccessIssue]
            except (ValueError, TypeError):
                table = None
            if isinstance(table, dict) and table and all(isinstance(x, str) for pair in table.items() for x in pair):
                return table
            raise no_table(source)
    return None


def no_table(source: Path) -> UserError:
    """The error for a file without a table, or with one that is not literal."""
    return UserError(
        f'plug-in {source}: needs a literal table such as METHODS = {{"my_method": "MyMethod"}}, '
        'MODELS = {"my_model": "my_model"} or DATASETS = {"my_data": "MyData"}'
    )


_loaded: dict[Path, str] = {}
"""SHA-256 of what was in a plug-in's file when its code was loaded."""


def load_file(source: Path) -> ModuleType:
    """Run a plug-in's file, once in a process. Raises UserError naming the line that fails."""
    name = f"prunebench_plugin_{hashlib.sha256(str(source).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up while the class is built
    sys.modules[name] = module
    try:
        # Not by the import system: for a file that was changed within a second it may run the old one's bytecode.
        content = source.read_bytes()
        exec(compile(content, str(source), "exec"), vars(module))
        _loaded[source] = hashlib.sha256(content).hexdigest()
    except Exception as error:
        del sys.modules[name]
        place = raised_at(error, source) or source
        raise UserError(f"plug-in {place} does not load: {type(error).__name__}: {error}") from error
    return module


def source_digest(source: Path) -> str:
    """SHA-256 of the contents that were loaded, or would be now."""
    return _loaded.get(source) or hashlib.sha256(source.read_bytes()).hexdigest()
