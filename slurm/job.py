"""What a job does: the one function that every launcher calls, for each of its runs, and leave in time."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..benchmark.api.errors import Damaged
from ..benchmark.launch.attempt import Ending
from ..benchmark.launch.pool import NoWorker
from ..benchmark.runs.claim import describe, holder
from ..benchmark.runs.damage import set_aside
from ..benchmark.runs.provenance import revision
from ..benchmark.runs.recompute import is_done
from ..benchmark.runs.run import Run, from_dict
from ..benchmark.runs.settings import Settings
from ..benchmark.runs.store import Store, now
from ..benchmark.studies.plan import is_open
from ..datasets.parts.roots import ENVIRONMENT_VARIABLE
from .cluster_profile import THREAD_VARIABLES
from .code_digest import code_digest
from .processes import follow, meet
from .signals import WARNING, Notice, noticing
from .submission import TaskRecord, read_task_record, write_task_record
from .supervisor import Supervisor, forget_earlier_start

SUBMITTED_REVISION = "PRUNEBENCH_SUBMITTED_REVISION"
"""Read by the harness, which notes it beside the revision of the code that runs."""

PARENT_SECONDS = 10.0
"""A network file system may show the result of a dense training some seconds after its job has ended."""


class RunsFailed(Exception):
    """Some runs of the job failed; each has its own record."""


class MachineFailed(Exception):
    """The machine cannot compute the runs that are left; `submit` takes them again."""


class RequeuedTooOften(Exception):
    """The profile's bound on requeues is reached."""


@dataclass(frozen=True)
class RunTask:
    """What submitit pickles: this name, and the order as JSON text. Returns the outcomes by run id."""

    order: str

    def __call__(self) -> dict[str, str]:
        return _JobOfRuns(json.loads(self.order)).compute()

    def checkpoint(self) -> Any:
        """submitit asks for what to run after a requeue: the same, because runs keep their own checkpoints."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def say(message: str) -> None:
    """To the job's log."""
    print(f"prunebench: {message}", flush=True)


