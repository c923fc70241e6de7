"""The head of the report: what the stored runs say, in computed sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..analysis.accuracy import ACCURACIES, NEVER_RANKED, UNRANKED, accuracy_column
from ..analysis.against_controls import controls_sentence
from ..analysis.curves import dense_levels
from ..analysis.frame_type import Frame
from ..analysis.groups import Group, Groups, has_pruned, heading, is_collapsed, split_groups
from ..analysis.interval_text import points
from ..analysis.leaders import Leader, leaders
from ..analysis.older import SET_ASIDE, is_older
from ..analysis.paired import PairedComparison
from ..analysis.printed_orders import Claim, printed_claims
from ..analysis.published import has_published, rows_for
from ..analysis.study_results import StudyResults
from ..tables.accuracy import marks_by_target
from .claim_findings import declared_claims, paper_claims
from .finding import Finding

DIVERGED = "Diverged"
"""How the reason of a run begins whose loss was not finite."""


@dataclass(frozen=True)
class Answer:
    """The lines of the answer, how they were found, and the claims of the paper's table."""

    findings: list[Finding]
    protocol: str
    claims: list[Claim]


def answer(found: StudyResults, accuracy: str) -> Answer:
    """The answer by one accuracy; without findings where nothing is stored."""
    column, groups = accuracy_column(accuracy), split_groups(found.frame)
    claims = []
    if has_published(found.study):
        claims = printed_claims(found.study, found.frame, rows_for(found.study, "published"), column)
    if not (found.frame["state"] == "done").any():
        return Answer([], "", claims)
    findings = [
        *_controls(found, accuracy),
        *_dense(found.frame, column),
        *_best(found.frame, groups, column, found.chance),
        *_collapses(groups, found.chance),
        *_failures(found.frame),
        *_missing(found.frame),
        *declared_claims(found, accuracy),
        *paper_claims(claims, found.study.file.published, accuracy),
    ]
    protocol = (
        f"By the {ACCURACIES[accuracy]}, means over seeds. Differences are paired by seed and dense training. Where "
        "their 95 % Student-t interval holds zero, two rows are not distinguishable, which does not mean equal; "
        "further rows are named so where the table marks them ≈. Intervals are not corrected for the number of rows."
    )
    return Answer(findings, protocol, claims)


def _controls(found: StudyResults, accuracy: str) -> list[Finding]:
    """Whether the row in question beats its controls, of a study that names them: the first thing to know."""
    told = controls_sentence(found, accuracy)
    return [Finding("Controls", told)] if told else []


def _dense(frame: Frame, column: str) -> list[Finding]:
    told = [
        f"{level.label} has {level.mean:.2f} %{_over(len(level.values), level.expected)}"
        for level in dense_levels(frame, column)
        if level.mean is not None
    ]
    return [Finding("Dense", f"{'; '.join(told)}.")] if told else []


def _over(count: int, expected: int) -> str:
    """What a mean is over, where a reader has to know: single runs, and means that lack runs."""
    if count < expected:
        return f" ({count} of {expected} runs)"
    return " (a single run)" if count == 1 else ""


def _best(frame: Frame, groups: Groups, column: str, chance: float) -> list[Finding]:
    """The best row of each sparsity, its distance to the next, and the rows with the sign ≈ in the table."""
    if not has_pruned(frame):
        return [Finding("Pruned", "The chosen rows are dense trainings; nothing is pruned.")]
    if column in map(accuracy_column, UNRANKED):
        return [Finding("Best", f"Not told. {NEVER_RANKED}")]
    marks = marks_by_target(groups, column, chance)
    by_target = {leader.target: leader for leader in leaders(groups, column, chance)}
    findings = []
    for target in groups.targets:
        about = heading(target)
        if target in by_target:
            leader = by_target[target]
            like_best = [name for name, is_like in marks[target].indistinct.items() if is_like]
            findings.append(Finding(about, _best_sentence(leader, like_best)))
        elif stored := [group for (_, at), group in groups.members.items() if at == target > 0 and len(group.done)]:
            findings.append(Finding(about, f"No row can be compared: {_barred(stored)}."))
    if not by_target and not findings:
        sets_own = all(target == 0 for target in groups.targets)
        why = "Rows set their own sparsity, so none is the best at one." if sets_own else "No pruned run is stored yet."
        findings.append(Finding("Pruned", why))
    return findings


