"""The commands. Parsing and printing only; nothing here loads torch unless a run is computed in this process."""

from __future__ import annotations

import io
import os
import sys

import click

from .. import __version__
from ..errors import UserError, unknown
from . import cluster, developing, exchanging, following, reading, reporting, running


class _Commands(click.Group):
    """Commands in the order they are used in, each with its whole first sentence; a misspelt one is corrected."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(limit=1000)) for name, each in self.commands.items()])


@click.group(
    cls=_Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 120},
    epilog="STUDY is the name of a study of the suite (prunebench list studies) or a YAML file.",
)
@click.version_option(__version__, message="%(version)s", help="Print the version.")
def app() -> None:
    """Compare pruning methods in one train/prune/fine-tune harness."""


for room in (reading, running, following, cluster, reporting, exchanging, developing):
    for command in room.COMMANDS:
        app.add_command(command)


def main() -> None:
    """The console script. Exit codes: 0 done, 1 some runs failed, 2 bad input, 3 incomplete, 4 missing, 130 stopped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Letters of a name that the terminal's encoding lacks are replaced; stderr does so already.
        sys.stdout.reconfigure(errors="replace")
    try:
        sys.exit(app.main(prog_name="prunebench", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        # click would print the usage as well, in several lines
        message = " ".join(error.format_message().split()).removesuffix(".")
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        print(f"prunebench: {message}{where}", file=sys.stderr)
        sys.exit(error.exit_code)
    except UserError as error:
        print(f"prunebench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        print("prunebench: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of stdout has left (`| head`): not an error, but Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
