"""One attempt at a run: claim it, compute it, record how it ended. The one function that every launcher calls."""

from __future__ import annotations

import os
import socket
import traceback
from dataclasses import dataclass, replace
from typing import Literal

from .claim import Claim, ClaimLost
from .errors import UserError
from .run import Run
from .settings import Settings
from .store import Store, now

Outcome = Literal["done", "failed", "interrupted", "busy"]


@dataclass(frozen=True)
class Ending:
    """How an attempt ended; `busy` means that another process holds the run.

    `retryable` tells trouble of the machine (memory, disk), which the next `run` tries again, from trouble of the run
    itself, which would only fail again.
    """

    outcome: Outcome
    reason: str = ""
    retryable: bool = False


def attempt(run: Run, study: str, settings: Settings, watch: object | None = None) -> Ending:
    """Compute a run unless it is stored or held by another process. Never raises for what the run itself does wrong."""
    from .harness import Watch

    folder = Store(settings.results).folder(study, run)
    if folder.result_path.exists():
        return Ending("done")
    claim = Claim.take(folder.path)
    if claim is None:
        return Ending("busy")
    try:
        # The result may have appeared between the look and the claim.
        if folder.result_path.exists():
            return Ending("done")
        folder.create(run)
        return _recorded(run, study, settings, watch if isinstance(watch, Watch) else Watch(), claim)
    finally:
        claim.release()


def _recorded(run: Run, study: str, settings: Settings, watch: object, claim: Claim) -> Ending:
    """Run the harness between two writes of the attempt's file."""
    from .harness import Interrupted, Watch, execute

    assert isinstance(watch, Watch)
    folder = Store(settings.results).folder(study, run)
    index = len(folder.attempts()) + 1
    record = {"host": socket.gethostname(), "pid": os.getpid(), "begin": now(), "outcome": None}
    folder.write_attempt(index, record)

    try:
        execute(run, study, settings, replace(watch, check=claim.check))
        ending = Ending("done")
    except ClaimLost as error:
        # The other process writes the attempts from here on.
        return Ending("busy", str(error))
    except Interrupted as error:
        ending = Ending("interrupted", str(error))
    except Exception as error:
        ending = _classify(error)
        record["traceback"] = "" if isinstance(error, UserError) else traceback.format_exc()[-4000:]
    ended = {"end": now(), "outcome": ending.outcome, "reason": ending.reason, "retryable": ending.retryable}
    try:
        folder.write_attempt(index, {**record, **ended})
    except OSError as error:
        return Ending("failed", f"{ending.reason}; cannot record it: {error}", retryable=True)
    return ending


def _classify(error: Exception) -> Ending:
    reason = f"{type(error).__name__}: {error}".split("\n")[0][:500]
    # torch reports a failed allocation on the CPU as a plain RuntimeError
    is_memory = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in reason
    # what a process hears when another one that trains with it has died
    is_connection = type(error).__name__ in _CONNECTION_ERRORS or "gloo/transport" in reason
    return Ending("failed", reason, retryable=is_memory or is_connection or isinstance(error, MemoryError | OSError))


_CONNECTION_ERRORS = ("DistBackendError", "DistNetworkError", "DistStoreError")
