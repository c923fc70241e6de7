"""PX against sums over all paths of a small network, and the gates of every way to write a rectifier."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.parts.gates import OpenGates, RecordGates, SetGates
from prunebench.methods.px import PX
from torch import Tensor, nn
from torch.nn import functional as F
from toys import (
    TwoLayerLinear,
    assert_equal_masks,
    half_squared_error,
    linear_context,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_on_two_ranks,
)

ONE_SAMPLE: dict[str, Any] = {"score_samples": 1, "score_batch": 1}


class Rectified(TwoLayerLinear):
    """The worked example's weights with a ReLU between them: the hidden units are -3 and 5 before it."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(inputs)))


def test_scores_of_the_example() -> None:
    """Only the second unit is open: g = 1 + 4 = 5, times h = 4 (1 + 4) + 1 (9 + 0.25)."""
    pruner = PX(sparsity=0.5, **ONE_SAMPLE)
    pruner.attach(linear_context(Rectified()))
    scores = pruner.scores()
    assert scores["first.weight"].tolist() == [[20, 80], [45, 1.25]]
    assert scores["second.weight"].tolist() == [[100, 46.25]]


def three_layers() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(6)
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).double()


def scores_by_paths(model: nn.Sequential, masks: list[Tensor], inputs: Tensor) -> list[Tensor]:
    """w^2 dR/d(w^2), as the sum over the paths through w of the product of squares times g of their output."""
    linears = [layer for layer in model if isinstance(layer, nn.Linear)]
    squares = [layer.weight.detach().square() * mask for layer, mask in zip(linears, masks, strict=True)]
    paths = list(itertools.product(range(3), range(4), range(3), range(2)))

    def edges(path: tuple[int, ...]) -> list[tuple[int, int]]:
        return [(path[1], path[0]), (path[2], path[1]), (path[3], path[2])]

    openness = torch.zeros(2, dtype=torch.float64)
    for sample in inputs:
        first = model[0](sample)
        second = model[2](torch.relu(first))
        for path in paths:
            is_left = all(mask[edge] for mask, edge in zip(masks, edges(path), strict=True))
            if is_left and first[path[1]] > 0 and second[path[2]] > 0:
                openness[path[3]] += sample[path[0]] ** 2
    scores = [torch.zeros_like(square) for square in squares]
    for path in paths:
        strength = openness[path[3]]
        for square, edge in zip(squares, edges(path), strict=True):
            strength = strength * square[edge]
        for score, edge in zip(scores, edges(path), strict=True):
            score[edge] += strength
    return scores


def test_scores_are_sums_over_paths_of_the_pruned_network() -> None:
    model = three_layers()
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = (inputs, torch.zeros(5))
    pruner = PX(sparsity=0.5, score_samples=5, score_batch=2)
    pruner.attach(toy_context(model, data=data, loss=half_squared_error, input_shape=(3,)))
    generator = torch.Generator().manual_seed(1)
    masks = [torch.rand(shape, generator=generator) < 0.7 for shape in ((4, 3), (3, 4), (2, 3))]
    pruner.masks.set(dict(zip(pruner.masks, masks, strict=True)))
    scores = list(pruner.scores().values())
    expected = scores_by_paths(model, masks, inputs)
    assert min(float(score.max()) for score in expected) > 0
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("sparsity", [0.5, 0.98])
def test_counts_are_exact_and_no_layer_is_lost(sparsity: float) -> None:
    masks = prune_now(PX(sparsity=sparsity, prune_rounds=20, score_samples=16), toy_context(tiny_net()))
    assert sum(int(mask.sum()) for mask in masks.values()) == num_kept(356, sparsity)
    assert all(mask.any() for mask in masks.values())


def test_rounds_take_other_samples() -> None:
    context, draws = toy_context(tiny_net()), []

    def samples(num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0) -> Any:
        draws.append(draw)
        return context.samples(num_samples, batch_size, balanced=balanced, draw=draw)

    prune_now(PX(sparsity=0.5, prune_rounds=3, score_samples=8), toy_context(tiny_net(), samples=samples))
    assert draws == [0, 1, 2]


def test_resumes_and_agrees_between_ranks() -> None:
    def make() -> PX:
        return PX(sparsity=0.8, prune_rounds=3, score_samples=16)

    resume_equals_uninterrupted(make, epochs=2)
    assert_equal_masks(train_on_two_ranks(make, epochs=1))


RECTIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "function": F.relu,
    "function in place": lambda inputs: F.relu(inputs, inplace=True),
    "torch": torch.relu,
    "torch in place": torch.relu_,
    "method": Tensor.relu,
    "method in place": Tensor.relu_,
    "leaky": nn.LeakyReLU(0.1),
}


@pytest.mark.parametrize("name", RECTIFIERS)
def test_gates_of_every_rectifier(name: str) -> None:
    rectify, values = RECTIFIERS[name], torch.tensor([-1.0, 0.0, 2.0, 7.0])
    with RecordGates() as recorded:
        outputs = rectify(values.clone())
    assert torch.equal(outputs, rectify(values.clone())), "recording changes nothing"
    assert [gate.tolist() for gate in recorded.gates] == [[False, False, True, True]]
    gates = [torch.tensor([True, False, False, True])]
    changed = values.clone()
    with SetGates(gates):
        outputs = rectify(changed)
    assert outputs.tolist() == [-1.0, 0.0, 0.0, 7.0]
    assert torch.equal(changed, outputs if "in place" in name else values)
    with OpenGates():
        assert torch.equal(rectify(values.clone()), values)
    assert torch.equal(torch.relu(values), values.clamp_min(0)), "and outside nothing is changed"
