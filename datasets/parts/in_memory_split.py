"""A split that is kept on the device as one tensor; batches are indexed, augmented and normalised there."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ...benchmark.api.data import check_augmenting, check_batching, shares
from ...benchmark.api.transfer import send
from .info import Augmentation, Normalisation

NORMALISED_BYTES = 256 * 2**20
"""Images that take no more than this as floats are normalised once, where nothing augments them: a batch of MNIST
then takes two thirds of the time. Larger ones stay uint8."""
GATHERED_BYTES = 2**19
"""Of floats, in batches gathered at once: between two training steps the caches are cold, so that gathering a few
small batches costs little more than gathering one."""
NORMALISED_ROWS = 1000
"""At a time, so that no second copy of the data is made."""


class ResidentSplit:
    """Inputs as stored (uint8 images, or float32 that needs no normalisation), moved once to each device used."""

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        *,
        normalisation: Normalisation | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        """Takes (n, c, h, w) uint8, or (n, ...) float32 without normalisation; and (n,) int64."""
        self._inputs = inputs
        self._targets = targets
        self._normalisation = normalisation
        self._augmentation = augmentation
        self._resident: dict[torch.device, tuple[Tensor, Tensor]] = {}
        self._crops: dict[torch.device, Tensor] = {}
        self._normalised: dict[torch.device, Tensor] = {}
        self._constants: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def targets(self) -> Tensor:
        return self._targets

    def sample(self, indices: Tensor, *, device: torch.device) -> tuple[Tensor, Tensor]:
        inputs, targets = self._unaugmented_on(device)
        chosen = send(indices, device)
        return self._normalise(inputs.index_select(0, chosen)), targets.index_select(0, chosen)

    def batches(
        self,
        batch_size: int,
        *,
        device: torch.device,
        order: torch.Generator | None = None,
        augment: bool = False,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        check_batching(len(self), batch_size, drop_last, rank, world)
        check_augmenting(augment, order)
        bounds = shares(len(self), batch_size, drop_last, rank, world)
        if order is None:
            return self._in_file_order(bounds, device)
        permutation = torch.randperm(len(self), generator=order)
        if augment and self._augmentation is not None:
            draws = draw(len(self), self._augmentation, order)
            crops = self._crops_on(device, self._augmentation)
            return self._augmented(bounds, send(permutation, device), send(draws, device), crops)
        return self._shuffled(bounds, send(permutation, device), device)

    def _in_file_order(
        self, bounds: Iterator[tuple[int, int]], device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, targets = self._unaugmented_on(device)
        for start, stop in bounds:
            # copies, so that a network that works in place cannot change the data
            yield self._normalise(inputs[start:stop].clone()), targets[start:stop].clone()

    def _shuffled(
        self, bounds: Iterator[tuple[int, int]], permutation: Tensor, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Do what can be done for the whole epoch before its first step, while the code is in the cache."""
        chosen = [permutation[start:stop] for start, stop in bounds]
        if not chosen:
            return
        sizes = [len(indices) for indices in chosen]
        indices = torch.cat(chosen)
        inputs, targets = self._unaugmented_on(device)
        targets_of = iter(targets.index_select(0, indices).split(sizes))
        groups = _grouped(sizes, 4 * math.prod(inputs.shape[1:]), GATHERED_BYTES)
        for group, gathered in zip(groups, indices.split([sum(group) for group in groups]), strict=True):
            batches = self._normalise(inputs.index_select(0, gathered))
            # not `split`, which takes longer in Python than the splitting itself
            for batch in batches.split_with_sizes(group) if len(group) > 1 else (batches,):
                yield batch, next(targets_of)

    def _augmented(
        self, bounds: Iterator[tuple[int, int]], permutation: Tensor, draws: Tensor, crops: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        shuffled = self._on(crops.device)[1].index_select(0, permutation)
        for start, stop in bounds:
            down, right, flipped = draws[:, start:stop]
            inputs = crop_and_flip(crops, permutation[start:stop], down, right, flipped)
            yield self._normalise(inputs), shuffled[start:stop]

    def _normalise(self, inputs: Tensor) -> Tensor:
        """The arithmetic of torchvision's ToTensor and Normalize, in their order: results are bit-equal.

        Float inputs are already normalised.
        """
        if self._normalisation is None or inputs.is_floating_point():
            return inputs
        mean, std = self._constants_on(inputs.device, self._normalisation)
        return inputs.to(torch.float32).div_(self._normalisation.maximum).sub_(mean).div_(std)

    def _constants_on(self, device: torch.device, normalisation: Normalisation) -> tuple[Tensor, Tensor]:
        if device not in self._constants:
            mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (normalisation.mean, normalisation.std))
            self._constants[device] = (mean.to(device), std.to(device))
        return self._constants[device]

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        key = _with_index(device)
        if key not in self._resident:
            self._resident[key] = (self._inputs.to(key), self._targets.to(key))
        return self._resident[key]

    def _unaugmented_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Inputs and targets to take batches from that nothing augments: normalised once where that is small."""
        inputs, targets = self._on(device)
        if 4 * inputs.numel() > NORMALISED_BYTES:
            return inputs, targets
        key = _with_index(device)
        if key not in self._normalised:
            self._normalised[key] = self._normalise_all(inputs)
        return self._normalised[key], targets

    def _normalise_all(self, inputs: Tensor) -> Tensor:
        """On a CPU into numpy's memory, for which it asks for large pages: rows are taken from all over it."""
        if inputs.is_floating_point() or inputs.device.type != "cpu":
            return self._normalise(inputs)
        normalised = torch.from_numpy(np.empty(inputs.shape, dtype=np.float32))
        for part, stored in zip(normalised.split(NORMALISED_ROWS), inputs.split(NORMALISED_ROWS), strict=True):
            part.copy_(self._normalise(stored))
        return normalised

    def _crops_on(self, device: torch.device, augmentation: Augmentation) -> Tensor:
        key = _with_index(device)
        if key not in self._crops:
            height, width = self._inputs.shape[-2:]
            self._crops[key] = all_crops(pad(self._inputs, augmentation).to(key), height, width)
        return self._crops[key]


