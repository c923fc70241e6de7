"""The value of an expression in a source file that is not run: literals, arithmetic on them, names of constants."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from typing import Any

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_MAX_POWER = 1e3
"""Of base and exponent: no default needs more, and `9 ** 9 ** 9` would take for ever."""


class Unreadable(Exception):
    """Why an expression has no value without running the file."""


def read_literal(node: ast.expr, module: ast.Module) -> Any:
    """The value of `node` in a file's syntax tree, as Python would compute it. Raises Unreadable for anything else.

    A name is read where exactly one statement of the module's top level binds it, with such a value.
    """
    return _read(node, module, ())


def _read(node: ast.expr, module: ast.Module, names: tuple[str, ...]) -> Any:
    if isinstance(node, ast.Name):
        return _constant(node.id, module, names)
    if isinstance(node, ast.BinOp):
        return _computed(node, _read(node.left, module, names), _read(node.right, module, names))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _read(node.operand, module, names)
        if isinstance(value, int | float):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Tuple | ast.List) and not any(isinstance(item, ast.Starred) for item in node.elts):
        items = [_read(item, module, names) for item in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise Unreadable(f"{_shown(node)} is known only when the file runs") from None


def _computed(node: ast.BinOp, left: Any, right: Any) -> Any:
    if isinstance(left, int | float) and isinstance(right, int | float):
        if isinstance(node.op, ast.Pow) and max(abs(left), abs(right)) > _MAX_POWER:
            raise Unreadable(f"{_shown(node)} is too large a power")
        is_known = type(node.op) in _OPERATORS
    else:
        is_known = isinstance(left, str) and isinstance(right, str) and isinstance(node.op, ast.Add)
    if not is_known:
        raise Unreadable(f"{_shown(node)} is known only when the file runs")
    try:
        return _OPERATORS[type(node.op)](left, right)
    except ArithmeticError as error:
        raise Unreadable(f"{_shown(node)}: {error}") from None


def _constant(name: str, module: ast.Module, names: tuple[str, ...]) -> Any:
    if name in names:
        raise Unreadable(f"{name} is defined by itself")
    values = [value for statement in module.body for bound, value in bindings(statement) if bound == name]
    if len(values) != 1 or values[0] is None or _is_rebound(name, module):
        raise Unreadable(f"{name} is not a constant of this file, bound once to a literal at its top level")
    return _read(values[0], module, (*names, name))


def bindings(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that a statement binds, and the expressions of their values; None: one that cannot be read."""
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if len(targets) == 1 and isinstance(targets[0], ast.Name):
            yield targets[0].id, statement.value
            return
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name, None
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name.split(".")[0], None) for alias in statement.names)
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, None


def _is_rebound(name: str, module: ast.Module) -> bool:
    """A function that declares the name global may change it."""
    return any(isinstance(node, ast.Global) and name in node.names for node in ast.walk(module))


def _shown(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:60]}..."
