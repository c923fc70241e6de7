"""Networks small enough to try a method on in milliseconds: for the contract check, and for what methods try out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...benchmark.api.pruner import Batch, Context
from ...benchmark.api.sites import find_sites

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
        state = sequence.new_zeros(len(sequence), self.U1.shape[0])
        for inputs in sequence.unbind(dim=1):
            state = torch.tanh(inputs @ self.W1 @ self.W2 + state @ self.U1 @ self.U2)
        return state

    def macs(self, input_shape: torch.Size) -> dict[str, int]:
        """Each weight is used once a step; `input_shape` is (batch, steps, features)."""
        batch, steps, _ = input_shape
        return {name: batch * steps * getattr(self, name).numel() for name in self.prunable_weights}


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


def toy_inputs(count: int, seed: int = 0, shape: tuple[int, ...] = INPUT_SHAPE, classes: int = NUM_CLASSES) -> Batch:
    """Random inputs (count, *shape), and targets (count,) that go through the classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator), torch.arange(count) % classes


def toy_context(model: nn.Module) -> Context:
    """A context to try pruning on, made without the harness. Scores see eight random samples, as often as needed."""
    sites = find_sites(model)
    return Context(
        model=model,
        sites=sites,
        samples=_samples,
        loss=cross_entropy,
        macs={site.name: site.weight.numel() for site in sites},
        input_shape=INPUT_SHAPE,
        num_classes=NUM_CLASSES,
        device=torch.device("cpu"),
        epochs=4,
        steps_per_epoch=3,
        generator=lambda purpose: torch.Generator().manual_seed(0),
        rebuild=lambda **options: toy_network(kind=type(model), **options),
    )


def _samples(num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0) -> Iterator[Batch]:
    inputs, targets = toy_inputs(8, seed=draw)
    for part in torch.arange(num_samples).remainder(len(targets)).split(batch_size):
        yield inputs[part], targets[part]
