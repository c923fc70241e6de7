"""What each method costs: epochs, multiply-adds of training, device-hours, seconds of scoring and of mask upkeep."""

from __future__ import annotations

from dataclasses import dataclass

from ..analysis.budget_met import spent_of
from ..analysis.frame_type import Frame
from ..analysis.groups import subject
from ..studies.schema import Budget
from .caption import missing_sentence, prunable_sentence, seeds_sentence, sentences
from .cell import missing_note, num_state
from .multiply_adds import best_unit
from .table import Cell, Column, Roles, Table, TableRow


@dataclass(frozen=True)
class _Measure:
    """A column of the table: mean or sum of a column of the frame, times `scale`."""

    heading: str
    column: str
    group: str = ""
    is_sum: bool = False
    scale: float = 1.0
    digits: int = 0


def cost_table(frame: Frame, budget: Budget | None = None) -> Table:
    """One row for each label; means over its stored runs of all sparsities and seeds, device-hours summed.

    `budget` is that of the study: the caption says by how much runs missed it.
    """
    planned = frame[frame["state"] != "not run"]
    planned = planned.assign(device_seconds=planned["seconds"].astype(float) * planned["processes"].astype(float))
    measures = _measures(frame)
    groups = planned.groupby("label", sort=False)
    rows = [_row(str(label), group, measures) for label, group in groups]
    done = frame[frame["state"] == "done"]
    devices = sorted({str(device) for device in done["device"].dropna()})
    return Table(
        name="cost",
        title=f"Cost of training and pruning, {subject(frame)}",
        corner="Method",
        columns=(Column(heading="runs"), *(Column(heading=each.heading, group=each.group) for each in measures)),
        rows=tuple(rows),
        roles=Roles(heading="measure"),
        caption=sentences(
            "Means over stored runs of all sparsities and seeds; device-hours are their sum, wall time of the run "
            "itself times the processes that share it. Epochs and multiply-adds count the dense "
            "training a run starts from, which the runs of a seed share; device-hours do not. "
            "Forward and backward together count as three forward passes. Without zeros, multiply-adds with pruned "
            "weights do not count: of an epoch of the own training they are this share of a dense one's. Scores: "
            "forward and backward passes of the training samples that they drew.",
            _budget_sentence(planned, budget),
            seeds_sentence(frame),
            prunable_sentence(frame),
            f"Measured on {', '.join(devices)}." if devices else "",
            missing_sentence(frame),
        ),
    )


def _budget_sentence(frame: Frame, budget: Budget | None) -> str:
    """What stored rows spent of the budget; with multiply-adds counted as they were, not as they were planned."""
    if budget is None:
        return ""
    spent = spent_of(frame, budget)
    if not spent:
        return ""
    (low, least), (high, most) = spent[0], spent[-1]
    unit = "dense epochs' multiply-adds without zeros" if budget.unit == "macs" else "epochs"
    return (
        f"The budget is {budget.total:g} {unit}, dense training {budget.dense}: rows spent between {100 * low:.1f} % "
        f"({least}) and {100 * high:.1f} % ({most}) of it."
    )


def _measures(frame: Frame) -> list[_Measure]:
    macs = frame["train_macs"].dropna()
    size, unit = best_unit(float(macs.max())) if len(macs) else (1.0, "")
    training = f"training MACs ({unit})"
    return [
        _Measure("own", "epochs", "epochs", digits=1),
        _Measure("with dense", "epochs_total", "epochs", digits=1),
        _Measure("computed", "train_macs", training, scale=1 / size, digits=3),
        _Measure("without zeros", "train_macs_sparse", training, scale=1 / size, digits=3),
        _Measure("scores", "train_macs_scoring", training, scale=1 / size, digits=3),
        _Measure("share of dense", "macs_share", digits=3),
        _Measure("device-hours", "device_seconds", is_sum=True, scale=1 / 3600, digits=3),
        _Measure("scoring (s)", "prune_seconds", digits=3),
        _Measure("mask upkeep (s)", "mask_seconds", digits=3),
        _Measure("peak memory (MB)", "peak_memory_bytes", scale=1e-6),
    ]


def _row(label: str, group: Frame, measures: list[_Measure]) -> TableRow:
    """The number of stored runs, and a cell for each measure."""
    expected, num_done = len(group), num_state(group, "done")
    notes = (missing_note((label,), num_state(group, "failed")),) if num_done < expected else ()
    runs = Cell(value=float(num_done), digits=0, count=num_done, expected=expected, notes=notes)
    return TableRow(label=label, cells=(runs, *(_cell(group, measure) for measure in measures)))


def _cell(group: Frame, measure: _Measure) -> Cell:
    values = group[measure.column].dropna().astype(float)
    if values.empty:
        return Cell(text="–")
    value = float(values.sum() if measure.is_sum else values.mean())
    return Cell(value=value * measure.scale, digits=measure.digits)
