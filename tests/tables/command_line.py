"""Commands as a user calls them, in the process of the test."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner
from prunebench.benchmark.cli import app
from prunebench.benchmark.runs.run import Run


def accuracy(run: Run) -> float:
    return {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}[run.method] + 0.002 * run.seed


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)
