"""Read what a method class says about itself from its source, without importing it: torch takes seconds to load.

Labels, papers and options are attributes of the class and nowhere else; listing and checking a study must stay fast.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..benchmark.errors import UserError

_INFO_FIELDS = ("label", "family", "paper", "needs", "version", "reaches_target", "borrows")
_MISSING = object()


@dataclass(frozen=True)
class Option:
    """One option: its default and, where the annotation is a Literal, the allowed values."""

    default: Any
    annotation: str
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MethodInfo:
    """What a method says of itself; `start` is the default of its option of that name.

    `borrows`: the option that names another method, of whose mask this one makes a control; empty for most.
    """

    name: str
    label: str
    family: str
    paper: str
    needs: str
    version: int
    reaches_target: bool
    borrows: str
    summary: str
    options: Mapping[str, Option]
    origin: str

    @property
    def start(self) -> str:
        return self.options["start"].default


@dataclass(frozen=True)
class _Class:
    """A class and its bases; `summary` is the first line of its own docstring."""

    facts: Mapping[str, Any]
    options: Mapping[str, Option]
    summary: str


def describe_class(name: str, source: Path, module: str | None, class_name: str) -> MethodInfo:
    """Collect the attributes of a class and of its bases. Raises UserError if the source does not hold the class."""
    found = _collect(source, module, class_name)
    missing = [key for key in _INFO_FIELDS if key not in found.facts]
    if missing or "start" not in found.options:
        raise UserError(f"method {name!r} in {source}: class {class_name} must derive from Pruner or MaskPruner")
    facts = {key: found.facts[key] for key in _INFO_FIELDS}
    return MethodInfo(name=name, summary=found.summary, options=found.options, origin=str(source), **facts)


@functools.cache
def _parse(source: Path) -> ast.Module:
    try:
        return ast.parse(source.read_text(encoding="utf-8"), filename=str(source))
    except (OSError, SyntaxError) as error:
        raise UserError(f"cannot read method file {source}: {error}") from error


@functools.cache
def _collect(source: Path, module: str | None, class_name: str) -> _Class:
    """Base classes first, so that a subclass overrides; most methods share theirs, hence the cache."""
    tree = _parse(source)
    node = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == class_name), None)
    if node is None:
        raise UserError(f"{source} holds no class {class_name!r}")
    facts: dict[str, Any] = {}
    options: dict[str, Option] = {}
    for base in reversed(node.bases):
        location = _locate(tree, source, module, base)
        if location is not None:
            inherited = _collect(*location)
            facts.update(inherited.facts)
            options.update(inherited.options)
    for statement in node.body:
        _read_statement(statement, facts, options)
    return _Class(facts, options, (ast.get_docstring(node) or "").split("\n")[0])


def _read_statement(statement: ast.stmt, facts: dict[str, Any], options: dict[str, Option]) -> None:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        if statement.targets[0].id in _INFO_FIELDS:
            facts[statement.targets[0].id] = _literal(statement.value)
        return
    if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
        return
    name, annotation = statement.target.id, ast.unparse(statement.annotation)
    if "ClassVar" in annotation:
        if name in _INFO_FIELDS and statement.value is not None:
            facts[name] = _literal(statement.value)
        return
    default = _literal(statement.value) if statement.value is not None else _MISSING
    if name.startswith("_") or name in ("sparsity", "context") or default is _MISSING:
        return
    options[name] = Option(default, annotation, _choices(statement.annotation))


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return _MISSING


def _choices(annotation: ast.expr) -> tuple[Any, ...]:
    if (
        isinstance(annotation, ast.Subscript)
        and isinstance(annotation.value, ast.Name)
        and annotation.value.id == "Literal"
    ):
        inner = annotation.slice
        elements = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        return tuple(_literal(element) for element in elements)
    return ()


def _locate(tree: ast.Module, source: Path, module: str | None, base: ast.expr) -> tuple[Path, str | None, str] | None:
    """The file, module and name of a base class; None for one that is not a method's (Protocol, ABC, ...)."""
    if not isinstance(base, ast.Name):
        return None
    if any(isinstance(n, ast.ClassDef) and n.name == base.id for n in tree.body):
        return source, module, base.id
    for statement in tree.body:
        if not isinstance(statement, ast.ImportFrom):
            continue
        for alias in statement.names:
            if (alias.asname or alias.name) == base.id:
                return _module_source(statement, module, alias.name)
    return None


def _module_source(statement: ast.ImportFrom, module: str | None, name: str) -> tuple[Path, str, str] | None:
    target = statement.module or ""
    if statement.level:
        if module is None:
            return None
        package = module.rsplit(".", statement.level)[0]
        target = f"{package}.{target}" if target else package
    spec = importlib.util.find_spec(target)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin), target, name
