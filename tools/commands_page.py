"""The page of the command line: every command with its arguments and options, from the code that parses them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
from prunebench.benchmark.cli.commands import app


def commands_page() -> str:
    """The whole page as Markdown."""
    parts = [
        "# The command line",
        "Every command and every option of `prunebench`, as `prunebench COMMAND --help` prints them. STUDY is the name "
        "of a study of the suite or the path of a YAML file.",
    ]
    for name, command in app.commands.items():
        parts += [f"## {name}", _described(command), *_usage(name, command)]
    return "\n\n".join(parts) + "\n"


def _described(command: click.Command) -> str:
    return _escaped(inspect.cleandoc(command.help or "").replace("\b\n", ""))


def _usage(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"prunebench {name}", parent=None, show_default=True)
    yield f"```\n{' '.join([f'prunebench {name}', *command.collect_usage_pieces(context)])}\n```"
    records = [
        record
        for parameter in command.get_params(context)
        if "--help" not in parameter.opts and (record := parameter.get_help_record(context)) and record[1]
    ]
    if records:
        yield "\n".join(["| option | meaning |", "|---|---|", *(_row(*record) for record in records)])


def _row(option: str, meaning: str) -> str:
    cells = f"`{option}`", _escaped(" ".join(meaning.split()))
    return "| {} | {} |".format(*(cell.replace("|", "\\|") for cell in cells))


def _escaped(text: str) -> str:
    """Words in angle brackets and stars are text, not HTML or emphasis."""
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")
