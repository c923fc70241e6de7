"""Commands that move results between machines: merge, record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..analysis.plain_text import one_line
from ..api.errors import Damaged, UserError
from ..runs.store import Store
from .options import (
    Selection,
    check_writable,
    open_store,
    results_option,
    say,
    selection_options,
    study_argument,
    whole,
)
from .output import finish, strict_option

if TYPE_CHECKING:
    from ..exchange.merge import Merge, Step
    from ..exchange.sources import Found


@click.command
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), metavar="DIR", help="The results folder; that of --results.")
@click.option("--dry-run", is_flag=True, help="Only say what would be merged.")
@results_option
def merge(folders: tuple[Path, ...], into: Path | None, dry_run: bool, results: Path) -> None:
    """Copy results of other machines, or committed records, into a results folder.

    FOLDER is a results folder, or one of records (see `record`). A run that is there with an equal result is skipped;
    one with another result is named and both are kept (of two FOLDERs, that of the first is taken). So are pairs that
    `measure` has measured. Exits with 1 if results contradict each other, or where some are damaged.
    """
    from ..exchange.merge import plan_merge
    from ..exchange.pairs import copy_pair, plan_pairs
    from ..exchange.sources import read_sources

    root = into or results
    if root.exists() and not root.is_dir():
        raise UserError(f"--into {root} is a file, not a folder")
    for folder in folders:
        if folder.resolve() == root.resolve():
            raise UserError(f"{folder} is the results folder itself")
    if not dry_run:
        check_writable(root)
    found = [read_sources(folder) for folder in folders]
    made = plan_merge([source for each in found for source in each.sources], Store(root))
    for line in _lines(found, made, root):
        say(one_line(line))
    damaged = {path: reason for each in found for path, reason in each.damaged.items()}
    pairs = plan_pairs([pair for each in found for pair in each.pairs], Store(root), made.weights_of)
    for line in (*pairs.conflicts, *pairs.left_out):
        say(one_line(line))
    num_copied = Counter(step.action for step in made.steps if dry_run or _copied(step, damaged))
    num_pairs = sum(dry_run or copy_pair(step, say) for step in pairs.steps.values())
    _say_damaged(damaged)
    parts = _parts(num_copied, made, dry_run=dry_run)
    if pairs.steps or pairs.num_equal:
        noun = "pair" if num_pairs == 1 else "pairs"
        parts.append(f"{num_pairs} {noun} {'to copy' if dry_run else 'copied'}, {pairs.num_equal} equal")
    num_conflicts = len(made.conflicts) + len(pairs.conflicts)
    parts += [f"{num_conflicts} in conflict"] * bool(num_conflicts)
    parts += [f"{len(damaged)} damaged"] * bool(damaged)
    say(f"{root}: {', '.join(parts)}")
    raise click.exceptions.Exit(1 if num_conflicts or damaged else 0)


def _copied(step: Step, damaged: dict[Path, str]) -> bool:
    from ..exchange.copy_run import Taken, copy_run

    try:
        for line in copy_run(step):
            say(one_line(line))
    except Damaged as error:
        damaged[error.path] = error.reason
        return False
    except Taken as error:
        say(one_line(f"left out: {error}"))
        return False
    return True


def _lines(found: Sequence[Found], made: Merge, root: Path) -> list[str]:
    """What the user should know about the sources before anything is copied."""
    from ..exchange.origins import origin_lines

    lines = [f"left out: {path} is computed by {who}" for each in found for path, who in each.running.items()]
    lines += [
        f"{each.root}: runs without a result, left out: {each.num_without_result}"
        for each in found
        if each.num_without_result
    ]
    lines += [
        f"{path} is damaged ({reason}); it is set aside if a whole result is merged"
        for path, reason in made.damaged.items()
    ]
    lines += [conflict.line() for conflict in made.conflicts]
    merged = [(each.root, source.result) for each in found for source in each.sources]
    return [*lines, *origin_lines([*_stored(root), *merged])]


def _stored(root: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    """The stored results, without damaged ones."""
    from ..exchange.compare_folders import read_stored

    if not any(root.glob("dense/*/result.json")) and not any(root.glob("*/runs/*/result.json")):
        return []
    return [(root, stored.result) for stored in read_stored(root, note=lambda error: None)]


def _say_damaged(damaged: Mapping[Path, str]) -> None:
    for path, reason in sorted(damaged.items()):
        say(one_line(f"damaged and left out: {path}: {reason}"))


def _parts(num_copied: Mapping[str, int], made: Merge, *, dry_run: bool) -> list[str]:
    parts = [f"{num_copied['copy']} {'to copy' if dry_run else 'copied'}"]
    if num_copied["complete"]:
        parts.append(f"{num_copied['complete']} {'to complete' if dry_run else 'completed'} with weights and masks")
    return [*parts, f"{made.num_equal} equal and skipped"]


@click.command
@study_argument
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Write here, not to reference/STUDY/runs of the results folder.",
)  # fmt: skip
@strict_option
@selection_options
@results_option
def record(study: str, output: Path | None, strict: bool, selection: Selection, results: Path) -> None:
    """Write what is stored of a study as small files for version control, without weights and masks.

    There is one for each run, and in the folder `pairs` one for each measured pair of retrainings.

    `merge` reads them on another machine, which then has the results and computes the rest of the study.
    """
    from ..exchange.pairs import write_pair_records
    from ..exchange.records import write_records
    from ..studies.pairs import pairs_of
    from ..studies.plan import with_parents

    store = open_store(results)
    opened = whole(selection.open(study), store)
    target = output or results / "reference" / opened.name / "runs"
    written = write_records(opened.name, with_parents(opened.runs), store, target)
    pairs = [pair.runs for pair in pairs_of(opened.rows)] if opened.file.measure else []
    written = [written, write_pair_records(opened.name, pairs, store, target)]
    new, changed, equal = (sum(getattr(each, key) for each in written) for key in ("new", "changed", "equal"))
    say(f"{target}: {new} new records, {changed} changed, {equal} there already")
    finish([opened], store, strict)


COMMANDS = (merge, record)
