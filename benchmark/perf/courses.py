"""Networks and made-up images that trainings are timed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torchvision import transforms

from ...datasets.parts.in_memory_split import ResidentSplit
from ...datasets.parts.info import Augmentation, Normalisation

AUGMENTATION = Augmentation(padding=4)


@dataclass(frozen=True)
class Course:
    """One network on one kind of image; `share` scales the number of samples: fewer of a costly network."""

    model: str
    shape: tuple[int, ...]
    batch_size: int
    augments: bool
    share: float
    num_classes: int = 10

    @property
    def title(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"{self.model}, {size}{', crops and flips' if self.augments else ''}, batch {self.batch_size}"

    @property
    def normalisation(self) -> Normalisation:
        channels = self.shape[0]
        return Normalisation(mean=(0.5,) * channels, std=(0.25,) * channels)

    @property
    def transform(self) -> Callable[[Any], Tensor]:
        """For one image, as users of torchvision write it."""
        steps: list[Any] = []
        if self.augments:
            crop = transforms.RandomCrop(self.shape[1], padding=AUGMENTATION.padding, padding_mode="reflect")
            steps = [crop, transforms.RandomHorizontalFlip()]
        return transforms.Compose(
            [*steps, transforms.ToTensor(), transforms.Normalize(self.normalisation.mean, self.normalisation.std)]
        )


COURSES = (
    Course("lenet-300-100", (1, 28, 28), 128, augments=False, share=4.0),
    Course("convnet-small", (1, 8, 8), 32, augments=False, share=1.0),
    Course("convnet-small", (1, 28, 28), 128, augments=False, share=0.5),
    Course("resnet-20", (3, 32, 32), 128, augments=True, share=0.2),
    Course("mobilenet-small", (3, 32, 32), 64, augments=True, share=0.2),
)


def drawn(course: Course, num_samples: int) -> tuple[Tensor, Tensor]:
    """Inputs at random, images as bytes and sequences as floats, and their classes."""
    rng = np.random.default_rng(0)
    targets = torch.from_numpy(rng.integers(0, course.num_classes, num_samples))
    if len(course.shape) == 2:
        return torch.from_numpy(rng.standard_normal((num_samples, *course.shape), dtype=np.float32)), targets
    return torch.from_numpy(rng.integers(0, 256, (num_samples, *course.shape), dtype=np.uint8)), targets


Split = TypeVar("Split", bound=ResidentSplit)


def split_of(course: Course, inputs: Tensor, targets: Tensor, kind: type[Split] = ResidentSplit) -> Split:
    """What `drawn` made, as a training split of this kind."""
    if inputs.is_floating_point():
        return kind(inputs, targets)
    augmentation = AUGMENTATION if course.augments else None
    return kind(inputs, targets, normalisation=course.normalisation, augmentation=augmentation)
