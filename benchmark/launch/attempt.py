"""One attempt at a run: claim it, compute it, record how it ended. All launchers call this."""

from __future__ import annotations

import gc
import os
import socket
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..api.errors import Damaged, UserError
from ..runs.claim import Claim, ClaimLost, holder
from ..runs.damage import clear_place, set_aside_bad_weights, set_aside_damage
from ..runs.files import now
from ..runs.leftovers import remove_leftovers
from ..runs.recompute import is_done
from ..runs.run import Run
from ..runs.run_folder import RunFolder
from ..runs.settings import Settings
from ..runs.store import Store
from ..training.own_process import leave_if_forked
from .faults import judge

if TYPE_CHECKING:
    from ..training.harness import Watch

Outcome = Literal["done", "failed", "interrupted", "busy", "blocked"]


@dataclass(frozen=True)
class Ending:
    """How an attempt ended. `busy`: another process holds the run. `blocked`: its dense training has no result.

    `retryable`: the machine was the cause (memory, disk, other data), so the next `run` tries again; a run that failed
    by itself would only fail again. `is_machine`: the next runs would fail alike. `spoils_process`: the process can
    compute nothing more. `lacks_parent`: its dense training was damaged, and must be computed anew.
    """

    outcome: Outcome
    reason: str = ""
    retryable: bool = False
    is_machine: bool = False
    spoils_process: bool = False
    lacks_parent: bool = False


def attempt(run: Run, study: str, settings: Settings, watch: Watch | None = None) -> Ending:
    """Compute a run unless it is done, another process has it, or its dense training has no result.

    Errors of the run or the machine are returned, not raised. A dense training that is found damaged when the run loads
    it is set aside and computed first.
    """
    from ..training.harness import Watch

    watch = watch or Watch()
    try:
        ending = _unless_done(run, study, settings, watch)
        if not ending.lacks_parent or run.parent is None:
            return ending
        parent = _unless_done(run.parent, study, settings, watch, is_suspect=True)
        if parent.outcome == "done":
            return _unless_done(run, study, settings, watch)
        if parent.outcome == "busy":
            return parent
    except OSError as error:
        # The claim or the attempt could not be written.
        return ending_of(error)
    reason = f"its dense training {run.parent.id} did not finish: {parent.reason}"
    return replace(parent, reason=reason, retryable=True)


def _unless_done(run: Run, study: str, settings: Settings, watch: Watch, *, is_suspect: bool = False) -> Ending:
    """`is_suspect`: the stored result was found damaged; it is checked again while this process holds the claim."""
    store = Store(settings.results)
    folder = store.folder(study, run)
    try:
        if is_done(folder) and not is_suspect:
            return Ending("done")
    except UserError as error:
        return Ending("failed", str(error))
    if run.parent is not None and (ending := _without_parent(store.folder(study, run.parent), run.parent)):
        return ending
    for line in clear_place(folder):
        watch.on_note(line)
    claim = Claim.take(folder.path)
    if claim is None:
        return Ending("busy")
    try:
        for line in set_aside_bad_weights(folder) if is_suspect else ():
            watch.on_note(line)
        # The result may have been stored before the claim was taken.
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
    """Run the harness, and record the attempt before and after."""
    from ..training.harness import Interrupted, execute

    folder = Store(settings.results).folder(study, run)
    index = len(folder.attempts()) + 1
    record = {"host": socket.gethostname(), "pid": os.getpid(), "begin": now(), "outcome": None}
    folder.write_attempt(index, record)

    try:
        execute(run, study, settings, replace(watch, check=claim.check))
        ending = Ending("done")
    except ClaimLost as error:
        # From here on the other process records the attempts.
        return Ending("busy", str(error))
    except Interrupted as error:
        ending = Ending("interrupted", str(error))
    except Damaged as error:
        # The run's own files were checked before, so this is its dense training.
        ending = Ending("interrupted", str(error), retryable=True, lacks_parent=run.parent is not None)
    except (Exception, SystemExit) as error:
        ending = ending_of(error)
        record["traceback"] = "" if isinstance(error, UserError) else traceback.format_exc()[-4000:]
    finally:
        leave_if_forked()
    if ending.outcome != "done" and not ending.spoils_process:
        # A network with parametrisations refers to itself until its pruner is detached. The next run needs its memory.
        gc.collect()
    ended = {"end": now(), "outcome": ending.outcome, "reason": ending.reason, "retryable": ending.retryable}
    try:
        folder.write_attempt(index, {**record, **ended})
    except OSError as error:
        # A stored result needs no record. A failure without a record will be retried, whatever it was.
        if ending.outcome != "done":
            reason = f"{ending.reason}; cannot record it on {socket.gethostname()}: {error}"
            return replace(ending, reason=reason, retryable=True, is_machine=True)
    return ending


def _without_parent(folder: RunFolder, parent: Run) -> Ending | None:
    """Why a run cannot start from its dense training, or None; one that another process computes is waited for."""
    if os.path.lexists(folder.result_path):
        return None
    if holder(folder.path) is not None:
        return Ending("busy")
    if os.path.lexists(folder.result_path):
        # It was stored between the two checks.
        return None
    return Ending("blocked", f"its dense training {parent.id} has no result", retryable=True)


def ending_of(error: BaseException) -> Ending:
    """The ending of an attempt that raised this error; the reason names the machine if that was at fault."""
    fault = judge(error)
    reason = f"{type(error).__name__}: {error}".split("\n")[0][:500]
    if fault.is_machine:
        reason = f"{socket.gethostname()}: {reason}"
    return Ending("failed", reason, fault.retryable, fault.is_machine, fault.spoils_process)
