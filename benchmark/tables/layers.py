"""What is left of each layer: a row for each layer, a column for each method, a block for each sparsity."""

from __future__ import annotations

from ..analysis.frame_type import Frame
from ..runs.run import DENSE
from .caption import common_caption, subject
from .cell import STATS, Stat, has_pruned, percent, spread
from .table import Cell, Column, Note, Table, TableRow

EMPTY = "no weight left in at least one run"


def layers_table(layers: Frame, frame: Frame, stat: Stat = STATS[0]) -> Table:
    """Percent of each layer's weights kept, mean over seeds; `layers` as from `report_frames.layer_frame`.

    `frame` is that of the runs, for what the caption says of them. Dense networks are shown where there are no others.
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
        columns=(Column(heading="weights"), *(Column(heading=label) for label in labels)),
        rows=tuple(rows),
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
    """The weights of a layer; a range where rows of several networks have one of that name."""
    least, most = int(layers["total"].min()), int(layers["total"].max())
    return Cell(value=float(least), digits=0) if least == most else Cell(text=f"{least} to {most}")


def _cell(rows: Frame | None, stat: Stat) -> Cell:
    if rows is None:
        return Cell(text="")
    values = [100 * float(value) for value in rows["density"]]
    notes = (Note("§", EMPTY),) if (rows["kept"] == 0).any() else ()
    return Cell(
        value=sum(values) / len(values),
        spread=spread(values, stat),
        count=len(values),
        expected=len(values),
        notes=notes,
    )
