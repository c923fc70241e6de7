"""Sign-In: steps of a product worked out by hand, resets that change no weight, and masks of other methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.parts.straight_through import shadow
from prunebench.methods.random_init import RandomInit
from prunebench.methods.sign_in import SignIn, balanced_factor
from prunebench.methods.snip import Snip
from torch import Tensor
from toys import (
    assert_equal_masks,
    half_squared_error,
    linear_context,
    make_optimizer,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_all,
    train_on_two_ranks,
    train_steps,
)


def factors(pruner: SignIn) -> dict[str, tuple[Tensor, Tensor]]:
    """m and w of each layer."""
    return {n: (pruner._factor(s).detach(), shadow(s).detach()) for n, s in pruner.masks.sites.items()}


def test_balanced_factors() -> None:
    """2 * 1 with 4 - 1 = 3, and 1 * 0 with 1 - 0 = 1."""
    assert balanced_factor(torch.tensor([2.0, -2.0]), 3.0).tolist() == [2.0, 2.0]
    assert balanced_factor(torch.tensor([0.0]), 1.0).tolist() == [1.0]


def test_one_step_of_the_example() -> None:
    """m' = m - lr g w and w' = w - lr g m with g = dL/d(m w); m^2 - w^2 = 1 at the start."""
    context = linear_context()
    pruner = SignIn(sparsity=0.0)
    masks = prune_now(pruner, context)
    assert all(mask.all() for mask in masks.values())
    gradients = {"first.weight": torch.tensor([[-2.0, -4], [1, 2]]), "second.weight": torch.tensor([[3.0, -4]])}
    before = {name: (m.clone(), w.clone()) for name, (m, w) in factors(pruner).items()}
    for m, w in before.values():
        torch.testing.assert_close(m.square() - w.square(), torch.ones_like(m))
    optimizer = torch.optim.SGD(pruner.param_groups(0.0, True), lr=0.1)
    (inputs, targets) = next(iter(context.samples(1, 1)))
    half_squared_error(context.model(inputs), targets).backward()
    optimizer.step()
    for name, (m, w) in factors(pruner).items():
        old_m, old_w = before[name]
        torch.testing.assert_close(m, old_m - 0.1 * gradients[name] * old_w)
        torch.testing.assert_close(w, old_w - 0.1 * gradients[name] * old_m)


@pytest.mark.parametrize(("of", "other"), [("random_init", RandomInit), ("snip", Snip)])
def test_the_mask_is_the_other_methods_and_kept_weights_are_the_initial_ones(of: str, other: Any) -> None:
    model, original = tiny_net(), tiny_net()
    masks = prune_now(SignIn(sparsity=0.8, of=of), toy_context(model))
    expected = prune_now(other(sparsity=0.8), toy_context(tiny_net()))
    assert sum(int(mask.sum()) for mask in masks.values()) == num_kept(356, 0.8)
    for name, mask in masks.items():
        assert torch.equal(mask, expected[name])
        module, attribute = name.split(".")
        weight = getattr(model.get_submodule(module), attribute)
        torch.testing.assert_close(weight, original.get_parameter(name) * mask)
        assert not weight[~mask].any()


def balances(reset_every: int) -> Sequence[float]:
    """The largest distance of m^2 - w^2 from 2 over the kept weights, after each epoch of three."""
    pruner = SignIn(sparsity=0.5, balance=2.0, reset_every=reset_every)
    model = tiny_net()
    prune_now(pruner, toy_context(model))
    found = []
    on_epoch_end = pruner.on_epoch_end

    def recording(*arguments: Any) -> None:
        on_epoch_end(*arguments)
        pairs = [(m.square() - w.square())[pruner.masks[name]] for name, (m, w) in factors(pruner).items()]
        found.append(float((torch.cat(pairs) - 2).abs().max()))

    pruner.on_epoch_end = recording  # type: ignore[method-assign]
    train_steps(pruner, model, 12, make_optimizer(pruner, lr=0.5))
    return found


def test_resets_restore_the_balance_except_after_the_last_epoch() -> None:
    assert [distance < 1e-5 for distance in balances(1)] == [True, True, False]
    assert [distance < 1e-5 for distance in balances(2)] == [False, True, False]
    assert [distance < 1e-5 for distance in balances(0)] == [False, False, False]


def test_a_reset_changes_no_weight() -> None:
    pruner, model = SignIn(sparsity=0.5, reset_every=0), tiny_net()
    prune_now(pruner, toy_context(model))
    train_steps(pruner, model, 3, make_optimizer(pruner, lr=0.5))
    before = {name: site.weight.detach().clone() for name, site in pruner.masks.sites.items()}
    pruner._balance()
    for name, site in pruner.masks.sites.items():
        torch.testing.assert_close(site.weight.detach(), before[name])
        assert not site.weight[~pruner.masks[name]].any()


def test_detached_network_has_plain_weights() -> None:
    model, _ = train_all(SignIn(sparsity=0.8), toy_context(tiny_net(), epochs=1))
    assert model.state_dict().keys() == tiny_net().state_dict().keys()
    assert sum(int(model.get_parameter(n).count_nonzero()) for n in ("conv1.weight", "conv2.weight", "fc.weight")) == (
        num_kept(356, 0.8)
    )


def test_masks_that_move_are_refused() -> None:
    with pytest.raises(ValueError, match="'gmp' does not set its final mask before training"):
        SignIn(sparsity=0.8, of="gmp").attach(toy_context(tiny_net()))


def test_resumes_and_agrees_between_ranks() -> None:
    def make() -> SignIn:
        return SignIn(sparsity=0.8)

    resume_equals_uninterrupted(make, epochs=2)
    assert_equal_masks(train_on_two_ranks(make, epochs=1))
