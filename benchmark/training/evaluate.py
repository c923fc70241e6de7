"""Accuracy and loss of a network on a split."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..api.data import Split
from ..runs.run import Recipe
from . import distributed

EVALUATION_BATCH = 1000
EVALUATION_BYTES = 192 * 2**20
"""Of the inputs of a batch, in float32. 1,000 images up to 3 x 128 x 128, and 334 of ImageNet, which take a third of
the memory of 1,000: in each process that decodes them, and as activations on the device."""
EVALUATION_TARGETS = 2**13
"""Of a batch of texts, which have a target at each place, so that logits take no more memory than activations."""
TOP_K = 5


@dataclass(frozen=True)
class Evaluation:
    """Counts over a whole split: accuracy is correct / samples, never a mean of batch means.

    `samples` are targets: of a text each place of a window is one.
    """

    correct: int
    correct_top5: int
    loss_sum: float
    samples: int

    @property
    def accuracy(self) -> float | None:
        """Fraction right, None for an empty split."""
        return self.correct / self.samples if self.samples else None

    @property
    def top5(self) -> float | None:
        return self.correct_top5 / self.samples if self.samples else None

    @property
    def loss(self) -> float | None:
        mean = self.loss_sum / self.samples if self.samples else None
        return mean if mean is None or math.isfinite(mean) else None


def forward_precision(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bfloat16 autocast where the recipe says so; it can be entered many times."""
    if recipe.precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def evaluation_batch(input_shape: tuple[int, ...]) -> int:
    """Samples of a batch: as many as take EVALUATION_BYTES, at most EVALUATION_BATCH, at least one."""
    return max(1, min(EVALUATION_BATCH, EVALUATION_BYTES // (4 * math.prod(input_shape))))


def evaluate(
    model: nn.Module, splits: Sequence[Split], recipe: Recipe, device: torch.device, input_shape: tuple[int, ...]
) -> list[Evaluation]:
    """Top-1 and top-5 counts and the summed loss of each split, in eval mode; the host waits once for all of them."""
    most = evaluation_batch(input_shape)
    totals = torch.stack([_totals(model, split, recipe, device, most) for split in splits])
    distributed.total(totals)
    return [
        Evaluation(int(correct), int(correct_top5), loss_sum, split.targets.numel())
        for (correct, correct_top5, loss_sum), split in zip(totals.tolist(), splits, strict=True)
    ]


@torch.no_grad()
def _totals(model: nn.Module, split: Split, recipe: Recipe, device: torch.device, most: int) -> Tensor:
    """(3,) of this process, from batches of about `most` samples; the network's mode is restored."""
    was_training = model.training
    model.eval()
    totals = torch.zeros(3, dtype=torch.float64, device=device)
    num_processes = distributed.world()
    places = split.targets.shape[1:].numel()
    if places > 1:
        most = max(1, min(most, EVALUATION_TARGETS // places))
    batch_size = math.ceil(most / num_processes) * num_processes
    for inputs, targets in split.batches(batch_size, device=device, rank=distributed.rank(), world=num_processes):
        with forward_precision(recipe, device):
            logits = model(inputs)
        logits = logits.float()
        top = logits.topk(min(TOP_K, logits.shape[1]), dim=1).indices == targets[:, None]
        loss = cross_entropy(logits, targets, reduction="sum")
        totals += torch.stack([top[:, 0].sum(), top.any(dim=1).sum(), loss.double()]).double()
    model.train(was_training)
    return totals
