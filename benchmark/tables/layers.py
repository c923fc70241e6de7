"""Weights left in each layer: a row for each layer, a column for each method, a block for each sparsity."""

from __future__ import annotations

from ..analysis.frame_type import Frame
from ..analysis.groups import has_pruned, percent, subject
from ..analysis.spread import Stat
from ..runs.run import DENSE
from .caption import common_caption
from .cell import mean_cell
from .table import Cell, Column, Note, Roles, Table, TableRow

EMPTY = "no weight left in at least one run"


def layers_table(layers: Frame, frame: Frame, stat: Stat = "std") -> Table:
    """Percent of each layer's weights kept, mean over seeds; `layers` as from `long_frames.layer_frame`.

    `frame` is that of the runs, for the caption. Dense networks are shown if there are no others.
    """
    shown = layers[layers["method"] != DENSE] if has_pruned(layers) else layers
    labels = list(dict.fromkeys(shown["label"]))
    rows = [
        row
        for target, at_target in sorted(shown.groupby("target"), key=lambda pair: pair[0])
        for row in _block(float(target), at_target, labels, stat)
    ]
    return Table(
        name="layers",
        title=f"Weights left in each layer (%), {subject(frame)}",
        corner="Layer",
        columns=(Column(heading="weights", measure="weights"), *(Column(heading=label) for label in labels)),
        rows=tuple(rows),
        facts={"stat": stat},
        roles=Roles(row="layer", block="sparsity", heading="method", measure="weights left (%)"),
        caption=("Density of each layer in percent; layers in the order of the network.", *common_caption(frame, stat)),
    )


def _block(target: float, layers: Frame, labels: list[str], stat: Stat) -> list[TableRow]:
    rows = []
    for (_, name), group in layers.groupby(["index", "layer"], sort=True):
        by_label = {str(label): rows_of for label, rows_of in group.groupby("label", sort=False)}
        cells = [_size(group)]
        cells += [_cell(by_label.get(label), stat) for label in labels]
        rows.append(TableRow(label=str(name), cells=tuple(cells), block=percent(target)))
    return rows


def _size(layers: Frame) -> Cell:
    """Number of weights of a layer; a range if several networks have a layer of that name."""
    least, most = int(layers["total"].min()), int(layers["total"].max())
    return Cell(value=float(least), digits=0) if least == most else Cell(text=f"{least} to {most}")


def _cell(rows: Frame | None, stat: Stat) -> Cell:
    if rows is None:
        return Cell(text="")
    values = [100 * float(value) for value in rows["density"]]
    notes = (Note("§", EMPTY),) if (rows["kept"] == 0).any() else ()
    return mean_cell(values, stat, expected=len(values), scale=1.0, notes=notes)
