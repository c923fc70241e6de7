"""Channels that a GPU chooses by itself are those of the CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from fake_cuda import fake_cuda
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.models.registry import create_model
from prunebench.methods.bases.channel_pruner import ChannelPruner
from prunebench.methods.parts.channels_on_device import masks_on_device
from test_filter_norm import Grouped
from torch import Tensor, nn
from toys import toy_context

NETWORKS = {
    "grouped": lambda: (Grouped(), (1, 8, 8)),
    "residual": lambda: (create_model("resnet-8", num_classes=4, input_shape=(1, 8, 8)), (1, 8, 8)),
    "depthwise": lambda: (create_model("mobilenet-small", num_classes=4, input_shape=(1, 8, 8)), (1, 8, 8)),
}


@dataclass(kw_only=True)
class Drawn(ChannelPruner):
    """Channels by scores drawn at random, of which many are equal."""

    label: ClassVar[str] = "Drawn"
    seed: int = 0

    def channel_scores(self) -> list[Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        return [torch.rand(g.size, generator=generator, dtype=torch.float64).mul(9).round() for g in self._groups]


@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("sparsity", [0.2, 0.3, 0.5])
@pytest.mark.parametrize("network", NETWORKS)
def test_masks_are_those_of_the_cpu(network: str, sparsity: float, scope: Any) -> None:
    model, shape = NETWORKS[network]()
    for seed in range(3):
        pruner = Drawn(sparsity=sparsity, scope=scope, seed=seed)
        pruner.attach(replace(toy_context(model), input_shape=shape))
        expected = pruner.choose_masks()
        with fake_cuda() as gpu:
            scores = [score.to("cuda") for score in pruner.channel_scores()]
            begin = len(gpu.waits)
            target = num_kept(pruner.masks.num_total, sparsity)
            masks = masks_on_device(pruner._groups, scores, scope, pruner.masks.sites, target)
            assert gpu.waits[begin:] == []
            found = {name: mask.cpu() for name, mask in masks.items()}
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert not all(bool(mask.all()) for mask in expected.values())


def test_one_channel_that_cannot_go() -> None:
    """Groups of one channel have nothing to remove: all weights stay."""
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(128, 2))
    pruner = Drawn(sparsity=0.0)
    pruner.attach(toy_context(model))
    scores = pruner.channel_scores()
    masks = masks_on_device(pruner._groups, scores, "global", pruner.masks.sites, pruner.masks.num_total)
    assert all(bool(mask.all()) for mask in masks.values())
