"""The runs of a study by row and sparsity: what a cell of a table or a point of a figure stands for."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...datasets.registry import dataset_title
from ..api.errors import UserError
from ..models.titles import model_title
from ..runs.run import DENSE
from ..runs.sparsity_met import MAX_MISS
from .failures import has_failed, is_counted
from .frame_type import Frame
from .older import is_older


@dataclass(frozen=True)
class Group:
    """All runs of one label at one sparsity, stored or not. A target of 0 means that the method sets its own."""

    label: str
    target: float
    rows: Frame

    @property
    def name(self) -> str:
        return f"{self.label} at {percent(self.target)}"

    @cached_property
    def done(self) -> Frame:
        return self.rows[self.rows["state"] == "done"]

    @cached_property
    def counted(self) -> Frame:
        """The stored runs, and those that failed by their own fault, with the accuracy of chance."""
        return self.rows[is_counted(self.rows)]

    @cached_property
    def reached(self) -> float | None:
        """Mean sparsity of the stored runs, None if there are none."""
        return float(self.done["sparsity"].mean()) if len(self.done) else None

    def values(self, column: str) -> list[float]:
        """The numbers of the runs in a column of the frame; of failed runs only accuracies count."""
        return [float(value) for value in self.counted[column].dropna()]

    @property
    def is_listed_only(self) -> bool:
        return bool((self.rows["state"] == "not run").all())

    @property
    def has_target(self) -> bool:
        return self.target > 0

    def is_off(self, target: float, most: float = MAX_MISS) -> bool:
        """Whether the sparsity reached is more than `most` away from a target."""
        return self.reached is not None and abs(self.reached - target) > most

    @property
    def is_off_target(self) -> bool:
        return self.has_target and self.is_off(self.target)

    @property
    def is_comparable(self) -> bool:
        """Whether it may be the best of its column: at that sparsity, and of the present code."""
        return self.has_target and not self.is_off_target and not is_older(self.rows)


def is_apart(first: Group | None, second: Group | None) -> bool:
    """Whether two pruned rows reached sparsities more than MAX_MISS apart: they differ in more than the method."""
    if first is None or second is None or not (first.has_target and second.has_target):
        return False
    return first.reached is not None and second.reached is not None and second.is_off(first.reached)


@dataclass(frozen=True)
class Groups:
    """The pruned runs of a study.

    Attributes:
        labels: in the order of the study.
        targets: the sparsities of the columns, ascending.
        members: groups by label and target, for the combinations that the study has.
    """

    labels: list[str]
    targets: list[float]
    members: dict[tuple[str, float], Group]

    def row(self, label: str) -> list[Group | None]:
        """The groups of a label at all targets; None for a sparsity that the study does not list for it."""
        return [self.members.get((label, target)) for target in self.targets]

    def comparable(self, target: float) -> list[Group]:
        """The groups that may be the best at a sparsity."""
        return [group for group in self.members.values() if group.target == target and group.is_comparable]


def split_groups(frame: Frame) -> Groups:
    """The runs by label and target, without dense training."""
    pruned = frame[frame["method"] != DENSE]
    return Groups(
        labels=list(dict.fromkeys(pruned["label"])),
        targets=sorted({float(target) for target in pruned["target"]}),
        members={
            (str(label), float(target)): Group(str(label), float(target), rows)
            for (label, target), rows in pruned.groupby(["label", "target"], sort=False)
        },
    )


def has_pruned(frame: Frame) -> bool:
    """Whether there are other rows than dense trainings."""
    return bool((frame["method"] != DENSE).any())


def check_pruned(
    kind: str, verb: str, frames: Sequence[Frame], kinds: Iterable[str], of_pruned: Collection[str]
) -> None:
    """Raises UserError for a kind of pruned rows, which is in `of_pruned`, where all rows are dense trainings.

    `kinds`: all that there are. `verb`: what this kind does with its rows.
    """
    if kind in of_pruned and not any(has_pruned(frame) for frame in frames):
        names = ", ".join(repr(name) for name in dict.fromkeys(name for frame in frames for name in frame["study"]))
        raise UserError(
            f"--kind {kind} {verb} pruned networks, but all runs chosen of {names} are dense trainings; "
            f"known for these: {', '.join(known for known in kinds if known not in of_pruned)}"
        )


def percent(fraction: float) -> str:
    """0.975 as `97.5 %`."""
    return f"{round(fraction * 100, 6):g} %"


def heading(target: float) -> str:
    """The heading of a column of pruned networks."""
    return percent(target) if target > 0 else "own sparsity"


def setting(dataset: str, model: str) -> str:
    """`ResNet-20 on CIFAR-10`: titles of a network and of data, as a paper names them."""
    return f"{model_title(model)} on {dataset_title(dataset)}"


def subject(frame: Frame) -> str:
    """The settings of a frame."""
    pairs = frame[["dataset", "model"]].drop_duplicates()
    return ", ".join(setting(dataset, model) for dataset, model in pairs.itertuples(index=False))


def is_collapsed(done: Frame, chance: float | None) -> Frame:
    """Runs with an empty layer, or with an accuracy at most two points (or twice chance) above guessing a class.

    Of texts also those whose bits per byte are no fewer than those of guessing. A run that failed by its own fault
    counts as one of these.
    """
    empty = (done["empty_layers"].astype(float) > 0) | has_failed(done)
    if not chance:
        return empty
    empty |= done["bits_last"].astype(float) >= -math.log2(chance)
    return empty | (done["accuracy_last"].astype(float) <= chance + min(0.02, chance))
