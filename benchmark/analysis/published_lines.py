"""Which printed row belongs beside which row of a study, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...methods.registry import describe
from ..runs.run import DENSE
from .frame_type import Frame
from .groups import Group, heading, split_groups
from .published import BLOCK_MISS, Published

if TYPE_CHECKING:
    from ..studies.load import Row, Study


@dataclass(frozen=True)
class Line:
    """A group of ours, a printed row, or both; `target` sorts the blocks."""

    block: str
    target: float
    label: str
    group: Group | None
    printed: Published | None

    @property
    def is_of_ranks(self) -> bool:
        """Whether the rows of its block have the same ranks, and are compared at any sparsity."""
        return self.target == 0 and self.block != heading(0)

    @property
    def is_comparable(self) -> bool:
        """Whether ours is at the sparsity or the ranks of its block."""
        if self.group is None or self.is_off_block or self.group.is_off_target:
            return False
        return self.is_of_ranks or self.group.has_target

    @property
    def is_off_block(self) -> bool:
        """Whether ours reached another sparsity than the block's."""
        return self.group is not None and self.target > 0 and self.group.is_off(self.target, BLOCK_MISS)


def pair_lines(study: Study, frame: Frame, printed: list[Published]) -> list[Line]:
    """Every group of the study with the printed row that belongs beside it, then the other printed rows.

    Lines are in the blocks of the paper; a sparsity of the study that the paper does not have is a block of its own.
    """
    candidates = [row for row in printed if row.method != DENSE]
    lines, used = [], set()
    for (label, target), group in _groups(frame).items():
        row = next(row for row in study.rows if row.label == label and row.sparsity == target)
        beside = [p for p in candidates if stands_beside(p, row)]
        nearest = min(beside, key=lambda p: abs((p.pruned or 0.0) - target), default=None)
        if nearest is None and row.method == DENSE:
            continue
        block, at = (nearest.block, nearest.target or 0.0) if nearest else _block_of(target, candidates)
        lines.append(Line(block, at, label, group, nearest))
        used.add(nearest)
    lines += [Line(p.block, p.target or 0.0, p.label, None, p) for p in candidates if p not in used]
    return sorted(lines, key=lambda line: line.target)


def _groups(frame: Frame) -> dict[tuple[str, float], Group]:
    """The pruned groups, and dense trainings of other networks than the study's, which a paper may list as a row."""
    dense = frame[frame["method"] == DENSE].groupby("label", sort=False)
    others = {(str(label), 0.0): Group(str(label), 0.0, rows) for label, rows in dense}
    return {**others, **split_groups(frame).members}


def _block_of(target: float, printed: list[Published]) -> tuple[str, float]:
    """The paper's block nearest to a sparsity, if it is within BLOCK_MISS, else a block of its own."""
    near = [p for p in printed if p.target is not None and abs(p.target - target) <= BLOCK_MISS + 1e-9]
    nearest = min(near, key=lambda p: abs((p.target or 0.0) - target), default=None)
    return (nearest.block, nearest.target or 0.0) if nearest else (heading(target), target)


def stands_beside(printed: Published, row: Row) -> bool:
    """Whether a printed row is of the same method and options as a row of a study, at its sparsity.

    A sparsity within BLOCK_MISS is near enough. The sparsity of the printed block does not count: rows of a block may
    be 7 points apart. A row that is only listed has no options to compare.
    """
    if printed.ours != row.method or (row.run is None and printed.sparsity is None):
        return False
    if printed.pruned is not None and abs(printed.pruned - row.sparsity) > BLOCK_MISS + 1e-9:
        return False
    options = _resolved(row)
    return all(_holds(options.get(name), value) for name, value in printed.condition)


def _resolved(row: Row) -> dict[str, Any]:
    defaults = {name: option.default for name, option in describe(row.method).options.items()}
    network = dict(row.run.model_options) if row.run is not None else {}
    return {**network, **defaults, **dict(row.options)}


def _holds(actual: Any, wanted: Any) -> bool:
    return bool(actual) if wanted == "set" else actual == wanted
