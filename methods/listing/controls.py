"""Kinds of controls: rows of a study that ask what a method's result is due to. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .describe import MethodInfo


@dataclass(frozen=True, kw_only=True)
class ControlKind:
    """What makes a row a control of another: its method, and options.

    Attributes:
        methods: any of these.
        example: the entry of a study that adds it, without its sparsity; `{of}` is the method in question.
        options: values that the row must have.
        has_sparsity: whether it is run at each sparsity of the row in question, or once.
    """

    methods: tuple[str, ...]
    example: str
    options: Mapping[str, Any] = field(default_factory=dict)
    has_sparsity: bool = True

    def is_row(self, info: MethodInfo, options: Mapping[str, Any], of: str) -> bool:
        """Whether a row of this method and these options is such a control of the method `of`."""
        if info.name not in self.methods:
            return False
        known = {name: option.default for name, option in info.options.items()} | dict(options)
        wanted = {**self.options, **({info.borrows: of} if info.borrows else {})}
        return all(known[name] == value for name, value in wanted.items())


CONTROLS: Mapping[str, ControlKind] = {
    "random_erk": ControlKind(
        methods=("random_init", "random"),
        options={"scope": "erk"},
        example="method: random_init, options: {{scope: erk}}",
    ),
    "shuffled": ControlKind(methods=("shuffled",), example="method: shuffled, options: {{of: {of}, start: {start}}}"),
    "reinit": ControlKind(methods=("reinit",), example="method: reinit, options: {{of: {of}}}"),
    "small_dense": ControlKind(methods=("small_dense",), example="method: small_dense"),
    "dense_longer": ControlKind(methods=("dense_longer",), example="method: dense_longer", has_sparsity=False),
}
"""Budgets of layers without a score; the right budgets at random places; the mask without its weights; a small network
of the same size; the whole network for as long."""
