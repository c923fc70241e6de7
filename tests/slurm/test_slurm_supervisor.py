"""The supervisor of one job, without SLURM: real workers, real deaths, real stops."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import fake_workers
import pytest
from comparing import numbers_of
from prunebench.benchmark.launch.attempt import Ending, attempt
from prunebench.benchmark.launch.worker_process import smallest_free
from prunebench.benchmark.runs.run import Recipe, Run, to_dict
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.methods.registry import add_plugin
from prunebench.slurm.job import RunTask
from prunebench.slurm.job_record import MachineFailed, RequeuedTooOften, RunsFailed
from prunebench.slurm.signals import WARNING, Notice
from prunebench.slurm.submission import TaskRecord, read_task_record, task_record_path, write_task_record
from prunebench.slurm.supervisor import Supervisor

PLUGIN = str(Path(__file__).with_name("faulty.py"))
DATA = (("limit", 200),)


def make_run(method: str, epochs: int, seed: int = 0) -> Run:
    recipe = Recipe(epochs=epochs, batch_size=50, lr=0.05)
    return Run(
        dataset="digits", dataset_options=DATA, model="convnet-small", method=method, sparsity=0.5, seed=seed,
        recipe=recipe,
    )  # fmt: skip


def settings_for(results: Path) -> Settings:
    return Settings(results=results, device="cpu", checkpoint_every=1, plugins=(PLUGIN,))


def supervise(runs: list[Run], settings: Settings, notice: Notice, num_workers: int = 1) -> dict[str, Ending]:
    endings: dict[str, Ending] = {}

    def on_end(run: Run, ending: Ending) -> None:
        endings[run.id] = ending

    def on_epoch(run: Run, record: dict[str, Any]) -> None:
        epochs.append(record["epoch"])
        if record["epoch"] == 2 and stops:
            notice.receive(WARNING)

    epochs: list[int] = []
    stops = runs[0].method == "slow_mp"
    Supervisor(
        study="s", settings=settings, num_workers=num_workers, notice=notice, on_end=on_end, on_epoch=on_epoch
    ).compute(runs)
    return endings


@pytest.mark.timeout(120)
def test_one_run_that_dies_takes_no_other_with_it(tmp_path: Path) -> None:
    """Two runs at once in one job: one worker is killed, the other continues, and the death is recorded."""
    deadly, sound = make_run("deadly_mp", 2), make_run("snip", 2)
    endings = supervise([deadly, sound], settings_for(tmp_path), Notice(60.0), num_workers=2)
    assert endings[sound.id].outcome == "done"
    assert endings[deadly.id] == Ending("failed", "worker killed by SIGKILL", retryable=True)
    status = Store(tmp_path).folder("s", deadly).status()
    assert (status.state, status.reason, status.retryable) == ("failed", "worker killed by SIGKILL", True)


@pytest.mark.timeout(120)
def test_a_cuda_error_ends_its_process_and_the_run_goes_on_in_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = tmp_path / "errors"
    errors.write_text("CUDA error: an illegal memory access was encountered\n", encoding="utf-8")
    monkeypatch.setenv("SPOILED_FILE", str(errors))
    spoiled, after = make_run("spoiled_mp", 3), make_run("snip", 1)
    assert supervise([spoiled, after], settings_for(tmp_path), Notice(60.0)) == {
        spoiled.id: Ending("done"), after.id: Ending("done"),
    }  # fmt: skip
    first, second = Store(tmp_path).folder("s", spoiled).attempts()
    assert (first["outcome"], first["retryable"], second["outcome"]) == ("failed", True, "done")
    assert first["reason"] == "AcceleratorError: CUDA error: an illegal memory access was encountered"
    (other,) = Store(tmp_path).folder("s", after).attempts()
    assert second["pid"] != first["pid"] != other["pid"]
    result = Store(tmp_path).folder("s", spoiled).read_result()
    assert result is not None
    assert result["cost"]["resumed"] == 1, "from the checkpoint of its first epoch"


def test_workers_of_a_job_are_numbered_without_gaps() -> None:
    """This number decides which of the job's GPUs each takes."""
    assert [smallest_free([]), smallest_free([0, 1]), smallest_free([0, 2, 3])] == [0, 2, 1]


