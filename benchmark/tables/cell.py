"""From the runs behind a cell to the cell: mean and spread, what is missing, failed, collapsed or off target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..analysis.failures import num_failed
from ..analysis.frame_type import Frame
from ..analysis.groups import Group, Groups, heading, is_collapsed, percent
from ..analysis.older import SET_ASIDE, changes, is_older, num_aside, num_changed
from ..analysis.spread import Stat, spread
from ..runs.run import DENSE
from .table import Cell, Note

OFF_TARGET = "sparsity reached is more than 0.1 points off the target, so not compared for best"
APART = "the rows reached sparsities more than 0.1 points apart"
MISSING = "runs are missing; (stored/expected)"
FAILED = "failed runs count with the accuracy of chance"
NOT_BEST = f"{FAILED}, so not compared for best"
COLLAPSED = "collapsed: a layer without weights, or accuracy at chance"
NOT_RUN = "not run in this study"
NO_TARGET = "the method sets its own sparsity, so not compared for best"
UNPRUNED = "not pruned"
MIXED = "several settings share this row, and are averaged"
OLDER = "of older code or weights than the present, so not compared for best"
CODE_CHANGED = "computed by jobs whose code had changed since they were submitted"
LEFT_OUT = "stored runs are left out, because they are of other code, weights or data than the others"


def headings(groups: Groups) -> list[str]:
    """A heading for each sparsity; a study of dense trainings alone has one column."""
    return [heading(target) for target in groups.targets] or [UNPRUNED]


def mean_cell(
    values: Sequence[float],
    stat: Stat,
    *,
    expected: int,
    scale: float = 100.0,
    digits: int = 2,
    notes: Iterable[Note] = (),
    shows_count: bool = False,
) -> Cell:
    """Mean and spread of at least one value, each times `scale`."""
    half = spread(values, stat)
    return Cell(
        value=scale * sum(values) / len(values),
        spread=None if half is None else half * scale,
        count=len(values),
        expected=expected,
        digits=digits,
        notes=tuple(notes),
        shows_count=shows_count,
    )


def measured_cell(
    group: Group | None,
    column: str,
    stat: Stat,
    chance: float | None,
    *,
    scale: float = 100.0,
    digits: int = 2,
    shows_count: bool = False,
) -> Cell:
    """The cell of a group, from a column of the frame; None is a combination that the study does not list."""
    if group is None:
        return Cell(text="", shows_count=shows_count)
    if group.is_listed_only:
        reason = "; ".join(dict.fromkeys(str(reason) for reason in group.rows["reason"]))
        notes = (Note("¶", NOT_RUN, group.label, fact=f": {reason}") if reason else Note("¶", NOT_RUN),)
        return Cell(text="not run", notes=notes, shows_count=shows_count)
    values, expected, notes = group.values(column), len(group.rows), cell_notes(group, chance)
    if not values:
        state = "not recorded" if len(group.done) else _state(group)
        return Cell(text=state, count=len(group.done), expected=expected, notes=notes, shows_count=shows_count)
    return mean_cell(
        values, stat, expected=expected, scale=scale, digits=digits, notes=notes, shows_count=shows_count
    )  # fmt: skip


def _state(group: Group) -> str:
    """The one word for a cell without a stored run: the state that most needs attention."""
    states = set(group.rows["state"])
    return next((state for state in ("failed", "running", "interrupted", SET_ASIDE) if state in states), "missing")


def cell_notes(group: Group, chance: float | None) -> tuple[Note, ...]:
    """What a reader has to know about the runs of a group."""
    done, notes = group.done, []
    place = place_of(group)
    if group.reached is not None:
        reached = f" reached {percent(round(group.reached, 4))}"
        if not group.has_target and not (done["method"] == DENSE).any():
            notes.append(Note("◦", NO_TARGET, group.label, fact=reached))
        if group.is_off_target:
            notes.append(Note("†", OFF_TARGET, *place, fact=reached))
    notes += age_notes(place, group.rows)
    notes += failure_notes(place, group.rows)
    if len(group.counted) + num_aside(group.rows) < len(group.rows):
        notes.append(missing_note(place, num_state(group.rows, "failed") - num_failed(group.rows)))
    if collapsed := int(is_collapsed(done, chance).sum()):
        notes.append(Note("§", COLLAPSED, *place, fact=f": {collapsed} of {len(done)}"))
    if group.rows["seed"].duplicated().any():
        notes.append(Note("‖", MIXED, *place))
    return tuple(notes)


def missing_note(place: tuple[str, ...], failed: int) -> Note:
    """Says that runs are missing, and how many of them failed; `place` is a row, or a row and a heading."""
    return Note("‡", MISSING, *place, fact=f": {failed} failed") if failed else Note("‡", MISSING)


def num_state(rows: Frame, state: str) -> int:
    return int((rows["state"] == state).sum())


def place_of(group: Group) -> tuple[str, ...]:
    """Row and column heading of a group's cell, as notes name it; the row alone if the method sets its own sparsity."""
    return (group.label, percent(group.target)) if group.has_target else (group.label,)


def failure_notes(place: tuple[str, ...], rows: Frame, meaning: str = NOT_BEST) -> list[Note]:
    """How many runs failed by their own fault."""
    failed = num_failed(rows)
    return [Note("×", meaning, *place, fact=f": {failed} of {len(rows)}")] if failed else []


def age_notes(place: tuple[str, ...], rows: Frame) -> list[Note]:
    """What a reader has to know about older results and those set aside."""
    notes = []
    if is_older(rows):
        notes.append(Note("⊖", OLDER, *place, fact=f" ({changes(rows[rows['state'] == 'done'])})"))
    if number := num_changed(rows):
        notes.append(Note("⊕", CODE_CHANGED, *place, fact=f": {number} of {len(rows)}"))
    if number := num_aside(rows):
        notes.append(Note("⊘", LEFT_OUT, *place, fact=f": {number} of {len(rows)}"))
    return notes
