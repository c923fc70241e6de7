"""The commands. Parsing and printing only; nothing here loads torch unless a run is computed in this process."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from .. import __version__
from ..errors import UserError
from . import cluster, developing, following, reading, reporting, running

app = typer.Typer(
    name="prunebench",
    help="Compare pruning methods in one train/prune/fine-tune harness.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        print(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


for room in (reading, following, running, cluster, reporting, developing):
    room.register(app)


def main() -> None:
    """The console script. Exit codes: 0 done, 1 some runs failed, 2 bad input, 3 incomplete, 4 missing, 130 stopped."""
    try:
        app()
    except UserError as error:
        print(f"prunebench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("prunebench: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of stdout has left (`| head`): not an error, but Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
