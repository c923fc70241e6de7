"""Accuracy against sparsity as numbers: a curve for each label, a level for dense training, the Pareto front."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..runs.run import DENSE
from .frame_type import Frame
from .groups import Group, split_groups
from .spread import Stat, spread


@dataclass(frozen=True)
class Point:
    """The stored runs of a label at one sparsity: mean accuracy in percent (or another measure), spread, each run, and
    multiply-adds left in percent.

    `target` is the sparsity asked for, or the one reached where the method sets its own.
    """

    target: float
    mean: float
    spread: float | None
    values: tuple[float, ...]
    macs: float


def curves_of(frame: Frame, column: str, stat: Stat, scale: float = 100.0) -> dict[str, list[Point]]:
    """Points by label, ascending in sparsity; a label without a stored run is kept, as it has a colour."""
    groups = split_groups(frame)
    return {
        label: [point for group in groups.row(label) if group and (point := _point(group, column, stat, scale))]
        for label in groups.labels
    }


def _point(group: Group, column: str, stat: Stat, scale: float) -> Point | None:
    done = group.counted.dropna(subset=[column])
    if done.empty:
        return None
    values = [scale * float(value) for value in done[column]]
    target = group.target if group.has_target else round(float(done["sparsity"].mean()), 4)
    macs = 100 * float((1 - done["macs_pruned"].astype(float)).mean())
    return Point(target, sum(values) / len(values), spread(values, stat), tuple(values), macs)


@dataclass(frozen=True)
class DenseLevel:
    """Dense training of one label.

    Attributes:
        values: accuracies of the stored runs, as fractions.
        expected: number of runs that the study has.
        rows: runs whose age a table tells.
    """

    label: str
    values: list[float]
    expected: int
    rows: Frame

    @property
    def mean(self) -> float | None:
        """In percent, None if no run is stored."""
        return 100 * sum(self.values) / len(self.values) if self.values else None

    def spread(self, stat: Stat) -> float | None:
        """In percent, None for fewer than two runs."""
        found = spread(self.values, stat) if self.values else None
        return None if found is None else 100 * found


def dense_levels(frame: Frame, column: str) -> list[DenseLevel]:
    """Each label of dense training in the study; without one, the dense trainings that pruned runs start from."""
    dense = frame[(frame["method"] == DENSE) & (frame["target"] == 0)]
    levels = [
        DenseLevel(str(label), _numbers(rows[column]), len(rows), rows)
        for label, rows in dense.groupby("label", sort=False)
    ]
    measure, _, epoch = column.partition("_")
    if levels or epoch != "last":
        return levels
    # The accuracy of a run before pruning is that of its dense training at the last epoch.
    parents = frame[frame["parent"].notna()].drop_duplicates("parent")
    if parents.empty:
        return []
    # Code of the pruning method does not affect its dense training.
    told = parents[parents["outdated"] != "method"]
    return [DenseLevel("Dense", _numbers(parents[f"{measure}_before"]), len(parents), told)]


def _numbers(column: Frame) -> list[float]:
    return [float(value) for value in column.dropna()]


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (cost, value) points that no other beats in both, by rising cost: less cost and more value are better."""
    front: list[tuple[float, float]] = []
    for cost, value in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((cost, value))
    return front
