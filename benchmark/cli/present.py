"""Commands that present results: table, plot, report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..api.errors import UserError
from .options import (
    Selection,
    complete_study,
    json_option,
    open_store,
    print_json,
    results_option,
    say,
    selection_options,
    study_argument,
)
from .output import STDOUT, completeness, emit, finish, output_option, strict_option, write

if TYPE_CHECKING:
    from ..runs.store import Store
    from ..studies.load import Study
    from ..tables.table import Table

OLD_TABLE_KINDS = {"flops": "macs", "perplexity": "bits"}
OLD_PLOT_KINDS = {"macs": "pareto", "perplexity": "bits"}
"""Other names of kinds, which the commands accept: former ones, and what bits per byte are a logarithm of."""

studies_argument = click.argument("studies", metavar="STUDY...", nargs=-1, required=True, shell_complete=complete_study)
accuracy_option = click.option(
    "--accuracy", default="last", help="last, selected (on validation) or best_test (the paper's)."
)
stat_option = click.option("--stat", default="std", help="std: sample standard deviation; ci: 95 % t-interval.")


@click.command
@studies_argument
@click.option(
    "--kind",
    help="accuracy, macs, pareto, latency, layers, cost, selection, rank, paired, bits, tuning, trials, tuning-curve, "
    "connectivity, regimes or regime-choices; else the first two, and the last seven where the study has them.",
)
@click.option("--format", default="md", help="md, latex, csv or html; csv prints one table, so it needs --kind.")
@accuracy_option
@stat_option
@click.option("--against", help="published: our numbers beside the paper's.")
@click.option("--reference", metavar="LABEL", help="For --kind paired: the row to compare with; default: the first.")
@click.option("--caption", metavar="LATEX", help="With --format latex, for one table: LaTeX source of its caption.")
@click.option("--label", metavar="NAME", help="With --format latex, for one table; default: tab:STUDY-KIND.")
@output_option
@strict_option
@json_option
@selection_options
@results_option
def table(
    studies: tuple[str, ...],
    kind: str | None,
    format: str,
    accuracy: str,
    stat: str,
    against: str | None,
    reference: str | None,
    caption: str | None,
    label: str | None,
    output: Path | None,
    strict: bool,
    as_json: bool,
    selection: Selection,
    results: Path,
) -> None:
    """Print tables of results. Without --kind: accuracy and multiply-adds, also written to RESULTS/STUDY/tables."""
    from ..tables.kinds import check_format, render_all
    from ..tables.table import table_as_dict

    check_format(format)
    if kind == "macs":
        say("--kind macs shows multiply-adds; the Pareto table, which had this name before, is --kind pareto")
    kind = OLD_TABLE_KINDS.get(kind or "", kind)
    is_partial = bool(selection.assignments or selection.only)
    files_only = format == "csv" and kind is None and against is None and not as_json
    if files_only and (output is not None or is_partial):
        raise UserError("a CSV file holds one table: --format csv needs --kind, with --output, --set and --only too")
    store = open_store(results)
    opened = [selection.open_shown(name, store) for name in studies]
    tables = _make_tables(kind, opened, store, accuracy, stat, against, reference)
    _check_latex(format, caption, label, len(tables))
    if as_json:
        content = {"studies": [completeness(study, store) for study in opened]}
        print_json({**content, "tables": [table_as_dict(made) for _, made in tables]})
    elif files_only:
        say("a CSV file holds one table: --kind chooses one to print; without it, only files are written")
    else:
        emit(render_all([made for _, made in tables], format, caption, label), output)
    if kind is None and output is None and not as_json:
        _keep(tables, store, is_partial)
    finish(opened, store, strict)


def _check_latex(format: str, caption: str | None, label: str | None, num_tables: int) -> None:
    """Raises UserError for a caption or label of another format or of several tables, and for characters of labels."""
    given = [name for name, value in (("--caption", caption), ("--label", label)) if value is not None]
    if given and format != "latex":
        raise UserError(f"{given[0]} goes with --format latex, not {format!r}")
    if given and num_tables > 1:
        raise UserError(f"{given[0]} is of one table, and these are {num_tables}: choose one with --kind")
    if label is not None and not re.fullmatch(r"[A-Za-z0-9:._/-]+", label):
        raise UserError(f"--label {label!r}: it must be of letters, digits and : . _ / -")


@click.command
@studies_argument
@click.option(
    "--kind",
    help="accuracy, bits, pareto, latency, layers, training, ranks, critical, published, regimes or tuning; else those "
    "that fit.",
)
@accuracy_option
@stat_option
@click.option(
    "--highlight",
    multiple=True,
    metavar="METHOD",
    help="A method or the label of a row, in colour before all others in grey; may be given several times.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Not RESULTS/STUDY/plots.")
@strict_option
@json_option
@selection_options
@results_option
def plot(
    studies: tuple[str, ...],
    kind: str | None,
    accuracy: str,
    stat: str,
    highlight: tuple[str, ...],
    output: Path | None,
    strict: bool,
    as_json: bool,
    selection: Selection,
    results: Path,
) -> None:
    """Draw figures as PNG and PDF and print their paths."""
    from ..plots.kinds import check_kind, figures, save_figure

    kind = OLD_PLOT_KINDS.get(kind or "", kind)
    check_kind(kind)
    store = open_store(results)
    opened = [selection.open_shown(name, store) for name in studies]
    counts = [completeness(study, store) for study in opened]
    paths = []
    if any(count["done"] for count in counts):
        for (study_name, name), figure in figures(kind, opened, store, accuracy, stat, highlight).items():
            paths += save_figure(figure, (output or store.study_folder(study_name) / "plots") / name)
    else:
        say("nothing is stored yet, so nothing is drawn")
    if as_json:
        print_json({"studies": counts, "paths": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)
    finish(opened, store, strict)


@click.command
@study_argument
@accuracy_option
@output_option
@strict_option
@selection_options
@results_option
def report(
    study: str,
    accuracy: str,
    output: Path | None,
    strict: bool,
    selection: Selection,
    results: Path,
) -> None:
    """Write one HTML file with tables, curves, runs and raw results; it opens without a network."""
    from ..report.page import Asked, html_report

    store = open_store(results)
    opened = selection.open_shown(study, store)
    asked = Asked(study=study, assignments=selection.assignments, only=selection.only, plugins=selection.plugins)
    page = html_report(opened, store, asked, accuracy)
    path = output or store.study_folder(opened.name) / "report.html"
    write(path, page)
    if path != STDOUT:
        print(path)
    finish([opened], store, strict)


def _make_tables(
    kind: str | None,
    studies: list[Study],
    store: Store,
    accuracy: str,
    stat: str,
    against: str | None,
    reference: str | None,
) -> list[tuple[Study, Table]]:
    """Tables of this kind, or of the standard kinds, for each study; ranks are one table over all studies."""
    from ..analysis.frame import study_frame
    from ..tables.kinds import check_reference, make_table, ranks_over

    check_reference(kind, reference)
    if kind == "rank" and against is None:
        return [(studies[0], ranks_over(studies, store, accuracy))]
    made = []
    for study in studies:
        frame = study_frame(study, store)
        for each in [kind] if kind else _standard_kinds(study, against):
            made.append((study, make_table(each, study, store, accuracy, stat, against, frame, reference)))
    return made


def _standard_kinds(study: Study, against: str | None) -> list[str]:
    """Bits of texts, accuracy, multiply-adds, and what is tuned or measured; accuracy alone beside a table that has no
    other.
    """
    if against is None:
        from ..tables.kinds import OF_PAIRS, OF_TEXTS, OF_TUNED

        of_some = [kind for kind, has in {**OF_TUNED, **OF_PAIRS}.items() if has(study)]
        return [*(kind for kind, has in OF_TEXTS.items() if has(study)), "accuracy", "macs", *of_some]
    from ..analysis.published import rows_for

    prints_macs = any(row.macs_pruned for row in rows_for(study, against))
    return ["accuracy", "macs"] if prints_macs else ["accuracy"]


def _keep(tables: list[tuple[Study, Table]], store: Store, is_partial: bool) -> None:
    """Write the standard tables beside the runs, unless they show a part of the study or no run at all."""
    from ..tables.kinds import SUFFIXES, render

    if is_partial:
        say("not written to the results folder: --set and --only select other runs than the study's")
        return
    for study, made in tables:
        if completeness(study, store)["done"] == 0:
            continue
        folder = store.study_folder(study.name) / "tables"
        for format in ("md", "csv"):
            path = folder / f"{made.name}{SUFFIXES[format]}"
            try:
                write(path, render(made, format))
            except UserError as error:
                # The results may be another user's and read-only; the table has been printed.
                say(f"not kept in the results folder: {error}")
                return
            say(f"wrote {path}")


COMMANDS = (table, plot, report)
