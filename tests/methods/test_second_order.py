"""Diagonal Fisher and WoodFisher: the worked example, inverses against explicit ones, memory bound, ranks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from fake_cuda import fake_cuda
from hypothesis import given, settings
from hypothesis import strategies as st
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.api.pruner import Context
from prunebench.methods.bases.mask_pruner import MaskPruner
from prunebench.methods.obd import DiagonalFisher
from prunebench.methods.parts.fisher import Block, InverseBlock, cut_into_blocks, group_blocks
from prunebench.methods.woodfisher import WoodFisher
from torch import Tensor, nn
from toys import (
    assert_equal_masks,
    kept_positions,
    prune_now,
    resume_equals_uninterrupted,
    tiny_data,
    tiny_net,
    toy_context,
    train_all,
    train_on_two_ranks,
)

FEW: dict[str, Any] = {"fisher_gradients": 16}


class Example(nn.Module):
    """w = (1, 2, 0.5) and a loss whose gradient of w is the input: g_1 = (1, 0, 2), g_2 = (0, 1, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1, bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[1.0, 2.0, 0.5]]))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs)


def example_context(model: nn.Module):
    data = (torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]]), torch.zeros(2))
    return toy_context(model, data=data, loss=lambda outputs, _: outputs.mean(), input_shape=(3,), num_classes=1)


def scores_of(pruner: MaskPruner) -> list[float]:
    pruner.attach(example_context(Example()))
    return [round(score, 6) for score in pruner.scores()["layer.weight"][0].tolist()]


def test_diagonal_scores_of_the_worked_example() -> None:
    # F = diag (0.5, 0.5, 4)
    assert scores_of(DiagonalFisher(fisher_gradients=2, damping=1.0)) == [0.75, 3.0, 0.625]
    assert scores_of(DiagonalFisher(fisher_gradients=2)) == [0.25, 1.0, 0.5]


def test_surgeon_scores_and_update_of_the_worked_example() -> None:
    options: dict[str, Any] = {"fisher_gradients": 2, "damping": 1.0, "block_size": 3}
    assert scores_of(WoodFisher(**options)) == [0.634615, 2.538462, 0.458333]
    model = Example()
    masks = prune_now(WoodFisher(sparsity=1 / 3, **options), example_context(model))
    assert kept_positions(masks) == {"layer.weight": [[1, 1, 0]]}
    assert torch.allclose(model.layer.weight, torch.tensor([[4 / 3, 7 / 3, 0.0]]))
    fixed = Example()
    prune_now(WoodFisher(sparsity=1 / 3, update=False, **options), example_context(fixed))
    assert fixed.layer.weight.tolist() == [[1.0, 2.0, 0.0]]


def test_what_was_pruned_before_is_out_of_the_fisher_matrix() -> None:
    pruner = WoodFisher(fisher_gradients=2, damping=1.0, block_size=3)
    pruner.attach(example_context(Example()))
    pruner.masks.set({"layer.weight": torch.tensor([[True, True, False]])})
    # F + I = diag (1.5, 1.5) on what is left
    assert [round(score, 6) for score in pruner.scores()["layer.weight"][0].tolist()] == [0.75, 3.0, 0.0]


