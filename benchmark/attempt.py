"""One attempt at a run: claim it, compute it, record how it ended. The one function that every launcher calls."""

from __future__ import annotations

import os
import socket
import traceback
from dataclasses import dataclass, replace
from typing import Literal

from .claim import Claim, ClaimLost
from .errors import UserError
from .faults import judge
from .own_process import leave_if_forked
from .run import Run
from .settings import Settings
from .store import Store, now

Outcome = Literal["done", "failed", "interrupted", "busy", "blocked"]


@dataclass(frozen=True)
class Ending:
    """How an attempt ended. `busy`: another process holds the run. `blocked`: its dense training has no result.

    `retryable` separates failures of the machine (memory, disk), which the next `run` tries again, from failures of the
    run itself, which would only fail again. `is_machine`: the next runs would meet the same. `spoils_process`: nothing
    more can be computed in the process that made the attempt.
    """

    outcome: Outcome
    reason: str = ""
    retryable: bool = False
    is_machine: bool = False
    spoils_process: bool = False


def attempt(run: Run, study: str, settings: Settings, watch: object | None = None) -> Ending:
    """Compute a run unless it is stored, held by another process, or without its dense training.

    Never raises for what the run or the machine does wrong.
    """
    store = Store(settings.results)
    folder = store.folder(study, run)
    if folder.result_path.exists():
        return Ending("done")
    if run.parent is not None and not store.folder(study, run.parent).result_path.exists():
        return Ending("blocked", f"its dense training {run.parent.id} has no result", retryable=True)
    try:
        return _claimed(run, study, settings, watch)
    except OSError as error:
        # Neither the claim nor the attempt could be written.
        return ending_of(error)


def _claimed(run: Run, study: str, settings: Settings, watch: object | None) -> Ending:
    from .harness import Watch

    folder = Store(settings.results).folder(study, run)
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

    def stop() -> bool:
        claim.check()
        return watch.stop()

    try:
        execute(run, study, settings, Watch(on_epoch=watch.on_epoch, stop=stop))
        ending = Ending("done")
    except ClaimLost as error:
        # The other process writes the attempts from here on.
        return Ending("busy", str(error))
    except Interrupted as error:
        ending = Ending("interrupted", str(error))
    except (Exception, SystemExit) as error:
        ending = ending_of(error)
        record["traceback"] = "" if isinstance(error, UserError) else traceback.format_exc()[-4000:]
    finally:
        leave_if_forked()
    ended = {"end": now(), "outcome": ending.outcome, "reason": ending.reason, "retryable": ending.retryable}
    try:
        folder.write_attempt(index, {**record, **ended})
    except OSError as error:
        # A stored result needs no record. What is on no record will be tried again, whatever it was.
        if ending.outcome != "done":
            reason = f"{ending.reason}; cannot record it on {socket.gethostname()}: {error}"
            return replace(ending, reason=reason, retryable=True, is_machine=True)
    return ending


def ending_of(error: BaseException) -> Ending:
    """How an attempt ends with this error. What is the machine's fault names the machine."""
    fault = judge(error)
    reason = f"{type(error).__name__}: {error}".split("\n")[0][:500]
    if fault.is_machine:
        reason = f"{socket.gethostname()}: {reason}"
    return Ending("failed", reason, fault.retryable, fault.is_machine, fault.spoils_process)
