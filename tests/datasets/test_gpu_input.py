"""Batches on a GPU: nothing waits for their copies, and they are the CPU's. By an emulated GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fake_cuda import FakeGpu, fake_cuda
from prunebench.benchmark.api.data import Split
from prunebench.datasets import registry
from prunebench.datasets.parts.in_memory_split import ResidentSplit
from prunebench.datasets.parts.info import Augmentation, Normalisation
from prunebench.datasets.parts.side_stream import BATCHES_AHEAD
from test_imagenet import accepted, small
from torch import Tensor

__all__ = ["accepted", "small"]

Batches = list[tuple[Tensor, Tensor]]


def passes(split: Split, device: str, augment: bool) -> Batches:
    """Two passes over the split."""
    order = torch.Generator().manual_seed(3)
    found: Batches = []
    for _ in range(2):
        found += split.batches(4, device=torch.device(device), order=order, augment=augment)
    return found


def assert_equal(found: Batches, expected: Batches) -> None:
    assert len(found) == len(expected)
    for (inputs, targets), (images, labels) in zip(found, expected, strict=True):
        assert torch.equal(inputs.cpu(), images)
        assert torch.equal(targets.cpu(), labels)


def waits_after_the_first_pass(split: Split, gpu: FakeGpu, augment: bool) -> list[str]:
    passes(split, "cuda", augment)
    begin = len(gpu.waits)
    passes(split, "cuda", augment)
    return [wait.where.split(":")[0] for wait in gpu.waits[begin:]]


@pytest.mark.parametrize("augment", [True, False])
def test_no_batch_of_images_in_files_is_waited_for(augment: bool, small: Path) -> None:
    """The host waits where it is more than two batches ahead, and for nothing else."""
    split = registry.load("imagenet", root=small, validation=0).train
    expected = passes(split, "cpu", augment)
    with fake_cuda() as gpu:
        assert_equal(passes(split, "cuda", augment), expected)
        waits = waits_after_the_first_pass(split, gpu, augment)
    assert waits == ["datasets/parts/side_stream.py"] * 2 * (24 // 4 - BATCHES_AHEAD)


def test_a_batch_of_images_is_made_beside_the_steps(small: Path) -> None:
    split = registry.load("imagenet", root=small, validation=0).train
    with fake_cuda() as gpu:
        (main,) = gpu.streams
        batches = split.batches(4, device=torch.device("cuda"))
        next(batches)
        (side,) = main.others  # the step waits for the stream on which the batch is made
        assert side is not main
        assert gpu.kept_for == [main]  # and the batch's memory is kept until the step is done
        assert gpu.streams == [main]


@pytest.mark.parametrize("augment", [True, False])
def test_no_batch_of_images_in_memory_is_waited_for(augment: bool) -> None:
    images = torch.arange(24 * 3 * 64, dtype=torch.int64).remainder(251).to(torch.uint8).view(24, 3, 8, 8)
    split = ResidentSplit(
        images, torch.arange(24) % 5, normalisation=Normalisation(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
        augmentation=Augmentation(padding=1, flips=True, padding_mode="reflect"),
    )  # fmt: skip
    expected = passes(split, "cpu", augment)
    with fake_cuda() as gpu:
        assert_equal(passes(split, "cuda", augment), expected)
        assert waits_after_the_first_pass(split, gpu, augment) == []