@dataclass
class _JobOfRuns:
    order: dict[str, Any]
    record: TaskRecord = field(default_factory=TaskRecord)

    def __post_init__(self) -> None:
        self.settings = _settings(self.order["settings"])
        self.study: str = self.order["study"]
        self.runs = [from_dict(run) for run in self.order["runs"]]
        self.store = Store(self.settings.results)
        self.record_path = Path(_absolute(self.order["record"]))
        self.notice = Notice(self.order["warning_seconds"])

    def compute(self) -> dict[str, str]:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A node's encoding may lack letters of a path: they are replaced in the log.
            sys.stdout.reconfigure(errors="replace")
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(self.settings.threads)))
        if os.environ.get(ENVIRONMENT_VARIABLE):
            os.environ[ENVIRONMENT_VARIABLE] = _absolute(os.environ[ENVIRONMENT_VARIABLE])
        if self.order["revision"] is not None:
            os.environ[SUBMITTED_REVISION] = self.order["revision"]
        num_tasks: int = self.order["num_tasks"]
        if meet(num_tasks) > 0:
            with noticing(self.notice):
                follow(self.study, self.settings)
            return {}
        with noticing(self.notice) as requeue:
            self._note_start()
            supervisor = Supervisor(
                study=self.study,
                settings=self.settings,
                num_workers=self.order["workers"],
                notice=self.notice,
                on_end=self._note_end,
                on_epoch=_print_epoch,
                say=say,
                on_busy=self._say_busy,
                leads=num_tasks > 1,
            )
            runs = [run for run in self.runs if self._can_start(run)]
            # Outcomes of an earlier start must not stand in for this one's, should it be killed.
            self._write()
            try:
                supervisor.compute(runs)
            except NoWorker as error:
                self._stop(str(error))
            open_runs = [run for run in self.runs if self._is_open(run)]
            if self.notice.signal is not None and open_runs:
                self._leave(requeue)
        return self._finish()

    def _note_start(self) -> None:
        """Record this start. Raises RequeuedTooOften: node failures requeue a job without asking it."""
        self.record = self._earlier_record()
        self.record.end = None
        code = code_digest(self.settings.plugins)
        changed = code != self.order["code"]
        self.record.starts.append(
            {
                "job": _job_name(), "raw": os.environ.get("SLURM_JOB_ID", ""), "host": socket.gethostname(),
                "begin": now(), "revision": revision(), "code": code, "code_changed": changed,
            }
        )  # fmt: skip
        self._write()
        if changed:
            say(f"the code has changed since the submission ({self.order['revision']} then, {revision()} now)")
        if self._num_requeues() > self.order["max_requeues"]:
            self._give_up()
        if self._num_requeues() > 0:
            say(f"start number {self._num_requeues() + 1} of this job")
            for run in self.runs:
                forget_earlier_start(self.store, self.study, run)

    def _earlier_record(self) -> TaskRecord:
        """What earlier starts have noted; the record is this job's alone, and a damaged one is set aside."""
        try:
            return read_task_record(self.record_path)
        except Damaged as error:
            try:
                say(set_aside(error, "the job goes on with an empty one"))
            except OSError as other:
                say(f"{error}; it cannot be set aside: {other}")
            return TaskRecord()

    def _num_requeues(self) -> int:
        return max(self.record.requeues, int(os.environ.get("SLURM_RESTART_COUNT") or 0))

    def _can_start(self, run: Run) -> bool:
        """Not what failed by its own fault at an earlier start of this job, nor what lacks its dense training: that is
        blocked."""
        if is_done(self.store.folder(self.study, run)):
            self._note_end(run, Ending("done"))
            return False
        status = self.store.folder(self.study, run).status()
        if self.record.outcomes.get(run.id, {}).get("outcome") == "failed" and not is_open(status):
            return False
        if run.parent is None or self._wait_for_result(run.parent):
            self.record.outcomes.pop(run.id, None)
            return True
        self._note_end(run, Ending("interrupted", f"its dense training {run.parent.id} has no result"), "blocked")
        return False

    def _wait_for_result(self, parent: Run) -> bool:
        folder = self.store.folder(self.study, parent)
        end = time.monotonic() + PARENT_SECONDS
        while not is_done(folder):
            if time.monotonic() > end or folder.status().state == "failed":
                return False
            time.sleep(1.0)
        return True

    def _note_end(self, run: Run, ending: Ending, outcome: str = "") -> None:
        outcome = outcome or ending.outcome
        say(f"{run.id} {run.method} {run.sparsity:g} seed {run.seed}: {outcome} {ending.reason}".rstrip())
        self.record.outcomes[run.id] = {"outcome": outcome, "reason": ending.reason}
        self._write()

    def _say_busy(self, run: Run) -> None:
        held = holder(self.store.folder(self.study, run).path)
        say(f"{run.id} is computed by {describe(held or {})}; waiting for it")

    def _is_open(self, run: Run) -> bool:
        outcome = self.record.outcomes.get(run.id, {}).get("outcome")
        return outcome in (None, "interrupted")

    def _write(self) -> None:
        """The record serves `status`; a job does not fail because its disk is full or closed."""
        try:
            write_task_record(self.record_path, self.record)
        except OSError as error:
            say(f"cannot write {self.record_path}: {error}")

    def _leave(self, requeue: Callable[[], None]) -> None:
        """Requeue after SLURM's warning; after SIGTERM wait for the end, which SLURM has decided on already."""
        if self.notice.signal != WARNING:
            # To requeue would bring a cancelled job back, and to end would keep a preempted one from being requeued.
            say("SIGTERM: the runs have stopped, waiting for the end of the job")
        while self.notice.signal != WARNING:
            if time.monotonic() > self.notice.deadline:
                sys.exit(143)
            time.sleep(0.5)
        if self._num_requeues() >= self.order["max_requeues"]:
            self._give_up()
        try:
            requeue()
        except (subprocess.SubprocessError, OSError) as error:
            # Without a grace time the controller has requeued a preempted job before it sent the signal.
            say(f"could not requeue, which SLURM may have done itself: {error}")
            sys.exit(1)

    def _give_up(self) -> None:
        self.record.ending = f"requeued {self._num_requeues()} times, the profile's max_requeues; submit it again"
        self._write()
        raise RequeuedTooOften(self.record.ending)

    def _stop(self, reason: str) -> None:
        """Leave what is left to a job on another machine. Raises MachineFailed."""
        self.record.ending = reason
        self.record.end = now()
        self._write()
        raise MachineFailed(reason)

    def _finish(self) -> dict[str, str]:
        self.record.end = now()
        self._write()
        outcomes = {run.id: self.record.outcomes.get(run.id, {}).get("outcome", "") for run in self.runs}
        failed = [run_id for run_id, outcome in outcomes.items() if outcome == "failed"]
        if failed:
            raise RunsFailed(f"{len(failed)} of {len(outcomes)} runs failed: {', '.join(failed)}")
        return outcomes


def _absolute(path: str) -> str:
    """Where there is no home folder `~` stays as it is, and the run that needs it says so."""
    return str(Path(os.path.expanduser(path)).absolute())  # noqa: PTH111


def _settings(plain: dict[str, Any]) -> Settings:
    """Paths are absolute from here on: code of a method may change the working directory."""
    root = plain["data_root"]
    return Settings(
        **{
            **plain,
            "results": Path(_absolute(plain["results"])),
            "data_root": None if root is None else Path(_absolute(root)),
            "plugins": tuple(_absolute(path) for path in plain["plugins"]),
        }
    )


def _print_epoch(run: Run, record: dict[str, Any]) -> None:
    accuracy = record.get("test_accuracy")
    shown = "" if accuracy is None else f", test accuracy {accuracy:.4f}"
    say(f"{run.id} epoch {record['epoch'] + 1} of {run.recipe.epochs}: loss {record['train_loss']:.4f}{shown}")


def _job_name() -> str:
    from submitit import JobEnvironment

    with contextlib.suppress(RuntimeError, KeyError):
        return JobEnvironment().job_id
    return ""
