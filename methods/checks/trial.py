"""One training of a method on a toy task, by the loop that computes runs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ...benchmark.api.data import Data, check_batching, shares
from ...benchmark.api.pruner import Batch, Context, Pruner
from ...benchmark.training.checkpoint import restore, training_state
from ...benchmark.training.context import make_context
from ...benchmark.training.loop import Recipe, Training
from ..bases.toy_task import INPUT_SHAPE, NUM_CLASSES, toy_inputs, toy_network

TEST_SAMPLES = 8


class ToySplit:
    """A split in memory; see `Split`."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self._inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def batches(
        self, batch_size: int, *, device: torch.device, order: torch.Generator | None = None, augment: bool = False,
        drop_last: bool = False, rank: int = 0, world: int = 1,
    ) -> Iterator[Batch]:  # fmt: skip
        check_batching(len(self), batch_size, drop_last, rank, world)
        places = torch.arange(len(self)) if order is None else torch.randperm(len(self), generator=order)
        bounds = shares(len(self), batch_size, drop_last, rank, world)
        return (self.sample(places[start:stop], device=device) for start, stop in bounds)

    def sample(self, indices: Tensor, *, device: torch.device) -> Batch:
        return self._inputs[indices].to(device), self.targets[indices].to(device)


@dataclass(frozen=True, kw_only=True)
class ToyTask:
    """Data and recipe. `steps_per_epoch` batches of `batch_size` samples make up the training set.

    The recipe moves a pruned weight if a mask does not hold: momentum, Nesterov and weight decay, or Adam.
    """

    input_shape: ClassVar[tuple[int, ...]] = INPUT_SHAPE
    num_classes: ClassVar[int] = NUM_CLASSES

    seed: int = 0
    epochs: int = 4
    steps_per_epoch: int = 3
    batch_size: int = 8
    optimizer: Literal["sgd", "adam"] = "sgd"

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            epochs=self.epochs, batch_size=self.batch_size, optimizer=self.optimizer,
            lr=0.1 if self.optimizer == "sgd" else 0.01, nesterov=self.optimizer == "sgd", weight_decay=1e-2,
            decay_norm=False, schedule="constant",
        )  # fmt: skip

    @property
    def data(self) -> Data:
        def split(count: int, seed: int) -> ToySplit:
            return ToySplit(*toy_inputs(count, seed, self.input_shape, self.num_classes))

        return Data(
            name="toy", input_shape=self.input_shape, num_classes=self.num_classes, fingerprint="",
            train=split(self.steps_per_epoch * self.batch_size, self.seed),
            validation=split(0, 0),
            test=split(TEST_SAMPLES, self.seed + 1),
        )  # fmt: skip

    def context(self, model: nn.Module) -> Context:
        """What a method is given, made as for a run."""
        return make_context(
            model, self.data, recipe=self.recipe, seed=self.seed, device=next(model.parameters()).device,
            rebuild=lambda **options: self.rebuild(model, **options),
        )  # fmt: skip

    def rebuild(self, model: nn.Module, **options: Any) -> nn.Module:
        """The same kind of network, newly initialised, on the same device."""
        return toy_network(self.seed, type(model), **options).to(next(model.parameters()).device)


class Trial:
    """Attaches a pruner to a network and trains it. `on_epoch(trial)` is called after every epoch.

    `network` is the given one, `model` the one that is trained.
    """

    def __init__(
        self,
        pruner: Pruner,
        network: nn.Module,
        task: ToyTask | None = None,
        on_epoch: Callable[[Trial], None] = lambda trial: None,
    ) -> None:
        self.pruner, self.network, self.task = pruner, network, task or ToyTask()
        self.model = pruner.attach(self.task.context(network))
        self._on_epoch = on_epoch
        self._optimizer: torch.optim.Optimizer | None = None
        self._optimizer_state: dict[str, Any] | None = None
        self._training = Training(
            model=self.model, pruner=pruner, data=self.task.data, recipe=self.task.recipe, seed=self.task.seed,
            device=next(network.parameters()).device,
        )  # fmt: skip

    @property
    def position(self) -> tuple[int, int]:
        """The round, and the epochs of it that are done."""
        return self._training.progress.round, self._training.progress.epoch

    def train(self) -> Trial:
        """All rounds, from the start or from where the trial was resumed."""
        self._training.run(self._after_epoch, self._optimizer_state)
        return self

    def _after_epoch(self, record: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._on_epoch(self)
        self._optimizer = None  # its momentum would stay in memory while the next round prunes

    def checkpoint(self) -> bytes:
        """The file that a training would leave that is stopped now; for `on_epoch`."""
        assert self._optimizer is not None
        file = io.BytesIO()
        torch.save(training_state(self._training, self._optimizer), file)
        return file.getvalue()

    def resume(self, checkpoint: bytes) -> Trial:
        """Bring this trial, made as in a new process, to where the checkpoint was written."""
        state = torch.load(io.BytesIO(checkpoint), weights_only=True)
        self._optimizer_state = restore(self._training, state)
        return self
