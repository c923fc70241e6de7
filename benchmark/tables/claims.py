"""Claims of a study and whether they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..analysis.accuracy import ACCURACIES
from ..analysis.claims import Finding
from ..analysis.frame_type import Frame
from ..analysis.groups import heading, subject
from .caption import missing_sentence, prunable_sentence, sentences
from .paired import difference_cell, p_value_cell
from .table import Cell, Column, Roles, Table, TableRow


def claims_table(findings: Sequence[Finding], frame: Frame, accuracy: str) -> Table:
    """A row for each claim and sparsity."""
    num_tests = sum(finding.p_value is not None for finding in findings)
    return Table(
        name="claims",
        title=f"Claims, {subject(frame)}",
        corner="Claim",
        columns=tuple(Column(heading=each) for each in ("sparsity", "difference", "p", "verdict")),
        rows=tuple(TableRow(label=finding.claim.text, cells=_cells(finding)) for finding in findings),
        caption=sentences(
            f"By the {ACCURACIES[accuracy]}. Difference in points, the row claimed to be better minus the other: mean "
            "over pairs of runs with the same seed and dense training, or with the same seed where the two rows never "
            "share a dense training (number of pairs in brackets), ± half the width of its 95 % Student-t interval.",
            "p is that of a two-sided t-test of the difference that the claim allows, corrected by Holm for "
            f"{num_tests} tests, those of three pairs or more; a claim is decided below 0.05. 'Undecided' is no "
            "evidence for either side: more seeds may decide it.",
            prunable_sentence(frame),
            missing_sentence(frame),
        ),
        facts={"accuracy": accuracy, "verdicts": dict(Counter(finding.verdict for finding in findings))},
        roles=Roles(row="row", heading="measure"),
    )


def _cells(finding: Finding) -> tuple[Cell, ...]:
    difference, p_value = difference_cell(finding.interval), p_value_cell(finding.p_value)
    return Cell(text=heading(finding.target)), difference, p_value, Cell(text=finding.verdict)
