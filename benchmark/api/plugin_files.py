"""What the user's own files and installed packages offer: methods, models, data sets. Nothing here imports torch."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import UserError, raised_at

TABLES = ("METHODS", "MODELS", "DATASETS")
"""Names of the tables of a plug-in file, at least one of which it has: `METHODS = {"my_method": "MyMethod"}`."""


@dataclass(frozen=True)
class Offer:
    """Where a class or a function is: in an importable module, or in a plug-in file (then `module` is None).

    `package`: name and version of the installed package that offers it.
    """

    source: Path
    module: str | None
    attribute: str
    package: tuple[str, str] | None = None

    def load(self) -> Any:
        """Import the code and return the class or the function. Raises UserError for a plug-in that does not load."""
        module = importlib.import_module(self.module) if self.module else load_file(self.source)
        if not hasattr(module, self.attribute):
            raise UserError(f"plug-in {self.source}: there is no {self.attribute!r}")
        return getattr(module, self.attribute)


def plugin_source(path: str | Path) -> Path:
    """The file of a plug-in, resolved. Raises UserError if it is not there."""
    source = Path(path).resolve()
    if not source.is_file():
        raise UserError(f"plug-in {path}: no such file")
    return source


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


def installed(group: str, kind: str, own: Collection[str]) -> dict[str, Offer]:
    """What installed packages offer in a group of entry points. Raises UserError for a name that the suite has."""
    found: dict[str, Offer] = {}
    for point in importlib.metadata.entry_points(group=group):
        spec = importlib.util.find_spec(point.module)
        if spec is None or spec.origin is None:
            raise UserError(f"entry point {point.name!r}: module {point.module!r} is not installed")
        if point.name in own:
            raise UserError(f"entry point {point.name!r} of {spec.origin} has the name of a {kind} of the suite")
        package = (point.dist.name, point.dist.version) if point.dist else None
        found[point.name] = Offer(Path(spec.origin), point.module, point.attr, package)
    return found


def check_free(path: str | Path, kind: str, name: str, known: Offer | None, source: Path) -> None:
    """Raises UserError for a name that something else than this file has."""
    if known is not None and known.source != source:
        raise UserError(f"plug-in {path}: {kind} {name!r} exists already, in {known.source}")


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
