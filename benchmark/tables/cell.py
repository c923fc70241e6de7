"""From the runs behind a cell to the cell: mean and spread, what is missing, failed, collapsed or off target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ..analysis.frame_type import Frame
from ..analysis.paired import sample_std, t_interval
from ..runs.run import DENSE
from .older import SET_ASIDE, age_notes, is_older, num_aside
from .table import Cell, Note

Stat = Literal["std", "ci"]
STATS: tuple[Stat, ...] = ("std", "ci")
SPREAD_NAMES: dict[Stat, str] = {
    "std": "sample standard deviation",
    "ci": "half the width of the 95 % Student-t interval",
}

MAX_MISS = 0.005
"""A row is flagged when the sparsity it reached is further than this from what was asked for."""

OFF_TARGET = "sparsity reached is more than 0.5 points off the target, so not compared for best"
MISSING = "runs are missing; (stored/expected)"
COLLAPSED = "collapsed: a layer without weights, or accuracy at chance"
NOT_RUN = "not run in this study"
NO_TARGET = "the method sets its own sparsity, so not compared for best"
UNPRUNED = "not pruned"
MIXED = "several settings share this row, and are averaged"


@dataclass(frozen=True)
class Group:
    """All runs of one label at one sparsity, stored or not."""

    label: str
    target: float
    rows: Frame

    @property
    def name(self) -> str:
        return f"{self.label} at {percent(self.target)}"

    @cached_property
    def done(self) -> Frame:
        return self.rows[self.rows["state"] == "done"]

    @property
    def is_listed_only(self) -> bool:
        return bool((self.rows["state"] == "not run").all())

    @property
    def has_target(self) -> bool:
        """Pruned rows at 0 % are of methods whose sparsity follows from their options."""
        return self.target > 0

    @property
    def is_off_target(self) -> bool:
        is_known = self.has_target and len(self.done) > 0
        return is_known and abs(float(self.done["sparsity"].mean()) - self.target) > MAX_MISS

    @property
    def is_comparable(self) -> bool:
        """Whether it is at the sparsity of its column and of the present code, and so may be the best there."""
        return self.has_target and not self.is_off_target and not is_older(self.rows)


def percent(fraction: float) -> str:
    """0.975 as `97.5 %`."""
    return f"{round(fraction * 100, 6):g} %"


def heading(target: float) -> str:
    """The heading of a column of pruned networks."""
    return percent(target) if target > 0 else "own sparsity"


def headings(sparsities: list[float]) -> list[str]:
    """The headings of the columns of a table; a study of dense trainings alone has one."""
    return [heading(target) for target in sparsities] or [UNPRUNED]


def split_groups(frame: Frame) -> dict[tuple[str, float], Group]:
    """The runs by (label, target), in the order of the study, dense training left out."""
    pruned = frame[frame["method"] != DENSE]
    return {
        (str(label), float(target)): Group(str(label), float(target), rows)
        for (label, target), rows in pruned.groupby(["label", "target"], sort=False)
    }


def has_pruned(frame: Frame) -> bool:
    """Whether there are other rows than dense trainings."""
    return bool((frame["method"] != DENSE).any())


def targets(frame: Frame) -> list[float]:
    """Sparsities of the study's columns, ascending."""
    return sorted({float(value) for value in frame.loc[frame["method"] != DENSE, "target"]})


def labels(frame: Frame) -> list[str]:
    """Labels of the pruned rows in the order of the study."""
    return list(dict.fromkeys(frame.loc[frame["method"] != DENSE, "label"]))


def spread(values: list[float], stat: Stat) -> float | None:
    return sample_std(values) if stat == "std" else t_interval(values).half_width


def measured_cell(
    group: Group | None, column: str, *, scale: float, digits: int, stat: Stat, chance: float | None
) -> Cell:
    """The cell of a group, from a column of the frame; None is a combination that the study does not speak of."""
    if group is None:
        return Cell(text="")
    if group.is_listed_only:
        reason = "; ".join(dict.fromkeys(str(reason) for reason in group.rows["reason"]))
        return Cell(text="not run", notes=(Note("¶", NOT_RUN, f"{group.label}: {reason}" if reason else ""),))
    values = [float(value) for value in group.done[column].dropna()]
    notes = cell_notes(group, chance)
    if not values:
        state = "not recorded" if len(group.done) else _state(group)
        return Cell(text=state, count=len(group.done), expected=len(group.rows), notes=notes)
    return Cell(
        value=scale * sum(values) / len(values),
        spread=_scaled(spread(values, stat), scale),
        count=len(values),
        expected=len(group.rows),
        digits=digits,
        notes=notes,
    )


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _state(group: Group) -> str:
    """The one word for a cell without a stored run: the state that most needs attention."""
    states = set(group.rows["state"])
    return next((state for state in ("failed", "running", "interrupted", SET_ASIDE) if state in states), "missing")


def cell_notes(group: Group, chance: float | None) -> tuple[Note, ...]:
    """What a reader has to know about the runs of a group."""
    done, notes = group.done, []
    if not group.has_target and len(done) and not (done["method"] == DENSE).any():
        notes.append(Note("◦", NO_TARGET, f"{group.label} reached {percent(float(done['sparsity'].mean()))}"))
    if group.is_off_target:
        notes.append(Note("†", OFF_TARGET, f"{group.name} reached {percent(float(done['sparsity'].mean()))}"))
    notes += age_notes(group.name, group.rows)
    if len(done) + num_aside(group.rows) < len(group.rows):
        failed = int((group.rows["state"] == "failed").sum())
        notes.append(Note("‡", MISSING, f"{group.name}: {failed} failed" if failed else ""))
    collapsed = int(is_collapsed(done, chance).sum())
    if collapsed:
        notes.append(Note("§", COLLAPSED, f"{group.name}: {collapsed} of {len(done)}"))
    if group.rows["seed"].duplicated().any():
        notes.append(Note("‖", MIXED, group.name))
    return tuple(notes)


def is_collapsed(done: Frame, chance: float | None) -> Frame:
    """Runs with an empty layer, or whose accuracy is at most two points (or twice chance) from guessing a class."""
    empty = done["empty_layers"].astype(float) > 0
    if chance is None:
        return empty
    return empty | (done["accuracy_last"].astype(float) <= chance + min(0.02, chance))
