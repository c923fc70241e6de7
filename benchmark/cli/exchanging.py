"""Commands that take results elsewhere: compare, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import (
    DEFAULT_RESULTS,
    Assignments,
    Json,
    Only,
    Plugins,
    Results,
    StudyName,
    open_store,
    open_study,
    print_json,
    say,
)
from .output import Output, Strict, finish, write


def register(app: typer.Typer) -> None:
    for name, command in {"compare": compare, "export": export}.items():
        app.command(name)(command)


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A results folder.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    study: Annotated[str | None, typer.Option("--study", help="Only this study and its dense trainings.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two results folders: which runs differ, by how much, and whether that is beyond seed noise."""
    from ..cells_markdown import to_markdown
    from ..compare import compare_folders
    from ..compare_text import comparison_as_dict, comparison_lines, comparison_table

    found = compare_folders(first, second, study)
    if as_json:
        print_json({"first": str(first), "second": str(second), **comparison_as_dict(found)})
        return
    if found.rows:
        print(to_markdown(comparison_table(found, str(first), str(second))))
    for line in comparison_lines(found):
        print(line)


def export(
    study: StudyName,
    format: Annotated[str, typer.Option("--format", help="csv, or parquet (needs pyarrow).")] = "csv",
    output: Output = None,
    columns: Annotated[bool, typer.Option("--columns", help="Print what every column means instead.")] = False,
    strict: Strict = False,
    assignments: Assignments = None,
    only: Only = None,
    results: Results = DEFAULT_RESULTS,
    plugins: Plugins = None,
) -> None:
    """Write all runs of a study as one tidy file, stored or not."""
    from ..errors import UserError
    from ..export import describe_columns, export_bytes
    from ..frame import study_frame

    opened = open_study(study, assignments, only, plugins)
    if columns:
        for name, kind, meaning in describe_columns():
            print(f"{name}\t{kind}\t{meaning}")
        return
    store = open_store(results)
    content = export_bytes(study_frame(opened, store), format)
    if output is not None:
        write(output, content)
        say(f"wrote {output}")
    elif format == "csv":
        print(content.decode(), end="")
    else:
        raise UserError(f"format {format!r} is binary: name a file with --output")
    finish([opened], store, strict)
