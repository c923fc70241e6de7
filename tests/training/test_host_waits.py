"""On a GPU the host does not wait in training steps, and only a few times an epoch, whatever the number of layers."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from fake_cuda import FakeGpu, Wait, fake_cuda
from prunebench.benchmark.api.data import Data
from prunebench.benchmark.runs.run import Recipe
from prunebench.benchmark.training.measure import kept_by_layer
from prunebench.benchmark.training.step import Step
from prunebench.datasets.parts.in_memory_split import ResidentSplit
from prunebench.methods.bases.toy_task import ToyRecurrentNetwork, toy_inputs, toy_network
from prunebench.methods.checks.run_checks import quick_options
from prunebench.methods.checks.trial import ToyTask, Trial
from prunebench.methods.registry import create, describe, method_names
from torch import Tensor, device, nn, relu

EPOCH_WAITS = 4
"""The training loss, the accuracies, the masks, and between rounds what a method prunes by."""
FOR_CELLS = ("global_mp_columns", "random_columns")
ONE_EVENT = ("network_slimming",)
"""Which channels go is searched on the host, once in the training."""
OPTIONS = {"str": {"initial_threshold_logit": -3.0}}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("gmp", {"scope": "global", "every": 2}),
    ("gmp", {"scope": "erk", "every": 2}),
    ("gmp", {"distribution": "extended", "every": 2}),
    ("global_mp", {"schedule": "cubic", "every": 1}),
    ("dnw", {"scope": "global"}),
    ("dpf", {"scope": "erk", "every": 1}),
    ("edge_popup", {"scope": "global"}),
    ("ac_dc", {"scope": "layerwise"}),
    ("rigl", {"distribution": "erk"}),
    ("dsr", {"every": 1, "distribution": "erk"}),
    ("sm", {"every": 1}),
    ("sm", {"every": 1, "redistribution": "none"}),
    ("granet", {"every": 1, "initial_sparsity": 0.3}),
    ("srigl", {"every": 1, "distribution": "first_dense"}),
    ("movement", {"scope": "global"}),
    ("pdp", {"scope": "erk"}),
]


class Chain(nn.Module):
    """Convolutions one after the other, and a classifier."""

    num_layers: ClassVar[int]

    def __init__(self, width: float = 4) -> None:
        super().__init__()
        width = max(1, round(width))
        channels = [3, *[width] * (self.num_layers - 1)]
        self.layers = nn.ModuleList(nn.Conv2d(*pair, 3, 2, 1) for pair in itertools.pairwise(channels))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in self.layers)
        self.head = nn.Linear(width, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            inputs = relu(norm(layer(inputs)))
        return self.head(inputs.mean(dim=(2, 3)))


class Chain3(Chain):
    num_layers = 3


class Chain12(Chain):
    num_layers = 12


@dataclass(frozen=True, kw_only=True)
class ResidentTask(ToyTask):
    """The data are on the device, as those of a run are after its first batch."""

    clip_norm: float = 0.0

    @property
    def recipe(self) -> Recipe:
        return replace(super().recipe, clip_norm=self.clip_norm)

    def rebuild(self, model: nn.Module, **options: Any) -> nn.Module:
        return super().rebuild(model, **options).to("cuda")

    @property
    def data(self) -> Data:
        return self._data

    @functools.cached_property
    def _data(self) -> Data:
        train, test = (
            ResidentSplit(*toy_inputs(count, seed, self.input_shape, self.num_classes))
            for count, seed in ((self.steps_per_epoch * self.batch_size, 0), (8, 1))
        )
        for split in (train, test):
            list(split.batches(8, device=device("cuda")))
        return replace(super().data, train=train, validation=test, test=test)


class Counted:
    """The waits of each step and of each epoch but the first, which has the method's work before the training."""

    def __init__(self, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gpu, self.ends = gpu, list[int]()
        self.steps: list[list[Wait]] = []
        step = Step.__call__

        def counted(*arguments: Any) -> Tensor:
            begin = len(gpu.waits)
            loss = step(*arguments)
            self.steps.append(gpu.waits[begin:])
            return loss

        monkeypatch.setattr(Step, "__call__", counted)

    def note_epoch(self, trial: Trial) -> None:
        kept_by_layer(trial.model, trial.pruner)  # a run records its density
        self.ends.append(len(self.gpu.waits))

    @property
    def epochs(self) -> Sequence[list[Wait]]:
        return [self.gpu.waits[begin:end] for begin, end in itertools.pairwise(self.ends)]


def train(
    name: str, options: dict[str, Any], kind: type[nn.Module], monkeypatch: pytest.MonkeyPatch, **task: Any
) -> Counted:
    info = describe(name)
    pruner = create(name, 0.5 if name != "dense_longer" and name not in FOR_CELLS else 0.0, options)
    with fake_cuda() as gpu:
        counted = Counted(gpu, monkeypatch)
        trial = Trial(pruner, toy_network(kind=kind).to("cuda"), ResidentTask(**task), counted.note_epoch)
        trial.train()
    assert counted.steps, info.name
    return counted


def check(name: str, counted: Counted) -> None:
    allowed = 1 if name in ONE_EVENT else 0
    waiting = [waits for waits in counted.steps if waits]
    assert waiting[allowed:] == [], name
    if pruner_rounds := [waits for waits in counted.epochs if len(waits) > EPOCH_WAITS][allowed:]:
        raise AssertionError(pruner_rounds[0])


@pytest.mark.parametrize("kind", [Chain3, Chain12])
@pytest.mark.parametrize("name", [name for name in method_names() if name not in FOR_CELLS])
def test_no_method_makes_the_host_wait(name: str, kind: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**quick_options(describe(name)), **OPTIONS.get(name, {})}
    check(name, train(name, options, kind, monkeypatch))


@pytest.mark.parametrize("name", FOR_CELLS)
def test_nor_do_methods_for_cells(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(name, train(name, quick_options(describe(name)), ToyRecurrentNetwork, monkeypatch))


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_nor_do_options(name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    check(name, train(name, options, Chain12, monkeypatch, clip_norm=1.0))
