"""Multiply-adds: what share is pruned, and how many are left, by method and sparsity."""

from __future__ import annotations

from ..analysis.frame_type import Frame
from ..analysis.groups import Group, split_groups, subject
from ..analysis.spread import Stat
from ..runs.run import DENSE
from .caption import common_caption
from .cell import headings, measured_cell
from .table import Cell, Column, Roles, Table, TableRow

_PRODUCTS = (
    "Products of activations with each other, attention's scores and weighted sums, have no weight: no sparsity saves "
    "them, and they are in none of the other numbers."
)
_EVER_USED = (
    "Weights ever used: those that a mask kept at any time of the training, as a share of the pruned layers (the "
    "in-time over-parameterisation of arXiv 2102.02887), for methods whose masks move."
)
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def best_unit(value: float) -> tuple[float, str]:
    """The largest unit that is not larger than the value: 304,768 is counted in k."""
    return next(((size, name) for size, name in UNITS if abs(value) >= size), UNITS[-1])


def macs_table(frame: Frame, stat: Stat = "std", chance: float | None = None) -> Table:
    """Two blocks of rows with the same columns: percent of multiply-adds pruned, and multiply-adds left.

    Where masks have moved, a third has the share of weights that they ever kept.
    Nothing is marked the best: at one sparsity, fewer multiply-adds are a gain only for a network that still works.
    """
    groups, networks = split_groups(frame), _dense_macs(frame)
    dense = networks[-1] if networks else None
    size, unit = best_unit(dense) if dense else UNITS[-1]
    blocks = {"Multiply-adds pruned (%)": ("macs_pruned", 100.0, 1), _left(unit): ("macs_sparse", 1 / size, 2)}
    rows, width = [], max(1, len(groups.targets))
    for block, (column, scale, digits) in blocks.items():
        cell = _reference([0.0] if column == "macs_pruned" and networks else networks, scale, digits)
        rows.append(TableRow(label="Dense", cells=(cell,) * width, block=block, is_reference=True))
        for label in groups.labels:
            cells = (
                measured_cell(each, column, stat, chance, scale=scale, digits=digits) for each in groups.row(label)
            )
            rows.append(TableRow(label=label, cells=tuple(cells), block=block))
    moving = [label for label in groups.labels if any(map(_moves, groups.row(label)))]
    for label in moving:
        cells = (measured_cell(each, "explored", stat, chance, digits=1) for each in groups.row(label))
        rows.append(TableRow(label=label, cells=tuple(cells), block="Weights ever used (%)"))
    products = _products(frame)
    if products:
        shown = _reference(products, 1 / size, 2)
        rows.append(
            TableRow(label="Every method", cells=(shown,) * width, block=_products_left(unit), is_reference=True)
        )
    return Table(
        name="macs",
        title=f"Multiply-adds of {subject(frame)} by sparsity",
        corner="Method",
        columns=tuple(Column(heading=name) for name in headings(groups)),
        rows=tuple(rows),
        caption=(
            "Multiply-adds with the weights that sparsity counts, for one input, each layer weighted by its density; "
            "one multiply-add is two FLOPs. A machine that does not skip zeros saves none of them.",
            *([_PRODUCTS] if products else []),
            *([_EVER_USED] if moving else []),
            *common_caption(frame, stat),
        ),
        facts={"macs_dense": dense, "unit": unit, "stat": stat},
        roles=Roles(block="measure"),
    )


def _moves(group: Group | None) -> bool:
    """Whether masks kept more weights than they keep at the end, and not all: dense methods have used every weight."""
    if group is None:
        return False
    explored = group.done["explored"].astype(float)
    return bool(((explored < 1) & (explored > 1.001 - group.done["sparsity"].astype(float))).any())


def _dense_macs(frame: Frame) -> list[float]:
    """Multiply-adds of the dense networks, ascending: of the dense rows, or of all rows if there are none."""
    rows = frame.loc[frame["macs_dense"].notna()]
    dense = rows.loc[rows["method"] == DENSE]
    return sorted({float(macs) for macs in (dense if len(dense) else rows)["macs_dense"]})


def _products(frame: Frame) -> list[float]:
    """Multiply-adds of activations with each other, of the networks that have any, ascending."""
    return sorted({float(macs) for macs in frame["macs_products"].dropna() if macs > 0})


def _reference(values: list[float], scale: float, digits: int) -> Cell:
    """One value, or the range of several networks."""
    if not values:
        return Cell(text="missing")
    if len(values) == 1:
        return Cell(value=values[0] * scale, digits=digits)
    return Cell(text=f"{values[0] * scale:.{digits}f} to {values[-1] * scale:.{digits}f}")


def _products_left(unit: str) -> str:
    return f"Products of activations ({unit})" if unit else "Products of activations"


def _left(unit: str) -> str:
    return f"Multiply-adds left ({unit})" if unit else "Multiply-adds left"
