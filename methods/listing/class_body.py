"""The class attributes and options that the body of a method's class declares, statement by statement."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ...benchmark.api.errors import UserError
from .annotations import Option, read_option
from .literals import Unreadable, bindings, read_literal

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
    "search_space": dict,
}
"""What a class says about its method, in class attributes."""
_KINDS = {str: "a text", int: "a whole number", bool: "True or False", dict: "a mapping of options to values"}


def defines(statement: ast.stmt, names: Collection[str]) -> bool:
    """Whether a statement of a class gives one of the names a function or a value."""
    if isinstance(statement, ast.FunctionDef):
        return statement.name in names
    return any(name in names for name, _ in bindings(statement))


class ClassBody:
    """Takes one statement of a class body after the other, into `facts` and `options`; `own` are its own facts."""

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
        if "ClassVar" in ast.unparse(statement.annotation):
            if name in INFO_FIELDS and statement.value is not None:
                self._take_fact(statement, name, statement.value)
            return
        if name in INFO_FIELDS:
            raise self._error(statement, f"{name} must be annotated as ClassVar, or it is an option of every run")
        if name.startswith("_") or name in ("sparsity", "context"):
            return
        default = self._default_of(statement)
        if default is None:
            self.options.pop(name, None)  # a class may fix what is an option of its base class
            return
        value = self._read(statement, f"the default of option {name!r}", default)
        self.options[name] = read_option(
            value, statement.annotation, lambda what, each: self._read(statement, what, each)
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


def _is_field(call: ast.Call, tree: ast.Module) -> bool:
    """Whether this calls `dataclasses.field`, whatever the file imports it as."""
    names = {"dataclasses.field"}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "dataclasses":
            names |= {alias.asname or alias.name for alias in statement.names if alias.name == "field"}
        elif isinstance(statement, ast.Import):
            names |= {f"{a.asname or a.name}.field" for a in statement.names if a.name == "dataclasses"}
    return ast.unparse(call.func) in names