def _with_index(device: torch.device) -> torch.device:
    """cuda as cuda:0, or whichever is current: both spellings must find the same copy."""
    return torch.empty(0, device=device).device


def _grouped(sizes: list[int], bytes_of_one: int, limit: int) -> list[list[int]]:
    """Sizes of batches in their order, as many together as take no more than `limit` bytes, and at least one."""
    groups: list[list[int]] = []
    room = 0
    for size in sizes:
        room -= size * bytes_of_one
        if not groups or room < 0:
            groups.append([])
            room = limit - size * bytes_of_one
        groups[-1].append(size)
    return groups


def draw(count: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """(3, count) int64: rows down and columns right of the crop in the padded image, and 1 for a flip."""
    offsets = torch.randint(2 * augmentation.padding + 1, (2, count), generator=generator)
    flipped = torch.randint(2, (1, count), generator=generator)
    return torch.cat([offsets, flipped if augmentation.flips else torch.zeros_like(flipped)])


def pad(images: Tensor, augmentation: Augmentation) -> Tensor:
    """(n, c, h, w) uint8 with `padding` more pixels on each side. By numpy: torch reflects no uint8."""
    border = (augmentation.padding, augmentation.padding)
    return torch.from_numpy(np.pad(images.numpy(), ((0, 0), (0, 0), border, border), augmentation.padding_mode))


def all_crops(padded: Tensor, height: int, width: int) -> Tensor:
    """A view of shape (n, rows down, columns right, c, height, width) that copies nothing."""
    return padded.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 1, 4, 5)


def crop_and_flip(crops: Tensor, images: Tensor, down: Tensor, right: Tensor, flipped: Tensor) -> Tensor:
    """One crop of each of `images`, mirrored where `flipped` is 1: (len(images), c, h, w)."""
    cropped = crops[images, down, right]
    return torch.where(flipped.bool().view(-1, 1, 1, 1), cropped.flip(-1), cropped)
