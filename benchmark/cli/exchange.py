"""Commands that compare and export results: compare, export."""

from __future__ import annotations

from pathlib import Path

import click

from ..analysis.plain_text import one_line
from .options import (
    Selection,
    json_option,
    open_store,
    print_json,
    results_option,
    say,
    selection_options,
    study_argument,
)
from .output import STDOUT, emit, finish, output_option, say_damaged, strict_option, write


@click.command
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@click.option("--study", metavar="NAME", help="Only this study and its dense trainings.")
@json_option
def compare(first: Path, second: Path, study: str | None, as_json: bool) -> None:
    """Compare two results folders: which runs differ, by how much, and which rows are different."""
    from ..exchange.compare_folders import compare_folders
    from ..tables.compare import comparison_as_dict, comparison_lines, comparison_table
    from ..tables.formats.to_markdown import to_markdown

    damaged: dict[Path, str] = {}
    try:
        found = compare_folders(first, second, study, lambda error: damaged.update({error.path: error.reason}))
    finally:
        say_damaged(damaged)
    if as_json:
        print_json({"first": str(first), "second": str(second), **comparison_as_dict(found)})
        return
    if found.rows:
        print(to_markdown(comparison_table(found, str(first), str(second))))
    for line in comparison_lines(found):
        print(one_line(line))


@click.command
@study_argument
@click.option("--format", default="csv", help="csv, or parquet (needs pyarrow).")
@output_option
@click.option("--pairs", is_flag=True, help="Pairs of retrainings, for studies that measure them, instead of runs.")
@click.option("--columns", is_flag=True, help="Print what every column means instead.")
@strict_option
@selection_options
@results_option
def export(
    study: str,
    format: str,
    output: Path | None,
    pairs: bool,
    columns: bool,
    strict: bool,
    selection: Selection,
    results: Path,
) -> None:
    """Write all runs of a study, or all pairs of retrainings, stored or not, to one tidy file.

    Where `prunebench latency` has measured networks of the study, runs also have the median seconds of each variant.
    """
    from ..analysis.export import describe_columns, export_bytes
    from ..analysis.frame import COLUMNS, study_frame
    from ..analysis.last_epochs import fill_last_epochs
    from ..analysis.latency_columns import RUN_LATENCY, with_latency
    from ..analysis.pair_frame import PAIR_COLUMNS
    from ..analysis.study_results import measured_pairs, read_results
    from ..api.errors import UserError

    store = open_store(results)
    opened = selection.open_shown(study, store)
    meanings = PAIR_COLUMNS if pairs else COLUMNS | RUN_LATENCY
    if columns:
        for name, kind, meaning in describe_columns(meanings):
            print(f"{name}\t{kind}\t{meaning}")
        return
    frame = study_frame(opened, store)
    found = read_results(opened, store, frame)
    frame = measured_pairs(found) if pairs else with_latency(fill_last_epochs(frame, opened, store), found)
    content = export_bytes(frame, format)
    if output is not None:
        write(output, content)
        if output != STDOUT:
            say(f"wrote {output}")
    elif format == "csv":
        emit(content.decode(), None)
    else:
        raise UserError(f"format {format!r} is binary: name a file with --output, or - for stdout")
    finish([opened], store, strict)


COMMANDS = (compare, export)
