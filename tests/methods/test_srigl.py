"""SRigL: an update by hand, ablation, budgets that do not divide, exact counts for any layer, transposed layers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.api.sites import find_sites
from prunebench.methods.srigl import SRigL, choose_active, fan_ins, rows_of, update
from torch import Tensor, nn
from toys import make_optimizer, prune_now, resume_equals_uninterrupted, tiny_net, toy_context, train_step

MASK = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0]]).bool()
WEIGHT = torch.tensor([[0.9, 0.5, 0.0, 0.0], [-0.1, 0.8, 0.0, 0.0], [0.2, 0.0, -0.3, 0.0]])
GRADIENT = torch.tensor([[0.1, 0.2, 0.9, -0.3], [0.6, 0.2, 0.1, 0.4], [0.5, 0.2, 0.3, 0.7]])


def test_an_update_by_hand() -> None:
    pruner = SRigL(sparsity=0.5, drop_fraction=0.5, distribution="uniform", min_salient=0.3)
    layer = nn.Linear(4, 3, bias=False)
    pruner.attach(toy_context(layer, epochs=100, steps_per_epoch=1))
    with torch.no_grad():
        layer.weight.copy_(WEIGHT)
    pruner.masks.set({"weight": MASK})
    layer.weight.grad = GRADIENT.clone()
    assert pruner.on_gradients(0, torch.optim.SGD(layer.parameters(), lr=0.1))
    # half of the 6 leave: 0.1, 0.2 and 0.3; the only layer is the last one, so all neurons stay with 2 weights each
    # neuron 0 has both; 1 grows where the gradient is 0.6, which has just left; 2 at 0.7 and 0.5
    expected = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 1]]).bool()
    assert torch.equal(pruner.masks["weight"], expected)
    assert torch.equal(layer.weight, torch.tensor([[0.9, 0.5, 0, 0], [-0.1, 0.8, 0, 0], [0.2, 0, 0, 0]]))


def test_a_neuron_without_enough_salient_weights_leaves_and_the_others_share_its_weights() -> None:
    magnitude, gradient = WEIGHT.abs(), GRADIENT.abs().clone()
    assert update(MASK, magnitude, gradient, 6, 3, 0.3).sum(1).tolist() == [2, 2, 2], "0.7 of neuron 2 is salient"
    gradient[2, 3], gradient[2, 0] = 0.0, 0.0
    # now the gradients 0.9, 0.6 and 0.4 of neuron 0 and 1 are salient: none of neuron 2, and 6 weights are for two
    after = update(MASK, magnitude, gradient, 6, 3, 0.3)
    # 0.9 and 0.5 stay, 0.9 grows; 0.8 stays, 0.6 and 0.4 grow
    assert torch.equal(after, torch.tensor([[1, 1, 1, 0], [1, 1, 0, 1], [0, 0, 0, 0]]).bool())
    assert torch.equal(update(MASK, magnitude, gradient, 6, 3, 0.0).sum(1), torch.tensor([2, 2, 2])), "no ablation"
    # once ablated, a neuron with salient gradients returns
    gradient[2, 3], gradient[2, 0] = 2.0, 1.5
    assert update(after, magnitude, gradient, 6, 3, 0.3).sum(1).tolist() == [2, 2, 2]


def test_budgets_that_do_not_divide_give_the_first_neurons_one_more() -> None:
    active = torch.tensor([True, False, True, True])
    assert fan_ins(active, 11).tolist() == [4, 0, 4, 3]
    assert fan_ins(active, 2).tolist() == [1, 0, 1, 0]


def test_as_many_neurons_stay_as_the_budget_needs() -> None:
    # none has the 1.0 * 2 salient weights that it needs, and 8 weights need 2 neurons of 5
    assert choose_active(torch.tensor([0, 1, 0, 1]), 5, 8, 1.0).tolist() == [False, True, False, True]


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 8), st.floats(0, 1), st.data())
def test_the_count_is_exact_and_fan_ins_differ_by_one(
    seed: int, neurons: int, inputs: int, min_salient: float, data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(neurons, inputs, generator=generator) < 0.5
    total = int(mask.sum())
    # coarse values: many ties
    magnitude = torch.randint(0, 4, mask.shape, generator=generator).float() * mask
    gradient = torch.randint(0, 4, mask.shape, generator=generator).float()
    after = update(mask, magnitude, gradient, total, data.draw(st.integers(0, total)), min_salient)
    assert after.sum() == total
    fan_in = after.sum(1)[after.any(1)]
    assert not len(fan_in) or fan_in.max() - fan_in.min() <= 1


def same_fan_in(rows: Tensor) -> bool:
    counts = rows.sum(1)[rows.any(1)]
    return int(counts.max() - counts.min()) <= 1


@pytest.mark.parametrize("sparsity", [0.5, 0.83, 0.95])
def test_fan_ins_are_equal_throughout_the_training(sparsity: float) -> None:
    pruner, model = SRigL(sparsity=sparsity, every=2), tiny_net()
    prune_now(pruner, toy_context(model, epochs=5, steps_per_epoch=4))
    optimizer = make_optimizer(pruner)
    for step in range(20):
        assert pruner.masks.num_kept == num_kept(356, sparsity)
        assert all(same_fan_in(mask.flatten(1)) for _, mask in pruner.masks.items())
        train_step(pruner, model, optimizer, step)
    assert pruner.num_updates == 8


def test_transposed_convolutions_have_their_neurons_on_the_second_axis() -> None:
    layer = nn.ConvTranspose2d(4, 6, 3, groups=2)
    site = find_sites(layer)[0]
    pruner = SRigL(sparsity=0.5, distribution="uniform")
    masks = prune_now(pruner, toy_context(layer))
    assert rows_of(site, layer.weight).shape == (6, 18)
    # 108 weights, 54 kept: 9 for each of the 6 outputs, group by group
    kept = masks["weight"].view(2, 2, 3, 9)
    assert kept.sum(dim=(1, 3)).tolist() == [[9, 9, 9], [9, 9, 9]]
    rows = rows_of(site, layer.weight.detach())
    assert torch.equal(pruner._from_rows("weight", rows), layer.weight)


def test_the_share_of_salient_weights_is_rounded_up() -> None:
    # a fan-in of 5: at least 2 of them
    assert choose_active(torch.tensor([1, 2, 3]), 10, 15, 0.3).tolist() == [False, True, True]
    # of 10: at least 3, but a full layer needs all its neurons
    assert choose_active(torch.tensor([2, 3, 4]), 10, 30, 0.3).tolist() == [True, True, True]
    # fewer weights than neurons: at least 1
    assert choose_active(torch.tensor([0, 1, 1]), 10, 2, 0.3).tolist() == [False, True, True]
    assert choose_active(torch.tensor([0, 1, 1]), 10, 2, 0.0).tolist() == [True, True, True]


def test_neurons_leave_inner_layers_and_none_the_last() -> None:
    pruner, model = SRigL(sparsity=0.8, every=1, min_salient=1.0, distribution="uniform"), tiny_net()
    prune_now(pruner, toy_context(model, epochs=5, steps_per_epoch=4))
    optimizer = make_optimizer(pruner)
    for step in range(20):
        train_step(pruner, model, optimizer, step)
    active = {name: int(mask.flatten(1).any(1).sum()) for name, mask in pruner.masks.items()}
    # its 7 of 32 weights are shared by all 4 classes
    assert active["fc.weight"] == 4
    assert active["conv2.weight"] < 8


def test_a_resumed_training_has_the_same_bits() -> None:
    resume_equals_uninterrupted(lambda: SRigL(sparsity=0.8, every=2))
