"""Commands that present results: table, plot, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import exchanging
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
from .output import Output, Strict, completeness, emit, finish, write

if TYPE_CHECKING:
    from ..cells import Table
    from ..store import Store
    from ..study import Study

Studies = Annotated[list[str], typer.Argument(metavar="STUDY...", help="Names of studies, or YAML files.")]
Accuracy = Annotated[str, typer.Option("--accuracy", help="last, selected (on validation) or best_test (the paper's).")]
Stat = Annotated[str, typer.Option("--stat", help="std: sample standard deviation; ci: 95 % t-interval.")]


def register(app: typer.Typer) -> None:
    for name, command in {"table": table, "plot": plot, "report": report}.items():
        app.command(name)(command)
    exchanging.register(app)


def table(
    studies: Studies,
    kind: Annotated[
        str | None,
        typer.Option(help="accuracy, flops, macs (of both), layers, cost, rank, paired; else the first two."),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="md, latex, csv or html.")] = "md",
    accuracy: Accuracy = "last",
    stat: Stat = "std",
    against: Annotated[str | None, typer.Option(help="published: ours beside the paper's numbers.")] = None,
    output: Output = None,
    strict: Strict = False,
    as_json: Json = False,
    assignments: Assignments = None,
    only: Only = None,
    results: Results = DEFAULT_RESULTS,
    plugins: Plugins = None,
) -> None:
    """Print tables of results. Without --kind: accuracy and FLOPs, also written to RESULTS/STUDY/tables."""
    from ..cells import table_as_dict
    from ..table import render

    opened = [open_study(name, assignments, only, plugins) for name in studies]
    store = open_store(results)
    tables = _make_tables(kind, opened, store, accuracy, stat, against)
    if as_json:
        content = {"studies": [completeness(study, store) for study in opened]}
        print_json({**content, "tables": [table_as_dict(made) for _, made in tables]})
    else:
        text = "\n".join(render(made, format) for _, made in tables)
        emit(text, output)
    if kind is None and output is None and not as_json:
        _keep(tables, store, is_partial=bool(assignments or only))
    finish(opened, store, strict)


def plot(
    studies: Studies,
    kind: Annotated[
        str | None,
        typer.Option(help="accuracy, macs, layers, training, ranks, critical or published; else those that fit."),
    ] = None,
    accuracy: Accuracy = "last",
    stat: Stat = "std",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Not RESULTS/STUDY/plots.")
    ] = None,
    strict: Strict = False,
    as_json: Json = False,
    assignments: Assignments = None,
    only: Only = None,
    results: Results = DEFAULT_RESULTS,
    plugins: Plugins = None,
) -> None:
    """Draw figures as PNG and PDF and print their paths."""
    from ..plot import figures, save_figure

    opened = [open_study(name, assignments, only, plugins) for name in studies]
    store = open_store(results)
    counts = [completeness(study, store) for study in opened]
    paths = []
    if any(count["done"] for count in counts):
        for (study_name, name), figure in figures(kind, opened, store, accuracy, stat).items():
            paths += save_figure(figure, (output or store.study_folder(study_name) / "plots") / name)
    else:
        say("nothing is stored yet, so nothing is drawn")
    if as_json:
        print_json({"studies": counts, "paths": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)
    finish(opened, store, strict)


def report(
    study: StudyName,
    accuracy: Accuracy = "last",
    output: Output = None,
    strict: Strict = False,
    assignments: Assignments = None,
    only: Only = None,
    results: Results = DEFAULT_RESULTS,
    plugins: Plugins = None,
) -> None:
    """Write one HTML file with tables, curves, runs and raw results; it opens without a network."""
    from ..report import Asked, html_report

    opened = open_study(study, assignments, only, plugins)
    store = open_store(results)
    asked = Asked(study=study, assignments=assignments or (), only=only or (), plugins=plugins or ())
    path = output or store.study_folder(opened.name) / "report.html"
    write(path, html_report(opened, store, asked, accuracy))
    print(path)
    finish([opened], store, strict)


def _make_tables(
    kind: str | None, studies: list[Study], store: Store, accuracy: str, stat: str, against: str | None
) -> list[tuple[Study, Table]]:
    """The kind, or the standard ones, for each study; ranks are one table over all of them."""
    from ..frame import study_frame
    from ..table import make_table, ranks_over

    if kind == "rank" and against is None:
        return [(studies[0], ranks_over(studies, store, accuracy))]
    made = []
    for study in studies:
        frame = study_frame(study, store)
        for each in [kind] if kind else _standard_kinds(study, against):
            made.append((study, make_table(each, study, store, accuracy, stat, against, frame)))
    return made


def _standard_kinds(study: Study, against: str | None) -> list[str]:
    """Accuracy and FLOPs; beside a paper that prints no FLOPs, accuracy alone."""
    if against is None:
        return ["accuracy", "flops"]
    from ..published import rows_for

    prints_flops = any(row.macs_pruned for row in rows_for(study, against))
    return ["accuracy", "flops"] if prints_flops else ["accuracy"]


def _keep(tables: list[tuple[Study, Table]], store: Store, is_partial: bool) -> None:
    """Write the standard tables beside the runs, unless they show a part of the study or no run at all."""
    from ..table import SUFFIXES, render

    if is_partial:
        say("not written to the results folder: --set and --only show other runs than the study's")
        return
    for study, made in tables:
        if completeness(study, store)["done"] == 0:
            continue
        folder = store.study_folder(study.name) / "tables"
        for format in ("md", "csv"):
            path = folder / f"{made.name}{SUFFIXES[format]}"
            write(path, render(made, format))
            say(f"wrote {path}")
