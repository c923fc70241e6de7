"""What a job does: compute its runs, stop them on SLURM's warning, and ask to be requeued in time."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..benchmark.launch.attempt import Ending
from ..benchmark.launch.worker_limit import NoWorker
from ..benchmark.runs.claim import describe, holder
from ..benchmark.runs.provenance import CODE_CHANGED, SUBMITTED_REVISION, revision
from ..benchmark.runs.recompute import is_done
from ..benchmark.runs.run import Run, from_dict
from ..benchmark.runs.settings import THREAD_VARIABLES, Settings, absolute, absolute_path
from ..benchmark.runs.store import Store
from ..benchmark.studies.plan import is_open
from ..datasets.parts.roots import ENVIRONMENT_VARIABLE
from .code_digest import code_digest
from .container import REQUEUE_CODE
from .job_record import JobRecord, say
from .processes import follow, meet
from .signals import WARNING, Notice, noticing
from .supervisor import Supervisor, forget_earlier_start

PARENT_SECONDS = 10.0
"""A network file system may show the result of a dense training some seconds after its job has ended."""


@dataclass(frozen=True)
class RunTask:
    """What submitit pickles: the name of this class, and the job's order as JSON. Returns the outcomes by run id."""

    order: str

    def __call__(self) -> dict[str, str]:
        return _JobOfRuns(json.loads(self.order)).compute()

    def checkpoint(self) -> Any:
        """What submitit runs after a requeue: the same task, because runs keep their own checkpoints."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass
class _JobOfRuns:
    order: dict[str, Any]

    def __post_init__(self) -> None:
        self.settings = _settings(self.order["settings"])
        self.study: str = self.order["study"]
        self.runs = [from_dict(run) for run in self.order["runs"]]
        self.store = Store(self.settings.results)
        self.record = JobRecord(Path(absolute_path(self.order["record"])), self.order["max_requeues"])
        self.notice = Notice(self.order["warning_seconds"])

    def compute(self) -> dict[str, str]:
        self._prepare()
        num_tasks: int = self.order["num_tasks"]
        if meet(num_tasks) > 0:
            with noticing(self.notice):
                follow(self.study, self.settings)
            return {}
        with noticing(self.notice) as requeue:
            self._begin()
            supervisor = Supervisor(
                study=self.study,
                settings=self.settings,
                num_workers=self.order["workers"],
                notice=self.notice,
                on_end=self.record.note_end,
                on_epoch=_print_epoch,
                say=say,
                on_busy=self._say_busy,
                leads=num_tasks > 1,
            )
            runs = [run for run in self.runs if self._can_start(run)]
            self.record.write()
            try:
                supervisor.compute(runs)
            except NoWorker as error:
                self.record.stop(str(error))
            if self.notice.signal is not None and any(self._is_open(run) for run in self.runs):
                self._leave(requeue)
        return self.record.finish(self.runs)

    def _prepare(self) -> None:
        """Set up the log and the environment, which the processes of the job inherit."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Characters of a path that the node's encoding lacks are replaced in the log.
            sys.stdout.reconfigure(errors="replace")
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(self.settings.threads)))
        if os.environ.get(ENVIRONMENT_VARIABLE):
            os.environ[ENVIRONMENT_VARIABLE] = absolute_path(os.environ[ENVIRONMENT_VARIABLE])
        if self.order["revision"] is not None:
            os.environ[SUBMITTED_REVISION] = self.order["revision"]

    def _begin(self) -> None:
        """Record this start. Raises RequeuedTooOften, because SLURM also requeues a job by itself if a node fails."""
        code = code_digest(self.settings.plugins)
        changed = code != self.order["code"]
        self.record.note_start(code, code_changed=changed)
        os.environ[CODE_CHANGED] = str(int(changed))
        if changed:
            say(f"the code has changed since the submission ({self.order['revision']} then, {revision()} now)")
        if self.record.num_requeues > self.order["max_requeues"]:
            self.record.give_up()
        if self.record.num_requeues > 0:
            say(f"start number {self.record.num_requeues + 1} of this job")
            for run in self.runs:
                forget_earlier_start(self.store, self.study, run)

    def _can_start(self, run: Run) -> bool:
        """False if it is done, has failed for good at an earlier start, or lacks its dense training."""
        folder = self.store.folder(self.study, run)
        if is_done(folder):
            self.record.note_end(run, Ending("done"))
            return False
        if self.record.outcome_of(run) == "failed" and not is_open(folder.status()):
            return False
        if run.parent is None or self._wait_for_result(run.parent):
            self.record.forget(run)
            return True
        ending = Ending("interrupted", f"its dense training {run.parent.id} has no result")
        self.record.note_end(run, ending, "blocked")
        return False

    def _wait_for_result(self, parent: Run) -> bool:
        folder = self.store.folder(self.study, parent)
        end = time.monotonic() + PARENT_SECONDS
        while not is_done(folder):
            if time.monotonic() > end or folder.status().state == "failed":
                return False
            time.sleep(1.0)
        return True

    def _say_busy(self, run: Run) -> None:
        held = holder(self.store.folder(self.study, run).path)
        say(f"{run.id} is computed by {describe(held or {})}; waiting for it")

    def _is_open(self, run: Run) -> bool:
        return self.record.outcome_of(run) in (None, "interrupted")

    def _leave(self, requeue: Callable[[], None]) -> None:
        """Requeue after SLURM's warning. After SIGTERM only wait: SLURM has decided how the job ends."""
        if self.notice.signal != WARNING:
            # A requeue would bring a cancelled job back; an exit would keep a preempted one from being requeued.
            say("SIGTERM: the runs have stopped, waiting for the end of the job")
        while self.notice.signal != WARNING:
            if time.monotonic() > self.notice.deadline:
                sys.exit(143)
            time.sleep(0.5)
        if self.record.num_requeues >= self.order["max_requeues"]:
            self.record.give_up()
        if self.order.get("requeued_from_outside", False):
            say("asking the batch script for a requeue")
            sys.exit(REQUEUE_CODE)
        try:
            requeue()
        except (subprocess.SubprocessError, OSError) as error:
            # Without a grace time the controller requeues a preempted job before it sends the signal.
            say(f"could not requeue, which SLURM may have done itself: {error}")
            sys.exit(1)


def _settings(plain: dict[str, Any]) -> Settings:
    root = plain["data_root"]
    paths = {
        "results": Path(plain["results"]),
        "data_root": None if root is None else Path(root),
        "plugins": tuple(plain["plugins"]),
    }
    return absolute(Settings(**{**plain, **paths}))


def _print_epoch(run: Run, record: dict[str, Any]) -> None:
    accuracy = record.get("test_accuracy")
    shown = "" if accuracy is None else f", test accuracy {accuracy:.4f}"
    say(f"{run.id} epoch {record['epoch'] + 1} of {run.recipe.trained_epochs}: loss {record['train_loss']:.4f}{shown}")
