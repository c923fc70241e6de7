"""A time limit: runs that cannot finish do not begin, runs that still compute stop with a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.launch.attempt import Ending, attempt
from prunebench.benchmark.launch.local import Listener, run_local
from prunebench.benchmark.launch.time_limit import TimeLimit, parse_duration, spelled_duration
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.plan import make_plan
from synthetic_results import store_result

DENSE = Run(
    dataset="digits", dataset_options=frozen_options({"limit": 200}), model="convnet-small", method="dense", seed=3,
    recipe=Recipe(epochs=3, batch_size=50, lr=0.1),
)  # fmt: skip
PRUNED = replace(DENSE, method="global_mp", sparsity=0.9, parent=DENSE)
SNIP = replace(DENSE, method="snip", sparsity=0.9)
STUDY = """
name: s
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [3]
train: {epochs: 3, batch_size: 50, lr: 0.1}
runs: [{method: dense}, {method: [global_mp, snip], sparsity: [80%, 90%]}]
"""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("150m", 9000),
        ("2h30m", 9000),
        ("45s", 45),
        ("1h", 3600),
        ("1h1m1s", 3661),
        ("90M", 5400),
        (" 10s ", 10),
        ("1d", 86400),
        ("04:00:00", 14400),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "150", "0m", "-5m", "1.5h", "30m2h", "2 h", "4:00", "h", "99999999999h"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(UserError, match=r"--time-limit .* is no time; give one such as 45s"):
        parse_duration(text)


def test_durations_are_shown_as_they_are_given() -> None:
    told = [spelled_duration(seconds) for seconds in (0.2, 45, 60, 9000, 3600, 3601, 5399)]
    assert told == ["1s", "45s", "1m", "2h30m", "1h", "1h", "1h30m"]


def test_seconds_are_those_of_the_method_and_of_this_machine_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    limit = TimeLimit(study="s", store=store, seconds=100)
    assert limit.needed(SNIP) is None
    assert limit.can_finish(SNIP), "with nothing known it starts and learns"
    # 3 epochs each: 12 and 20 seconds an epoch
    for run, seconds in ((DENSE, 36.0), (replace(PRUNED, sparsity=0.5), 60.0)):
        store_result(store, "s", run, 0.9, cost__seconds=seconds)
    limit.learn_stored([DENSE, replace(PRUNED, sparsity=0.5), PRUNED])
    assert limit.needed(PRUNED) == 60.0
    assert limit.needed(replace(DENSE, seed=4)) == 36.0
    assert limit.needed(SNIP) == 48.0, "a method that is not known is expected to take the mean of all"
    own = store_result(store, "s", replace(PRUNED, sparsity=0.6), 0.9, cost__seconds=150.0)
    assert own.result_path.exists()
    limit.learn(replace(PRUNED, sparsity=0.6))
    assert limit.needed(PRUNED) == 150.0, "what this command computed counts before what was stored"
    assert not limit.can_finish(PRUNED)
    assert limit.needed(replace(DENSE, seed=4)) == 36.0


def test_a_run_that_goes_on_needs_its_missing_epochs_only(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store_result(store, "s", DENSE, 0.9, cost__seconds=36.0)
    other = replace(DENSE, seed=4)
    folder = store_result(store, "s", other, 0.9)
    folder.result_path.unlink()
    folder.history_path.write_text("".join(folder.history_path.read_text().splitlines(keepends=True)[:2]))
    limit = TimeLimit(study="s", store=store, seconds=20)
    limit.learn_stored([DENSE])
    assert limit.needed(other) == 12.0
    assert limit.can_finish(other)
    assert not limit.can_finish(replace(DENSE, seed=5))


def test_what_is_left_is_reported_with_what_never_fits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    limit = TimeLimit(study="s", store=store, seconds=3600)
    assert limit.left_line([SNIP, PRUNED]) == "time limit of 1h: 2 left"
    store_result(store, "s", DENSE, 0.9, cost__seconds=600.0)
    store_result(store, "s", replace(SNIP, seed=4), 0.9, cost__seconds=9000.0)
    limit.learn_stored([DENSE, replace(SNIP, seed=4)])
    told = limit.left_line([SNIP, replace(DENSE, seed=5)])
    assert told == "time limit of 1h: 2 left, the longest needs about 2h30m (longer than the whole limit: 1)"


class OverAfterAnEpoch(TimeLimit):
    """Over as soon as the first epoch of a run is reported."""

    heard = False

    def is_over(self) -> bool:
        return self.heard


def test_at_the_limit_a_run_stops_with_a_checkpoint_and_nothing_is_lost(tmp_path: Path) -> None:
    dense = replace(DENSE, recipe=replace(DENSE.recipe, epochs=20))
    runs = [dense, replace(PRUNED, parent=dense)]
    store, settings = Store(tmp_path / "a"), Settings(results=tmp_path / "a", checkpoint_every=100)
    limit = OverAfterAnEpoch(study="s", store=store, seconds=1000)
    ended: list[tuple[str, str]] = []

    def on_epoch(run: Run, record: dict[str, Any]) -> None:
        limit.heard = True

    def on_end(run: Run, ending: Ending) -> None:
        ended.append((run.method, ending.outcome))

    jobs = make_plan("s", runs, store).to_do
    endings = run_local(jobs, "s", settings, 2, Listener(on_epoch=on_epoch, on_end=on_end), limit)
    assert ended == [("dense", "interrupted")], "what waits for it is left, not blocked"
    assert len(endings) == 1
    folder = store.folder("s", dense)
    assert folder.checkpoint_path.exists()
    assert 1 <= len(folder.history()) < 20
    assert folder.status().state == "interrupted"
    assert attempt(dense, "s", settings).outcome == "done"
    whole = Settings(results=tmp_path / "b")
    assert attempt(dense, "s", whole).outcome == "done"
    assert folder.model_path.read_bytes() == Store(tmp_path / "b").folder("s", dense).model_path.read_bytes()


def test_the_command_begins_only_what_fits_and_says_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SNIP is known to take an hour an epoch; the others are computed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    store = Store(tmp_path / "results")
    store_result(store, "s", SNIP, 0.9, cost__seconds=3 * 3600.0, cost__epochs=3)
    store_result(store, "s", replace(PRUNED, sparsity=0.8), 0.9, cost__seconds=0.3, cost__epochs=3)
    done = CliRunner().invoke(app, ["run", "s.yaml", "--jobs", "1", "--time-limit", "2h"])
    assert done.exit_code == 3, done.output
    assert "s: 2 computed, 0 failed" in done.stderr
    left = "s: time limit of 2h: 1 left, the longest needs about 3h (longer than the whole limit: 1)"
    assert f"{left}; the same command continues from here" in done.stderr
    runs = [DENSE, PRUNED, SNIP, replace(SNIP, sparsity=0.8)]
    assert [job.run for job in make_plan("s", runs, store).to_do] == [runs[-1]]
    assert store.folder("s", runs[-1]).attempts() == [], "it has not begun"


def test_a_limit_that_is_no_time_is_refused_before_anything_runs(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["run", "demo", "--results", str(tmp_path / "r"), "--time-limit", "soon"])
    assert getattr(done.exception, "exit_code", None) == 2
    assert "--time-limit 'soon' is no time" in str(done.exception)
    assert not (tmp_path / "r").exists()
