"""Sparse momentum: shares, exact redistribution, updates at the ends of epochs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.errors import UserError
from prunebench.methods.parts.allocation import distribute
from prunebench.methods.sparse_momentum import SparseMomentum, momentum_shares
from torch import Tensor, nn
from toys import (
    assert_equal_masks,
    make_optimizer,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_on_two_ranks,
    train_step,
)


class TwoLayers(nn.Module):
    """Two layers of 20 and 12 weights; only their weights matter."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(20, 1, bias=False)
        self.b = nn.Linear(12, 1, bias=False)


def ready(pruner: SparseMomentum) -> TwoLayers:
    """The first 8 of each layer are active, with magnitudes 1, 2, ..., 8."""
    model = TwoLayers()
    pruner.attach(toy_context(model, epochs=10, steps_per_epoch=1))
    masks = {}
    with torch.no_grad():
        for name, weight in (("a.weight", model.a.weight), ("b.weight", model.b.weight)):
            weight.copy_(torch.arange(1.0, weight.numel() + 1)[None])
            masks[name] = torch.arange(weight.numel())[None] < 8
    pruner.masks.set(masks)
    return model


def constant_momenta(a: float, b: float) -> dict[str, Tensor]:
    """The mean over active weights is a and b; among inactive ones it rises with the position."""
    momenta = {"a.weight": torch.full((1, 20), a), "b.weight": torch.full((1, 12), b)}
    for momentum in momenta.values():
        momentum[:, 8:] = torch.arange(1.0, momentum.shape[1] - 7) / 100
        momentum[:, :4] = 0.0
        momentum[:, 4:8] *= 2.0
    return momenta


def test_by_hand() -> None:
    pruner = SparseMomentum(sparsity=0.5, drop_fraction=0.5, final_drop_fraction=0.5)
    ready(pruner)
    momenta = constant_momenta(0.3, 0.1)
    masks = dict(pruner.masks.items())
    assert momentum_shares(momenta, masks, torch.tensor([8, 8])).tolist() == pytest.approx([0.75, 0.25])
    # each layer drops its 4 smallest; 8 in all regrow, 6 and 2, where momentum is largest
    pruner.update(1, momenta)
    assert pruner.masks["a.weight"][0].nonzero().flatten().tolist() == [4, 5, 6, 7, 14, 15, 16, 17, 18, 19]
    assert pruner.masks["b.weight"][0].nonzero().flatten().tolist() == [4, 5, 6, 7, 10, 11]
    assert pruner.num_updates == 1


def test_without_redistribution_layers_keep_their_counts() -> None:
    pruner = SparseMomentum(sparsity=0.5, redistribution="none", final_drop_fraction=0.5)
    ready(pruner)
    pruner.update(1, constant_momenta(0.3, 0.1))
    assert pruner.masks["a.weight"][0].nonzero().flatten().tolist() == [4, 5, 6, 7, 16, 17, 18, 19]
    assert pruner.masks["b.weight"][0].nonzero().flatten().tolist() == [4, 5, 6, 7, 8, 9, 10, 11]


def test_what_does_not_fit_goes_to_the_others_in_equal_parts() -> None:
    assert distribute(8, [0.75, 0.25], [20, 20]) == [6, 2]
    # 30 * (0.8, 0.1, 0.1) = 24, 3, 3: 14 too many for the first, 7 more for each of the others
    assert distribute(30, [0.8, 0.1, 0.1], [10, 40, 40]) == [10, 10, 10]
    # then the second is full too: 5 of its 10 go to the third
    assert distribute(30, [0.8, 0.1, 0.1], [10, 5, 40]) == [10, 5, 15]
    assert distribute(3, [1.0, 0.0], [1, 2]) == [1, 2]


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 1)), min_size=1, max_size=8), st.floats(0, 1))
def test_distribution_is_exact_and_fits(layers: list[tuple[int, float]], share: float) -> None:
    room, weights = [room for room, _ in layers], [weight + 1e-3 for _, weight in layers]
    total = round(share * sum(room))
    counts = distribute(total, [weight / sum(weights) for weight in weights], room)
    assert sum(counts) == total
    assert all(0 <= count <= limit for count, limit in zip(counts, room, strict=True))


