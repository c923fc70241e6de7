"""The command that writes the networks of stored runs to a folder, to be loaded by name."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..api.errors import UserError
from ..runs.gpus import default_jobs
from ..runs.settings import Settings
from .options import (
    Selection,
    ask_without_weights,
    complete_study,
    data_root_option,
    open_store,
    results_option,
    say,
    selection_options,
)
from .output import INCOMPLETE, say_damaged, strict_option

if TYPE_CHECKING:
    from ..release.write import Chosen
    from ..studies.load import Study


@click.command("export-zoo")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, shell_complete=complete_study)
@click.option("--run", "computes", is_flag=True, help="First compute what is missing, as `run --keep-weights` does.")
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="With --run, runs at once; 0: one a core or GPU.")
@click.option("--license", "licence", metavar="ID", help="Licence of the weights, for the cards: mit, cc-by-4.0.")
@strict_option
@data_root_option
@selection_options
@results_option
def export_zoo(
    folder: Path,
    studies: tuple[str, ...],
    computes: bool,
    jobs: int,
    licence: str | None,
    strict: bool,
    data_root: Path | None,
    selection: Selection,
    results: Path,
) -> None:
    """Write the networks of studies to a new folder DIR, from which prunebench.load_pruned loads them by name.

    A network is there if its run is stored and kept its weights (`run --keep-weights`). It gets a folder with weights,
    masks, its result and a card; index.json lists all with their numbers and the SHA-256 of their files. A web server
    that serves DIR is a mirror of it.
    """
    from ..release.write import check_new, choose, write_release

    check_new(folder)
    store = open_store(results)
    code = 0
    for study in [selection.open(name) for name in studies]:  # all are read before the first is computed
        if computes:
            code = _compute(study, selection, results, data_root, jobs) or code
    opened = [selection.open_shown(study, store) for study in studies]
    chosen = choose(opened, store)
    say_damaged(store.damaged)
    _say_left_out(chosen, opened)
    if not chosen.networks:
        names = " ".join(study.name for study in opened)
        raise UserError(f"nothing to write: no run of {names} is stored with its weights in {results}; --run computes")
    num_bytes = write_release(chosen, folder, licence)
    say(f"wrote {len(chosen.networks)} networks to {folder} ({num_bytes / 1e6:.1f} MB)")
    is_whole = not (chosen.num_missing or chosen.without_weights or chosen.older or store.damaged)
    raise click.exceptions.Exit(code or (INCOMPLETE if strict and not is_whole else 0))


def _compute(opened: Study, selection: Selection, results: Path, data_root: Path | None, jobs: int) -> int:
    from .compute_study import Asked, compute_study
    from .tuning import run_stages

    settings = Settings(
        results=results, data_root=data_root, keep_weights=True, plugins=selection.plugin_paths(opened)
    )  # fmt: skip
    ask_without_weights(opened.name, opened.runs, open_store(results))
    asked = Asked(
        settings, jobs or default_jobs(settings.device), time.monotonic(), None, retry_failed=False, recompute=False
    )
    return run_stages(opened, asked) if opened.file.tune else compute_study(opened, asked)


def _say_left_out(chosen: Chosen, studies: Sequence[Study]) -> None:
    names = ", ".join(study.name for study in studies)
    for rows, why, then in (
        (chosen.without_weights, "without weights here", "--run computes them again and keeps their weights"),
        (chosen.older, "of older code", "`run --recompute --keep-weights` computes them again"),
    ):
        if rows:
            told = ", ".join(f"{count} of {label}" for label, count in Counter(rows).items())
            say(f"left out: {len(rows)} results {why} ({told}); {then}")
    if chosen.num_missing:
        say(f"{names}: {chosen.num_missing} runs are not stored; --run computes them")


COMMANDS = (export_zoo,)
