"""Commands that follow the runs of a study, here or on a cluster: status, logs."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..analysis.plain_text import one_line, several_lines
from ..api.errors import UserError
from ..studies.plan import Job
from .browse import describe_run, find_one
from .options import (
    DEFAULT_RESULTS,
    Selection,
    json_option,
    open_store,
    print_json,
    results_option,
    say,
    selection_options,
    stage_lines,
    stages_as_json,
    study_argument,
    whole,
)
from .output import SUBMIT_ANEW, damage_lines, say_damaged

if TYPE_CHECKING:
    from ...slurm.status import Overview
    from ..studies.load import Study

WATCH_SECONDS = 5.0
TOLD = ("running", "blocked", "failed", "lost", "interrupted", "damaged")
"""States whose runs are named one by one; queued ones are named if SLURM gives a reason that asks for attention."""

USUAL_REASONS = ("", "None", "Priority", "Resources", "Dependency", "BeginTime", "JobArrayTaskLimit", "Cleaning",
                 "its job has started")  # fmt: skip


@click.command
@study_argument
@selection_options
@results_option
@click.option("--watch", is_flag=True, help="Repeat until nothing runs or waits.")
@json_option
def status(
    study: str,
    selection: Selection,
    results: Path,
    watch: bool,
    as_json: bool,
) -> None:
    """Print which runs are done, running, queued, blocked, failed, lost, interrupted or missing, and why."""
    from ...slurm.status import overview
    from ..runs.waiting import waiting
    from ..studies.age import age_lines, older_runs
    from .work_left import with_waiting, work_left

    asked, printed = selection.open(study), ""
    while True:
        store = open_store(results)
        opened = whole(asked, store)
        # before the states: what a command has finished meanwhile is done, not missing
        commands = waiting(store.study_folder(opened.name))
        found = with_waiting(overview(opened.name, opened.runs, results), commands)
        older = older_runs(opened.name, opened.runs, store)
        left = work_left(opened.name, found, store, commands)
        if as_json:
            stages = stages_as_json(asked, store)
            print_json({**_as_json(opened.name, found), "time_left": left.as_json(), "older": older, **stages})
        else:
            lines = _lines(opened, found, results) + _what_helps(study, found, results)
            lines += [f"  {line}" for line in [*stage_lines(asked, store), left.line()] if line]
            lines += age_lines(opened.name, older.values())
            text = "\n".join(one_line(line) for line in lines)
            if text != printed:
                print(text, flush=True)
            printed = text
        if not watch or not found.has_active:
            return
        time.sleep(WATCH_SECONDS)


def counts(found: Overview) -> dict[str, int]:
    """Runs by state, those that occur."""
    from ...slurm.run_state import STATES

    return {state: found.count(state) for state in STATES if found.count(state)}


def _lines(study: Study, found: Overview, results: Path) -> list[str]:
    shown = ", ".join(f"{number} {state}" for state, number in counts(found).items())
    lines = [f"{study.name}: {len(found.plan.jobs)} runs: {shown or 'none'}"]
    for job in found.plan.jobs:
        state = found.states[job.run.id]
        if state.state in TOLD or (state.job and state.state == "queued" and state.reason not in USUAL_REASONS):
            where = state.log or open_store(results).folder(study.name, job.run).path
            told = ": ".join(part for part in (f"job {state.job}" * bool(state.job), state.reason) if part)
            lines.append(f"  {state.state:<11} {describe_run(job.run, study.labels_of_runs)}  {told}  [{where}]")
    if found.code_changed:
        lines.append(f"  started with other code than submitted with: {', '.join(found.code_changed)}")
    for path, jobs in found.unknown_jobs.items():
        lines.append(
            f"  {len(jobs)} jobs in the queue, which runs they compute is not known: {', '.join(jobs)}  [{path}]"
        )
    lines += [f"  {line}" for line in damage_lines(found.damaged, SUBMIT_ANEW)]
    lines += _complaints_of_disk(results)
    for what, error in (("queue", found.queue_error), ("accounting", found.accounting_error)):
        if error:
            lines.append(f"  the {what} cannot be asked: {error}")
    return lines


def _what_helps(study: str, found: Overview, results: Path) -> list[str]:
    """After a failure: what shows its reason, and what computes the run again."""
    failed = [run_id for run_id, state in found.states.items() if state.state == "failed"]
    if not failed:
        return []
    where = [] if results == DEFAULT_RESULTS else ["--results", str(results)]
    commands = {
        "why": ["prunebench", "logs", failed[0], *where],
        "again": ["prunebench", "run", study, *where, "--retry-failed"],
    }
    if any(found.states[run_id].job for run_id in failed):
        commands["again on the cluster, before submit"] = ["prunebench", "retry", *failed, *where]
    return [f"  {name}: {shlex.join(words)}" for name, words in commands.items()]


def _complaints_of_disk(results: Path) -> list[str]:
    """Jobs that cannot write cannot record why they failed."""
    if not results.exists():
        return []
    if not os.access(results, os.W_OK):
        return [f"  the results folder {results} cannot be written"]
    return [f"  the results folder {results} is full"] if shutil.disk_usage(results).free == 0 else []


def _as_json(study: str, found: Overview) -> dict[str, Any]:
    return {
        "study": study,
        "counts": counts(found),
        "queue_error": found.queue_error,
        "accounting_error": found.accounting_error,
        "code_changed": list(found.code_changed),
        "unknown_jobs": {str(path): list(jobs) for path, jobs in found.unknown_jobs.items()},
        "damaged": {str(path): reason for path, reason in sorted(found.damaged.items())},
        "jobs": [_job(job, found) for job in found.plan.jobs],
    }


def _job(job: Job, found: Overview) -> dict[str, Any]:
    run, state = job.run, found.states[job.run.id]
    return {
        "id": run.id, "method": run.method, "sparsity": run.sparsity, "seed": run.seed,
        "retrain_seed": run.retrain_seed,
        "parent": run.parent.id if run.parent else None, "state": state.state, "reason": state.reason,
        "retryable": state.retryable, "job": state.job or None, "log": str(state.log) if state.log else None,
    }  # fmt: skip


@click.command
@click.argument("run_id", metavar="RUN")
@results_option
@json_option
def logs(run_id: str, results: Path, as_json: bool) -> None:
    """Print a run's attempts, with reasons and tracebacks, and the logs of the jobs it was submitted with.

    RUN is the id of a run, or its beginning; STUDY/RUN if two studies have the same run.
    """
    from ...slurm.collection import find_logs, find_submitted, read_submissions

    study, _, beginning = run_id.rpartition("/")
    store = open_store(results)
    try:
        folder = find_one(results, run_id)
        name, study = folder.path.name, folder.study
    except UserError:
        # A job that died before its run began left a log, but no run folder.
        submitted = find_submitted(read_submissions(results, store.note, study or "*"), beginning)
        if len(submitted) != 1:
            say_damaged(store.damaged, SUBMIT_ANEW)
            raise
        folder, name = None, submitted.pop()
    attempts = folder.attempts() if folder else []
    paths = find_logs(read_submissions(results, store.note, "*" if study in ("", "dense") else study), name)
    say_damaged(store.damaged, SUBMIT_ANEW)
    if as_json:
        print_json({"run": run_id, "attempts": attempts, "logs": [str(path) for path in paths]})
        return
    for index, record in enumerate(attempts, 1):
        outcome = record.get("outcome") or "no ending recorded"
        print(one_line(f"attempt {index} on {record.get('host')}: {outcome} {record.get('reason', '')}").rstrip())
        if record.get("traceback"):
            print(several_lines(record["traceback"]).rstrip())
    for path in paths:
        say(f"log of its job: {path}")
        try:
            print(several_lines(path.read_text(encoding="utf-8", errors="replace")), end="")
        except OSError as error:
            say(f"it cannot be read: {error.strerror}")


COMMANDS = (status, logs)
