"""Errors that the user can fix. The command line prints them as one line and leaves with their exit code."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Bad input: the message names the field, the value and the allowed ones."""

    exit_code = 2


class Damaged(UserError):
    """A stored file is damaged: cut off, overwritten, of another run, or of the wrong shape."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}")
        self.path, self.reason = path, reason


class OnlyRecorded(Damaged):
    """Only the record of a dense training is here: its result is kept, its weights are recomputed when needed."""


class MachineError(UserError):
    """The machine lacks what every run needs. The run itself has not failed, so it is retried."""

    exit_code = 4


class DataMissing(MachineError):
    """Data or a part of the environment is absent; the message says which, where, and how to get it."""


class DeviceMissing(MachineError):
    """The machine does not have the device that was asked for."""

    exit_code = 2


class DataDamaged(MachineError):
    """A file of a data set or of published weights is not what it should be; the message names it."""

    exit_code = 2


def raised_at(error: BaseException, source: Path) -> str:
    """`file:line` of the innermost frame in this file that an error passed through; empty if it passed through none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == source]
    return f"{source}:{frames[-1].lineno}" if frames else ""


def first_line(error: BaseException) -> str:
    """Of its message; its type where that is empty."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def unknown(kind: str, name: str, known: Iterable[str], elsewhere: str = "") -> UserError:
    """The error for an unknown name: it suggests the nearest known one and lists all of them.

    `elsewhere` says how else a name can be given.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    message = f"unknown {kind} {name!r}{hint} known: {', '.join(names) or '(none)'}"
    return UserError(f"{message}; {elsewhere}" if elsewhere else message)
