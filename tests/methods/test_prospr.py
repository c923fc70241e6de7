"""ProsPr: worked out on one weight, and against differences of plain trainings."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.pruner import Context
from prunebench.methods.prospr import ProsPr
from prunebench.methods.snip import Snip
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from toys import (
    assert_equal_masks,
    half_squared_error,
    prune_now,
    resume_equals_uninterrupted,
    tiny_data,
    tiny_net,
    toy_context,
    train_on_two_ranks,
)


def scores_of(pruner: ProsPr | Snip, context: Context) -> dict[str, Tensor]:
    pruner.attach(context)
    return pruner.scores()


def one_weight(inputs: list[float]) -> Context:
    """f(x) = 2 x with y = 1, on the given samples."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    data = (torch.tensor(inputs).unsqueeze(1), torch.ones(len(inputs)))
    return toy_context(model, data=data, loss=half_squared_error, input_shape=(1,), num_classes=1)


@pytest.mark.parametrize(("order", "expected"), [("second", 0.5), ("first", 1.0)])
def test_one_step_on_one_weight(order: str, expected: float) -> None:
    """w' = 2 m - 0.5 (2 m - 1) is 1.5, so dL/dm = (w' - 1) dw'/dm with dw'/dm = 2 (1 - 0.5), or 2 without curvature."""
    options: dict[str, Any] = {"order": order, "batches": "one", "score_batch": 1}
    pruner = ProsPr(sparsity=0.0, inner_steps=1, inner_lr=0.5, **options)
    assert scores_of(pruner, one_weight([1.0]))["weight"].tolist() == [[expected]]


def test_two_steps_with_momentum_on_one_weight() -> None:
    """At rate 0.5 and momentum 0.5: w1 = 2 - 0.5 = 1.5, v2 = 0.5 + 0.5 = 1, w2 = 1.

    With w = 2 m and d = w - 1: d1 = d / 2, d2 = d1 - 0.5 (0.5 d + d1) = 0, whatever m is: the score is 0. At rate 0.25:
    d1 = 0.75 d, d2 = 0.75 d - 0.25 (0.5 d + 0.75 d) = 0.4375 d, L = d2^2 / 2, dL/dm = 0.4375^2 d * 2.
    """
    for rate, expected in ((0.5, 0.0), (0.25, 2 * 0.4375**2)):
        pruner = ProsPr(sparsity=0.0, inner_steps=2, inner_lr=rate, inner_momentum=0.5, batches="one", score_batch=1)
        assert scores_of(pruner, one_weight([1.0]))["weight"].tolist() == [[expected]]


def loss_after_training(model: nn.Module, batches: list[tuple[Tensor, Tensor]], momentum: float) -> float:
    """By torch's own SGD, on a copy."""
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=momentum)
    *steps, (inputs, targets) = batches
    for step_inputs, step_targets in steps:
        optimizer.zero_grad()
        cross_entropy(model(step_inputs), step_targets).backward()
        optimizer.step()
    return float(cross_entropy(model(inputs), targets).detach())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_scores_are_differences_of_trainings_that_start_elsewhere(momentum: float) -> None:
    """Batch norm and biases are trained along; every step has a batch of its own."""
    model = tiny_net().double()
    inputs, targets = tiny_data()
    context = toy_context(model, data=(inputs.double(), targets))
    pruner = ProsPr(sparsity=0.5, inner_steps=2, inner_lr=0.2, inner_momentum=momentum, score_batch=16)
    scores = scores_of(pruner, context)
    batches = list(context.samples(48, 16))
    assert len(batches) == 3
    for name, position in (("conv1.weight", (1, 0, 2, 1)), ("conv2.weight", (5, 2, 1, 1)), ("fc.weight", (3, 4))):
        losses = []
        for factor in (1 + 1e-5, 1 - 1e-5):
            changed = copy.deepcopy(model)
            changed.get_parameter(name).data[position] *= factor
            losses.append(loss_after_training(changed, batches, momentum))
        assert float(scores[name][position]) == pytest.approx(abs(losses[0] - losses[1]) / 2e-5, rel=1e-4)


def test_without_steps_it_is_snip() -> None:
    ours = scores_of(ProsPr(sparsity=0.5, inner_steps=0, score_batch=32), toy_context(tiny_net()))
    theirs = scores_of(Snip(sparsity=0.5, score_samples=32), toy_context(tiny_net()))
    for name, score in theirs.items():
        torch.testing.assert_close(ours[name], score)


def test_frozen_parameters_stand_still_in_the_steps() -> None:
    """The bias of f(x) = 2 x + b, b = 0, is frozen: the score is that of the network without it."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.zeros_(model.bias).requires_grad_(False)
    data = (torch.ones(1, 1), torch.ones(1))
    context = toy_context(model, data=data, loss=half_squared_error, input_shape=(1,), num_classes=1)
    pruner = ProsPr(sparsity=0.0, inner_steps=1, inner_lr=0.5, batches="one", score_batch=1)
    assert scores_of(pruner, context)["weight"].tolist() == [[0.5]]


@pytest.mark.parametrize("option", [{"inner_lr": 0.5}, {"order": "first"}, {"batches": "one"}, {"inner_momentum": 0.9}])
def test_options_of_the_steps_need_steps(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs inner_steps > 0"):
        ProsPr(sparsity=0.5, inner_steps=0, **option)


def plain_net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))


def test_two_processes_find_the_mask_of_one() -> None:
    """Without batch norm, which sees its process only: gradients flow through the sums over processes."""

    def make() -> ProsPr:
        return ProsPr(sparsity=0.9, score_batch=16)

    alone = prune_now(make(), toy_context(plain_net()))
    pruners = train_on_two_ranks(make, plain_net, epochs=1)
    assert_equal_masks(pruners)
    assert pruners[0].masks is not None
    for name, mask in pruners[0].masks.items():
        assert torch.equal(mask, alone[name])


def test_a_split_that_is_too_small_is_drawn_again() -> None:
    """Four batches are needed; of 64 samples there are three of 24, the last of them smaller."""
    context = toy_context(tiny_net())
    sizes = []

    def samples(num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0) -> Any:
        for inputs, targets in context.samples(min(num_samples, 64), batch_size, draw=draw):
            sizes.append((draw, len(targets)))
            yield inputs, targets

    prune_now(ProsPr(sparsity=0.5, score_batch=24), toy_context(tiny_net(), samples=samples))
    assert sizes == [(0, 24), (0, 24), (0, 16), (1, 24)]


def test_resumes() -> None:
    resume_equals_uninterrupted(lambda: ProsPr(sparsity=0.8, score_batch=16), epochs=2)
