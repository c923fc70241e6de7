"""The plain training loops of the race: what the suite replaces, written well and with torch's defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import prune
from torch.utils.data import DataLoader, Dataset

from ..runs.run import Recipe
from .side_by_side import settle


class Images(Dataset[tuple[Tensor, int]]):
    """Like torchvision's data sets of small images: an array, an image object for each item, transforms."""

    def __init__(self, images: Tensor, targets: Tensor, transform: Callable[[Any], Tensor]) -> None:
        self.images = images.permute(0, 2, 3, 1).numpy()
        self.targets = targets.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.images[index]
        return self.transform(Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)), self.targets[
            index
        ]


def plain_epoch(
    network: nn.Module, masks: dict[str, Tensor], recipe: Recipe, loader: DataLoader[Any], device: torch.device
) -> Callable[[], None]:
    """An epoch in the usual way, with torch's defaults; gradients are set to None, losses are not synchronised."""
    parameters = dict(network.named_parameters())
    optimizer = torch.optim.SGD(
        parameters.values(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=recipe.nesterov
    )

    def epoch() -> None:
        network.train()
        total = torch.zeros((), device=device)
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = cross_entropy(network(inputs.to(device)), targets.to(device))
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for name, mask in masks.items():
                    parameters[name].mul_(mask)
            total += loss.detach()
        settle(device)

    return epoch


def with_masked_layers(network: nn.Module, masks: dict[str, Tensor]) -> nn.Module:
    """The network, whose layers multiply weight and mask in every forward pass."""
    for name, mask in masks.items():
        layer, _, parameter = name.rpartition(".")
        prune.custom_from_mask(network.get_submodule(layer), parameter, mask)
    return network


def one_batch_step(
    network: nn.Module, shape: tuple[int, ...], num_classes: int, batch_size: int, is_low: bool
) -> Callable[[], Tensor]:
    """A step on one batch that stays: channels last, a fused optimiser, one foreach product with masks of 10 %.

    The best known plain step on a GPU, where the loops above are bound by their data. `is_low`: bfloat16 by autocast.
    """
    device = next(network.parameters()).device
    network = network.to(memory_format=torch.channels_last)
    inputs = torch.randn(batch_size, *shape, device=device).to(memory_format=torch.channels_last)
    targets = torch.randint(num_classes, (batch_size,), device=device)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, 0.9, nesterov=True, fused=True)
    weights: list[Tensor] = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    masks = [(torch.rand_like(weight) < 0.1).to(weight.dtype) for weight in weights]

    def step() -> Tensor:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=is_low):
            logits = network(inputs)
        loss = cross_entropy(logits.float(), targets)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_mul_(weights, masks)
        return loss.detach()

    return step
