"""A lock of a results folder: only one of `submit`, `cancel` and `clean` works on its jobs at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..benchmark.api.errors import UserError
from ..benchmark.runs.claim import Claim, ClaimLost, describe, holder
from ..benchmark.runs.damage import clear_folder

FOLDER = ".submitting"


@contextlib.contextmanager
def submitting(results: Path) -> Iterator[Claim]:
    """Hold the lock while choosing and submitting, so that two submissions at once do not queue a run twice.

    Raises UserError if another command has the lock, or took it over meanwhile (see `Claim.check`).
    """
    try:
        clear_folder(results / FOLDER)
        claim = Claim.take(results / FOLDER)
    except PermissionError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}") from error
    if claim is None:
        raise _busy(results)
    try:
        yield claim
    except ClaimLost as error:
        raise UserError(f"another command has taken over the submissions into {results}; submit again") from error
    finally:
        claim.release()


@contextlib.contextmanager
def clearing(results: Path) -> Iterator[None]:
    """Hold the lock while jobs are cancelled or folders removed: a submission would go on to queue jobs, and would
    overwrite its manifest.

    Where nothing can be written, no submission is at work unless its claim is there, so jobs can be cancelled.
    """
    claim = None
    if (results / FOLDER).is_dir():
        try:
            claim = Claim.take(results / FOLDER)
        except OSError:
            if holder(results / FOLDER) is not None:
                raise _busy(results) from None
        else:
            if claim is None:
                raise _busy(results)
    try:
        yield
    finally:
        if claim is not None:
            claim.release()


def _busy(results: Path) -> UserError:
    who = describe(holder(results / FOLDER) or {})
    return UserError(
        f"another submit, cancel or clean is at work in {results} ({who}); wait until it has ended, or end it, and try "
        "again"
    )
