"""A process computes many runs: nothing of a run is alive after it, whether it has finished, failed or stopped."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.launch.attempt import Ending, attempt
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.training.watch import Watch
from prunebench.methods import METHODS, registry

FAILING = """
from dataclasses import dataclass
from typing import ClassVar

from prunebench.methods.dpf import DPF

METHODS = {"failing": "Failing"}


@dataclass(kw_only=True)
class Failing(DPF):
    label: ClassVar[str] = "Failing"
    paper: ClassVar[str] = "none"
    needs: ClassVar[str] = "nothing"
    at: str = "step"

    def attach(self, context):
        model = super().attach(context)
        self.fail("attach")
        return model

    def on_weights(self, step, optimizer):
        self.fail("step")

    def detach(self):
        self.fail("detach")

    def fail(self, place):
        try:
            if place == self.at:
                self.context.model(self)
        except Exception as error:
            raise RuntimeError(place) from error
"""
SKIPPED = ("global_mp_columns", "random_columns", "dense_longer", "nm_magnitude", "small_dense")
"""Need other networks or options."""


@pytest.fixture
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def num_alive(generation: int | None = None) -> int:
    """Tensors that take memory; those since the last collection have the generation 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's deprecated names warn when they are looked at
        tensors = [each for each in gc.get_objects(generation) if issubclass(type(each), torch.Tensor)]
    return sum(each.device.type != "meta" for each in tensors)


def tiny_run(method: str, seed: int, **options: Any) -> Run:
    return Run(
        dataset="digits", dataset_options=(("limit", 100),), model="convnet-small", model_options=(("width", 2),),
        method=method, method_options=tuple(options.items()), sparsity=0.0 if method == "dense" else 0.5, seed=seed,
        recipe=Recipe(epochs=1, batch_size=50, lr=0.05),
    )  # fmt: skip


def read_once(settings: Settings) -> None:
    """The data stay, and what torch makes once."""
    assert attempt(tiny_run("dense", 99), "s", settings) == Ending("done")


@pytest.mark.usefixtures("_without_collector")
def test_nothing_stays_of_finished_runs(tmp_path: Path) -> None:
    """Without the garbage collector, which comes late: no object of a run may refer to itself."""
    settings = Settings(results=tmp_path, device="cpu")
    read_once(settings)
    num_finished = num_alive()
    gc.collect()
    assert num_alive() == num_finished, "of the first run"
    names = [name for name in sorted(METHODS) if name not in SKIPPED]
    for seed in range(40):
        name = names[seed % len(names)]
        assert attempt(tiny_run(name, seed), "s", settings) == Ending("done")
        assert num_alive(generation=0) == 0, name


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize("place", ["attach", "step", "detach"])
def test_nothing_stays_of_failed_runs(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.OFFERS, "plugins", {})
    (tmp_path / "failing.py").write_text(FAILING, encoding="utf-8")
    registry.add_plugin(tmp_path / "failing.py")
    settings = Settings(results=tmp_path, device="cpu")
    read_once(settings)
    before = num_alive()
    for seed in range(2):
        assert attempt(tiny_run("failing", seed, at=place), "s", settings) == Ending("failed", f"RuntimeError: {place}")
        assert num_alive() == before


@pytest.mark.usefixtures("_without_collector")
def test_nothing_stays_of_stopped_runs(tmp_path: Path) -> None:
    settings = Settings(results=tmp_path, device="cpu")
    read_once(settings)
    before = num_alive()
    assert attempt(tiny_run("edge_popup", 0), "s", settings, Watch(stop=lambda: True)).outcome == "interrupted"
    assert num_alive() == before
