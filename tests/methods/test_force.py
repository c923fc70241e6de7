"""FORCE and Iterative SNIP: masks worked out by hand, weights that return or do not, exact counts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.bases.mask_pruner import MaskPruner
from prunebench.methods.force import Force, IterativeSnip
from toys import (
    assert_equal_masks,
    kept_positions,
    linear_context,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_on_two_ranks,
)

METHODS = [Force, IterativeSnip]
ONE_SAMPLE: dict[str, Any] = {"score_samples": 1, "score_batch": 1}


def rounds_of(pruner: MaskPruner, context) -> list[dict[str, torch.Tensor]]:
    """The masks after each pruning round."""
    seen: list[dict[str, torch.Tensor]] = []
    prune_to = pruner.prune_to

    def recording(sparsity: float) -> None:
        prune_to(sparsity)
        assert pruner.masks is not None
        seen.append({name: mask.clone() for name, mask in pruner.masks.items()})

    pruner.prune_to = recording  # type: ignore[method-assign]
    prune_now(pruner, context)
    return seen


@pytest.mark.parametrize("method", METHODS)
def test_two_rounds_on_the_linear_net(method: type[IterativeSnip]) -> None:
    first, second = rounds_of(method(sparsity=0.5, prune_rounds=2, **ONE_SAMPLE), linear_context())
    # num_kept(6, 1 - 0.7071) = 5: round 1 scores [[2, 8], [3, 1]] and [[6, 4]] and drops the 1 alone.
    assert kept_positions(first) == {"first.weight": [[1, 1], [1, 0]], "second.weight": [[1, 1]]}
    # Then f = 2 * (-3) - 3 = -9 and the residual is 0, as are all scores: the count is exact still, ties by index.
    assert kept_positions(second) == {"first.weight": [[1, 1], [1, 0]], "second.weight": [[0, 0]]}


@pytest.mark.parametrize(("method", "expected"), [(Force, [[4, 16], [6, 2]]), (IterativeSnip, [[0, 16], [6, 0]])])
def test_scores_at_the_pruned_net(method: type[IterativeSnip], expected: list[list[float]]) -> None:
    pruner = method(sparsity=0.5, **ONE_SAMPLE)
    pruner.attach(linear_context())
    if isinstance(pruner, Force):
        pruner._dense = {name: site.weight.detach().clone() for name, site in pruner.masks.sites.items()}
    pruner.masks.set({"first.weight": torch.tensor([[False, True], [True, False]])})
    scores = pruner.scores()
    assert scores["first.weight"].tolist() == expected
    assert scores["second.weight"].tolist() == [[16.0, 6.0]]


def test_force_takes_weights_back_and_iterative_snip_does_not() -> None:
    options = {"sparsity": 0.9, "prune_rounds": 8, "score_samples": 16, "score_batch": 16}
    returned = {}
    for method in METHODS:
        masks = rounds_of(method(**options), toy_context(tiny_net(3)))
        pairs = itertools.pairwise(masks)
        returned[method] = sum(int((later[n] & ~earlier[n]).sum()) for earlier, later in pairs for n in later)
    assert returned[IterativeSnip] == 0
    assert returned[Force] > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.98])
def test_counts_are_exact_and_kept_weights_are_the_initial_ones(method: type[IterativeSnip], sparsity: float) -> None:
    model, original = tiny_net(), tiny_net()
    masks = prune_now(method(sparsity=sparsity, prune_rounds=10, score_samples=16), toy_context(model))
    assert sum(int(mask.sum()) for mask in masks.values()) == num_kept(356, sparsity)
    for name, mask in masks.items():
        assert torch.equal(model.get_parameter(name), original.get_parameter(name) * mask)


@pytest.mark.parametrize("method", METHODS)
def test_every_round_takes_other_samples(method: type[IterativeSnip]) -> None:
    context, draws = toy_context(tiny_net()), []

    def samples(num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0):
        draws.append(draw)
        return context.samples(num_samples, batch_size, balanced=balanced, draw=draw)

    prune_now(method(sparsity=0.5, prune_rounds=4, score_samples=8), toy_context(tiny_net(), samples=samples))
    assert draws == [0, 1, 2, 3]


def test_gradual_training_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="cubic"):
        Force(sparsity=0.5, schedule="cubic", prune_rounds=1)


@pytest.mark.parametrize("method", METHODS)
def test_resumes_and_agrees_between_ranks(method: type[IterativeSnip]) -> None:
    def make() -> IterativeSnip:
        return method(sparsity=0.8, prune_rounds=3, score_samples=16)

    resume_equals_uninterrupted(make, epochs=2)
    assert_equal_masks(train_on_two_ranks(make, epochs=1))
