"""What the paper's tables say of its own method and the others, and whether the runs here say so too.

The paper claims that Global MP matches or beats the others; its tables print an order. A claim is one printed order:
of two rows of a block, at least one of them of the paper's method, the one with the higher number.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .frame_type import Frame
from .older import is_older
from .paired import PairedComparison
from .published import Published
from .published_lines import Line, pair_lines
from .verdict import compare_groups, verdict

if TYPE_CHECKING:
    from ..studies.load import Study

OWN = "global_mp"
"""The printed name of the paper's method."""

Outcome = Literal["holds", "fails", "cannot be told"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """`higher` is printed above `lower`, by `printed` points; both have a printed row.

    Attributes:
        comparison: paired differences higher - lower of the runs here.
        reason: why it cannot be told, empty otherwise.
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


def printed_claims(study: Study, frame: Frame, printed: list[Published], column: str) -> list[Claim]:
    """Every claim of the table, in the order of its blocks. Rows that are printed off their block are not compared."""
    lines = [line for line in pair_lines(study, frame, printed) if line.printed and not line.printed.is_off_block]
    return [
        _judged(*pair, column)
        for pair in itertools.combinations(lines, 2)
        if pair[0].block == pair[1].block and _is_claim(*(line.printed for line in pair))
    ]


def _is_claim(first: Published | None, second: Published | None) -> bool:
    assert first is not None
    assert second is not None
    return OWN in (first.method, second.method) and first.accuracy != second.accuracy


def _judged(first: Line, second: Line, column: str) -> Claim:
    assert first.printed is not None
    assert second.printed is not None
    higher, lower = (first, second) if first.printed.accuracy > second.printed.accuracy else (second, first)
    reason = next(filter(None, (_why_not(line) for line in (higher, lower))), "")
    comparison = PairedComparison((), None, None)
    outcome: Outcome = "cannot be told"
    if not reason:
        comparison = compare_groups(higher.group, lower.group, column)
        found = verdict(comparison)
        outcome = {"higher": "holds", "lower": "fails"}.get(found, "cannot be told")
        count = len(comparison.differences)
        reason = {"not distinguishable": found, "too few pairs": f"{count} pairs of runs"}.get(found, "")
    return Claim(
        block=first.block,
        higher=higher.printed.label,
        lower=lower.printed.label,
        printed=abs(first.printed.accuracy - second.printed.accuracy),
        comparison=comparison,
        outcome=outcome,
        reason=reason,
    )


def _why_not(line: Line) -> str:
    """Why ours cannot be compared; empty if it can."""
    assert line.printed is not None
    name, group = line.printed.label, line.group
    if group is None or group.is_listed_only:
        return f"{name} is not run in this study"
    if not len(group.done):
        return f"no run of {name} is stored"
    if not line.is_comparable:
        return f"{name} is off the sparsity"
    return f"{name} is of older code" if is_older(group.rows) else ""
