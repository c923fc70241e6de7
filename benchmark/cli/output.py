"""Where commands write, and how complete results are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..analysis.plain_text import several_lines
from ..runs.store import LATENCY_FOLDER
from .options import say, say_older

if TYPE_CHECKING:
    from ..runs.store import Store
    from ..studies.load import Study

INCOMPLETE = 3
"""Exit code of --strict where results are incomplete."""

STDOUT = Path("-")

output_option = click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Write here; - is stdout."
)
strict_option = click.option("--strict", is_flag=True, help="Exit with 3 if runs are missing.")


def emit(text: str, output: Path | None) -> None:
    """Print text, or write it to a file and name the file on stderr."""
    if output is None or output == STDOUT:
        # A file or a program gets the text as it is.
        shown = several_lines(text) if sys.stdout.isatty() else text
        print(shown, end="" if text.endswith("\n") else "\n")
        return
    write(output, text)
    say(f"wrote {output}")


def write(path: Path, content: str | bytes) -> None:
    """Write a file, or to stdout. A device or a pipe is written to, never replaced.

    Raises UserError if it cannot be written.
    """
    from ..api.errors import UserError
    from ..runs.files import write_atomically

    if path == STDOUT:
        sys.stdout.buffer.write(content.encode() if isinstance(content, str) else content)
        return
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # As root, renaming a file onto /dev/null would replace it.
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        else:
            write_atomically(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def completeness(study: Study, store: Store) -> dict[str, Any]:
    """How many of the study's runs are stored."""
    folders = (store.folder(study.name, run) for run in study.runs) if store.damaged else ()
    damaged = sum(folder.result_path in store.damaged for folder in folders)
    total, done = len(study.runs), store.num_done(study.name, study.runs) - damaged
    return {"study": study.name, "runs": total, "done": done, "complete": done == total}


RUN_ANEW = "`run` computes anew what is missing"
MEASURE_ANEW = "`latency` measures anew what is missing"
SUBMIT_ANEW = "`submit` computes damaged results anew, and `clean` removes records of jobs that are over"
"""What a message about damaged files advises."""


def say_damaged(damaged: Mapping[Path, str], then: str = RUN_ANEW) -> None:
    """One message that names every file that could not be read."""
    if damaged:
        say("\n".join(damage_lines(damaged, then)))


def damage_lines(damaged: Mapping[Path, str], then: str) -> list[str]:
    """A line that counts the damaged files and one for each; empty if there are none."""
    if not damaged:
        return []
    files = "1 damaged file" if len(damaged) == 1 else f"{len(damaged)} damaged files"
    named = [f"  {path}: {reason}" for path, reason in sorted(damaged.items())]
    return [f"{files}, left out here; {then}:", *named]


def finish(studies: Sequence[Study], store: Store, strict: bool) -> None:
    """Say what is damaged, missing or of older code; exit with INCOMPLETE if `strict` and a run is missing."""
    measured = {path: reason for path, reason in store.damaged.items() if path.parent.name == LATENCY_FOLDER}
    say_damaged({path: reason for path, reason in store.damaged.items() if path not in measured})
    say_damaged(measured, MEASURE_ANEW)
    counts = [completeness(study, store) for study in studies]
    for study, count in zip(studies, counts, strict=True):
        if not count["complete"]:
            say(f"{study.name}: {count['done']} of {count['runs']} runs are stored (prunebench run computes the rest)")
    for study in studies:
        say_older(study.name, study.runs, store)
    if strict and (store.damaged or not all(count["complete"] for count in counts)):
        raise click.exceptions.Exit(INCOMPLETE)
