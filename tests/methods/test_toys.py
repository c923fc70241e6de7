"""The toy loop itself finds a method that forgets its state, leaks weights or disagrees between ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from prunebench.methods.magnitude import GlobalMagnitude
from prunebench.methods.random_pruning import RandomPruning
from prunebench.methods.snip import Snip
from torch import Tensor
from toys import assert_equal_masks, resume_equals_uninterrupted, tiny_net, toy_context, train_all, train_on_two_ranks


@dataclass(kw_only=True)
class Forgetful(GlobalMagnitude):
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Drops the masks on purpose."""


@dataclass(kw_only=True)
class Shifting(GlobalMagnitude):
    """Moves its masks by a counter that is not part of its state."""

    _epochs: int = field(init=False, default=0)

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        self._epochs += 1
        self._masks.set({name: mask.roll(self._epochs, 0) for name, mask in self._masks.items()})


@dataclass(kw_only=True)
class Leaky(GlobalMagnitude):
    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Leaves pruned weights where the optimiser put them."""


@dataclass(kw_only=True)
class PerRank(GlobalMagnitude):
    def score(self, name: str, weight: Tensor) -> Tensor:
        inputs, _ = next(iter(self.context.samples(8, 8)))
        own = torch.Generator().manual_seed(int(inputs.abs().sum() * 1000))  # differs between ranks, on purpose
        return torch.rand(weight.shape, generator=own)


def test_a_correct_method_passes() -> None:
    resume_equals_uninterrupted(lambda: GlobalMagnitude(sparsity=0.8, start="init", schedule="cubic"))
    resume_equals_uninterrupted(lambda: RandomPruning(sparsity=0.8))
    assert_equal_masks(train_on_two_ranks(lambda: Snip(sparsity=0.8, score_samples=32)))


def test_a_forgotten_state_is_found() -> None:
    with pytest.raises(RuntimeError, match="356 weights are kept"):
        resume_equals_uninterrupted(lambda: Forgetful(sparsity=0.8))


def test_a_forgotten_attribute_is_found() -> None:
    with pytest.raises(AssertionError, match="differs after a resume"):
        resume_equals_uninterrupted(lambda: Shifting(sparsity=0.8))


def test_a_leak_is_found() -> None:
    with pytest.raises(RuntimeError, match="not zero"):
        train_all(Leaky(sparsity=0.8), toy_context(tiny_net()))


def test_ranks_that_disagree_are_found() -> None:
    with pytest.raises(AssertionError, match="between ranks"):
        assert_equal_masks(train_on_two_ranks(lambda: PerRank(sparsity=0.8)))
