"""The cost that a plan states is what the runs then record; what it cannot know is stated as unknown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.models.macs_table import count_one
from prunebench.benchmark.preflight.networks import kept_by_training, missing_weights
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.cost import Estimate, estimate
from prunebench.benchmark.studies.devices import DEVICES, Device, find_device
from prunebench.benchmark.studies.footprint import footprint
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.benchmark.studies.plan import make_plan
from prunebench.benchmark.studies.run_cost import run_cost
from prunebench.datasets.registry import train_size

HEAD = """\
name: planned
dataset: {name: digits, options: {limit: 60}}
model: lenet-300-100
seeds: [0]
train: {epochs: 2, batch_size: 20, lr: 0.1}
finetune: {epochs: 3}
scratch: {epochs: 4}
runs:
"""


def write(folder: Path, *entries: str, head: str = HEAD) -> Study:
    path = folder / "planned.yaml"
    path.write_text(head + "".join(f"  - {{{entry}}}\n" for entry in entries), encoding="utf-8")
    return load_study(str(path))


def planned(study: Study, folder: Path, **options: Any) -> Estimate:
    store = Store(folder / "results")
    return estimate(study, make_plan(study.name, study.runs, store), store, **options)


ENTRIES = {
    "dense": "method: dense",
    "fine-tuning of its own": "method: global_mp, sparsity: [50%, 90%], finetune: {epochs: 1}",
    "no fine-tuning": "method: layerwise_mp, sparsity: [50%], finetune: {epochs: 0}",
    "twelve trainings": "method: imp, sparsity: [90%], scratch: {epochs: 1}",
    "rewinding": "method: imp, sparsity: [75%], options: {prune_fraction: 0.5, rewind_epoch: 1}",
    "from trained weights": "method: imp, sparsity: [50%], options: {start: trained, rewind: lr, rewind_epoch: 2,"
    " prune_fraction: 0.0, prune_rounds: 3, ranking: lamp}",
    "nothing to prune": "method: imp, sparsity: [0]",
    "scoring rounds": "method: [synflow, force], sparsity: [80%], options: {prune_rounds: 5}",
    "during training": "method: [ac_dc, gmp, rigl], sparsity: [80%]",
    "controls": "method: [dense_longer, random_subspace]",
    "own sparsity": "method: str",
    "validation": "method: snip, sparsity: [80%]",
    "wider": "method: snip, sparsity: [80%], model_options: {width: 0.5}",
}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_run_records_what_the_plan_said(tmp_path: Path, name: str) -> None:
    head = HEAD.replace("name: planned\n", "name: planned\nvalidation: 0.25\n") if name == "validation" else HEAD
    head = head.replace("{limit: 60}", "{}") if name == "validation" else head
    study, count = write(tmp_path, ENTRIES[name], head=head), count_one if name == "wider" else None
    said = planned(study, tmp_path, count=count)
    store = Store(tmp_path / "results")
    recorded = []
    for job in make_plan(study.name, study.runs, store).jobs:
        assert attempt(job.run, study.name, Settings(results=store.root)).outcome == "done"
        result = store.folder(study.name, job.run).read_result() or {}
        cost = run_cost(job.run, count)
        assert (cost.epochs, cost.training_macs) == (result["cost"]["epochs"], result["cost"]["macs"])
        assert cost.samples == result["data"]["train"]
        recorded.append(result)
    assert said.epochs == said.epochs_to_do == sum(result["cost"]["epochs"] for result in recorded)
    assert said.training_macs_to_do == sum(result["cost"]["macs"] for result in recorded)
    assert said.images_to_do == sum(r["cost"]["epochs"] * r["data"]["train"] for r in recorded)
    assert said.unknown == {}


def test_iterative_pruning_is_counted_by_hand(tmp_path: Path) -> None:
    # 0.8 ** 11 = 0.086 is the first power below 10 % left: 11 prunings and the dense training, of 4 epochs each
    assert planned(write(tmp_path, ENTRIES["twelve trainings"]), tmp_path).epochs == 12
    # the dense training of 4 epochs, then two of 3, from epoch 1
    assert planned(write(tmp_path, ENTRIES["rewinding"]), tmp_path).epochs == 4 + 3 + 3


def test_networks_with_options_are_not_taken_for_the_usual_ones(tmp_path: Path) -> None:
    study = write(tmp_path, "method: snip, sparsity: [80%], model_options: {width: 0.5}")
    said = planned(study, tmp_path)
    assert said.training_macs_to_do is None
    assert said.images_to_do == 4 * 60
    reason = "multiply-adds of lenet-300-100 (width=0.5) on digits: --calibrate counts them"
    assert said.unknown == {reason: 1}
    assert f"not known      {reason} (1 run)" in said.lines()
    assert "training MACs  ? to do" in "\n".join(said.lines())


def test_the_throughput_of_one_network_is_not_taken_for_that_of_another(tmp_path: Path) -> None:
    from synthetic_results import store_result

    snip = "method: snip, sparsity: [80%]"
    study, store = write(tmp_path, snip, f"{snip}, label: wide, model_options: {{width: 2.0}}"), tmp_path / "results"
    assert planned(study, tmp_path).throughput_source == (
        "no throughput known: run a part, or give --calibrate, --device-name or --throughput"
    )
    store_result(Store(store), study.name, study.runs[0], 0.9)
    said = planned(study, tmp_path)
    assert (said.images_per_second, said.device_hours) == (None, None)
    assert said.throughput_source.startswith("the stored runs are of other networks")
    # 4 epochs of 1000 images in 36 seconds
    usual = planned(write(tmp_path, snip, "method: grasp, sparsity: [80%]"), tmp_path)
    assert usual.images_per_second == pytest.approx(4000 / 36)


def test_a_smaller_network_is_known_when_it_is_built(tmp_path: Path) -> None:
    said = planned(write(tmp_path, "method: [small_dense, snip], sparsity: [80%]"), tmp_path)
    assert said.epochs == 8
    assert said.training_macs_to_do is None
    assert said.unknown == {"multiply-adds of small_dense: it trains another network than lenet-300-100": 1}


@pytest.mark.parametrize(
    ("options", "known"),
    [("like: mnist", True), ("like: cifar10, num_classes: 100", True), ("like: digits, image_size: 12", False)],
)
def test_made_up_data_have_the_multiply_adds_of_their_shape(tmp_path: Path, options: str, known: bool) -> None:
    head = HEAD.replace("name: digits, options: {limit: 60}", f"name: synthetic, options: {{{options}}}")
    study = write(tmp_path, "method: dense", head=head)
    info = describe_data(study)
    counted = count_one("lenet-300-100", {}, info)
    assert run_cost(study.runs[0]).macs == (counted if known else None)
    assert run_cost(study.runs[0], count_one).macs == counted


def describe_data(study: Study) -> Any:
    from prunebench.datasets.registry import describe

    return describe(study.file.dataset.name, **study.file.dataset.options)


def test_the_training_samples_are_those_that_validation_leaves() -> None:
    assert train_size("digits", 0.0) == 1297
    assert train_size("digits", 0.1) == 1297 - 130
    # at least one sample a class is held out, not round(0.001 * 1297) = 1
    assert train_size("digits", 0.001) == 1287
    assert train_size("digits", 0.1, limit=300) == 300
    assert train_size("imagenet", 0.01) == 1281167 - 12812
    assert train_size("har2", 0.0) == 7352
    assert train_size("har2", 0.1) is None
    with pytest.raises(UserError, match="limit is 1290; there are 1167 training samples besides validation"):
        train_size("digits", 0.1, limit=1290)


def test_options_that_a_run_would_be_refused_with_are_refused(tmp_path: Path) -> None:
    for option, reason in {
        "prune_fraction: 1.0": "it must be .* < 1",
        "rewind_epoch: 4": "less than the recipe's 4",
    }.items():
        with pytest.raises(UserError, match=f"method 'imp': .*{reason}"):
            planned(write(tmp_path, f"method: imp, sparsity: [80%], options: {{{option}}}"), tmp_path)


PLUGIN = """\
from dataclasses import dataclass
from typing import ClassVar

