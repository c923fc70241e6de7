"""Commands of the leaderboard: publish, submit-result."""

from __future__ import annotations

from pathlib import Path

import click

from ..analysis.plain_text import one_line
from ..runs.number_of import number_of
from .options import Selection, add_plugins, plugin_option, say

REFERENCE, CONTRIBUTED = Path("results/reference"), Path("results/contributed")


@click.command
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--from", "folders", multiple=True, type=click.Path(path_type=Path), metavar="FOLDER",
    help="Of reference folders or contributions; may be repeated. [default: results/reference and results/contributed]",
)  # fmt: skip
@plugin_option
def publish(target: Path, folders: tuple[Path, ...], plugins: tuple[str, ...]) -> None:
    """Write the leaderboard into DIR: a page that opens offline, and a file of JSON for each result.

    FOLDER has the folder of a study for each study, as in results/reference, or files that `submit-result` wrote.
    """
    from ..leaderboard.collect import collect
    from ..leaderboard.page import check_target
    from ..leaderboard.page import publish as write

    add_plugins(plugins)
    check_target(target)
    found = collect(folders or (REFERENCE, *([CONTRIBUTED] if any(CONTRIBUTED.glob("*.json")) else [])))
    for line in found.left_out:
        say(one_line(f"left out: {line}"))
    made = write(found, target)
    removed = f", {made.removed} removed" if made.removed else ""
    say(
        f"{target / 'index.html'}: {number_of(made.rows, 'row')} in {number_of(made.tables, 'table')}, "
        f"{number_of(made.results, 'result')} "
        f"({made.changed} new or changed{removed})"
    )


@click.command("submit-result")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--study", metavar="STUDY", help="Name or file; the study that the results name, if the suite has it.")
@click.option("--name", metavar="NAME", help="Of the contribution and its file; the study's name if not given.")
@click.option("--by", default="", metavar="TEXT", help="Who contributes it; shown on the page.")
@click.option("--source", default="", metavar="URL", help="Where the code of plug-ins can be read.")
@click.option(
    "--into", type=click.Path(path_type=Path), default=CONTRIBUTED, metavar="DIR", help="Where the file goes."
)
@plugin_option
def submit_result(
    folder: Path, study: str | None, name: str | None, by: str, source: str, into: Path, plugins: tuple[str, ...]
) -> None:
    """Check results of a study, and write the file that adds them to the leaderboard.

    FOLDER is a results folder, or one of records (see `record`). Every run of the study must be there, of present or
    released code, and exact; failed runs count. What is wrong is named line by line; then nothing is written.
    """
    from ..exchange.sources import read_sources
    from ..leaderboard.contribute import Asked, check, contribution, results_root, study_name, write_path
    from ..leaderboard.schema import as_json, check_name
    from ..runs.files import write_atomically
    from ..runs.store import Store

    root = results_root(folder)
    found, store = read_sources(root), Store(root)
    opened = Selection(plugins=plugins).open_shown(
        study or (study_name(found) if root == folder else folder.name), store
    )
    asked = Asked(name=check_name(name or opened.name), by=by, source=source)
    path = write_path(into, asked.name)
    checked = check(opened, found, store, asked)
    for line in checked.problems:
        say(one_line(line))
    if checked.problems:
        say(f"{len(checked.problems)} problem{'s' * (len(checked.problems) != 1)}; nothing was written")
        raise click.exceptions.Exit(2)
    write_atomically(path, as_json(contribution(asked, checked.results)))
    say(f"wrote {path}: {len(checked.results)} results of study {opened.name}; `prunebench publish DIR` shows them")


COMMANDS = (publish, submit_result)
