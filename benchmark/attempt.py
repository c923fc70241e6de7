"""One attempt at a run: claim it, compute it, record how it ended. The one function that every launcher calls."""

from __future__ import annotations

import os
import socket
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from .claim import Claim, ClaimLost
from .damage import remove_leftovers, set_aside_damage, set_aside_result
from .errors import Damaged, UserError
from .recompute import is_done
from .run import Run
from .same_data import OtherData
from .settings import Settings
from .store import Store, now

if TYPE_CHECKING:
    from .harness import Watch

Outcome = Literal["done", "failed", "interrupted", "busy"]


@dataclass(frozen=True)
class Ending:
    """How an attempt ended; `busy` means that another process holds the run.

    `retryable` tells trouble of the machine (memory, disk, other data), which the next `run` tries again, from trouble
    of the run itself, which would only fail again. `lacks_parent`: its dense training was damaged, and is to be
    computed anew.
    """

    outcome: Outcome
    reason: str = ""
    retryable: bool = False
    lacks_parent: bool = False


def attempt(run: Run, study: str, settings: Settings, watch: Watch | None = None) -> Ending:
    """Compute a run unless it is stored (and not to be computed anew) or held by another process.

    Never raises for what the run itself does wrong. A dense training that turns out to be damaged when the run loads
    it is set aside and computed first.
    """
    from .harness import Watch

    watch = watch or Watch()
    ending = _claimed(run, study, settings, watch)
    if not ending.lacks_parent or run.parent is None:
        return ending
    parent = attempt(run.parent, study, settings, watch)
    if parent.outcome == "done":
        return _claimed(run, study, settings, watch)
    reason = f"its dense training {run.parent.id} did not finish: {parent.reason}"
    return replace(parent, reason=reason, retryable=True)


def _claimed(run: Run, study: str, settings: Settings, watch: Watch) -> Ending:
    folder = Store(settings.results).folder(study, run)
    try:
        if is_done(folder):
            return Ending("done")
    except UserError as error:
        return Ending("failed", str(error))
    claim = Claim.take(folder.path)
    if claim is None:
        return Ending("busy")
    try:
        # The result may have appeared between the look and the claim.
        if is_done(folder):
            return Ending("done")
        remove_leftovers(folder)
        for line in set_aside_damage(folder, run):
            watch.on_note(line)
        folder.create(run)
        return _recorded(run, study, settings, watch, claim)
    finally:
        claim.release()


def _recorded(run: Run, study: str, settings: Settings, watch: Watch, claim: Claim) -> Ending:
    """Run the harness between two writes of the attempt's file."""
    from .harness import Interrupted, execute

    folder = Store(settings.results).folder(study, run)
    index = len(folder.attempts()) + 1
    record = {"host": socket.gethostname(), "pid": os.getpid(), "begin": now(), "outcome": None}
    folder.write_attempt(index, record)

    def stop() -> bool:
        claim.check()
        return watch.stop()

    try:
        execute(run, study, settings, replace(watch, stop=stop))
        ending = Ending("done")
    except ClaimLost as error:
        # The other process writes the attempts from here on.
        return Ending("busy", str(error))
    except Interrupted as error:
        ending = Ending("interrupted", str(error))
    except Damaged as error:
        ending = _without_parent(run, study, settings, watch, error)
    except Exception as error:
        ending = _classify(error)
        record["traceback"] = "" if isinstance(error, UserError) else traceback.format_exc()[-4000:]
    ended = {"end": now(), "outcome": ending.outcome, "reason": ending.reason, "retryable": ending.retryable}
    try:
        folder.write_attempt(index, {**record, **ended})
    except OSError as error:
        return Ending("failed", f"{ending.reason}; cannot record it: {error}", retryable=True)
    return ending


def _without_parent(run: Run, study: str, settings: Settings, watch: Watch, error: Damaged) -> Ending:
    """The run's own files were looked at before, so what it found damaged is its dense training: set that aside."""
    assert run.parent is not None, error
    folder = Store(settings.results).folder(study, run.parent)
    claim = Claim.take(folder.path)
    if claim is not None:
        try:
            for line in set_aside_result(folder, error):
                watch.on_note(line)
        finally:
            claim.release()
    return Ending("interrupted", str(error), retryable=True, lacks_parent=True)


def _classify(error: Exception) -> Ending:
    reason = f"{type(error).__name__}: {error}".split("\n")[0][:500]
    # torch reports a failed allocation on the CPU as a plain RuntimeError
    is_memory = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in reason
    # what a process hears when another one that trains with it has died
    is_connection = type(error).__name__ in _CONNECTION_ERRORS or "gloo/transport" in reason
    is_circumstance = isinstance(error, MemoryError | OSError | OtherData)
    return Ending("failed", reason, retryable=is_memory or is_connection or is_circumstance)


_CONNECTION_ERRORS = ("DistBackendError", "DistNetworkError", "DistStoreError")
