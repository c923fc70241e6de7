"""Options of a wrong type are refused by name, whatever the method then does with them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pytest
from prunebench.benchmark.api.pruner import Pruner


@dataclass(kw_only=True)
class Example(Pruner):
    count: int = 3
    rate: float = 0.5
    limit: float | None = None
    is_fast: bool = False
    name: str = "a"
    layers: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("count", 2.5, "an integer"),
        ("count", True, "an integer"),
        ("count", "3", "an integer"),
        ("rate", "1e-4", "a finite number"),
        ("rate", math.nan, "a finite number"),
        ("rate", math.inf, "a finite number"),
        ("rate", None, "a finite number"),
        ("limit", "none", "a finite number or null"),
        ("is_fast", 1, "true or false"),
        ("name", 4, "a text"),
        ("sparsity", "0.9", "a finite number >= 0 and < 1"),
    ],
)
def test_a_wrong_type_is_refused_by_name(option: str, value: object, kind: str) -> None:
    with pytest.raises(ValueError, match=f"^{option} is .*; it must be {re.escape(kind)}$"):
        Example(**{option: value})  # type: ignore[arg-type]


def test_right_types_pass() -> None:
    Example(count=1, rate=1, limit=None, is_fast=True, name="b", layers=("x",))
    Example(limit=0.25, layers=["x"])  # type: ignore[arg-type]
