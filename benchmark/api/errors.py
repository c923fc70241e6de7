"""Errors that the user can fix. The command line prints them as one line and leaves with their exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Bad input: the message names the field, the value and the allowed ones."""

    exit_code = 2


class Damaged(UserError):
    """A stored file is not what was stored: cut off, overwritten, of another run, or not of the shape it must have."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}")
        self.path, self.reason = path, reason


class OnlyRecorded(Damaged):
    """A dense training of which only the record is here: its result stays, its weights are computed anew if needed."""


class MachineError(UserError):
    """The machine lacks what every run needs. A run that meets it has not failed by itself and is tried again."""

    exit_code = 4


class DataMissing(MachineError):
    """Data or a part of the environment is absent; the message says which, where, and how to get it."""


class DeviceMissing(MachineError):
    """The machine does not have the device that was asked for."""

    exit_code = 2


class DataDamaged(MachineError):
    """A file of a data set or of published weights is not what it should be; the message names it."""

    exit_code = 2


def unknown(kind: str, name: str, known: Iterable[str], elsewhere: str = "") -> UserError:
    """The one wording for a name that is in no table: nearest name first, then all of them.

    `elsewhere` says how a name that is not in the table can be given.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    message = f"unknown {kind} {name!r}{hint} known: {', '.join(names) or '(none)'}"
    return UserError(f"{message}; {elsewhere}" if elsewhere else message)