from prunebench.benchmark.api.pruner import Pruner
from prunebench.methods.lottery_ticket import IterativeMagnitude

METHODS = {"twice": "Twice", "ticket": "Ticket"}


@dataclass(kw_only=True)
class Twice(Pruner):
    label: ClassVar[str] = "Twice"

    @property
    def rounds(self) -> int:
        return 2


@dataclass(kw_only=True)
class Ticket(IterativeMagnitude):
    label: ClassVar[str] = "Ticket"
"""


def test_a_plan_of_rounds_loads_no_torch_and_does_not_guess_those_of_a_plug_in(tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text(PLUGIN, encoding="utf-8")
    path = tmp_path / "planned.yaml"
    path.write_text(HEAD + "  - {method: ticket, sparsity: [90%]}\n  - {method: twice}\n", encoding="utf-8")
    script = (
        "import sys\n"
        "from prunebench.benchmark.cli import app\n"
        "app(['plan', 'planned.yaml', '--plugin', 'twice.py', *sys.argv[1:]], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )

    def plan(*arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-c", script, "--json", *arguments]
        return json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)

    assert plan("--only", "method=ticket")["epochs"] == 12 * 4
    both = plan()
    assert (both["epochs"], both["epochs_to_do"], both["training_macs_to_do"]) == (None, None, None)
    assert both["unknown"] == {"epochs of twice: its class has rounds of its own and no epochs_rule": 1}


def test_a_dense_training_that_no_run_needs_any_more_is_still_saved(tmp_path: Path) -> None:
    """Its children are stored and it is not, so it is not in the plan; each child would have trained its own."""
    from synthetic_results import store_result

    study = write(tmp_path, "method: global_mp, sparsity: [50%, 90%]")
    said = planned(study, tmp_path)
    assert (said.epochs, said.epochs_unshared) == (2 + 3 + 3, 2 * (2 + 3))
    for run in study.runs:
        store_result(Store(tmp_path / "results"), study.name, run, 0.9)
    stored = planned(study, tmp_path)
    assert (stored.epochs, stored.epochs_unshared) == (3 + 3, 2 * (2 + 3))


def test_hours_of_a_device_are_split_by_method_and_spread_over_devices(tmp_path: Path) -> None:
    """A dense training of 2 epochs, three fine-tunings of 3, a training of 4 from the initialisation."""
    study = write(
        tmp_path, "method: global_mp, sparsity: [50%, 80%, 90%]", "method: snip, sparsity: [90%]",
        "method: dpf, sparsity: [95%], not_run: its settings are not known",
    )  # fmt: skip
    said = planned(study, tmp_path, device=Device(1.0, 2_000_000 // 3, "a test"), gpus=2)
    assert said.macs_per_second is not None
    epoch = 3 * 60 * 50_200 / said.macs_per_second / 3600  # hours; 64 x 300 + 300 x 100 + 100 x 10 multiply-adds
    assert said.training_macs_to_do == (2 + 9 + 4) * 3 * 60 * 50_200
    hours = {name: said.hours_of(share) for name, share in said.methods.items()}
    assert hours == pytest.approx({"dense": 2 * epoch, "global_mp": 9 * epoch, "snip": 4 * epoch})
    assert said.device_hours == pytest.approx(15 * epoch)
    assert said.wall_hours == pytest.approx(7.5 * epoch)
    assert said.hours_of(said.longest) == pytest.approx(5 * epoch), "a fine-tuning waits for its dense training"
    many = planned(study, tmp_path, device=Device(1.0, 2_000_000 // 3, "a test"), gpus=100)
    assert many.wall_hours == pytest.approx(5 * epoch)
    assert "not run        dpf 0.95: its settings are not known" in said.lines()
    assert planned(study, tmp_path).wall_hours is None


def test_every_device_says_where_its_speed_is_from() -> None:
    a100 = find_device("a100-mixed")
    assert a100.macs_per_second == 3 * 4_089_184_256 * 2470
    assert all("/" in device.source for device in DEVICES.values())
    measured = (Path(__file__).parents[2] / "docs" / "gpu-H200.md").read_text(encoding="utf-8")
    for precision in ("bfloat16", "tf32", "float32"):
        device = find_device(f"h200-{precision}")
        assert f"| resnet-50, ours, {precision} | {device.images_per_second:,.0f} images/s," in measured
    with pytest.raises(UserError, match="unknown device 'a100-mixd'; did you mean 'a100-mixed'"):
        find_device("a100-mixd")


def test_the_disk_of_a_plan_is_about_what_the_runs_take(tmp_path: Path) -> None:
    study = write(tmp_path, "method: global_mp, sparsity: [50%, 80%]")
    store, sizes = Store(tmp_path / "results"), (50_610, 50_200)
    jobs = make_plan(study.name, study.runs, store).jobs
    said = footprint(jobs, lambda run: sizes, lambda run: 1_000)
    for job in jobs:
        assert attempt(job.run, study.name, Settings(results=store.root)).outcome == "done"
    taken = sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())
    assert said.disk == pytest.approx(taken, rel=0.15)
    # weights, gradients and momentum of 4 bytes, masks of one byte
    assert (said.memory, said.activations) == (50_610 * 4 * 3 + 50_200, 1_000)
    assert "at least 659 kB a run: 658 kB of weights" in said.lines()[1]


def test_the_memory_is_that_of_the_run_that_needs_most(tmp_path: Path) -> None:
    """Looked up in the shipped table, or counted where the network has options; twice the batch, twice as much."""
    study = write(
        tmp_path, "method: dense", "method: global_mp, sparsity: [50%], finetune: {batch_size: 40}",
        "method: snip, sparsity: [50%], scratch: {batch_size: 80, precision: bfloat16}",
    )  # fmt: skip
    kept = {run.method: kept_by_training(run) for run in study.runs}
    inputs, hidden, outputs = 64, 300 + 100, 10
    per_sample = 4 * (inputs + hidden + outputs) + 8
    assert (kept["dense"], kept["global_mp"]) == (4 + 20 * per_sample, 4 + 40 * per_sample)
    # in bfloat16 activations have two bytes, and copies of the weights come on top
    assert 2 * 80 * (inputs + hidden) < kept["snip"] < 4 * 80 * (inputs + hidden) + 2 * 50_200
    jobs = make_plan(study.name, study.runs, Store(tmp_path / "results")).jobs
    assert footprint(jobs, lambda run: (0, 0), kept_by_training).activations == max(kept.values())


def test_a_missing_file_of_weights_is_told(tmp_path: Path) -> None:
    head = HEAD.replace(
        "model: lenet-300-100", f"model: {{name: lenet-300-100, options: {{weights: {tmp_path}/w.pth}}}}"
    )
    runs = write(tmp_path, "method: dense", head=head).runs
    assert missing_weights(runs) == [f"weights file '{tmp_path}/w.pth' of model 'lenet-300-100' does not exist"]
    (tmp_path / "w.pth").touch()
    assert missing_weights(runs) == []
    assert missing_weights(write(tmp_path, "method: dense").runs) == []


def test_options_that_change_no_multiply_add_are_counted_by_the_shipped_table() -> None:
    study = load_study("table2")
    assert {dict(run.model_options).get("dropout") for run in study.runs} != {None}
    assert all(run_cost(run).macs for run in study.runs)
