"""How connected and how alike the retrainings of each row are, by sparsity."""

from __future__ import annotations

from ..analysis.frame_type import Frame
from ..analysis.groups import heading, subject
from ..analysis.pair_frame import seed_means
from ..analysis.spread import Stat
from .caption import common_caption, sentences
from .cell import mean_cell
from .table import Cell, Column, Note, Roles, Table, TableRow

MEASURED = {"lmc_symmetric": "LMC", "barrier_chord": "barrier", "cka_softmax": "CKA"}
"""Columns of the frame of pairs, and their headings."""

OTHER_MASK = "the runs of a pair have other masks, so the path between them leaves both"
NOT_MEASURED = "pairs are not measured; (seeds of which all are/seeds)"
CONSTANT = "not defined: the outputs of a run are constant"

DEFINITIONS = {
    "lmc_symmetric": "LMC: mean training error of two retrainings minus the error on the straight line between their "
    "weights that is farthest from it, as a fraction, mean of both orders; negative is a barrier.",
    "barrier_chord": "Barrier: highest error above the line between the errors of both ends; never negative.",
    "cka_softmax": "CKA: linear centred kernel alignment of their class probabilities on training images.",
}


def connectivity_table(pairs: Frame, frame: Frame, stat: Stat = "std") -> Table:
    """A group of columns for each sparsity; `pairs` as from `pair_frame`, `frame` names network and data."""
    shown = [name for name in MEASURED if pairs[name].notna().any()] or list(MEASURED)
    targets = sorted({float(target) for target in pairs["target"]})
    rows = [
        TableRow(label=str(label), cells=tuple(_cells(rows, targets, shown, stat)))
        for label, rows in pairs.groupby("label", sort=False)
    ]
    missing = int((pairs["state"] == "missing").sum())
    return Table(
        name="connectivity",
        title=f"Connectivity of retrainings of {subject(frame)} by sparsity",
        corner="Method",
        columns=tuple(Column(heading=MEASURED[name], group=heading(target)) for target in targets for name in shown),
        rows=tuple(rows),
        caption=sentences(
            "Pairs of runs that differ in the order of the data alone. "
            + " ".join(DEFINITIONS[name] for name in shown)
            + " Batch norm is estimated anew at each of 11 points.",
            "The pairs of one seed share their runs, and are averaged first.",
            *common_caption(frame, stat),
            f"Incomplete: {missing} of {len(pairs)} pairs are not measured." if missing else "",
        ),
        facts={"stat": stat},
        roles=Roles(group="sparsity", heading="measure"),
    )


def _cells(rows: Frame, targets: list[float], shown: list[str], stat: Stat) -> list[Cell]:
    cells = []
    for target in targets:
        pairs = rows[rows["target"] == target]
        cells += [_cell(pairs, name, stat, is_first=name == shown[0]) for name in shown]
    return cells


def _cell(pairs: Frame, name: str, stat: Stat, *, is_first: bool) -> Cell:
    if pairs.empty:
        return Cell(text="")
    means, expected, notes = seed_means(pairs, name), pairs["seed"].nunique(), []
    measured = pairs[pairs["state"] == "measured"]
    if is_first and (measured["same_mask"] == 0).any():
        notes.append(Note("*", OTHER_MASK))
    if len(measured) < len(pairs):
        notes.append(Note("‡", NOT_MEASURED))
    if name == "cka_softmax" and measured[name].isna().any():
        notes.append(Note("∅", CONSTANT))
    if not means:
        return Cell(text="missing" if measured.empty else "–", count=0, expected=expected, notes=tuple(notes))
    return mean_cell(list(means.values()), stat, expected=expected, scale=1.0, digits=3, notes=notes)