def test_blocks_do_not_see_each_other() -> None:
    # blocks (w1, w2) and (w3): F = diag(0.5, 0.5) and 4, so the inverse is diagonal and nothing moves
    model = Example()
    prune_now(WoodFisher(sparsity=1 / 3, fisher_gradients=2, damping=1.0, block_size=2), example_context(model))
    assert model.layer.weight.tolist() == [[1.0, 2.0, 0.0]]


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1.0, 1e-3, 1e-5]), st.integers(0, 100))
def test_inverse_is_that_of_the_damped_fisher_matrix(m: int, width: int, damping: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(m, width, generator=generator, dtype=torch.float64)
    vector = torch.randn(width, generator=generator, dtype=torch.float64)
    explicit = torch.linalg.inv(gradients.T @ gradients / m + damping * torch.eye(width, dtype=torch.float64))
    inverse = InverseBlock(gradients, damping)
    assert torch.allclose(inverse.diagonal(), explicit.diagonal(), rtol=1e-6, atol=0)
    assert torch.allclose(inverse.times(vector), explicit @ vector, rtol=1e-6, atol=1e-8 / damping)


def test_lost_positivity_is_an_error() -> None:
    with pytest.raises(FloatingPointError, match="not positive at damping 1e-30"):
        InverseBlock(torch.full((1, 1), 1e6), 1e-30).diagonal()


@pytest.mark.parametrize("value", [torch.nan, 1e200])
def test_gradients_beyond_floats_are_an_error(value: float) -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        InverseBlock(torch.full((2, 3), value, dtype=torch.float64), 1.0)


def test_blocks_cover_each_layer_once_and_groups_are_bounded() -> None:
    blocks = cut_into_blocks({"a": 5, "b": 2}, 2)
    assert blocks == [Block("a", 0, 2), Block("a", 2, 4), Block("a", 4, 5), Block("b", 0, 2)]
    assert [len(group) for group in group_blocks(blocks, 3)] == [1, 2, 1]
    assert [len(group) for group in group_blocks(blocks, 0)] == [1, 1, 1, 1]
    assert [len(group) for group in group_blocks(blocks, 7)] == [4]


def test_too_little_memory_changes_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"all": 0, "parts": 0}
    results = {}
    for case, bound in (("all", 10_000), ("parts", 40)):

        def bounded(blocks: list[Block], _: int, bound: int = bound, case: str = case) -> list[list[Block]]:
            calls[case] += 1
            return group_blocks(blocks, bound)

        monkeypatch.setattr("prunebench.methods.woodfisher.group_blocks", bounded)
        model = tiny_net()
        prune_now(WoodFisher(sparsity=0.6, block_size=30, **FEW), toy_context(model))
        results[case] = model.state_dict()
    assert calls == {"all": 1, "parts": 2}  # stored, or computed anew for the update
    assert all(torch.equal(tensor, results["all"][name]) for name, tensor in results["parts"].items())


