"""What claims have come to: those of the study file, and the orders that the paper's table prints."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence

from ..analysis.claims import check_claims
from ..analysis.groups import heading
from ..analysis.printed_orders import Claim
from ..analysis.published import PAPER
from ..analysis.study_results import StudyResults
from ..analysis.verdict import UNDECIDED
from ..api.errors import UserError
from ..studies.claims import read_claim
from ..studies.trials import named_rows
from .finding import Finding

APART = ", though the rows reached sparsities more than 0.1 points apart"


def declared_claims(found: StudyResults, accuracy: str) -> list[Finding]:
    """What the study's own claims have come to, each with its sparsities; corrected for all of them."""
    claims = []
    for text in found.study.file.claims:
        # The file was checked when it was read: what is not understood now is about rows that --only leaves out.
        with contextlib.suppress(UserError):
            claims.append(read_claim(text, named_rows(found.study.file, found.study.rows)))
    tested = check_claims(claims, found.frame, accuracy)
    texts = dict.fromkeys((each.claim.text, each.verdict) for each in tested)
    apart = {each.claim.text for each in tested if each.is_apart}
    found_at = {
        key: ", ".join(heading(each.target) for each in tested if (each.claim.text, each.verdict) == key)
        for key in texts
    }
    return [
        Finding("Claim", f"{text}: {verdict} at {places}{APART * (text in apart)}.", is_warning=verdict == "fails")
        for (text, verdict), places in found_at.items()
    ]


def paper_claims(claims: Sequence[Claim], table: int | None, accuracy: str) -> list[Finding]:
    """How many of the orders that the paper prints hold."""
    if not claims:
        return []
    counts = Counter(claim.outcome for claim in claims)
    text = (
        f"Table {table} of {PAPER} prints the paper's method above or below another row {len(claims)} times. "
        f"Its order holds here: {counts['holds']}; fails: {counts['fails']}; "
        f"undecided: {counts[UNDECIDED]}."
    )
    failing = [claim.text for claim in claims if claim.outcome == "fails"]
    if failing:
        text += f" Failing: {'; '.join(failing)}."
    if accuracy != "best_test":
        text += " The paper's own numbers are of the best test epoch: report --accuracy best_test compares by that."
    return [Finding("The paper", text)]