def test_shares_of_empty_and_unmoved_layers() -> None:
    masks = {"a": torch.tensor([True, False]), "b": torch.tensor([False, False])}
    counts = torch.tensor([1, 0])
    assert momentum_shares({"a": torch.tensor([2.0, 9.0]), "b": torch.ones(2)}, masks, counts).tolist() == [1.0, 0.0]
    assert momentum_shares({"a": torch.zeros(2), "b": torch.ones(2)}, masks, counts).tolist() == [0.5, 0.5]


def test_a_nearly_dense_growing_layer_drops_no_more_than_its_sparsity() -> None:
    pruner = SparseMomentum(sparsity=0.3, drop_fraction=0.5, final_drop_fraction=0.5)
    ready(pruner)
    counts, larger_b, larger_a = torch.tensor([8, 11]), torch.tensor([0.1, 0.9]), torch.tensor([0.9, 0.1])
    # layer b keeps 11 of 12: sparsity 1/12 < 0.2, share 0.9 > 1/2; ceil(11 / 12) = 1 leaves instead of 6
    assert pruner._num_drops(counts, larger_b, 0.5).tolist() == [4, 1]
    assert pruner._num_drops(counts, larger_a, 0.5).tolist() == [4, 6]
    # the last weight of a layer stays
    assert pruner._num_drops(torch.tensor([1, 0]), larger_a, 0.005).tolist() == [0, 0]


def test_updates_come_between_epochs_and_keep_the_total() -> None:
    pruner = SparseMomentum(sparsity=0.8)
    model = tiny_net()
    first = prune_now(pruner, toy_context(model, epochs=4, steps_per_epoch=3))
    assert {name: int(mask.sum()) for name, mask in first.items()} == {
        "conv1.weight": 7, "conv2.weight": 58, "fc.weight": 7,
    }  # fmt: skip
    optimizer = make_optimizer(pruner)
    updates = []
    for step in range(12):
        before = pruner.num_updates
        train_step(pruner, model, optimizer, step)
        updates += [step] * (pruner.num_updates - before)
        assert pruner.masks.num_kept == 72
    assert updates == [3, 6, 9]
    assert int(pruner.masks["conv2.weight"].sum()) != 58, "weights must move between layers"
    assert pruner.fraction(0) == 0.5
    assert pruner.fraction(12) == pytest.approx(0.005)


def test_grown_weights_keep_their_momentum() -> None:
    pruner = SparseMomentum(sparsity=0.8)
    model = tiny_net()
    first = prune_now(pruner, toy_context(model, epochs=4, steps_per_epoch=3))
    optimizer = make_optimizer(pruner)
    for step in range(3):
        train_step(pruner, model, optimizer, step)
    pruner.on_gradients(3, optimizer)
    grown = pruner.masks["conv2.weight"] & ~first["conv2.weight"]
    assert grown.any()
    assert optimizer.state[model.conv2.weight]["momentum_buffer"][grown].all()


def test_resume_and_ranks() -> None:
    for redistribution in ("momentum", "none"):

        def make(redistribution: str = redistribution) -> SparseMomentum:
            return SparseMomentum(sparsity=0.8, redistribution=redistribution)  # type: ignore[arg-type]

        resume_equals_uninterrupted(make)
        assert_equal_masks(train_on_two_ranks(make))


def test_what_cannot_work_is_refused() -> None:
    pruner = SparseMomentum(sparsity=0.5)
    model = ready(pruner)
    with pytest.raises(UserError, match="method 'sm' reads the optimiser's momentum"):
        pruner.on_gradients(0, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(FloatingPointError):
        pruner.update(1, {name: m * torch.nan for name, m in constant_momenta(0.3, 0.1).items()})
    with pytest.raises(ValueError, match="redistribution is 'all'; it must be one of momentum, none"):
        SparseMomentum(sparsity=0.5, redistribution="all")  # type: ignore[arg-type]
