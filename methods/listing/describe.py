"""Read what a method class says about itself from its source, without importing it: torch takes seconds to load.

Labels, papers and options are attributes of the class and nowhere else; listing and checking a study must stay fast.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.api.errors import UserError
from .literals import Unreadable, bindings, read_literal
from .source_files import locate_base

INFO_FIELDS: Mapping[str, type] = {
    "label": str,
    "family": str,
    "paper": str,
    "needs": str,
    "version": int,
    "reaches_target": bool,
    "keeps_network": bool,
    "epochs_rule": str,
    "borrows": str,
}
"""What a class says about its method, in class attributes."""
_KINDS = {str: "a text", int: "a whole number", bool: "True or False"}
_ROUNDS = ("rounds", "first_epoch")
"""What says how often, and from which epoch on, the recipe is run."""


@dataclass(frozen=True)
class Option:
    """One option: its default and, where the annotation is a Literal, the allowed values."""

    default: Any
    annotation: str
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MethodInfo:
    """What a method says of itself; `start` is the default of its option of that name.

    `epochs_rule` is None for a class with rounds of its own that does not say how many epochs they train.
    `borrows`: the option that names another method, of whose mask this one makes a control; empty for most.
    """

    name: str
    label: str
    family: str
    paper: str
    needs: str
    version: int
    reaches_target: bool
    keeps_network: bool
    epochs_rule: str | None
    borrows: str
    summary: str
    options: Mapping[str, Option]
    origin: str

    @property
    def start(self) -> str:
        return self.options["start"].default


@dataclass(frozen=True)
class _Class:
    """A class and its bases; `summary` is the first line of its own docstring, `line` that of the class."""

    facts: Mapping[str, Any]
    options: Mapping[str, Option]
    summary: str
    line: int
    has_label: bool


def describe_class(name: str, source: Path, module: str | None, class_name: str) -> MethodInfo:
    """Collect the attributes of a class and of its bases.

    Raises UserError with file and line where the source does not hold the class, or a label, another class attribute or
    an option's default that is not written there: ids and tables depend on them, so none is guessed.
    """
    found = _collect(source, module, class_name)
    missing = [key for key in INFO_FIELDS if key not in found.facts]
    place = f"{source}:{found.line}"
    if missing or "start" not in found.options:
        raise UserError(f"{place}: method {name!r}: class {class_name} must derive from Pruner or MaskPruner")
    if not (found.has_label and found.facts["label"].strip()):
        raise UserError(
            f"{place}: method {name!r} has no label of its own; give class {class_name} label: ClassVar[str]"
        )
    facts = {key: found.facts[key] for key in INFO_FIELDS}
    return MethodInfo(name=name, summary=found.summary, options=found.options, origin=str(source), **facts)


@functools.cache
def parse_source(source: Path) -> ast.Module:
    """The syntax tree of a file, in the encoding that it declares. Raises UserError for what Python cannot read."""
    try:
        return ast.parse(importlib.util.decode_source(source.read_bytes()), filename=str(source))
    except OSError as error:
        raise UserError(f"cannot read method file {source}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise UserError(f"{source}{line} is not valid Python: {getattr(error, 'msg', error)}") from error
    except (RecursionError, MemoryError) as error:
        raise UserError(f"{source} is not valid Python: nested too deeply") from error


@functools.cache
def _collect(source: Path, module: str | None, class_name: str) -> _Class:
    """Base classes first, so that a subclass overrides; most methods share theirs, hence the cache."""
    tree = parse_source(source)
    node = _only_class(tree, source, class_name)
    reader = _Reader(source, tree)
    for base in reversed(node.bases):
        location = locate_base(tree, source, module, base, node)
        if location is not None:
            inherited = _collect(*location)
            reader.facts.update(inherited.facts)
            reader.options.update(inherited.options)
    reader.own = set()
    reader.names = {name for statement in node.body for name, _ in bindings(statement)}
    for statement in node.body:
        reader.take(statement)
    # What a base class says of its rounds does not hold for others.
    if node.bases and "epochs_rule" not in reader.own and any(_defines(statement, _ROUNDS) for statement in node.body):
        reader.facts["epochs_rule"] = None
    summary = (ast.get_docstring(node) or "").split("\n")[0]
    return _Class(reader.facts, reader.options, summary, node.lineno, "label" in reader.own)


def _only_class(tree: ast.Module, source: Path, name: str) -> ast.ClassDef:
    found = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name]
    if not found:
        raise UserError(f"{source} holds no class {name!r}")
    if len(found) > 1:
        raise UserError(f"{source}:{found[1].lineno}: class {name!r} is defined twice")
    return found[0]


def _defines(statement: ast.stmt, names: Collection[str]) -> bool:
    """Whether a statement of a class gives one of the names a function or a value."""
    if isinstance(statement, ast.FunctionDef):
        return statement.name in names
    return any(name in names for name, _ in bindings(statement))


class _Reader:
    """Takes one statement of a class body after the other."""

    def __init__(self, source: Path, tree: ast.Module) -> None:
        self.source, self.tree = source, tree
        self.facts: dict[str, Any] = {}
        self.options: dict[str, Option] = {}
        self.own: set[str] = set()
        self.names: set[str] = set()

    def take(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            self._take_annotated(statement, statement.target.id)
        elif isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
            for target in statement.targets:
                assert isinstance(target, ast.Name)
                self._take_plain(statement, target.id)
        else:
            self._refuse_hidden(statement)

    def _take_annotated(self, statement: ast.AnnAssign, name: str) -> None:
        annotation = _annotation(statement.annotation)
        if "ClassVar" in annotation:
            if name in INFO_FIELDS and statement.value is not None:
                self._take_fact(statement, name, statement.value)
            return
        if name in INFO_FIELDS:
            raise self._error(statement, f"{name} must be annotated as ClassVar, or it is an option of every run")
        if name.startswith("_") or name in ("sparsity", "context"):
            return
        default = self._default_of(statement)
        if default is None:
            return
        choices = self._choices_of(statement.annotation)
        self.options[name] = Option(
            self._read(statement, f"the default of option {name!r}", default), annotation, choices
        )

    def _default_of(self, statement: ast.AnnAssign) -> ast.expr | None:
        """The expression of an option's default; None for a field that is no option."""
        name = ast.unparse(statement.target)
        value = statement.value
        if not (isinstance(value, ast.Call) and _is_field(value, self.tree)):
            if value is None:
                raise self._error(statement, f"option {name!r} needs a default: what a run's id leaves out")
            return value
        given = {keyword.arg: keyword.value for keyword in value.keywords}
        if "init" in given and self._read(statement, f"init of {name!r}", given["init"]) is False:
            return None
        if "default" not in given:
            reason = "default_factory computes it" if "default_factory" in given else "it has none"
            raise self._error(statement, f"option {name!r} needs a literal default: {reason}")
        return given["default"]

    def _take_plain(self, statement: ast.Assign, name: str) -> None:
        if name in INFO_FIELDS:
            self._take_fact(statement, name, statement.value)
        elif name in self.options:
            raise self._error(
                statement, f"option {name!r} is set without an annotation, which leaves its default as it was"
            )

    def _take_fact(self, statement: ast.stmt, name: str, value: ast.expr) -> None:
        fact = self._read(statement, name, value)
        if type(fact) is not INFO_FIELDS[name]:
            raise self._error(statement, f"{name} must be {_KINDS[INFO_FIELDS[name]]}, not {fact!r}")
        self.facts[name] = fact
        self.own.add(name)

    def _refuse_hidden(self, statement: ast.stmt) -> None:
        """Names bound by tuples, in branches or loops, and by `+=`; functions have a scope of their own."""
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = {statement.name}
        else:
            nodes = ast.walk(statement)
            names = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        for name in sorted(names & (INFO_FIELDS.keys() | self.options.keys())):
            raise self._error(statement, f"{name} must be set by a line of its own in the class: name: type = literal")

    def _choices_of(self, annotation: ast.expr) -> tuple[Any, ...]:
        """The values of `Literal[...]`."""
        if not (isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).split(".")[-1] == "Literal"):
            return ()
        inner = annotation.slice
        elements = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        return tuple(self._read(annotation, "a choice", element) for element in elements)

    def _read(self, statement: ast.stmt | ast.expr, what: str, value: ast.expr) -> Any:
        # within the class its own names come before those of the file
        used = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)} & self.names
        try:
            if used:
                raise Unreadable(f"{min(used)} is a name of the class")
            return read_literal(value, self.tree)
        except Unreadable as error:
            raise self._error(statement, f"{what} must be a literal: {error}") from None

    def _error(self, statement: ast.stmt | ast.expr, problem: str) -> UserError:
        return UserError(f"{self.source}:{statement.lineno}: {problem}")


def _annotation(node: ast.expr) -> str:
    """As text; one in quotes is the same as one without."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)


def _is_field(call: ast.Call, tree: ast.Module) -> bool:
    """Whether this calls `dataclasses.field`, whatever the file imports it as."""
    names = {"dataclasses.field"}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "dataclasses":
            names |= {alias.asname or alias.name for alias in statement.names if alias.name == "field"}
        elif isinstance(statement, ast.Import):
            names |= {f"{a.asname or a.name}.field" for a in statement.names if a.name == "dataclasses"}
    return ast.unparse(call.func) in names