def _barred(groups: Sequence[Group]) -> str:
    """Why none of these rows may be the best: `3 missed the sparsity, 1 collapsed or failed`."""
    off, older = [group.is_off_target for group in groups], [is_older(group.rows) for group in groups]
    counts = {
        "missed the sparsity": sum(off),
        "of older code or weights": sum(is_old and not is_off for is_off, is_old in zip(off, older, strict=True)),
    }
    counts["collapsed or failed"] = len(groups) - sum(counts.values())
    told = {why: number for why, number in counts.items() if number}
    return ", ".join(f"all {why}" if len(told) == 1 else f"{number} {why}" for why, number in told.items())


def _best_sentence(leader: Leader, like_best: Sequence[str]) -> str:
    name, over = leader.best.label, _over(len(leader.best.done), len(leader.best.rows))
    mean = f"{100 * leader.mean:.2f} %{over}"
    if leader.runner_up is None:
        text = f"{name} has {mean}; no other row can be compared with it."
    else:
        text = f"{_lead(leader, name, mean)}."
        others = [each for each in like_best if each not in (leader.best.name, leader.runner_up.name)]
        if others:
            text += f" Not distinguishable from it either: {', '.join(_label(each, leader) for each in others)}."
    if leader.collapsed_above:
        text += f" With a higher mean, but a collapsed or failed run: {', '.join(leader.collapsed_above)}."
    return text


def _label(name: str, leader: Leader) -> str:
    return name.removesuffix(f" at {heading(leader.target)}")


def _lead(leader: Leader, name: str, mean: str) -> str:
    assert leader.runner_up is not None
    other, shown = leader.runner_up.label, points(leader.comparison.interval)
    if leader.verdict == "higher":
        return f"{name} is best with {mean}, {shown} above {other}"
    if _are_equal(leader, leader.runner_up):
        return f"{name} has the highest mean, {mean}, and so has {other}: a difference of {shown}"
    told = {
        "not distinguishable": f"{shown} above {other}, which is not distinguishable from it",
        # by the paired runs alone, where rows have different seeds
        "lower": f"but {shown} against {other} in the runs that both have",
        "too few pairs": f"before {other}; too few pairs to tell them apart ({_pairs(leader.comparison)})",
    }[leader.verdict]
    return f"{name} has the highest mean, {mean}, {told}"


def _are_equal(leader: Leader, other: Group) -> bool:
    interval = leader.comparison.interval
    if interval is None or {len(leader.best.done), len(other.done)} != {interval.count}:
        return False
    return f"{100 * abs(interval.mean):.2f}" == "0.00"


def _pairs(comparison: PairedComparison) -> str:
    count = len(comparison.differences)
    return "1 pair of runs" if count == 1 else f"{count or 'no'} pairs of runs"


def _collapses(groups: Groups, chance: float) -> list[Finding]:
    found = [text for group in groups.members.values() if (text := _collapse(group, chance))]
    if not found:
        return []
    return [Finding("Collapsed", f"A layer without weights, or an accuracy at chance: {'; '.join(found)}.", True)]


def _collapse(group: Group, chance: float) -> str:
    number = int(is_collapsed(group.done, chance).sum())
    emptied = int((group.done["empty_layers"].astype(float) > 0).sum())
    if not number:
        return ""
    layers = f", {emptied} with an emptied layer" if emptied else ", at chance"
    name = group.name if group.has_target else group.label
    return f"{name} ({number} of {len(group.done)}{layers})"


def _failures(frame: Frame) -> list[Finding]:
    """Runs that failed, those whose loss was not finite first."""
    failed = frame[frame["state"] == "failed"]
    is_diverged = failed["reason"].astype(str).str.startswith(DIVERGED)
    return [
        Finding(about, f"{_runs(len(rows))} {what}: {_named(rows)}.", True)
        for about, what, rows in (
            ("Diverged", "stopped because the loss was not finite", failed[is_diverged]),
            ("Failed", "failed for another reason (see Failures)", failed[~is_diverged]),
        )
        if len(rows)
    ]


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def _named(rows: Frame) -> str:
    pairs = zip(rows["label"], rows["target"], strict=True)
    counts = Counter(f"{label} at {heading(target)}" if target > 0 else str(label) for label, target in pairs)
    return ", ".join(name if count == 1 else f"{name} ({count})" for name, count in counts.items())


def _missing(frame: Frame) -> list[Finding]:
    planned = frame[~frame["state"].isin(["not run"])]
    states = Counter(planned.loc[~planned["state"].isin(["done", "failed"]), "state"])
    aside = states.pop(SET_ASIDE, 0)
    findings = []
    if states:
        shown = ", ".join(f"{number} {state}" for state, number in states.items())
        findings.append(
            Finding("Incomplete", f"Of {_runs(len(planned))}, {shown}; means are over what is stored.", True)
        )
    if aside:
        findings.append(Finding("Set aside", f"{_runs(aside)} of other code, weights or data, in no mean.", True))
    return findings
