"""Whether claims about rows of a study hold: paired over seeds, with Holm's correction over all claims tested together.

Each claim at each sparsity is a two-sided t-test of paired differences at 5 %. A claim holds, or fails, only where the
corrected test tells the difference from what the claim allows; otherwise it is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..studies.claims import Claim
from .accuracy import accuracy_column
from .failures import is_counted
from .frame_type import Frame
from .groups import Group, is_apart
from .paired import LEVEL, MIN_INTERVAL, Interval, resolution, sample_std, seed_differences, t_interval
from .ranks import holm
from .verdict import UNDECIDED, Outcome


@dataclass(frozen=True)
class Finding:
    """One claim at one sparsity.

    Attributes:
        interval: difference of accuracies, the claimed better one minus the other, as a fraction, with its 95 %
            Student-t interval, not corrected; None without a pair of runs.
        p_value: two-sided and corrected by Holm over all findings; None below three pairs.
        is_apart: whether the rows reached sparsities more than MAX_MISS apart.
    """

    claim: Claim
    target: float
    interval: Interval | None
    p_value: float | None
    verdict: Outcome
    is_apart: bool = False


def check_claims(claims: Sequence[Claim], frame: Frame, accuracy: str = "last") -> list[Finding]:
    """A finding for each claim and sparsity, in their order. Runs that were set aside are not in `frame`."""
    column = accuracy_column(accuracy)
    tested = [
        (claim, target, *_differences(claim, target, frame, column)) for claim in claims for target in claim.targets
    ]
    raw = {
        index: _p_value(differences, step, claim)
        for index, (claim, _, differences, step) in enumerate(tested)
        if len(differences) >= MIN_INTERVAL
    }
    adjusted = holm(raw)
    return [
        Finding(
            claim=claim,
            target=target,
            interval=t_interval(differences, smallest_std=step / 2) if differences else None,
            p_value=adjusted.get(index),
            verdict=_verdict(claim, differences, adjusted.get(index)),
            is_apart=is_apart(*(_group(label, target, frame) for label in (claim.better, claim.worse))),
        )
        for index, (claim, target, differences, step) in enumerate(tested)
    ]


def _differences(claim: Claim, target: float, frame: Frame, column: str) -> tuple[list[float], float]:
    """Paired differences, and the smallest step between the accuracies."""
    better, worse = (_rows(label, target, frame) for label in (claim.better, claim.worse))
    step = resolution([*better[column].dropna(), *worse[column].dropna()])
    return seed_differences(better, worse, column), step


def _rows(label: str, target: float, frame: Frame) -> Frame:
    """The runs of a label at a sparsity that count; of a row without sparsities, such as a dense one, all."""
    rows = frame[frame["label"] == label]
    of_target = rows["target"] == (target if (rows["target"] > 0).any() else 0)
    return rows[of_target & is_counted(rows)]


def _group(label: str, target: float, frame: Frame) -> Group:
    """A row without sparsities is apart from none."""
    rows = _rows(label, target, frame)
    return Group(label, target if (rows["target"] > 0).any() else 0.0, rows)


def _allowed(claim: Claim) -> float:
    """The least difference that the claim allows, as a fraction."""
    return -(claim.margin or 0) / 100


def _p_value(differences: Sequence[float], step: float, claim: Claim) -> float:
    """Two-sided p-value of a mean difference of just what the claim allows."""
    from scipy.special import stdtr

    count = len(differences)
    std = max(sample_std(differences) or 0.0, step / 2)
    t = (math.fsum(differences) / count - _allowed(claim)) / (std / math.sqrt(count))
    return float(2 * stdtr(count - 1, -abs(t)))


def _verdict(claim: Claim, differences: Sequence[float], p_value: float | None) -> Outcome:
    if p_value is None or p_value > 1 - LEVEL:
        return UNDECIDED
    return "holds" if math.fsum(differences) / len(differences) > _allowed(claim) else "fails"