def groups_of(context: Context) -> int:
    """How many groups of blocks WoodFisher forms for the gradients of the tiny network."""
    pruner = WoodFisher(sparsity=0.6, block_size=30, memory_mb=1, **FEW)
    pruner.context = context
    return len(group_blocks(cut_into_blocks({"a": 300_000}, 30), pruner._memory() // (12 * 16)))


@pytest.mark.parametrize(("free", "kept"), [(64 << 20, 0), (4 << 20, 60 << 20)])
def test_a_gpu_stores_what_half_of_its_free_memory_holds(free: int, kept: int) -> None:
    """300,000 weights and 16 gradients take 58 MB: with 32 MB two groups, with an option of 1 MB 55 on a CPU."""
    context = toy_context(tiny_net())
    assert groups_of(context) == 55
    with fake_cuda(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.cuda, "mem_get_info", lambda device=None: (free, 80 << 30))
        patched.setattr(torch.cuda, "memory_reserved", lambda device=None: kept + 5)
        patched.setattr(torch.cuda, "memory_allocated", lambda device=None: 5)
        on_gpu = replace(context, device=torch.device("cuda"))
        assert groups_of(on_gpu) == 2
        patched.setattr(torch.cuda, "mem_get_info", lambda device=None: (0, 80 << 30))
        patched.setattr(torch.cuda, "memory_reserved", lambda device=None: 5)
        assert groups_of(on_gpu) == 55  # the option's, where the GPU is full

        def add_the_other(free: Tensor) -> Tensor:
            """Process 1 has 32 MB, of which it offers half."""
            assert free.tolist()[1] == 0
            return free.add_(torch.tensor([0, 16 << 20], device="cuda"))

        patched.setattr(torch.cuda, "mem_get_info", lambda device=None: (64 << 20, 80 << 30))
        assert groups_of(replace(on_gpu, num_ranks=2, reduce=add_the_other)) == 4  # the same in both processes


def test_on_a_gpu_the_masks_do_not_depend_on_its_free_memory() -> None:
    found = []
    for free in (80 << 30, 0):
        with fake_cuda(), pytest.MonkeyPatch.context() as patched:
            patched.setattr(torch.cuda, "mem_get_info", lambda device=None, free=free: (free, 80 << 30))
            model = tiny_net().to("cuda")
            inputs, targets = (tensor.to("cuda") for tensor in tiny_data())
            context = replace(toy_context(model, data=(inputs, targets)), device=torch.device("cuda"))
            options: dict[str, Any] = {"memory_mb": 1, "fisher_gradients": 400}
            prune_now(WoodFisher(sparsity=0.6, block_size=30, **options), context)
            found.append({name: tensor.cpu() for name, tensor in model.state_dict().items()})
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())


def test_update_lowers_the_loss_of_what_was_removed() -> None:
    def trained() -> nn.Module:
        torch.manual_seed(0)
        model, _ = train_all(MaskPrunerOff(), toy_context(tiny_net(), epochs=20))
        return model

    losses = {}
    for update in (True, False):
        model = trained()
        context = toy_context(model)
        options: dict[str, Any] = {"fisher_gradients": 64, "damping": 1e-3, "block_size": 400}
        prune_now(WoodFisher(sparsity=0.5, update=update, **options), context)
        model.eval()
        inputs, targets = next(iter(context.samples(64, 64)))
        losses[update] = float(context.loss(model(inputs), targets).detach())
    assert losses[True] < losses[False]


class MaskPrunerOff(DiagonalFisher):
    """Dense training through the same loop."""

    def begin_round(self, index: int) -> None:
        """Nothing is pruned."""


@pytest.mark.parametrize("method", [DiagonalFisher, WoodFisher])
@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_counts_are_exact_and_masks_nest(method: type[MaskPruner], scope: str) -> None:
    pruner = method(sparsity=0.8, scope=scope, schedule="exponential", prune_rounds=3, **FEW)  # type: ignore[arg-type]
    seen: list[dict[str, Tensor]] = []
    prune_to = pruner.prune_to

    def recording(sparsity: float) -> None:
        prune_to(sparsity)
        seen.append(pruner.masks.state_dict())

    pruner.prune_to = recording  # type: ignore[method-assign]
    prune_now(pruner, toy_context(tiny_net()))
    assert pruner.masks.num_kept == num_kept(356, 0.8)
    assert all(not (seen[i + 1][name] & ~seen[i][name]).any() for i in range(2) for name in seen[0])


@pytest.mark.parametrize("method", [DiagonalFisher, WoodFisher])
def test_resumes_and_agrees_between_ranks(method: type[MaskPruner]) -> None:
    def make() -> MaskPruner:
        return method(sparsity=0.8, start="init", schedule="cubic", **FEW)  # type: ignore[arg-type]

    resume_equals_uninterrupted(make, epochs=2)
    assert_equal_masks(train_on_two_ranks(make, epochs=1))


@pytest.mark.parametrize("fisher_batch", [1, 3])
@pytest.mark.parametrize("method", [DiagonalFisher, WoodFisher])
def test_two_ranks_see_the_gradients_of_one(method: type[MaskPruner], fisher_batch: int) -> None:
    def make() -> MaskPruner:
        return method(sparsity=0.8, start="init", fisher_batch=fisher_batch, **FEW)

    masks = prune_now(make(), toy_context(tiny_net()))
    for pruner in train_on_two_ranks(make, epochs=1):
        assert pruner.masks is not None
        assert all(torch.equal(pruner.masks[name], mask) for name, mask in masks.items())


def test_gradients_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(ValueError, match="fisher_gradients = 15 must be a multiple of the 2 processes"):
        prune_now(WoodFisher(sparsity=0.5, fisher_gradients=15), toy_context(tiny_net(), world=2))


def test_a_reduce_that_does_not_fit_the_ranks_is_an_error() -> None:
    def doubled(tensor: Tensor) -> Tensor:
        return tensor.mul_(2)

    with pytest.raises(RuntimeError, match="process 0 of 1"):
        prune_now(WoodFisher(sparsity=0.5, **FEW), toy_context(tiny_net(), reduce=doubled))


@pytest.mark.parametrize(
    ("method", "options"),
    [(DiagonalFisher, {"damping": -1.0}), (DiagonalFisher, {"fisher_batch": 0}), (WoodFisher, {"damping": 0.0}),
     (WoodFisher, {"block_size": 0}), (WoodFisher, {"memory_mb": 0})],
)  # fmt: skip
def test_bad_options_are_refused(method: type[MaskPruner], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        method(sparsity=0.5, **options)
