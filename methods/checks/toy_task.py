"""The smallest task on which every method can be run: a network, random data, and the harness's order of calls.

For the contract check and for tests; a training takes a few hundredths of a second. Nothing here measures accuracy.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...benchmark.api.masks import find_sites
from ...benchmark.api.pruner import Batch, Context, Pruner

INPUT_SHAPE = (3, 8, 8)
NUM_CLASSES = 4


class ToyNetwork(nn.Module):
    """A convolution, a residual block (depthwise, pointwise, 1x1 shortcut), another convolution and a classifier."""

    def __init__(self, width: float = 8) -> None:
        super().__init__()
        width = max(1, round(width))
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, 2 * width, 1, stride=2)
        self.shortcut = nn.Conv2d(width, 2 * width, 1, stride=2, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * width)
        self.mix = nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(2 * width)
        self.head = nn.Linear(2 * width, NUM_CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (batch, classes) of inputs (batch, 3, 8, 8)."""
        hidden = torch.relu(self.norm1(self.stem(inputs)))
        hidden = self.norm2(self.pointwise(torch.relu(self.depthwise(hidden))) + self.shortcut(hidden))
        hidden = self.norm3(self.mix(torch.relu(hidden)))
        return self.head(torch.relu(hidden).mean(dim=(2, 3)))


class ToyCell(nn.Module):
    """A recurrent cell with low-rank matrices W1 W2 and U1 U2, for the methods that prune such cells only."""

    prunable_weights: tuple[str, ...] = ("W1", "W2", "U1", "U2")
    low_rank_pairs: tuple[tuple[str, str], ...] = (("W1", "W2"), ("U1", "U2"))

    def __init__(self, num_features: int = 24, hidden: int = 16) -> None:
        super().__init__()
        self.W1 = nn.Parameter(0.2 * torch.randn(num_features, hidden))
        self.W2 = nn.Parameter(0.2 * torch.randn(hidden, hidden))
        self.U1 = nn.Parameter(0.2 * torch.randn(hidden, hidden))
        self.U2 = nn.Parameter(0.2 * torch.randn(hidden, hidden))

    def forward(self, sequence: Tensor) -> Tensor:
        """The last state (batch, hidden) of a sequence (batch, steps, features)."""
        state = torch.zeros(len(sequence), self.U1.shape[0])
        for inputs in sequence.unbind(dim=1):
            state = torch.tanh(inputs @ self.W1 @ self.W2 + state @ self.U1 @ self.U2)
        return state


class ToyRecurrentNetwork(nn.Module):
    """The cell over the rows of an image, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = ToyCell()
        self.head = nn.Linear(16, NUM_CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (batch, classes) of inputs (batch, 3, 8, 8)."""
        return self.head(self.cell(inputs.permute(0, 2, 3, 1).flatten(2)))


def toy_network(seed: int = 0, kind: type[nn.Module] = ToyNetwork, **options: Any) -> nn.Module:
    """A newly initialised network; the global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(**options)


@dataclass(frozen=True, kw_only=True)
class ToyTask:
    """Data and recipe. `steps_per_epoch` batches of `batch_size` samples make up the training set."""

    seed: int = 0
    epochs: int = 4
    steps_per_epoch: int = 3
    batch_size: int = 8
    optimizer: Literal["sgd", "adam"] = "sgd"
    data: Batch = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        count = self.steps_per_epoch * self.batch_size
        inputs = torch.randn(count, *INPUT_SHAPE, generator=generator)
        object.__setattr__(self, "data", (inputs, torch.arange(count) % NUM_CLASSES))

    def samples(self, num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0) -> Iterator[Batch]:
        """Samples for scores, see ScoringData; drawn again in a new order when there are too few."""
        inputs, targets = self.data
        generator = torch.Generator().manual_seed(1000 + draw)
        if balanced:
            per_class = [(targets == label).nonzero().squeeze(1) for label in range(NUM_CLASSES)]
            share = -(-num_samples // NUM_CLASSES)
            chosen = torch.cat([p[torch.randint(len(p), (share,), generator=generator)] for p in per_class])
            chosen = chosen[torch.randperm(len(chosen), generator=generator)][:num_samples]
        else:
            chosen = torch.cat(
                [torch.randperm(len(targets), generator=generator) for _ in range(-(-num_samples // len(targets)))]
            )[:num_samples]
        for part in chosen.split(batch_size):
            yield inputs[part], targets[part]

    def context(self, model: nn.Module, **changes: Any) -> Context:
        """What a method is given; `changes` replace fields of the context."""
        sites = find_sites(model)
        fields: dict[str, Any] = {
            "model": model,
            "sites": sites,
            "samples": self.samples,
            "loss": cross_entropy,
            "macs": {site.name: site.weight.numel() for site in sites},
            "input_shape": INPUT_SHAPE,
            "num_classes": NUM_CLASSES,
            "device": torch.device("cpu"),
            "epochs": self.epochs,
            "steps_per_epoch": self.steps_per_epoch,
            "generator": lambda purpose: torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {purpose}".encode())),
            "rebuild": lambda **options: toy_network(self.seed, type(model), **options),
        }
        return Context(**{**fields, **changes})

    def make_optimizer(self, pruner: Pruner) -> torch.optim.Optimizer:
        """SGD with momentum, Nesterov and weight decay, or Adam: what moves a pruned weight if a mask slips."""
        groups = pruner.param_groups(weight_decay=1e-2, decay_norm=False)
        if self.optimizer == "adam":
            return torch.optim.Adam(groups, lr=0.01)
        return torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)

    def batches(self, index: int, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch of round `index`, in an order that depends on the position alone."""
        generator = torch.Generator().manual_seed((self.seed * 100 + index) * 1000 + epoch)
        inputs, targets = self.data
        for part in torch.randperm(len(targets), generator=generator).split(self.batch_size):
            yield inputs[part], targets[part]


