"""Does a row beat its controls? One sentence from paired differences, for the head of tables and of the report.

Each control is compared at each sparsity by a paired t-test, corrected by Holm over the sparsities of that control. A
row that beats each control beats all of them without a further correction: the claim is the weakest of its tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..runs.sparsity_met import MAX_MISS
from ..studies.claims import Claim
from ..studies.controls import ControlSet, control_set
from .claims import Finding, check_claims
from .frame_type import Frame
from .groups import heading
from .interval_text import points, signed
from .paired import MIN_INTERVAL
from .study_results import StudyResults
from .verdict import UNDECIDED


@dataclass(frozen=True)
class Outcome:
    """What the comparisons with all controls at one sparsity have come to, each from the smallest difference up.

    `few` have fewer than MIN_INTERVAL pairs of runs, `absent` none.
    """

    target: float
    beaten: list[Finding]
    lost: list[Finding]
    open: list[Finding]
    few: list[Finding]
    absent: list[Finding]

    @property
    def findings(self) -> list[Finding]:
        return [*self.beaten, *self.lost, *self.open, *self.few, *self.absent]

    @property
    def beats_all(self) -> bool:
        return len(self.beaten) == len(self.findings)


def controls_sentence(found: StudyResults, accuracy: str = "last") -> str:
    """The sentence; empty for a study without `controls`, and where `--only` leaves nothing to compare."""
    asked = found.study.file.controls
    compared = None if asked is None else control_set(asked, found.study.rows)
    return "" if compared is None else sentence(compared.label, outcomes(compared, found.frame, accuracy))


def outcomes(compared: ControlSet, frame: Frame, accuracy: str) -> list[Outcome]:
    """One for each sparsity at which there is a control, ascending."""
    findings = [
        finding
        for control, targets in compared.controls.items()
        for finding in check_claims([Claim(control, compared.label, control, None, targets)], frame, accuracy)
    ]
    return [
        _outcome(target, [finding for finding in findings if finding.target == target])
        for target in sorted({finding.target for finding in findings})
    ]


def _outcome(target: float, findings: Iterable[Finding]) -> Outcome:
    made = Outcome(target, [], [], [], [], [])
    for finding in findings:
        if finding.interval is None:
            made.absent.append(finding)
        elif finding.interval.count < MIN_INTERVAL:
            made.few.append(finding)
        else:
            {"holds": made.beaten, "fails": made.lost, UNDECIDED: made.open}[finding.verdict].append(finding)
    for part in (made.beaten, made.lost, made.open, made.few):
        part.sort(key=_mean)
    return made


def _mean(finding: Finding) -> float:
    return 0.0 if finding.interval is None else finding.interval.mean


def sentence(label: str, found: Sequence[Outcome]) -> str:
    """Whether the row beats its controls, at which sparsities, and by how much."""
    if all(not (each.beaten or each.lost or each.open) for each in found):
        return _too_few(label, [finding for each in found for finding in each.few])
    whole = [each for each in found if each.beats_all]
    parts = [_whole(whole)] if whole else []
    parts += [f"at {heading(each.target)} it {_partial(each)}" for each in found if not each.beats_all]
    if any(not finding.interval.contains(0.0) for each in found for finding in each.open if finding.interval):
        parts.append("the tests are corrected for the number of sparsities, the intervals are not")
    if apart := dict.fromkeys(_name(each) for one in found for each in one.findings if each.is_apart):
        parts.append(f"{_joined(list(apart))} reached a sparsity more than {100 * MAX_MISS:g} points away")
    return f"{label} {_answer(found)}: {'; '.join(parts)}."


def _answer(found: Sequence[Outcome]) -> str:
    if all(each.beats_all for each in found):
        return "beats its controls"
    if any(each.beats_all for each in found):
        return "beats its controls in part"
    return "does not beat its controls" if any(each.lost for each in found) else "is not shown to beat its controls"


def _too_few(label: str, few: Sequence[Finding]) -> str:
    begin = f"Whether {label} beats its controls cannot be told yet"
    if not few:
        return f"{begin}: no pair of runs is stored."
    most = max(finding.interval.count for finding in few if finding.interval is not None)
    least = min(few, key=_mean)
    return (
        f"{begin}: there {'is' if most == 1 else 'are'} at most {most} {'pair' if most == 1 else 'pairs'} of runs, and "
        f"it takes {MIN_INTERVAL}; the smallest difference is {signed(100 * _mean(least))} points, to "
        f"{_name(least)} at {heading(least.target)}."
    )


def _whole(found: Sequence[Outcome]) -> str:
    """Sparsities at which every control is beaten, and the nearest control."""
    nearest = min(found, key=lambda each: _mean(each.beaten[0]))
    control = nearest.beaten[0]
    where = f", at {heading(nearest.target)}" if len(found) > 1 else ""
    counts = {len(each.beaten) for each in found}
    number = "the only one" if counts == {1} else f"all {max(counts)}" if len(counts) == 1 else "all"
    return (
        f"{number} at {_joined([heading(each.target) for each in found])}, the nearest ({_name(control)}{where}) by "
        f"{points(control.interval)}"
    )


def _partial(each: Outcome) -> str:
    """What it beats, loses to and cannot be told from at a sparsity; the lowest difference of each in numbers."""
    number, parts = len(each.findings), []
    if each.beaten:
        parts.append(f"beats {len(each.beaten)} of {number}")
    if each.lost:
        parts.append(f"loses to {_named(each.lost)}")
    if each.open:
        parts.append(f"cannot be told from {_named(each.open)}")
    if each.few:
        parts.append(f"has too few pairs of runs with {_named(each.few)}")
    if each.absent:
        parts.append(f"has no pair of runs with {_joined(list(map(_name, each.absent)))}")
    return _joined(parts)


def _named(findings: Sequence[Finding]) -> str:
    first, *others = findings
    numbers = points(first.interval).replace(" (", ", ").rstrip(")")
    return _joined([f"{_name(first)} ({numbers})", *map(_name, others)])


def _name(finding: Finding) -> str:
    """The control's label; in quotes where a comma in it would be read as one between labels."""
    label = finding.claim.worse
    return f"“{label}”" if "," in label else label


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
