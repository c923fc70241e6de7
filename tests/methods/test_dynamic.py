"""Drop and grow: the worked example of RigL, exact counts, start masks, optimiser state, SET and SNFS."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.bases.dynamic import DynamicPruner, drop_and_grow
from prunebench.methods.parts.optimizer_state import momentum, require_momentum, reset_all, reset_positions
from prunebench.methods.rigl import RigL
from prunebench.methods.set_evolution import SET
from prunebench.methods.snfs import SNFS
from torch import nn
from toys import (
    assert_equal_masks,
    make_optimizer,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_all,
    train_on_two_ranks,
    train_step,
)

WEIGHT = (0.9, -0.1, 0.5, 0.2, 0.0, 0.0, 0.0, 0.0)
GRADIENT = (0.1, 0.8, 0.2, 0.3, 0.7, 0.05, 0.6, 0.4)
ACTIVE = (True, True, True, True, False, False, False, False)


def eight_weights(pruner: DynamicPruner, total_steps: int = 100) -> nn.Linear:
    """The worked example: eight weights of which four are active, with gradients of alternating sign."""
    layer = nn.Linear(8, 1, bias=False)
    pruner.attach(toy_context(layer, epochs=total_steps, steps_per_epoch=1))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([WEIGHT]))
    pruner.masks.set({"weight": torch.tensor([ACTIVE])})
    layer.weight.grad = torch.tensor([GRADIENT]) * torch.tensor([1.0, -1.0] * 4)
    return layer


@pytest.mark.parametrize("optimizer_class", [torch.optim.SGD, torch.optim.Adam])
def test_rigl_by_hand(optimizer_class: type[torch.optim.Optimizer]) -> None:
    pruner = RigL(sparsity=0.5, drop_fraction=0.5, distribution="uniform")
    layer = eight_weights(pruner)
    options = {"momentum": 0.9} if optimizer_class is torch.optim.SGD else {}
    optimizer = optimizer_class(layer.parameters(), lr=0.0, **options)  # type: ignore[arg-type]
    optimizer.step()
    assert pruner.on_gradients(0, optimizer), "an update takes the place of the optimiser's step"
    # f(0) = 0.5: 1 and 3 leave; of {1, 3, 4, 5, 6, 7} the largest gradients are at 1 and 4
    assert pruner.masks["weight"].tolist() == [[True, True, True, False, True, False, False, False]]
    assert layer.weight.tolist() == [pytest.approx([0.9, -0.1, 0.5, 0, 0, 0, 0, 0])]
    for buffer in optimizer.state[layer.weight].values():
        if buffer.shape == layer.weight.shape:
            assert buffer[0, 4] == 0, "position 4 is new"
            assert buffer[0, 1] != 0, "position 1 was dropped and grown at once: it never left"


def test_inactive_positions_never_pass_the_drop() -> None:
    # active weights of exactly zero tie with inactive ones
    mask = torch.tensor([False, True, False, True, True, False])
    magnitude = torch.tensor([0.0, 0.0, 0.0, 0.0, 2.0, 0.0])
    kept = drop_and_grow(mask, magnitude, torch.zeros(6), 2, 0)
    assert kept.tolist() == [False, True, False, False, True, False]


@given(st.integers(0, 10_000), st.integers(1, 60), st.data())
def test_drop_and_grow_keeps_the_count_and_the_largest(seed: int, size: int, data: st.DataObject) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(size, generator=generator) < 0.5
    # coarse values: many ties
    magnitude = torch.randint(0, 4, (size,), generator=generator).float() * mask
    growth = torch.randint(0, 4, (size,), generator=generator).float()
    num_drop = data.draw(st.integers(0, int(mask.sum())))
    after = drop_and_grow(mask, magnitude, growth, int(mask.sum()) - num_drop, num_drop)
    assert after.sum() == mask.sum()
    stayed = int((after & mask).sum())
    assert stayed >= int(mask.sum()) - num_drop
    grown = after & ~mask
    left_out = ~after & ~mask
    if grown.any() and left_out.any():
        assert growth[grown].min() >= growth[left_out].max()
    lost = mask & ~after
    if lost.any() and (mask & after).any() and num_drop == 1:
        assert magnitude[lost].max() <= magnitude[mask & after].min()


@pytest.mark.parametrize(("progress", "share"), [(0, 0.3), (0.25, 0.256066), (0.5, 0.15), (0.75, 0.043934), (1, 0.0)])
def test_the_share_falls_by_a_cosine(progress: float, share: float) -> None:
    pruner = RigL(sparsity=0.5, distribution="uniform")
    eight_weights(pruner, total_steps=4000)
    assert pruner.last_step == 3000
    assert pruner.fraction(round(progress * 3000)) == pytest.approx(share, abs=1e-6)
    constant = SET(sparsity=0.5, final_drop_fraction=0.3, distribution="uniform")
    eight_weights(constant, total_steps=4000)
    assert constant.fraction(round(progress * 3000)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("make", "expected"), [(RigL, [0, 6, 12]), (SET, [5, 11]), (SNFS, [5, 11])], ids=["rigl", "set", "snfs"]
)
def test_updates_happen_at_their_steps_only(make: type[DynamicPruner], expected: list[int]) -> None:
    pruner = make(sparsity=0.8, every=6)
    model = tiny_net()
    prune_now(pruner, toy_context(model, epochs=6, steps_per_epoch=4))
    optimizer = make_optimizer(pruner)
    updates = []
    for step in range(24):
        before = pruner.num_updates
        train_step(pruner, model, optimizer, step)
        updates += [step] * (pruner.num_updates - before)
    # 0.75 * 24 = 18 is the end; RigL counts steps before its update, the others the one just done as well
    assert updates == expected


@pytest.mark.parametrize("make", [SET, RigL, SNFS])
@pytest.mark.parametrize("distribution", ["uniform", "first_dense", "erk"])
def test_each_layers_count_is_constant_and_masks_move(make: type[DynamicPruner], distribution: str) -> None:
    pruner = make(sparsity=0.8, every=2, distribution=distribution)  # type: ignore[arg-type]
    model = tiny_net()
    first = prune_now(pruner, toy_context(model, epochs=4))
    counts = {name: int(mask.sum()) for name, mask in first.items()}
    assert sum(counts.values()) == num_kept(pruner.masks.num_total, 0.8)
    assert ("conv1.weight" in counts) is (distribution != "first_dense")
    optimizer = make_optimizer(pruner)
    for step in range(16):
        train_step(pruner, model, optimizer, step)
        assert {name: int(mask.sum()) for name, mask in pruner.masks.items()} == counts
        assert not any(site.weight[~pruner.masks[name]].any() for name, site in pruner.masks.sites.items())
    moved = [name for name, mask in pruner.masks.items() if not torch.equal(mask, first[name])]
    assert moved, "no mask has moved"


def test_erk_start_has_the_erk_densities() -> None:
    pruner = RigL(sparsity=0.8, distribution="erk")
    prune_now(pruner, toy_context(tiny_net()))
    kept = {name: int(mask.sum()) for name, mask in pruner.masks.items()}
    # the sums of dimensions 11, 18 and 12 share 356 - floor(284.8) = 72 weights: 19.3, 31.6, 21.1
    assert kept == {"conv1.weight": 19, "conv2.weight": 32, "fc.weight": 21}


def test_set_draws_new_positions_for_every_update_and_seed() -> None:
    masks = []
    for seed in (0, 0, 1):
        pruner = SET(sparsity=0.8, every=2)
        train_all(pruner, toy_context(tiny_net(), seed=seed))
        masks.append(torch.cat([mask.flatten() for _, mask in pruner.masks.items()]))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    first, second = pruner.random_scores("growth after 2 steps"), pruner.random_scores("growth after 4 steps")
    assert not torch.equal(first["fc.weight"], second["fc.weight"])


def test_snfs_grows_by_a_running_mean_of_gradients() -> None:
    pruner = SNFS(sparsity=0.5, drop_fraction=0.5, every=2, distribution="uniform")
    layer = eight_weights(pruner)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    layer.weight.grad = torch.tensor([[0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 1.0, 0.0]])
    pruner.on_gradients(0, optimizer)
    layer.weight.grad = torch.tensor([[0.0, 0.0, 0.0, 0.0, -5.0, 0.0, 1.0, 2.0]])
    pruner.on_gradients(1, optimizer)
    # means 0.1 g1 * 0.9 + 0.1 g2: -0.05 at 4, 0.19 at 6, 0.2 at 7
    assert pruner.state_dict()["means"]["weight"].tolist() == [pytest.approx([0, 0, 0, 0, -0.05, 0, 0.19, 0.2])]
    pruner.on_weights(1, optimizer)
    # the share has fallen a little below 0.5 after 2 of 75 steps: floor(1.998) = 1 of 4 leaves, the smallest
    assert pruner.masks["weight"].tolist() == [[True, False, True, True, False, False, False, True]]


def test_resume_and_ranks() -> None:
    for make in (SET, RigL, SNFS):
        resume_equals_uninterrupted(lambda make=make: make(sparsity=0.8, every=2))
        pruners = train_on_two_ranks(lambda make=make: make(sparsity=0.8, every=2))
        assert_equal_masks(pruners)


def test_a_training_too_short_for_an_update_is_static() -> None:
    pruner = SET(sparsity=0.8)
    train_all(pruner, toy_context(tiny_net()))
    assert pruner.num_updates == 0


def test_nan_gradients_and_weights_are_errors() -> None:
    pruner = RigL(sparsity=0.5, distribution="uniform")
    layer = eight_weights(pruner)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    layer.weight.grad = torch.full((1, 8), torch.nan)
    with pytest.raises(FloatingPointError):
        pruner.on_gradients(0, optimizer)
    layer.weight.grad = torch.ones(1, 8)
    with torch.no_grad():
        layer.weight[0, 0] = torch.nan
    with pytest.raises(FloatingPointError):
        pruner.on_gradients(0, optimizer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distribution": "er"}, "distribution is 'er'; it must be one of uniform, first_dense, erk"),
        ({"drop_fraction": 1.0}, "drop_fraction is 1.0; it must be a finite number > 0 and < 1"),
        ({"drop_fraction": math.nan}, "drop_fraction is nan; it must be a finite number"),
        ({"final_drop_fraction": 0.4}, "final_drop_fraction is 0.4; it must be at most drop_fraction, 0.3"),
        ({"every": -1}, "every is -1; it must be an integer >= 0"),
        ({"end": 0.0}, "end is 0.0; it must be a finite number > 0 and <= 1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RigL(sparsity=0.9, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"decay is .*; it must be a finite number >= 0 and < 1"):
        SNFS(sparsity=0.9, decay=1.0)


def test_positions_are_reset_in_every_optimisers_state() -> None:
    for make in (
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True),
    ):
        weight = nn.Parameter(torch.ones(2, 3))
        optimizer = make([weight])
        weight.grad = torch.full((2, 3), 2.0)
        positions = torch.tensor([[True, False, False], [False, False, True]])
        reset_positions(optimizer, weight, positions)  # before the first step there is nothing to reset
        optimizer.step()
        before = copy.deepcopy(dict(optimizer.state[weight]))
        reset_positions(optimizer, weight, positions)
        state = optimizer.state[weight]
        assert set(state) == set(before)
        for name, value in state.items():
            if value.shape == weight.shape:
                assert not value[positions].any()
                assert torch.equal(value[~positions], before[name][~positions])
                assert before[name][positions].any()
            else:
                assert value == before[name]
        reset_all(optimizer)
        assert not optimizer.state


def test_momentum_of_sgd_and_adam() -> None:
    weight = nn.Parameter(torch.zeros(2))
    sgd = torch.optim.SGD([weight], lr=0.0, momentum=0.5)
    assert momentum(sgd, weight).tolist() == [0, 0]
    weight.grad = torch.tensor([2.0, -4.0])
    sgd.step()
    sgd.step()
    assert momentum(sgd, weight).tolist() == [3.0, -6.0]
    adam = torch.optim.Adam([weight], lr=0.0, betas=(0.5, 0.75))
    adam.step()
    # m = 0.5 g, v = 0.25 g^2: m / sqrt(v) = sign(g)
    assert momentum(adam, weight).tolist() == [pytest.approx(1.0), pytest.approx(-1.0)]
    require_momentum(sgd, "sm")
    require_momentum(adam, "sm")
    with pytest.raises(UserError, match="momentum is 0"):
        require_momentum(torch.optim.SGD([weight], lr=0.1), "sm")
