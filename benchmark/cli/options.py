"""Options that several commands share."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...datasets.parts.roots import reading_from
from ..analysis.plain_text import several_lines
from ..api.errors import UserError
from ..runs.store import Store

if TYPE_CHECKING:
    from ..runs.run import Run
    from ..studies.load import Study

DEFAULT_RESULTS = Path("results")


def complete_study(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from ..studies.load import study_names

    return [name for name in study_names() if name.startswith(incomplete)]


study_argument = click.argument("study", metavar="STUDY", shell_complete=complete_study)
set_option = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a value of the study file."
)
only_option = click.option(
    "--only", multiple=True, metavar="KEY=VALUE", help="Only runs of a method, sparsity, seed, retrain_seed or label."
)


def _must_be_a_folder(_context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """A missing folder is allowed: it is made, or has no results."""
    if path is not None and path.exists() and not path.is_dir():
        raise UserError(f"--{parameter.name} {path} is a file, not a folder")
    return path


results_option = click.option(
    "--results", type=click.Path(path_type=Path), default=DEFAULT_RESULTS, envvar="PRUNEBENCH_RESULTS", metavar="DIR",
    help="The results folder.", callback=_must_be_a_folder,
)  # fmt: skip


def _read_from(context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Set the data root for the whole command: descriptions of the user's own data read their files."""
    if path is not None:
        context.with_resource(reading_from(path))
    return path


data_root_option = click.option(
    "--data-root", type=click.Path(path_type=Path), envvar="PRUNEBENCH_DATA", metavar="DIR",
    help="Where data sets are.", callback=_read_from,
)  # fmt: skip
plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE",
    help="A Python file with methods, models or data sets of your own.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def add_plugins(paths: Sequence[str]) -> None:
    """Register what these files offer; say once in a command which old import paths they and installed ones use."""
    from ..runs.plugins import add_plugin

    for path in paths:
        add_plugin(path)
    _say_old_imports()


def _say_old_imports() -> None:
    from ...methods.registry import old_import_lines

    said = click.get_current_context().meta.setdefault("prunebench.old_imports", set())
    for line in old_import_lines():
        if line not in said:
            say(line)
            said.add(line)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The values of --set, --only and --plugin."""

    assignments: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()

    def plugin_paths(self, study: Study) -> tuple[str, ...]:
        """Those of the study too, as absolute paths: workers and jobs may run in another folder."""
        return tuple(dict.fromkeys([*(str(Path(path).resolve()) for path in self.plugins), *study.plugins]))

    def open(self, study: str) -> Study:
        """Register the plug-ins, then read the study, which may name others."""
        from ..studies.load import load_study

        add_plugins(self.plugins)
        opened = load_study(study, self.assignments, self.only)
        _say_old_imports()
        return opened

    def open_shown(self, study: str, store: Store) -> Study:
        """The rows that tables show: those of the study, and tuned ones where it has `tune`."""
        opened = self.open(study)
        if opened.file.tune is None:
            return opened
        from ..tuning.stages import shown_study

        return shown_study(opened, store)


def whole(study: Study, store: Store) -> Study:
    """The study with every run that is known, trials of a study with `tune` included."""
    if study.file.tune is None:
        return study
    from ..tuning.stages import whole_study

    return whole_study(study, store)


def stage_lines(study: Study, store: Store) -> list[str]:
    """How far the stages of a study with `tune` are; none for others."""
    if study.file.tune is None:
        return []
    from ..tuning.stages import progress

    return progress(study, store).lines()


def stages_as_json(study: Study, store: Store) -> dict[str, Any]:
    """The same as data: budgets, stored trials and the choices, under the key `tuning`."""
    if study.file.tune is None:
        return {}
    from ..tuning.ledger import ledger
    from ..tuning.stages import progress

    found = progress(study, store)
    return {"tuning": {"budgets": [vars(each) for each in ledger(study)], **vars(found)}}


def selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a Selection, which the command gets as `selection`."""

    @set_option
    @only_option
    @plugin_option
    @functools.wraps(command)
    def with_selection(
        *, assignments: tuple[str, ...], only: tuple[str, ...], plugins: tuple[str, ...], **others: Any
    ) -> None:
        command(selection=Selection(assignments=assignments, only=only, plugins=plugins), **others)

    return with_selection


def open_store(results: Path) -> Store:
    return Store(results)


def check_writable(results: Path) -> None:
    """Raises UserError for a results folder that cannot be written or made, before any run is computed."""
    existing = next(path for path in (results.absolute(), *results.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"the results folder {results} cannot be written")


def say_older(study: str, runs: Sequence[Run], store: Store, recompute: bool = False) -> None:
    """Say in one line which stored results are of older code, or mark them to be computed again."""
    from ..runs.recompute import ask
    from ..studies.age import age_lines, counted, older_runs, spelled
    from ..studies.plan import with_parents

    older = older_runs(study, runs, store)
    if not recompute:
        for line in age_lines(study, older.values()):
            say(line)
        return
    for run in with_parents(runs):
        if run.id in older:
            ask(store.folder(study, run))
    what = f" ({spelled(older.values())})" if older else ""
    say(f"{study}: {counted(len(older), 'stored result')} of older code or weights, to be computed anew{what}")


def ask_without_weights(study: str, runs: Sequence[Run], store: Store) -> None:
    """Mark stored results whose weights are not here to be computed again, as their weights are to be kept now."""
    from ..runs.pair_files import has_weights
    from ..runs.recompute import ask, is_done
    from ..studies.age import counted

    folders = [store.folder(study, run) for run in runs]
    lacking = [folder for folder in folders if is_done(folder) and not has_weights(folder)]
    for folder in lacking:
        ask(folder)
    if lacking:
        say(f"{study}: {counted(len(lacking), 'stored result')} without weights here, to be computed anew")


def set_damaged_files_aside(study: str, runs: Sequence[Run], store: Store) -> None:
    """Compare the files beside stored results with their digests: what is damaged is said, and to be computed anew.

    Raises UserError where something is, and the results folder cannot be written.
    """
    from ..runs.damage import set_aside_files
    from ..runs.stored_files import damaged_files

    found = damaged_files(study, runs, store)
    try:
        if found:
            check_writable(store.root)
    except UserError:
        for error in (error for flaws in found.values() for error in flaws):
            say(str(error))
        raise
    for run in found:
        for line in set_aside_files(store.folder(study, run)):
            say(line)


def print_json(content: dict[str, Any]) -> None:
    """One JSON document on stdout, with the version of its shape."""
    print(json.dumps({"schema": 1, **content}, indent=1, allow_nan=False))


def say(message: str) -> None:
    """Messages go to stderr: stdout is for data."""
    print(several_lines(message), file=sys.stderr, flush=True)
