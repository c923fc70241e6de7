"""The options of networks with their types, read from their sources: studies are checked without torch."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...methods.listing.annotations import type_of
from ...methods.listing.literals import read_literal
from ..api.errors import UserError, unknown
from ..api.options import WrongOption, checked
from ..models.registry import builder_source, source_file


@functools.cache
def declared_options(model: str) -> Mapping[str, tuple[Any, Any]]:
    """Default and type of each option: the keyword arguments with a default of the function that builds the network."""
    source, arguments = source_file(model), builder_source(model).args
    found: dict[str, tuple[Any, Any]] = {}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None and argument.annotation is not None:
            declared = ast.unparse(_Aliases(source).visit(argument.annotation))
            found[argument.arg] = read_literal(default, ast.Module([], [])), type_of(declared)
    return {**found, "weights": (None, str | None)}


def check_model_option(model: str, option: str, value: Any) -> None:
    """Raises UserError for an option that the network does not have, or a value that is not of its type."""
    known = declared_options(model)
    if option not in known:
        raise unknown(f"option of model {model!r}", option, known)
    try:
        checked(option, known[option][1], value)
    except WrongOption as error:
        raise UserError(f"model {model!r}: {error}") from None


class _Aliases(ast.NodeTransformer):
    """Puts what a name stands for in place of it: `Width` is `Annotated[float, Field(gt=0)]`."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.tree = ast.parse(source.read_text(encoding="utf-8"))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        for statement in self.tree.body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == node.id:
                return self.visit(statement.value)
            if isinstance(statement, ast.ImportFrom) and statement.level == 1:
                for alias in statement.names:
                    if (alias.asname or alias.name) == node.id:
                        other = _Aliases(self.source.with_name(f"{statement.module}.py"))
                        return other.visit_Name(ast.Name(alias.name, ast.Load()))
        return node
