"""The command that tests claims about a study."""

from __future__ import annotations

from pathlib import Path

import click

from ..api.errors import UserError
from .options import Selection, json_option, open_store, print_json, results_option, selection_options, study_argument
from .output import INCOMPLETE, emit, output_option
from .present import accuracy_option

FAILS = 1
"""Exit code where a claim fails; INCOMPLETE where none fails and some are undecided."""


@click.command
@study_argument
@click.argument("claims", metavar="[CLAIM]...", nargs=-1)
@click.option("--format", default="md", help="md, latex, csv or html.")
@accuracy_option
@output_option
@json_option
@selection_options
@results_option
def claim(
    study: str,
    claims: tuple[str, ...],
    format: str,
    accuracy: str,
    output: Path | None,
    as_json: bool,
    selection: Selection,
    results: Path,
) -> None:
    """Test claims such as 'global_mp >= snip at 90%, 95% within 0.5': does each hold, fail, or need more seeds?

    Without CLAIM: those that the study file lists under `claims`. Exits with 0 if all hold, 1 if one fails, 3 if none
    fails and one is undecided.
    """
    from ..analysis.claims import check_claims
    from ..analysis.study_results import read_results
    from ..analysis.verdict import UNDECIDED
    from ..studies.claims import read_claim
    from ..studies.trials import named_rows
    from ..tables.claims import claims_table
    from ..tables.kinds import render
    from ..tables.table import table_as_dict

    store = open_store(results)
    opened = selection.open_shown(study, store)
    texts = claims or tuple(opened.file.claims)
    if not texts:
        raise UserError(f"study {opened.name!r} lists no claims; give one: 'A >= B at 90%'")
    read = [read_claim(text, named_rows(opened.file, opened.rows)) for text in texts]
    frame = read_results(opened, store).frame
    findings = check_claims(read, frame, accuracy)
    table = claims_table(findings, frame, accuracy)
    if as_json:
        print_json({"study": opened.name, "table": table_as_dict(table)})
    else:
        emit(render(table, format), output)
    verdicts = {finding.verdict for finding in findings}
    raise click.exceptions.Exit(FAILS if "fails" in verdicts else INCOMPLETE if UNDECIDED in verdicts else 0)


COMMANDS = (claim,)
