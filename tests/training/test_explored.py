"""The share of weights that masks ever kept: counted by hand, resumed, and unknown for old checkpoints."""

from __future__ import annotations

from collections.abc import Callable

import torch
from prunebench.benchmark.api.masks import Masks
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.training.explored import Explored
from prunebench.methods.bases.toy_task import toy_network
from prunebench.methods.checks.trial import ToyTask, Trial
from prunebench.methods.registry import create
from torch import nn

FIRST = torch.tensor([[True, True, False, False, False, False, False, False]])
SECOND = torch.tensor([[False, True, True, False, False, False, False, False]])


def test_the_union_of_all_masks_is_counted() -> None:
    masks, explored = Masks(find_sites(nn.Linear(8, 1))), Explored()
    assert explored.share is None, "nothing was noted"
    explored.note(None)
    assert explored.share is None, "there are no masks"
    masks.set({"weight": FIRST})
    explored.note(masks)
    assert explored.share == 2 / 8
    explored.note(masks)
    masks.set({"weight": SECOND})
    explored.note(masks)
    assert explored.share == 3 / 8
    masks.set({"weight": FIRST})
    explored.note(masks)
    assert explored.share == 3 / 8, "what was used once stays so"


def test_a_checkpoint_carries_it_and_an_old_one_leaves_it_unknown() -> None:
    masks, explored = Masks(find_sites(nn.Linear(8, 1))), Explored()
    masks.set({"weight": FIRST})
    explored.note(masks)
    resumed, unknown = Explored(), Explored()
    resumed.restore(explored.masks)
    unknown.restore(None)
    masks.set({"weight": SECOND})
    for each in (resumed, unknown):
        each.note(masks)
    assert resumed.share == 3 / 8
    assert unknown.share is None


def explored_by(name: str, **options: object) -> float | None:
    trial = Trial(create(name, 0.8, options), toy_network(), ToyTask())
    trial.train()
    return trial._training.explored.share


def test_moving_masks_use_more_than_they_keep() -> None:
    masks = explored_by("random_init", scope="layerwise")
    assert masks is not None
    assert abs(masks - 0.2) < 1e-3, "fixed masks use what they keep"
    assert explored_by("gmp", every=2) == 1.0, "the network was dense"
    moved = explored_by("set", every=2, distribution="uniform")
    assert moved is not None
    # four updates of 26.5, 17.6, 7.5 and 0.9 % of a fifth of the weights
    assert 0.26 < moved < 0.2 * 1.526


def test_a_resumed_training_goes_on_counting() -> None:
    def trial(on_epoch: Callable[[Trial], None] = lambda each: None) -> Trial:
        return Trial(create("set", 0.8, {"every": 2}), toy_network(), ToyTask(), on_epoch)

    written: list[bytes] = []
    whole = trial(lambda each: written.append(each.checkpoint())).train()
    for checkpoint in written[:-1]:
        assert trial().resume(checkpoint).train()._training.explored.share == whole._training.explored.share
