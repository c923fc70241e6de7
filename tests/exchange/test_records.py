"""Records: small files of stable bytes that give another machine the results, so that it can continue."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prunebench.benchmark.api.errors import Damaged, UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.exchange.records import read_record, record_bytes, write_records
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.launch.recorded_starts import lines_after, lines_before, recorded_starts
from prunebench.benchmark.runs.files import read_json, write_json
from prunebench.benchmark.runs.leftovers import tidy
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.age import older_runs
from prunebench.benchmark.studies.plan import make_plan
from prunebench.benchmark.training.harness import Watch
from synthetic_results import make_result

DENSE = Run(
    dataset="digits", dataset_options=frozen_options({"limit": 200}), model="convnet-small", method="dense", seed=3,
    recipe=Recipe(epochs=3, batch_size=50, lr=0.1),
)  # fmt: skip
PRUNED = replace(DENSE, method="global_mp", sparsity=0.9, parent=DENSE)
SECOND = replace(DENSE, method="global_mp", sparsity=0.8, parent=DENSE)
STUDY = """
name: s
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [3]
train: {epochs: 3, batch_size: 50, lr: 0.1}
runs: [{method: dense}, {method: global_mp, sparsity: [80%, 90%]}]
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first machine has computed: a dense training and a run that starts from it. Records are in `records`."""
    results = tmp_path_factory.mktemp("first")
    for run in (DENSE, PRUNED):
        assert attempt(run, "s", Settings(results=results)).outcome == "done"
    write_records("s", [DENSE, PRUNED], Store(results), results / "records")
    return results


@pytest.fixture
def second(first: Path, tmp_path: Path) -> Path:
    """Another machine, which has the records only."""
    done = command("merge", first / "records", "--into", tmp_path / "second")
    assert done.exit_code == 0, done.stderr
    assert "2 copied" in done.stderr
    return tmp_path / "second"


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def folder(results: Path, run: Run) -> RunFolder:
    return Store(results).folder("s", run)


def result_of(results: Path, run: Run) -> dict[str, Any]:
    result = folder(results, run).read_result()
    assert result is not None
    return result


def compute(run: Run, results: Path, watch: Watch | None = None) -> str:
    return attempt(run, "s", Settings(results=results), watch).outcome


def test_a_record_holds_the_whole_result_and_every_epoch(first: Path) -> None:
    for run in (DENSE, PRUNED):
        result, history = read_record(first / f"records/{run.id}.json")
        assert result == result_of(first, run)
        assert history == folder(first, run).history()
        assert len(history) == 3
    assert {path.name for path in (first / "records").iterdir()} == {f"{run.id}.json" for run in (DENSE, PRUNED)}


def test_the_bytes_are_stable_and_survive_the_way_through_another_machine(first: Path, second: Path) -> None:
    (second.parent / "s.yaml").write_text(STUDY, encoding="utf-8")
    done = command("record", second.parent / "s.yaml", "--results", second)
    assert done.exit_code == 0, done.stderr
    target = second / "reference/s/runs"
    assert f"{target}: 2 new records, 0 changed, 0 there already" in done.stderr
    for run in (DENSE, PRUNED):
        assert (target / f"{run.id}.json").read_bytes() == (first / f"records/{run.id}.json").read_bytes()
    again = command("record", second.parent / "s.yaml", "--results", second)
    assert "0 new records, 0 changed, 2 there already" in again.stderr
    # all of the folder that is committed
    assert command("merge", second / "reference", "--into", second.parent / "third").exit_code == 0
    assert result_of(second.parent / "third", PRUNED) == result_of(second, PRUNED)


def test_bytes_do_not_depend_on_the_order_of_keys() -> None:
    result = make_result("s", DENSE, 0.9)
    history = [{"epoch": 0, "loss": 0.1}, {"epoch": 1, "loss": 0.2}, {"epoch": 2}]
    turned = dict(reversed(result.items()))
    written = record_bytes(result, history)
    assert record_bytes(turned, [dict(reversed(epoch.items())) for epoch in history]) == written
    assert json.loads(written)["history"] == [{"epoch": [0, 1], "loss": [0.1, 0.2]}, {"epoch": [2]}]
    assert written.count(b"\n") == 1
    assert b": " not in written.replace(b"multiply-adds: ", b"")


def test_records_of_500_large_runs_stay_below_20_megabytes() -> None:
    """As of ResNet-32: 33 layers, 160 epochs."""
    result = make_result("s", DENSE, 0.9)
    layer = {"name": "stage3.block4.conv2.weight", "shape": [64, 64, 3, 3], "total": 36864, "kept": 1234,
             "density": 0.0334743923611111, "zeros_kept": 0, "macs": 2359296}  # fmt: skip
    epoch = {"round": 0, "epoch": 100, "lr": 0.09330127018922195, "train_loss": 0.43541698455810546,
             "validation_accuracy": 0.9615384615384616, "validation_loss": 0.2679446000319261,
             "test_accuracy": 0.9401, "test_top5": 0.9941, "test_loss": 0.31721981811523436,
             "density": 0.10000123456789, "macs": 304768.12345}  # fmt: skip
    size = len(record_bytes({**result, "layers": [layer] * 33}, [epoch] * 160))
    assert 500 * size < 20e6, size


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "it is not the record of a run"),
        ('{"schema": 1}', "it is not the record of a run"),
        ('{"record": 1, "result": {"schema": 1}, "history": []}', "result: id: Field required"),
        ('{"record": 1, "result": {}, "history": []}', "names no version of the format"),
        ('{"record": 1, "result": {"schema": 1}, "history": 3}', "history: "),
    ],
)
def test_a_file_that_is_no_record_is_damaged(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(Damaged, match=message):
        read_record(tmp_path / "a.json")


def test_records_with_torn_columns_or_of_another_version_are_refused(first: Path, tmp_path: Path) -> None:
    content = read_json(first / f"records/{DENSE.id}.json")
    content["history"][0]["epoch"].pop()
    write_json(tmp_path / "a.json", content)
    with pytest.raises(Damaged, match="history: "):
        read_record(tmp_path / "a.json")
    write_json(tmp_path / "b.json", {**content, "record": 2})
    with pytest.raises(UserError, match="has record format 2, this version reads 1"):
        read_record(tmp_path / "b.json")


def test_the_other_machine_has_the_results_and_computes_nothing_that_is_stored(second: Path) -> None:
    plan = make_plan("s", [DENSE, PRUNED], Store(second))
    assert plan.to_do == []
    assert Store(second).num_done("s", [DENSE, PRUNED]) == 2
    assert len(folder(second, PRUNED).history()) == 3
    assert compute(PRUNED, second) == "done"
    assert folder(second, PRUNED).attempts() == [], "nothing was computed"


def test_the_dense_training_is_computed_anew_when_a_run_starts_from_it(first: Path, second: Path) -> None:
    plan = make_plan("s", [DENSE, PRUNED, SECOND], Store(second))
    assert [(job.run, job.status.state) for job in plan.to_do] == [(DENSE, "missing"), (SECOND, "missing")]
    recorded = recorded_starts(plan, Store(second))
    assert lines_before(plan, recorded) == [
        "s: only the record of 1 dense training is here; the weights are computed anew, for 1 run that starts from it"
    ]
    assert lines_after("s", recorded, Store(second)) == []
    # without a plan, as in a cluster job that has only this run
    notes: list[str] = []
    assert compute(SECOND, second, Watch(on_note=notes.append)) == "done"
    assert notes == [f"only the record of dense training {DENSE.id} is here; its weights are computed anew"]
    assert not list(folder(second, DENSE).path.glob("*.damaged"))
    assert folder(second, DENSE).model_path.read_bytes() == folder(first, DENSE).model_path.read_bytes()
    assert result_of(second, DENSE)["accuracy"] == result_of(first, DENSE)["accuracy"]
    assert lines_after("s", recorded, Store(second)) == [
        f"dense training {DENSE.id}: its weights are those of its record"
    ]
    assert older_runs("s", [PRUNED, SECOND], Store(second)) == {}
    assert make_plan("s", [DENSE, PRUNED, SECOND], Store(second)).to_do == []


def test_tables_have_the_recorded_result_until_the_new_one_is_there(second: Path) -> None:
    """Stopped midway: the result stays, and the training continues from its checkpoint, which nothing removes."""
    assert compute(DENSE, second, Watch(stop=lambda: True)) == "interrupted"
    assert folder(second, DENSE).checkpoint_path.exists()
    tidy(folder(second, DENSE))
    assert Store(second).num_done("s", [DENSE]) == 1
    (job, _) = make_plan("s", [DENSE, SECOND], Store(second)).to_do
    assert (job.run, job.status.state) == (DENSE, "interrupted")
    assert compute(DENSE, second) == "done"
    assert result_of(second, DENSE)["cost"]["resumed"] == 1
    assert folder(second, DENSE).check_stored()


def test_runs_from_other_weights_are_marked(first: Path, second: Path) -> None:
    """A machine that rounds differently, simulated by a record that names other weights."""
    for run, key in ((DENSE, "stored"), (PRUNED, "start")):
        result = result_of(second, run)
        result["provenance"]["weights"][key] = "f" * 64
        write_json(folder(second, run).result_path, result)
    recorded = recorded_starts(make_plan("s", [DENSE, PRUNED, SECOND], Store(second)), Store(second))
    assert compute(DENSE, second) == "done"
    (line,) = lines_after("s", recorded, Store(second))
    accuracy = f"{result_of(first, DENSE)['accuracy']['last']:.2%}"
    assert f"its weights are not those of its record (accuracy {accuracy} there, {accuracy} here)" in line
    assert older_runs("s", [DENSE, PRUNED], Store(second)) == {PRUNED.id: ("start",)}


def test_weights_that_come_later_complete_the_record(first: Path, second: Path) -> None:
    done = command("merge", first, "--into", second)
    assert done.exit_code == 0, done.stderr
    assert "0 copied, 2 completed with weights and masks, 0 equal and skipped" in done.stderr
    for run in (DENSE, PRUNED):
        assert result_of(second, run) == result_of(first, run)
        for path in folder(first, run).path.glob("*.safetensors"):
            assert (folder(second, run).path / path.name).read_bytes() == path.read_bytes()
    assert "2 equal and skipped" in command("merge", first / "records", "--into", second).stderr


def test_record_names_what_is_missing(first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "results")
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    done = command("record", tmp_path / "s.yaml", "--results", tmp_path / "results", "-o", tmp_path / "o", "--strict")
    assert done.exit_code == 3
    assert "s: 2 of 3 runs are stored" in done.stderr
