"""What the paper's tables say of its own method and the others, and whether the runs here say so too.

A claim is one printed order: of two rows of a block, at least one of them of the method that the paper proposes, the
one with the higher number.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .frame_type import Frame
from .older import is_older
from .paired import PairedComparison
from .published import Published
from .published_lines import Line, pair_lines
from .verdict import NOT_DISTINGUISHABLE, TOO_FEW_PAIRS, UNDECIDED, Outcome, Verdict, compare_groups, verdict

if TYPE_CHECKING:
    from ..studies.load import Study


@dataclass(frozen=True, kw_only=True)
class Claim:
    """`higher` is printed above `lower`, by `printed` points; both have a printed row.

    Attributes:
        comparison: paired differences higher - lower of the runs here.
        reason: why it is undecided, empty otherwise.
    """

    block: str
    higher: str
    lower: str
    printed: float
    comparison: PairedComparison
    outcome: Outcome
    reason: str = ""

    @property
    def text(self) -> str:
        """`Global MP (one-shot) above SNIP at 90 %`."""
        return f"{self.higher} above {self.lower} at {self.block}"


Entry = tuple[Published, Line]
"""A printed row and its line, which has the group of ours beside it, if there is one."""

_OUTCOMES: dict[Verdict, tuple[Outcome, str]] = {
    "higher": ("holds", ""),
    "lower": ("fails", ""),
    "not distinguishable": (UNDECIDED, NOT_DISTINGUISHABLE),
    "too few pairs": (UNDECIDED, TOO_FEW_PAIRS),
}


def printed_claims(study: Study, frame: Frame, printed: list[Published], column: str) -> list[Claim]:
    """Every claim of the table, in the order of its blocks. Rows that are printed off their block are not compared.

    Of several rows of the study beside one printed row, the first one counts: the others are variants of it.
    """
    beside: dict[Published, Line] = {}
    for line in pair_lines(study, frame, printed):
        if line.printed is not None and not line.printed.is_off_block:
            beside.setdefault(line.printed, line)
    pairs = itertools.combinations(beside.items(), 2)
    return [_judged(*pair, column) for pair in pairs if _is_claim(*pair)]


def _is_claim(first: Entry, second: Entry) -> bool:
    (one, line), (other, beside) = first, second
    return line.block == beside.block and (one.is_own or other.is_own) and one.accuracy != other.accuracy


def _judged(first: Entry, second: Entry, column: str) -> Claim:
    (above, higher), (below, lower) = sorted((first, second), key=lambda entry: -entry[0].accuracy)
    comparison = PairedComparison((), None, None)
    outcome, reason = UNDECIDED, _why_not(above, higher) or _why_not(below, lower)
    if not reason:
        comparison = compare_groups(higher.group, lower.group, column)
        outcome, reason = _OUTCOMES[verdict(comparison)]
    return Claim(
        block=higher.block,
        higher=above.label,
        lower=below.label,
        printed=above.accuracy - below.accuracy,
        comparison=comparison,
        outcome=outcome,
        reason=reason,
    )


def _why_not(printed: Published, line: Line) -> str:
    """Why ours cannot be compared; empty if it can."""
    name, group = printed.label, line.group
    if group is None or group.is_listed_only:
        return f"{name} is not run in this study"
    if not len(group.done):
        return f"no run of {name} is stored"
    if not line.is_comparable:
        return f"{name} is off the sparsity"
    return f"{name} is of older code" if is_older(group.rows) else ""
