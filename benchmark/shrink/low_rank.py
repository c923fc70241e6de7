"""Ranks of low-rank cells that reach nothing: a column of the first factor without its row of the second."""

from __future__ import annotations

from typing import Any

from torch import nn


def remove_dead_ranks(model: nn.Module) -> dict[str, int]:
    """Cut ranks whose column or row is all zero from both factors, in place; one rank stays.

    Returns how many went, by the first factor's name.
    """
    removed: dict[str, int] = {}
    for path, cell in model.named_modules():
        pairs: tuple[tuple[str, str], ...] = getattr(cell, "low_rank_pairs", ())
        for first, second in pairs:
            if num := _cut(cell, first, second):
                removed[f"{path}.{first}".lstrip(".")] = num
    return removed


def _cut(cell: Any, first: str, second: str) -> int:
    columns, rows = getattr(cell, first).detach(), getattr(cell, second).detach()
    kept = columns.ne(0).any(dim=0) & rows.ne(0).any(dim=1)
    if not kept.any():
        kept[0] = True
    num = int((~kept).sum())
    if num:
        setattr(cell, first, nn.Parameter(columns[:, kept]))
        setattr(cell, second, nn.Parameter(rows[kept]))
    return num
