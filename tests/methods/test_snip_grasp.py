"""SNIP and GraSP against the worked example: f(x) = W2 W1 x, x = (1, 2), y = -9, loss 0.5 (f - y)^2."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.pruner import Batch
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.fastgrnn import FastGrnn, FastGrnnCell
from prunebench.benchmark.perf.fastgrnn import LoopCell
from prunebench.methods.bases.mask_pruner import MaskPruner
from prunebench.methods.grasp import GraSP
from prunebench.methods.parts.scoring import hessian_gradient, mean_gradients
from prunebench.methods.snip import Snip
from torch import Tensor, nn
from toys import half_squared_error, linear_context, prune_now, tiny_net, toy_context


def test_gradients_of_the_example() -> None:
    context = linear_context()
    gradients = mean_gradients(context, context.sites, context.samples(1, 1))
    assert gradients["first.weight"].tolist() == [[-2, -4], [1, 2]]
    assert gradients["second.weight"].tolist() == [[3, -4]]


def test_snip_scores_and_mask_of_the_example() -> None:
    pruner = Snip(sparsity=0.5, score_samples=1)
    context = linear_context()
    pruner.attach(context)
    scores = pruner.scores()
    assert scores["first.weight"].tolist() == [[2, 8], [3, 1]]
    assert scores["second.weight"].tolist() == [[6, 4]]
    masks = prune_now(Snip(sparsity=0.5, score_samples=1), linear_context())
    assert masks["first.weight"].int().tolist() == [[0, 1], [0, 0]]
    assert masks["second.weight"].int().tolist() == [[1, 1]]


def test_snip_adds_signed_gradients_over_batches() -> None:
    """The absolute value is taken once: the split into batches does not matter (without batch norm)."""
    found = []
    for batch in (64, 8):
        pruner = Snip(sparsity=0.5, score_samples=64, score_batch=batch, mode="eval")
        pruner.attach(toy_context(tiny_net()))
        found.append(pruner.scores())
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name])


def test_grasp_product_and_mask_of_the_example() -> None:
    """Hg = [[-103, -206], [54, 108]], [[160, -205]]; the paper removes high -w Hg, so here w Hg is kept high."""
    pruner = GraSP(sparsity=2 / 6, samples_per_class=1, temperature=1.0)
    pruner.attach(linear_context())
    scores = pruner.scores()
    assert (-scores["first.weight"]).tolist() == [[103, -412], [-162, -54]]
    assert (-scores["second.weight"]).tolist() == [[-320, -205]]
    assert abs(sum(float(score.sum()) for score in scores.values())) == 1050
    masks = prune_now(GraSP(sparsity=2 / 6, samples_per_class=1, temperature=1.0), linear_context())
    assert masks["first.weight"].int().tolist() == [[0, 1], [1, 0]]
    assert masks["second.weight"].int().tolist() == [[1, 1]]


def test_grasp_sums_gradient_and_product_over_two_halves() -> None:
    """f(x) = w x with w = 1, samples x = 1 and 2, y = 0: g = 1 and 4, H = 1 and 4, so H g = (1 + 4) (1 + 4) = 25.

    One batch of both would have the means, 2.5 * 2.5.
    """
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    data = (torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 0.0]))
    context = toy_context(model, data=data, loss=half_squared_error, input_shape=(1,), num_classes=1)
    pruner = GraSP(sparsity=0.0, samples_per_class=2, temperature=1.0)
    pruner.attach(context)
    assert pruner.scores()["weight"].tolist() == [[25.0]]


def test_grasp_removes_what_the_gradient_norm_needs_least() -> None:
    """First-order check of the sign: removing its set lowers the gradient norm less than removing the opposite one."""
    pruner = GraSP(sparsity=0.3, samples_per_class=8)
    context = toy_context(tiny_net())
    pruner.attach(context)
    scores = pruner.scores()
    flat = torch.cat([score.reshape(-1) for score in scores.values()])
    count = int(0.3 * flat.numel())
    norms = {}
    for which, largest in (("its own", False), ("opposite", True)):
        chosen = flat.topk(count, largest=largest).indices
        model = tiny_net()
        pruned = toy_context(model)
        keep = torch.ones_like(flat, dtype=torch.bool)
        keep[chosen] = False
        offset = 0
        with torch.no_grad():
            for site in pruned.sites:
                size = site.weight.numel()
                site.weight.mul_(keep[offset : offset + size].view_as(site.weight))
                offset += size
        gradients = mean_gradients(pruned, pruned.sites, pruned.samples(32, 32, balanced=True))
        norms[which] = sum(float(g.square().sum()) for g in gradients.values())
    assert norms["its own"] > norms["opposite"]


@pytest.mark.parametrize("pruner", [Snip(sparsity=0.9, score_samples=32), GraSP(sparsity=0.9, samples_per_class=4)])
def test_scores_do_not_depend_on_the_state_around_them(pruner: Snip | GraSP) -> None:
    """Mode, random state and earlier gradients of the model do not matter, and stay as they were."""
    found = []
    for noise in (False, True):
        model = tiny_net()
        if noise:
            model.eval()
            torch.rand(5)
            model.fc.weight.grad = torch.ones_like(model.fc.weight)
        found.append(
            prune_now(
                type(pruner)(**{k: getattr(pruner, k) for k in ("sparsity",)}, **_size(pruner)), toy_context(model)
            )
        )
        assert model.training is not noise
        assert (model.fc.weight.grad is not None) is noise
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def _size(pruner: Snip | GraSP) -> dict[str, int]:
    return {"score_samples": 32} if isinstance(pruner, Snip) else {"samples_per_class": 4}


@pytest.mark.parametrize("make", [partial(GraSP, samples_per_class=16), partial(Snip, score_samples=64)])
def test_one_batch_is_held_at_a_time(make: Callable[..., MaskPruner]) -> None:
    """A thousand classes of ten images would not fit into memory."""
    context = toy_context(tiny_net())
    handed_out: list[weakref.ref[Tensor]] = []

    def samples(*args: Any, **options: Any) -> Iterator[Batch]:
        for inputs, targets in context.samples(*args, **options):
            held = inputs.clone()
            handed_out.append(weakref.ref(held))
            yield held, targets
            del held
            gc.collect()
            # the caller's own variable holds the batch that it works on
            assert sum(reference() is not None for reference in handed_out) <= 1

    pruner = make(sparsity=0.5, score_batch=8)
    pruner.attach(replace(context, samples=samples))
    pruner.scores()
    assert len(handed_out) >= 8


def test_hessian_gradient_products_of_fastgrnn_are_a_plain_loops() -> None:
    products: list[dict[str, Tensor]] = []
    for kind in (FastGrnnCell, LoopCell):
        torch.manual_seed(0)
        model = FastGrnn(kind(3, 6, 3, 6), 2).double()
        batch = (torch.randn(10, 5, 3, dtype=torch.float64), torch.arange(10) % 2)
        products.append(hessian_gradient(toy_context(model), find_sites(model), lambda batch=batch: [batch], 200.0))
    ours, theirs = products
    assert ours.keys() == theirs.keys()
    for name, product in ours.items():
        assert product.abs().sum() > 0
        assert torch.allclose(product, theirs[name], rtol=1e-8, atol=1e-14), name
