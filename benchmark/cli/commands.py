"""All commands in one group. Nothing here loads torch unless a run is computed in this process."""

from __future__ import annotations

import click

from .. import __version__
from ..api.errors import unknown
from . import (
    browse,
    claim,
    cluster,
    compute,
    develop,
    exchange,
    export_zoo,
    follow,
    latency,
    leaderboard,
    measure,
    merge,
    new_method,
    present,
    show,
    shrink,
)


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


COMMAND_FILES = (
    browse, show, compute, measure, latency, follow, cluster, present, claim, shrink, exchange, export_zoo, merge,
    leaderboard, new_method, develop,
)  # fmt: skip
for file in COMMAND_FILES:
    for command in file.COMMANDS:
        app.add_command(command)
