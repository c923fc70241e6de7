"""The outcome of checks on a network or a data set, a line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..api.errors import raised_at

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Finding:
    """`detail` says what was counted, or why the check failed. `passed` is None for a check that tests nothing here."""

    name: str
    passed: bool | None
    detail: str = ""


class Skipped(Exception):
    """Why a check tests nothing."""


def run_checks(checks: Mapping[str, Callable[[Subject], str]], subject: Subject, source: Path) -> list[Finding]:
    """A check returns what it counted, or raises: AssertionError with the reason, Skipped, or the code's own error."""
    return [_run(name, check, subject, source) for name, check in checks.items()]


def _run(name: str, check: Callable[[Subject], str], subject: Subject, source: Path) -> Finding:
    try:
        return Finding(name, True, check(subject))
    except Skipped as reason:
        return Finding(name, None, str(reason))
    # Code under test may fail in any way: that is one line of the report, and the other checks still run.
    except Exception as error:
        place = raised_at(error, source)
        reason = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return Finding(name, False, " ".join(f"{reason} ({place})".split()) if place else " ".join(reason.split()))
