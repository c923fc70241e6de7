"""A comparison of two results folders as a table and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..exchange.compare_folders import Comparison, Pair, RowDifference, Stored
from .table import Cell, Column, Table, TableRow

MAX_LISTED = 20
"""Most runs that are named; the rest is counted."""


def comparison_table(comparison: Comparison, first: str, second: str) -> Table:
    """A row for each row of the studies: means of both folders, their difference, and the verdict."""
    return Table(
        name="compare",
        title="Test accuracy of the last epoch (%), B against A",
        corner="Row",
        columns=tuple(Column(heading=name) for name in ("pairs", "A", "B", "B - A", "verdict")),
        rows=tuple(_row(row) for row in comparison.rows),
        caption=(
            f"A is {first}, B is {second}. Runs are paired by id, those without a counterpart by row and seed. The "
            "difference is a mean over pairs ± half the width of its 95 % Student-t interval; a row is different where "
            "that excludes zero, and not distinguishable where it does not.",
        ),
    )


def _row(row: RowDifference) -> TableRow:
    first, second = ([getattr(pair, side).accuracy for pair in row.pairs] for side in ("first", "second"))
    interval = row.comparison.interval
    assert interval is not None
    half = interval.half_width if any(row.comparison.differences) else None
    return TableRow(
        label=row.name,
        cells=(
            Cell(value=len(row.pairs), digits=0),
            Cell(value=100 * sum(first) / len(first)),
            Cell(value=100 * sum(second) / len(second)),
            Cell(value=100 * interval.mean, spread=None if half is None else 100 * half, signed=True),
            Cell(text=row.verdict),
        ),
    )


def comparison_lines(comparison: Comparison) -> list[str]:
    """What the table does not show: single runs, other specifications, runs in one folder only, versions."""
    pairs = [pair for row in comparison.rows for pair in row.pairs]
    changed = comparison.changed
    same = [pair for pair in pairs if pair.is_same_run]
    lines = [f"{len(pairs)} pairs, {len(same)} of them the same run by id; {len(changed)} differ in accuracy."]
    lines += _listed("differs", [_pair_line(pair) for pair in changed])
    lines += _listed("other specification", _specification_lines([pair for pair in pairs if not pair.is_same_run]))
    lines += _listed("only in A", [_stored_line(stored) for stored in comparison.only_first])
    lines += _listed("only in B", [_stored_line(stored) for stored in comparison.only_second])
    lines += [f"{name}: {one} in A, {other} in B ({count} pairs)" for name, one, other, count in comparison.provenance]
    return lines


def _listed(what: str, lines: Sequence[str]) -> list[str]:
    more = [f"{what}: and {len(lines) - MAX_LISTED} more"] if len(lines) > MAX_LISTED else []
    return [*(f"{what}: {line}" for line in lines[:MAX_LISTED]), *more]


def _pair_line(pair: Pair) -> str:
    one, other = pair.first, pair.second
    ids = one.run.id if pair.is_same_run else f"{one.run.id} -> {other.run.id}"
    values = f"{100 * one.accuracy:.2f} -> {100 * other.accuracy:.2f} ({100 * pair.difference:+.2f})"
    return f"{ids} {one.row_name} seed {one.run.seed}: {values}"


def _specification_lines(pairs: Sequence[Pair]) -> list[str]:
    """Each set of changes once, with the number of pairs that have it."""
    counts: dict[str, int] = {}
    for pair in pairs:
        counts["; ".join(pair.changes)] = counts.get("; ".join(pair.changes), 0) + 1
    return [f"{changes} ({count} pairs)" for changes, count in counts.items()]


def _stored_line(stored: Stored) -> str:
    return f"{stored.run.id} {stored.row_name} seed {stored.run.seed}"


def comparison_as_dict(comparison: Comparison) -> dict[str, Any]:
    """Plain data for JSON."""
    return {
        "rows": [_row_as_dict(row) for row in comparison.rows],
        "only_first": [stored.run.id for stored in comparison.only_first],
        "only_second": [stored.run.id for stored in comparison.only_second],
        "provenance": [
            {"name": name, "first": one, "second": other, "pairs": count}
            for name, one, other, count in comparison.provenance
        ],
    }


def _row_as_dict(row: RowDifference) -> dict[str, Any]:
    interval = row.comparison.interval
    return {
        "row": row.name,
        "mean_difference": interval.mean if interval else None,
        "half_width": interval.half_width if interval else None,
        "p_value": row.comparison.p_value,
        "verdict": row.verdict,
        "pairs": [
            {
                "seed": pair.first.run.seed,
                "first": pair.first.run.id,
                "second": pair.second.run.id,
                "difference": pair.difference,
                "changes": list(pair.changes),
            }
            for pair in row.pairs
        ],
    }
