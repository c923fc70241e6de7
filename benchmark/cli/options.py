"""Options that several commands share, spelled once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..store import Store

if TYPE_CHECKING:
    from ..study import Study

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study of the suite, or a YAML file.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the study file.")
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="KEY=VALUE", help="Only runs of a method, sparsity, seed or label."),
]
Results = Annotated[
    Path, typer.Option("--results", envvar="PRUNEBENCH_RESULTS", metavar="DIR", help="The results folder.")
]
Plugins = Annotated[
    list[str] | None, typer.Option("--plugin", metavar="FILE", help="A Python file with methods of your own.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT_RESULTS = Path("results")


def open_study(
    name: str, assignments: list[str] | None = None, only: list[str] | None = None, plugins: list[str] | None = None
) -> Study:
    """Register plug-ins, then read the study."""
    from ...methods.registry import add_plugin
    from ..study import load_study

    for path in plugins or ():
        add_plugin(path)
    return load_study(name, assignments or (), only or ())


def open_store(results: Path) -> Store:
    return Store(results)


def print_json(content: dict[str, Any]) -> None:
    """One JSON document on stdout, with the version of its shape."""
    print(json.dumps({"schema": 1, **content}, indent=1, allow_nan=False))


def say(message: str) -> None:
    """Messages go to stderr: stdout is for data."""
    print(message, file=sys.stderr, flush=True)
