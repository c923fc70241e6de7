"""The declared type of an option, read from the annotation in its source without running the file."""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ...benchmark.api.options import SIGNS, allowed

_NAMES: Mapping[str, Any] = {"int": int, "float": float, "bool": bool, "str": str, "None": None}


@dataclass(frozen=True)
class Option:
    """One option: its default and what its annotation says.

    Attributes:
        annotation: the type without its bounds, such as `float | None`.
        choices: the values of `Literal[...]`.
        bounds: `ge`, `gt`, `le` and `lt`, of a list those of its items.
        declared: the type with its bounds and choices, from which `type_of` makes it again.
        meaning: what the section `Options` of the docstring says.
    """

    default: Any
    annotation: str
    choices: tuple[Any, ...]
    bounds: Mapping[str, float]
    declared: str
    meaning: str = ""

    @property
    def allowed(self) -> str:
        """In words what values it takes: `an integer >= 1`. Imports pydantic."""
        return allowed(type_of(self.declared))


def read_option(default: Any, annotation: ast.expr, read: Callable[[str, ast.expr], Any]) -> Option:
    """The option of an annotation; `read(what, expression)` gives a literal's value or raises."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    literals = _Literals(read)
    declared = literals.visit(ast.parse(ast.unparse(annotation), mode="eval").body)
    plain = _Unbounded().visit(ast.parse(ast.unparse(declared), mode="eval").body)
    return Option(
        default=default,
        annotation=ast.unparse(plain),
        choices=tuple(literals.choices),
        bounds=literals.bounds,
        declared=ast.unparse(declared),
    )


class _Literals(ast.NodeTransformer):
    """Puts values in place of the choices of `Literal` and of the bounds of `Field`, and collects them."""

    def __init__(self, read: Callable[[str, ast.expr], Any]) -> None:
        self._read = read
        self.choices: list[Any] = []
        self.bounds: dict[str, float] = {}

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if _last_name(node.value) != "Literal":
            self.generic_visit(node)
            return node
        self.choices = [self._read("a choice", choice) for choice in _items(node)]
        node.slice = ast.Tuple([ast.Constant(choice) for choice in self.choices], ast.Load())
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if _last_name(node.func) == "Field":
            for keyword in node.keywords:
                if keyword.arg is not None and keyword.arg in SIGNS:
                    self.bounds[keyword.arg] = self._read(f"bound {keyword.arg}", keyword.value)
                    keyword.value = ast.Constant(self.bounds[keyword.arg])
        return node


class _Unbounded(ast.NodeTransformer):
    """`X` in place of `Annotated[X, ...]`."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        return _items(node)[0] if _last_name(node.value) == "Annotated" else node


@functools.cache
def type_of(declared: str) -> Any:
    """The type of an `Option.declared`; Any, which only its class checks, if it is made of other names than these."""
    return _built(ast.parse(declared, mode="eval").body)


def _built(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and node.value is None:
        return types.NoneType
    if isinstance(node, ast.Name):
        return _NAMES.get(node.id, Any)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _built(node.left) | _built(node.right)
    if not isinstance(node, ast.Subscript):
        return Any
    first, *rest = _items(node)
    name = _last_name(node.value)
    if name == "Literal":
        return Literal[tuple(ast.literal_eval(choice) for choice in (first, *rest))]
    if name == "tuple":
        items = [... if isinstance(item, ast.Constant) and item.value is ... else _built(item) for item in rest]
        return tuple.__class_getitem__((_built(first), *items))
    if name == "Annotated":
        return Annotated[(_built(first), *(_field(extra) for extra in rest))]
    return Any


def _field(node: ast.expr) -> Any:
    """pydantic's `Field` with the bounds of this one; other notes mean nothing here."""
    from pydantic import Field

    keywords = node.keywords if isinstance(node, ast.Call) else []
    found: dict[str, Any] = {
        each.arg: ast.literal_eval(each.value) for each in keywords if each.arg is not None and each.arg in SIGNS
    }
    return Field(**found)


def _items(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node).split(".")[-1]
