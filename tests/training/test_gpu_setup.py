"""What a run does on a GPU before and beside its training: precision, its own device, clocks. By an emulated GPU."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from fake_cuda import fake_cuda
from prunebench.benchmark.api.errors import DeviceMissing, UserError
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.provenance import device_facts
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.training import calibrate, distributed, measure_pair
from prunebench.benchmark.training.clock import GpuClock, clock_for
from prunebench.benchmark.training.precision import check_precisions, set_precision
from torch import nn

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
RUN = Run(
    dataset="digits", dataset_options=(("limit", 100),), model="lenet-300-100", method="magnitude_init", seed=0,
    sparsity=0.5, recipe=Recipe(epochs=1, batch_size=50),
)  # fmt: skip


def with_precision(precision: Any) -> Run:
    return replace(RUN, recipe=replace(RUN.recipe, precision=precision))


def result_of(run: Run, folder: Path, device: str) -> dict[str, Any]:
    ending = attempt(run, "s", Settings(results=folder, device=device))
    assert ending.outcome == "done", ending.reason
    result = Store(folder).folder("s", run).read_result()
    assert result is not None
    return result


@pytest.fixture(autouse=True)
def _default_precision() -> Iterator[None]:
    yield
    set_precision("float32")


# ---- precision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "is_rounded"), [("float32", False), ("bfloat16", False), ("tf32", True)])
def test_products_and_convolutions_are_rounded_with_tf32_alone(precision: str, is_rounded: bool) -> None:
    torch.set_float32_matmul_precision("medium")  # as a plug-in may have done
    torch.backends.cudnn.allow_tf32 = not is_rounded
    set_precision(precision)
    with fake_cuda():
        torch.backends.cudnn.allow_tf32 = is_rounded  # the emulation has set the flags of cuDNN
        assert device_facts(GPU)["tf32"] == {"matmul": is_rounded, "convolution": is_rounded}
    assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == is_rounded
    assert torch.backends.mkldnn.matmul.fp32_precision == ("tf32" if is_rounded else "ieee")
    assert device_facts(CPU)["tf32"] is None


def test_tf32_is_another_run() -> None:
    assert len({with_precision(precision).id for precision in ("float32", "tf32", "bfloat16")}) == 3
    assert with_precision("float32").id == RUN.id


@pytest.mark.parametrize(("precision", "name"), [("tf32", "Tesla T4"), ("bfloat16", "Tesla T4")])
def test_a_card_that_lacks_the_precision_is_refused(precision: str, name: str) -> None:
    with fake_cuda(), pytest.MonkeyPatch.context() as patched:
        check_precisions(["float32", "tf32", "bfloat16"], GPU)
        patched.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
        patched.setattr(torch.cuda, "get_device_name", lambda device=None: name)
        check_precisions(["float32"], GPU)
        message = f"precision '{precision}' needs a GPU of compute capability 8.0 or later, {name} has 7.5; "
        with pytest.raises(DeviceMissing, match=message):
            check_precisions(["float32", precision], GPU)


def test_a_cpu_has_no_tf32() -> None:
    check_precisions(["float32", "bfloat16"], CPU)
    with pytest.raises(UserError, match="precision 'tf32' needs a GPU, the device is cpu; float32 runs everywhere"):
        check_precisions(["tf32"], CPU)


def test_a_study_with_tf32_on_a_cpu_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\ndataset: {name: digits, options: {limit: 100}}\nmodel: lenet-300-100\nseeds: [0]\n"
        "train: {epochs: 1, batch_size: 50, precision: tf32}\nruns: [{method: dense}]\n",
        encoding="utf-8",
    )
    commands = (("run", "--device", "cpu"), ("submit", "--dry-run", "--profile", "cpu"))
    for name, *options in commands:
        command = [sys.executable, "-m", "prunebench.benchmark.cli", name, str(path), *options]
        done = subprocess.run([*command, "--results", str(tmp_path / "r")], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == "prunebench: precision 'tf32' needs a GPU, the device is cpu; float32 runs everywhere\n"
    assert not list(tmp_path.rglob("attempts"))


def test_a_result_records_what_the_gpu_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    fork = torch.random.fork_rng

    def forking(*arguments: Any, **options: Any) -> Any:
        seen.append(options.get("devices"))
        return fork(*arguments, **options)

    monkeypatch.setattr(torch.random, "fork_rng", forking)
    monkeypatch.setenv("PRUNEBENCH_RUNS_AT_ONCE", "3")
    with fake_cuda(), pytest.MonkeyPatch.context() as patched:
        current: list[Any] = []
        set_device = torch.cuda.set_device
        patched.setattr(torch.cuda, "set_device", lambda device: current.append(device) or set_device(device))
        provenance = result_of(with_precision("tf32"), tmp_path, "cuda")["provenance"]
    assert provenance["tf32"] == {"matmul": True, "convolution": True}
    assert provenance["mps"] is False
    assert provenance["execution"]["precision"] == "tf32"
    assert provenance["execution"]["runs_at_once"] == 3
    assert current == [GPU]
    assert provenance["device"] == "cuda:0"
    assert None not in seen  # which would be all GPUs
    assert seen[0] == [GPU]


# ---- several processes --------------------------------------------------------------------------------------------


def test_nccl_is_told_the_gpu_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **options: calls.append((backend, options)))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: calls.append("left"))
    with fake_cuda(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.cuda, "device_count", lambda: 4)
        patched.setattr(torch.cuda, "set_device", lambda device: calls.append(str(device)))
        with distributed.joined("auto"):
            pass
        with distributed.joined("cpu"):
            pass
    options = {"timeout": distributed.TIMEOUT}
    assert calls == [
        "cuda:3", ("cpu:gloo,cuda:nccl", {**options, "device_id": torch.device("cuda:3")}), "left",
        ("gloo", options), "left",
    ]  # fmt: skip


def test_statistics_are_not_sent_before_every_batch_and_torch_has_nothing_to_warn_of() -> None:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            network = distributed.parallel(nn.BatchNorm1d(2))
    finally:
        dist.destroy_process_group()
    assert network.broadcast_buffers is False


# ---- clocks --------------------------------------------------------------------------------------------------------


class Event:
    """An event on a GPU that is `behind` seconds behind the host and ends when `now` says so."""

    host = 0.0
    gpu = 0.0
    made = 0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing
        Event.made += 1

    def record(self) -> None:
        self.at = Event.host

    def query(self) -> bool:
        return Event.gpu >= self.at

    def synchronize(self) -> None:
        Event.gpu = max(Event.gpu, self.at)

    def elapsed_time(self, end: Event) -> float:
        assert end.query()
        return (end.at - self.at) * 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> GpuClock:
    Event.host = Event.gpu = 0.0
    Event.made = 0
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    made = clock_for(GPU)
    assert isinstance(made, GpuClock)
    return made


def spend(clock: GpuClock, what: str, seconds: float) -> None:
    with clock.measure(what):
        Event.host += seconds  # what is queued takes so long on the GPU


def test_a_gpus_time_counts_where_it_is_spent(clock: GpuClock) -> None:
    with clock.measure("train"):
        spend(clock, "prune", 2.0)
        Event.host += 4.0
        spend(clock, "masks", 1.0)
        assert (clock.prune, clock.masks) == (0.0, 0.0)  # nothing was waited for
    Event.gpu = 6.5
    spend(clock, "masks", 1.0)
    assert (clock.prune, clock.masks) == (2.0, 0.0)  # what had ended was read
    assert clock.seconds() == {"train": 7.0, "evaluate": 0.0, "prune": 2.0, "masks": 2.0}


def test_events_are_used_again(clock: GpuClock) -> None:
    for _ in range(10):
        spend(clock, "masks", 1.0)
        Event.gpu = Event.host
    assert clock.seconds()["masks"] == 10.0
    assert Event.made == 4


def test_a_clock_goes_on_from_a_checkpoint(clock: GpuClock) -> None:
    spend(clock, "prune", 2.0)  # attaching the method again
    clock.restore({"train": 5.0, "evaluate": 1.0, "prune": 0.0, "masks": 0.5})
    spend(clock, "masks", 1.0)
    assert clock.seconds() == {"train": 5.0, "evaluate": 1.0, "prune": 0.0, "masks": 1.5}


def test_what_is_captured_is_not_timed(clock: GpuClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    spend(clock, "masks", 1.0)
    assert clock.seconds()["masks"] == 0.0
    assert Event.made == 0


def test_a_measurement_waits_a_few_times_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "keep_freed", lambda device: False)
    with fake_cuda() as gpu:
        rate = calibrate.measure_throughput(RUN, seconds=1.0)
        waits = [wait for wait in gpu.waits if wait.kind == "synchronize"]
    assert rate > 0
    assert 3 <= len(waits) <= 40
    assert rate / RUN.recipe.batch_size > 2 * len(waits)  # steps in the second


def test_a_pair_is_measured_in_the_precision_and_on_the_gpu_of_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked: list[Any] = []
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # torch's default
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: forked.append(devices) or contextlib.nullcontext())
    monkeypatch.setattr(measure_pair, "read_data", lambda run, settings: None)
    monkeypatch.setattr(measure_pair, "stored_state", lambda folder, data: ({}, ""))

    def network(run: Run, data: object, settings: Settings, device: torch.device) -> None:
        raise InterruptedError(f"{device}, {torch.backends.cudnn.allow_tf32}")

    monkeypatch.setattr(measure_pair, "finished_network", network)
    with fake_cuda(), pytest.raises(InterruptedError, match="cuda:0, False"):
        measure_pair.measure_pair((RUN, RUN), "study", Settings(results=tmp_path, device="cuda"), [])
    assert forked == [[GPU]]
