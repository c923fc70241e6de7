"""Curves of trainings for TensorBoard and Weights & Biases: complete, without an epoch twice, and of no effect."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.training.epoch_log import check_log
from prunebench.benchmark.training.harness import Interrupted, Watch, execute

RUN = Run(
    dataset="digits", dataset_options=(("limit", 200),), model="convnet-small", method="snip", sparsity=0.9, seed=1,
    validation=0.1, recipe=Recipe(epochs=5, batch_size=50, lr=0.1),
)  # fmt: skip
CURVES = (
    "lr", "train_loss", "validation_accuracy", "validation_loss", "test_accuracy", "test_top5", "test_loss", "density",
    "macs",
)  # fmt: skip

STAND_IN = """
import json, pathlib, time

def Settings(**chosen):
    return chosen

class init:
    def __init__(self, *, dir, id, **facts):
        self.folder = pathlib.Path(dir, "wandb", f"offline-run-{time.time_ns()}-{id}")
        self.folder.mkdir(parents=True)
        (self.folder / "facts.json").write_text(json.dumps(facts))

    def log(self, curves, step):
        with (self.folder / "curves.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, **curves}) + "\\n")

    def finish(self):
        (self.folder / "finished").touch()
"""


class Writer:
    """Stands in for torch's SummaryWriter: event files as lines of JSON."""

    def __init__(self, log_dir: str) -> None:
        self.path = Path(log_dir)
        self.path.mkdir(parents=True)

    def add_text(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, encoding="utf-8")

    def add_scalar(self, name: str, value: float, step: int) -> None:
        with (self.path / "events").open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, value, step]) + "\n")

    def flush(self) -> None: ...

    def close(self) -> None:
        (self.path / "closed").touch()


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with packages of these names."""
    packages = tmp_path / "packages"
    for name, text in (("wandb", STAND_IN), ("tensorboard", "")):
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").write_text(text, encoding="utf-8")
        sys.modules.pop(name, None)
    monkeypatch.syspath_prepend(str(packages))
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    yield packages
    for name in ("wandb", "tensorboard"):
        sys.modules.pop(name, None)


def compute(results: Path, log: Any, stop_after: int | None = None, checkpoint_every: int = 2) -> dict[str, Any]:
    """The result. With `stop_after` the process is killed after so many epochs, as by SIGKILL: nothing is saved."""
    folder = Store(results).folder("study", RUN)
    folder.create(RUN)
    settings = Settings(results=results, device="cpu", log=log, checkpoint_every=checkpoint_every)
    seen: list[Any] = []

    def count(record: dict[str, Any]) -> None:
        seen.append(record)
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    return execute(RUN, "study", settings, Watch(on_epoch=count))


def curves(results: Path, log: str) -> list[dict[str, float]]:
    """What was logged, an entry for each epoch."""
    if log == "wandb":
        (found,) = (results / "study" / "wandb").iterdir()
        return [json.loads(line) for line in (found / "curves.jsonl").read_text().splitlines()]
    (found,) = (results / "study" / "tensorboard").iterdir()
    epochs: dict[int, dict[str, float]] = {}
    for name, value, step in map(json.loads, (found / "events").read_text().splitlines()):
        assert name not in epochs.setdefault(step, {"step": step}), f"{name} of step {step} twice"
        epochs[step][name] = value
    return list(epochs.values())


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in ("id", "run", "accuracy", "loss", "sparsity", "layers")}


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("log", ["tensorboard", "wandb"])
def test_a_killed_and_resumed_run_has_one_whole_curve_and_the_result_of_an_unlogged_one(
    log: str, tmp_path: Path
) -> None:
    plain, logged = tmp_path / "plain", tmp_path / "logged"
    expected = compute(plain, "none")
    assert not (plain / "study" / "wandb").exists()
    assert not (plain / "study" / "tensorboard").exists()
    # the third epoch is logged, is after the checkpoint of the second, and is lost
    with pytest.raises(KeyboardInterrupt):
        compute(logged, log, stop_after=3)
    assert [epoch["step"] for epoch in curves(logged, log)] == [1, 2, 3]
    found = compute(logged, log)
    assert found["cost"]["resumed"] == 1
    assert comparable(found) == comparable(expected)
    history = Store(plain).folder("study", RUN).history()
    assert curves(logged, log) == [
        {"step": step, **{name: record[name] for name in CURVES}} for step, record in enumerate(history, 1)
    ]


@pytest.mark.usefixtures("stand_ins")
def test_a_stopped_run_closes_its_log_and_says_what_it_is(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder("study", RUN)
    folder.create(RUN)
    settings = Settings(results=tmp_path, device="cpu", log="tensorboard")
    with pytest.raises(Interrupted):
        execute(RUN, "study", settings, Watch(stop=lambda: True))
    (found,) = (tmp_path / "study" / "tensorboard").iterdir()
    assert found.name == f"snip-0.9-seed1-{RUN.id}"
    assert (found / "closed").exists()
    assert '"sparsity": 0.9' in (found / "configuration").read_text()


@pytest.mark.usefixtures("stand_ins")
def test_wandb_is_offline_with_the_configuration(tmp_path: Path) -> None:
    compute(tmp_path, "wandb")
    (found,) = (tmp_path / "study" / "wandb").iterdir()
    facts = json.loads((found / "facts.json").read_text())
    assert facts["mode"] == "offline"
    assert facts["config"]["recipe"]["epochs"] == 5
    assert facts["project"] == "prunebench-study"
    assert (found / "finished").exists()


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs tensorboard")
def test_real_event_files_hold_the_curve(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    compute(tmp_path, "tensorboard")
    (found,) = (tmp_path / "study" / "tensorboard").iterdir()
    read = EventAccumulator(str(found)).Reload()
    assert [event.step for event in read.Scalars("test_accuracy")] == [1, 2, 3, 4, 5]


def test_a_folder_of_the_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """wandb makes folders of its name; Python finds them where one is in the folder of the program."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(
        UserError, match=r"--log wandb: the package 'wandb' is not installed; pip install 'prunebench\["
    ):
        check_log("wandb")


def command(folder: Path, *arguments: str, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ}
    if packages is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(packages), environment.get("PYTHONPATH", "")])
    script = [sys.executable, "-m", "prunebench.benchmark.cli", *arguments]
    return subprocess.run(script, cwd=folder, env=environment, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("arguments", [("run", "demo"), ("submit", "demo", "--profile", "cpu", "--dry-run")])
def test_a_missing_package_is_told_in_a_line_before_anything_runs(arguments: tuple[str, ...], tmp_path: Path) -> None:
    if importlib.util.find_spec("wandb"):
        pytest.skip("wandb is installed")
    done = command(tmp_path, *arguments, "--log", "wandb")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "prunebench: --log wandb: the package 'wandb' is not installed; pip install 'prunebench[wandb]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_workers_of_run_log(stand_ins: Path, tmp_path: Path) -> None:
    first = ("--only", "method=dense", "--only", "seed=0", "--set", "train.epochs=2")
    done = command(tmp_path, "run", "demo", *first, "--log", "wandb", packages=stand_ins)
    assert done.returncode == 0, done.stderr
    assert f"curves: {Path('results/demo/wandb')}" in done.stderr
    (found,) = (tmp_path / "results" / "demo" / "wandb").iterdir()
    assert [json.loads(line)["step"] for line in (found / "curves.jsonl").read_text().splitlines()] == [1, 2]
