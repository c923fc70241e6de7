"""SynFlow: hand-checked scores and masks, conservation of the flow, and indifference to data and batch norm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.synflow import SynFlow, positive_tensors
from torch import nn
from toys import (
    TwoLayerLinear,
    assert_equal_masks,
    kept_positions,
    linear_context,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_on_two_ranks,
)


class OnesInput(TwoLayerLinear):
    """SynFlow feeds ones; doubling the second here stands for a layer before it."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs * torch.tensor([1.0, 2.0], dtype=inputs.dtype))


def attached(pruner: SynFlow, model: nn.Module, **changes: Any) -> SynFlow:
    pruner.attach(toy_context(model, **changes))
    return pruner


def test_scores_of_the_linear_net_are_those_worked_out_by_hand() -> None:
    pruner = SynFlow(sparsity=0.5)
    pruner.attach(linear_context())
    scores = pruner.scores()
    # x = (1, 1): R = 1^T |W2| |W1| 1 = 2 * 3 + 1 * 3.5
    assert scores["first.weight"].tolist() == [[2.0, 4.0], [3.0, 0.5]]
    assert scores["second.weight"].tolist() == [[6.0, 3.5]]


def test_two_rounds_to_half_keep_three_by_index() -> None:
    masks = prune_now(SynFlow(sparsity=0.5, prune_rounds=2), linear_context())
    # Round 1 removes 0.5; round 2 scores [[2, 4], [3, 0]] and [[6, 3]]: of the tie at 3 the lower index stays.
    assert kept_positions(masks) == {"first.weight": [[0, 1], [1, 0]], "second.weight": [[1, 0]]}


def test_layer_sums_are_equal_without_batch_norm() -> None:
    torch.manual_seed(0)
    convolutions = [layer for _ in range(20) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())]
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), *convolutions, nn.Flatten(), nn.Linear(16 * 64, 4))
    scores = attached(SynFlow(), model).scores()
    sums = torch.stack([score.sum() for score in scores.values()])
    assert torch.allclose(sums, sums[0].expand_as(sums), rtol=1e-10, atol=0)


def test_flow_is_positive_and_conserved_through_a_trained_batch_norm() -> None:
    model = tiny_net()
    with torch.no_grad():
        for norm in (model.bn1, model.bn2):
            norm.running_mean.normal_()  # type: ignore[union-attr]
            norm.bias.normal_()
            norm.weight.normal_()
    scores = attached(SynFlow(), model).scores()
    sums = torch.stack([score.sum() for score in scores.values()])
    assert all((score > 0).all() for score in scores.values())
    assert torch.allclose(sums, sums[0].expand_as(sums), rtol=1e-10, atol=0)


def test_offsets_are_zero_and_the_rest_is_positive() -> None:
    tensors = positive_tensors(tiny_net())
    assert not tensors["bn1.bias"].any()
    assert not tensors["bn1.running_mean"].any()
    assert not tensors["fc.bias"].any()
    assert (tensors["bn1.running_var"] == 1).all()
    assert all((tensors[name] > 0).all() for name in ("conv1.weight", "fc.weight", "bn2.weight"))


def test_scoring_takes_no_samples_and_leaves_the_model_as_it_was() -> None:
    def no_samples(*_: object, **__: object) -> None:
        raise AssertionError("SynFlow asked for data")

    model = tiny_net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random_state = torch.get_rng_state()
    pruner = attached(SynFlow(), model, samples=no_samples)
    pruner.scores()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.98])
def test_counts_are_exact_and_no_layer_is_emptied_early(sparsity: float) -> None:
    masks = prune_now(SynFlow(sparsity=sparsity), toy_context(tiny_net()))
    assert sum(int(mask.sum()) for mask in masks.values()) == num_kept(356, sparsity)
    assert all(mask.any() for mask in masks.values())


def test_resumes_and_agrees_between_ranks() -> None:
    resume_equals_uninterrupted(lambda: SynFlow(sparsity=0.8, prune_rounds=5), epochs=2)
    assert_equal_masks(train_on_two_ranks(lambda: SynFlow(sparsity=0.8, prune_rounds=5), epochs=1))


def test_one_round_on_another_input_scale() -> None:
    masks = prune_now(SynFlow(sparsity=0.5, prune_rounds=1, schedule="one_shot"), linear_context(OnesInput()))
    # x = (1, 2): W1 [[2, 8], [3, 1]], W2 [[10, 4]]
    assert kept_positions(masks) == {"first.weight": [[0, 1], [0, 0]], "second.weight": [[1, 1]]}
