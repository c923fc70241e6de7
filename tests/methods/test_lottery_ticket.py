"""IMP: rounds and counts, what is rewound, and that every round resumes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.lamp import Lamp
from prunebench.methods.lottery_ticket import IterativeMagnitude, quotas_by_rate
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


class Recorder(IterativeMagnitude):
    """Records the network before and after every `begin_round`."""

    def begin_round(self, index: int) -> None:
        before = {name: tensor.clone() for name, tensor in self.context.model.state_dict().items()}
        super().begin_round(index)
        after = {name: tensor.clone() for name, tensor in self.context.model.state_dict().items()}
        self.__dict__.setdefault("noted", []).append((before, after, self.masks.state_dict()))


@pytest.mark.parametrize(
    ("sparsity", "options", "prunings"),
    [(0.0, {}, 0), (0.2, {}, 1), (0.36, {}, 2), (0.9, {}, 11), (0.98, {"prune_fraction": 0.5}, 6),
     (0.9, {"prune_fraction": 0.0}, 1), (0.9, {"prune_fraction": 0.0, "prune_rounds": 3}, 3)],
)  # fmt: skip
def test_number_of_rounds(sparsity: float, options: dict[str, Any], prunings: int) -> None:
    pruner = IterativeMagnitude(sparsity=sparsity, **options)
    assert pruner.num_prunings == prunings
    assert pruner.rounds == prunings + 1


@given(st.floats(0.01, 0.999), st.floats(0.01, 0.9))
def test_rounds_are_the_fewest_that_reach_the_sparsity(sparsity: float, fraction: float) -> None:
    pruner = IterativeMagnitude(sparsity=sparsity, prune_fraction=fraction)
    count = pruner.num_prunings
    assert (1 - fraction) ** count <= (1 - sparsity) * (1 + 1e-6)
    assert (1 - fraction) ** (count - 1) >= (1 - sparsity) * (1 - 1e-6)
    path = [pruner.sparsity_after(i) for i in range(1, count + 1)]
    assert path == sorted(path)
    assert path[-1] == sparsity


def test_three_rounds_of_half_end_at_the_target_and_return_to_the_initial_weights() -> None:
    pruner, initial = Recorder(sparsity=0.8, prune_fraction=0.5), tiny_net().state_dict()
    train_all(pruner, toy_context(tiny_net(), epochs=2))
    noted = pruner.__dict__["noted"]
    kept = [sum(int(mask.sum()) for mask in masks.values()) for _, _, masks in noted]
    assert kept == [356, num_kept(356, 0.5), num_kept(356, 0.75), num_kept(356, 0.8)]
    for before, after, masks in noted[1:]:
        scores = torch.cat([before[name].abs().flatten() for name in masks])
        chosen = torch.cat([mask.flatten() for mask in masks.values()])
        assert scores[chosen].min() >= scores[~chosen].max()  # chosen by the trained weights
        for name, tensor in after.items():  # everything else is as at the start, batch-norm statistics included
            assert torch.equal(tensor, initial[name] * masks[name] if name in masks else initial[name])
    for (_, _, earlier), (_, _, later) in zip(noted, noted[1:], strict=False):  # noqa: RUF007
        assert all(not (later[name] & ~earlier[name]).any() for name in later)


def test_the_output_layer_is_pruned_at_half_the_rate_layer_by_layer() -> None:
    """LeNet-300-100's way: 36, 288 and 32 weights; halves of the first two go a round, a quarter of the last.

    Two rounds leave 36/4 + 288/4 + 32 * 9/16 = 9 + 72 + 18 = 99 weights, a sparsity of 257/356.
    """
    pruner = Recorder(sparsity=257 / 356, prune_fraction=0.5, scope="layerwise", output_rate="half")
    train_all(pruner, toy_context(tiny_net(), epochs=1))
    kept = [[int(mask.sum()) for mask in masks.values()] for _, _, masks in pruner.__dict__["noted"]]
    assert kept == [[36, 288, 32], [18, 144, 24], [9, 72, 18]]


def test_a_last_round_cut_short_keeps_the_ratio_of_the_rates() -> None:
    # half a round: 100 / sqrt(2) and 100 * sqrt(3) / 2
    quotas = quotas_by_rate({"hidden": 100, "output": 100}, {"hidden": 0.5, "output": 0.75}, 157)
    assert quotas["hidden"] == pytest.approx(70.71, abs=0.5)
    assert quotas["output"] == pytest.approx(86.60, abs=0.5)
    assert sum(quotas.values()) == pytest.approx(157)


def test_half_the_rate_of_a_layer_left_dense_is_refused() -> None:
    pruner = IterativeMagnitude(sparsity=0.5, scope="layerwise", output_rate="half", dense=("last",))
    with pytest.raises(ValueError, match=r"dense leaves fc\.weight whole"):
        pruner.attach(toy_context(tiny_net()))


def test_rewinding_to_an_epoch_restores_its_weights_and_starts_there() -> None:
    context = toy_context(tiny_net(), epochs=3)
    pruner = Recorder(sparsity=0.5, prune_fraction=0.5, rewind_epoch=1)
    assert [pruner.first_epoch(index) for index in range(2)] == [0, 1]
    train_all(pruner, context)
    # the first epoch of round 0 again
    model, dense = tiny_net(), IterativeMagnitude()
    prune_now(dense, toy_context(model, epochs=3))
    optimizer = make_optimizer(dense)
    for step in range(4):
        train_step(dense, model, optimizer, step)
    _, after, masks = pruner.__dict__["noted"][1]
    for name, tensor in model.state_dict().items():
        assert torch.equal(after[name], tensor * masks[name] if name in masks else tensor)


def test_learning_rate_rewinding_keeps_the_trained_weights() -> None:
    pruner = Recorder(sparsity=0.75, prune_fraction=0.5, rewind="lr")
    train_all(pruner, toy_context(tiny_net(), epochs=2))
    for before, after, masks in pruner.__dict__["noted"][1:]:
        for name, tensor in after.items():
            assert torch.equal(tensor, before[name] * masks[name] if name in masks else before[name])


def test_from_trained_weights_the_first_round_prunes() -> None:
    pruner = Recorder(sparsity=0.75, prune_fraction=0.5, rewind="lr", rewind_epoch=1, start="trained")
    assert pruner.rounds == 2
    assert pruner.first_epoch(0) == 1
    train_all(pruner, toy_context(tiny_net(), epochs=2))
    kept = [sum(int(mask.sum()) for mask in masks.values()) for _, _, masks in pruner.__dict__["noted"]]
    assert kept == [178, 89]


def test_lamp_ranking_is_lamp() -> None:
    options = {"sparsity": 0.6, "start": "trained"}
    imp = IterativeMagnitude(ranking="lamp", rewind="lr", prune_fraction=0.9, **options)  # type: ignore[arg-type]
    masks = prune_now(imp, toy_context(tiny_net()))
    expected = prune_now(Lamp(**options), toy_context(tiny_net()))  # type: ignore[arg-type]
    assert all(torch.equal(masks[name], expected[name]) for name in masks)


@pytest.mark.parametrize(
    "options",
    [{}, {"rewind_epoch": 1}, {"rewind": "lr"}, {"rewind": "lr", "start": "trained", "ranking": "lamp"},
     {"scope": "layerwise"}, {"scope": "layerwise", "output_rate": "half"}],
)  # fmt: skip
def test_every_round_resumes(options: dict[str, Any]) -> None:
    resume_equals_uninterrupted(lambda: IterativeMagnitude(sparsity=0.7, prune_fraction=0.5, **options), epochs=2)


def test_ranks_agree() -> None:
    assert_equal_masks(train_on_two_ranks(lambda: IterativeMagnitude(sparsity=0.5, prune_fraction=0.5), epochs=1))


@pytest.mark.parametrize(
    ("options", "named"),
    [({"prune_fraction": 1.0}, "prune_fraction"), ({"prune_rounds": 3}, "prune_rounds"),
     ({"rewind": "weights", "start": "trained"}, "rewind"), ({"schedule": "cubic"}, "argument 'schedule'"),
     ({"ranking": "lamp", "scope": "erk"}, "ranking"), ({"rewind_epoch": -1}, "rewind_epoch"),
     ({"output_rate": "half"}, "scope: layerwise, not global"),
     ({"output_rate": "half", "scope": "layerwise", "prune_fraction": 0.0}, "prune_fraction > 0"),
     ({"output_rate": "half", "scope": "layerwise", "minimum_threshold": 1.0}, "minimum_threshold")],
)  # fmt: skip
def test_bad_options_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        IterativeMagnitude(sparsity=0.5, **options)


def test_rewinding_behind_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="less than the recipe's 3 epochs"):
        IterativeMagnitude(sparsity=0.5, rewind_epoch=3).attach(toy_context(tiny_net(), epochs=3))
