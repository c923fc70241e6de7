"""Faults on a real cluster: whatever happens to a job, the others finish, `status` tells the truth, and a second
`submit` completes the study with the numbers of an undisturbed one.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cluster import Place
from prunebench.benchmark.runs.store import Store
from scenarios import NEEDS_ROOT, Scenario

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

Played = dict[str, Scenario]
SCENARIOS = (
    "dead seed",
    "killed",
    "time limit",
    "preempted",
    "no grace",
    "requeued",
    "cancelled",
    "given up",
    "held",
    "vanished",
    "node lost",
    *NEEDS_ROOT,
)


def get(played: Played, name: str, folder: Path) -> Scenario:
    """A scenario that was to be played must have been; `folder` is any, to try what the machine allows."""
    if name in NEEDS_ROOT and not NEEDS_ROOT[name](folder):
        pytest.skip("to mount a small disk or to close a folder takes root")
    return played[name]


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_the_end_all_is_as_if_nothing_had_happened(
    name: str, played: Played, reference: Place, tmp_path: Path
) -> None:
    scenario = get(played, name, tmp_path)
    place = scenario.place
    if name != "full disk":
        # the small disk was removed with its cluster
        assert place.counts().keys() == {"done"}
    found, wanted = scenario.numbers, reference.numbers()
    assert {run.id for run in place.runs} <= found.keys()
    assert found == {run_id: wanted[run_id] for run_id in found}


def test_one_dead_seed_blocks_only_its_own_runs(played: Played) -> None:
    scenario = played["dead seed"]
    for run in scenario.place.runs:
        state = scenario.at_rest[run.id]
        if run.seed == 0:
            assert state.state == "done"
            continue
        assert run.parent is not None
        assert scenario.at_fault[run.id].state == "blocked", "also while its job still waits in the queue"
        assert state.state == "blocked"
        assert f"its dense training {run.parent.id} was lost: its job ended as CANCELLED" in state.reason
        assert scenario.at_rest[run.parent.id].state == "lost"


def test_a_killed_task_is_lost_with_its_reason_and_log(played: Played) -> None:
    scenario = played["killed"]
    lost = scenario.at_rest[scenario.first.id]
    assert lost.state == "lost"
    assert "its job ended as FAILED on node" in lost.reason
    assert "exit code" in lost.reason
    assert lost.log is not None
    assert f"{scenario.first.id} epoch 1 of 30" in lost.log.read_text(encoding="utf-8")
    assert str(lost.log) in scenario.shown
    assert scenario.at_rest[scenario.second.id].state == "done"


def test_without_accounting_a_killed_task_is_lost_all_the_same(played: Played) -> None:
    scenario = played["vanished"]
    lost = scenario.at_rest[scenario.first.id]
    assert lost.state == "lost"
    assert lost.reason == "its job is neither in the queue nor in the accounting; it last ran on node1"
    assert "the accounting cannot be asked: sacct: Slurm accounting storage is disabled" in scenario.shown


@pytest.mark.parametrize("name", ["time limit", "preempted", "no grace", "requeued", "node lost"])
def test_a_run_that_loses_its_node_is_requeued_and_resumes(name: str, played: Played) -> None:
    """No second submission was needed; every start continued from the epoch where the one before had stopped."""
    scenario = played[name]
    place = scenario.place
    assert all(state.state == "done" for state in scenario.at_rest.values())
    num_requeued = 0
    for run in place.runs:
        folder = Store(place.results).folder("fault", run)
        record, result = place.record(run), folder.read_result()
        assert result is not None
        assert [epoch["epoch"] for epoch in folder.history()] == list(range(30))
        assert len(folder.attempts()) == record.requeues + 1
        assert result["cost"]["resumed"] == record.requeues
        num_requeued += record.requeues > 0
    assert num_requeued == 1


@pytest.mark.parametrize("name", ["time limit", "preempted"])
def test_after_a_warning_every_attempt_is_closed(name: str, played: Played) -> None:
    scenario = played[name]
    attempts = Store(scenario.place.results).folder("fault", scenario.first).attempts()
    assert [attempt["outcome"] for attempt in attempts] == ["interrupted"] * (len(attempts) - 1) + ["done"]


def test_the_number_of_requeues_is_bounded(played: Played) -> None:
    scenario = played["given up"]
    state = scenario.at_rest[scenario.first.id]
    assert state.state == "interrupted"
    assert state.reason == "requeued 0 times, the profile's max_requeues; submit it again"


def test_a_run_that_is_cancelled_stops_in_order_and_goes_on_later(played: Played) -> None:
    scenario = played["cancelled"]
    state = scenario.at_rest[scenario.first.id]
    assert state.state == "interrupted"
    assert re.fullmatch(r"cancelled, stopped after epoch \d+ of 30", state.reason)
    folder = Store(scenario.place.results).folder("fault", scenario.first)
    assert [attempt["outcome"] for attempt in folder.attempts()] == ["interrupted", "done"]
    result = folder.read_result()
    assert result is not None
    assert result["cost"]["resumed"] == 1


def test_a_run_that_another_process_computes_is_waited_for(played: Played) -> None:
    scenario = played["held"]
    assert scenario.at_fault[scenario.first.id].state == "running"
    attempts = Store(scenario.place.results).folder("fault", scenario.first).attempts()
    assert [attempt["outcome"] for attempt in attempts] == ["done"]


def test_on_a_full_disk_status_says_so(played: Played, tmp_path: Path) -> None:
    """Space that the run itself freed may or may not have been enough for the record of what happened."""
    scenario = get(played, "full disk", tmp_path)
    state = scenario.at_rest[scenario.first.id]
    assert state.retryable
    if state.state == "failed":
        assert "No space left on device" in state.reason
    else:
        assert state.state == "lost"
        assert f"the results folder {scenario.place.results} is full" in scenario.shown


def test_where_nothing_can_be_written_status_says_so(played: Played, tmp_path: Path) -> None:
    """Neither the job nor the run could leave a record of what happened."""
    scenario = get(played, "closed folder", tmp_path)
    state = scenario.at_rest[scenario.first.id]
    assert state.state == "lost"
    assert state.reason.startswith("its job is neither in the queue nor in the accounting")
    assert f"the results folder {scenario.place.results} cannot be written" in scenario.shown