@dataclass
class ToyRun:
    """One training with a pruner, called in the order in which the harness calls it.

    `on_step(run)` is called after each step, when masks must hold; `on_epoch(run)` after each epoch, when a real
    training may be stopped: `checkpoint()` is what it would leave behind.
    """

    pruner: Pruner
    network: nn.Module = field(default_factory=toy_network)
    task: ToyTask = field(default_factory=ToyTask)
    on_step: Callable[[ToyRun], None] = lambda run: None
    on_epoch: Callable[[ToyRun], None] = lambda run: None
    index: int = 0
    epoch: int = 0

    def __post_init__(self) -> None:
        self.model = self.pruner.attach(self.task.context(self.network))
        self.optimizer: torch.optim.Optimizer | None = None

    def train(self, max_steps: int | None = None) -> ToyRun:
        """Run all rounds, from where the run stands; or stop after `max_steps` steps, in the middle of an epoch."""
        self.steps_left = max_steps
        for index in range(self.index, self.pruner.rounds):
            if self.optimizer is None:
                self.pruner.begin_round(index)
                self.index, self.epoch = index, self.pruner.first_epoch(index)
                self.optimizer = self.task.make_optimizer(self.pruner)
            for epoch in range(self.epoch, self.task.epochs):
                self._train_epoch(epoch, self.optimizer)
                if self.steps_left == 0:
                    return self
                self.pruner.on_epoch_end(index, epoch, self.optimizer)
                self.epoch = epoch + 1
                self.on_epoch(self)
            self.optimizer = None
        return self

    def _train_epoch(self, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        self.model.train()
        for i, (inputs, targets) in enumerate(self.task.batches(self.index, epoch)):
            if self.steps_left == 0:
                return
            step = epoch * self.task.steps_per_epoch + i
            optimizer.zero_grad()
            cross_entropy(self.model(inputs), targets).backward()
            if not self.pruner.on_gradients(step, optimizer):
                optimizer.step()
            self.pruner.on_weights(step, optimizer)
            if self.steps_left is not None:
                self.steps_left -= 1
            self.on_step(self)

    def checkpoint(self) -> bytes:
        """The file of a stopped training."""
        assert self.optimizer is not None
        file = io.BytesIO()
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "pruner": self.pruner.state_dict(),
                "position": (self.index, self.epoch),
            },
            file,
        )
        return file.getvalue()


def resume(run: ToyRun, checkpoint: bytes) -> ToyRun:
    """Bring a new run, made as in a new process, to where the checkpoint was written."""
    state = torch.load(io.BytesIO(checkpoint), weights_only=True)
    run.index, run.epoch = state["position"]
    run.model.load_state_dict(state["model"])
    run.pruner.load_state_dict(state["pruner"])
    run.optimizer = run.task.make_optimizer(run.pruner)
    run.optimizer.load_state_dict(state["optimizer"])
    return run