@pytest.mark.timeout(120)
def test_a_stopped_run_resumes_from_its_last_epoch_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warned in epoch 3, stopped with a checkpoint, started again: bit for bit the undisturbed result."""
    run = make_run("slow_mp", 8)
    monkeypatch.setenv("SLOW_SECONDS", "0.5")
    folder = Store(tmp_path / "stopped").folder("s", run)
    endings = supervise([run], settings_for(tmp_path / "stopped"), Notice(60.0))
    assert endings[run.id].outcome == "interrupted"
    num_before = len(folder.history())
    assert 3 <= num_before < 8
    monkeypatch.setenv("SLOW_SECONDS", "0")
    add_plugin(PLUGIN)
    assert attempt(run, "s", settings_for(tmp_path / "stopped")).outcome == "done"
    assert len(folder.attempts()) == 2
    assert json.loads(folder.result_path.read_text(encoding="utf-8"))["cost"]["resumed"] == 1
    assert attempt(run, "s", settings_for(tmp_path / "straight")).outcome == "done"
    straight = Store(tmp_path / "straight").folder("s", run)
    assert numbers_of(folder.path) == numbers_of(straight.path)


def test_a_worker_past_the_deadline_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch that is longer than the warning: the job ends in time, without that epoch."""
    monkeypatch.setenv("SLOW_SECONDS", "60")
    notice = Notice(warning_seconds=2.0)
    run = make_run("slow_mp", 8)
    history = Store(tmp_path).folder("s", run).path / "attempts"

    def warn() -> None:
        while not history.exists():
            time.sleep(0.1)
        time.sleep(1.0)
        notice.receive(WARNING)

    threading.Thread(target=warn, daemon=True).start()
    begin = time.monotonic()
    endings = supervise([run], settings_for(tmp_path), notice)
    assert endings == {}
    assert time.monotonic() - begin < 45.0
    attempts = Store(tmp_path).folder("s", run).attempts()
    pid = attempts[-1]["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def order_for(folder: Path, runs: list[Run], **changes: Any) -> str:
    settings = {**vars(settings_for(folder)), "results": str(folder), "data_root": None}
    order = {
        "study": "s", "runs": [to_dict(run) for run in runs], "settings": settings, "workers": 1, "num_tasks": 1,
        "record": str(task_record_path(folder, 0, 0)), "max_requeues": 3, "warning_seconds": 60, "revision": "r",
        "code": "other", **changes,
    }  # fmt: skip
    return json.dumps(order)


def test_a_run_without_its_dense_training_is_blocked_and_loads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunebench.slurm.job.PARENT_SECONDS", 0.1)
    dense = Run(dataset="digits", model="convnet-small", method="dense", seed=0, recipe=Recipe(epochs=1))
    child = Run(
        dataset="digits", model="convnet-small", method="global_mp", sparsity=0.5, seed=0, recipe=Recipe(epochs=1),
        parent=dense,
    )  # fmt: skip
    assert RunTask(order_for(tmp_path, [child]))() == {child.id: "blocked"}
    record = read_task_record(task_record_path(tmp_path, 0, 0))
    assert record.outcomes[child.id]["reason"] == f"its dense training {dense.id} has no result"
    assert record.end is not None
    assert record.starts[0]["code_changed"] is True, "the order names other code than this"
    assert not Store(tmp_path).folder("s", child).path.exists()


def test_the_outcome_of_an_earlier_start_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this start is killed, `status` must not report how the one before ended."""
    run = make_run("snip", 1)
    path = task_record_path(tmp_path, 0, 0)
    earlier = {"outcome": "interrupted", "reason": "stopped after epoch 1 of 2"}
    write_task_record(path, TaskRecord(starts=[{"raw": "1", "host": "h"}], outcomes={run.id: earlier}))
    found: list[TaskRecord] = []
    monkeypatch.setattr(Supervisor, "compute", lambda self, runs: found.append(read_task_record(path)))
    RunTask(order_for(tmp_path, [run]))()
    assert len(found[0].starts) == 2
    assert found[0].outcomes == {}


def test_requeues_are_bounded_also_where_nobody_asked_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Node failures requeue a job without its asking, so the start itself is counted."""
    monkeypatch.setenv("SLURM_RESTART_COUNT", "4")
    with pytest.raises(RequeuedTooOften, match="requeued 4 times"):
        RunTask(order_for(tmp_path, [make_run("snip", 1)], max_requeues=3))()
    assert "requeued 4 times" in read_task_record(task_record_path(tmp_path, 0, 0)).ending


def test_the_claim_of_an_earlier_start_on_a_lost_node_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat looks fresh for three minutes; a claim of another job is left alone."""
    from prunebench.slurm.supervisor import forget_earlier_start

    run = make_run("snip", 1)
    claim = Store(tmp_path).folder("s", run).path / "claim.json"
    claim.parent.mkdir(parents=True)
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    for job, is_left in (("42", True), ("41", False)):
        claim.write_text(json.dumps({"token": "t", "host": "node7", "pid": 1, "slurm_job": job}), encoding="utf-8")
        forget_earlier_start(Store(tmp_path), "s", run)
        assert claim.exists() is is_left


def test_a_record_that_cannot_be_written_does_not_fail_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("prunebench.slurm.job.PARENT_SECONDS", 0.1)

    def full(path: Path, record: TaskRecord) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prunebench.slurm.job_record.write_task_record", full)
    dense = Run(dataset="digits", model="convnet-small", method="dense", seed=0, recipe=Recipe(epochs=1))
    child = Run(dataset="digits", model="convnet-small", method="snip", seed=0, recipe=Recipe(epochs=1), parent=dense)
    assert RunTask(order_for(tmp_path, [child]))() == {child.id: "blocked"}
    assert "No space left on device" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "handlers are put back"


def test_a_job_whose_machine_cannot_compute_leaves_its_runs_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not end as a success: the run has no outcome, the job says why, and `submit` takes the run again."""
    run = make_run("snip", 1)
    monkeypatch.setattr("prunebench.slurm.supervisor.work_in_job", fake_workers.cannot)
    why = "no worker process can be started on .*: ImportError: libtorch.so: failed to map segment"
    with pytest.raises(MachineFailed, match=why):
        RunTask(order_for(tmp_path, [run]))()
    record = read_task_record(task_record_path(tmp_path, 0, 0))
    assert record.outcomes == {}
    assert "failed to map segment" in record.ending
    assert record.end is not None


@pytest.mark.parametrize(("retryable", "chosen"), [(True, 1), (False, 0)])
def test_a_later_start_tries_again_what_the_machine_had_failed(
    retryable: bool, chosen: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("snip", 1)
    failed = {"outcome": "failed", "reason": "node1: DataMissing", "retryable": retryable}
    Store(tmp_path).folder("s", run).write_attempt(1, failed)
    outcomes = {run.id: {"outcome": "failed", "reason": "node1: DataMissing"}}
    path = task_record_path(tmp_path, 0, 0)
    write_task_record(path, TaskRecord(starts=[{"raw": "1", "host": "node1"}], outcomes=outcomes))
    given: list[Run] = []
    monkeypatch.setattr(Supervisor, "compute", lambda self, runs: given.extend(runs))
    with contextlib.suppress(RunsFailed):
        RunTask(order_for(tmp_path, [run]))()
    assert len(given) == chosen
