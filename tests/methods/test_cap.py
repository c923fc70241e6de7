"""CAP: the worked example of optimal brain surgeon, greedy removal against brute force, memory bound, ranks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.cap import CAP, removal_costs
from prunebench.methods.parts import fisher_spans
from prunebench.methods.parts.fisher import Block
from prunebench.methods.parts.fisher_spans import Span, cut_into_spans
from torch import Tensor, nn
from toys import (
    assert_equal_masks,
    kept_positions,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_on_two_ranks,
)

FEW: dict[str, Any] = {"fisher_gradients": 16, "damping": 1e-3}


class Example(nn.Module):
    """w = (1, 2, 0.5); the gradients of w are the inputs (1, 0, 2) and (0, 1, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1, bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([[1.0, 2.0, 0.5]]))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs)


def pruned(sparsity: float, **options: Any) -> tuple[list[list[int]], Tensor]:
    model = Example()
    data = (torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]]), torch.zeros(2))
    context = toy_context(model, data=data, loss=lambda outputs, _: outputs.mean(), input_shape=(3,), num_classes=1)
    masks = prune_now(CAP(sparsity=sparsity, fisher_gradients=2, damping=1.0, **options), context)
    return kept_positions(masks)["layer.weight"], model.layer.weight.detach()


def test_the_worked_example() -> None:
    """F + I = [[1.5, 0, 1], [0, 1.5, 1], [1, 1, 5]]; the diagonal of its inverse is (26/33, 26/33, 3/11).

    w3 goes first and costs 0.25 / (2 * 3/11) = 0.458333; the others become (4/3, 7/3). Without w3 the matrix is 1.5 I:
    then w1 costs (4/3)^2 * 1.5 / 2 = 4/3 and w2 (7/3)^2 * 1.5 / 2 = 49/12.
    """
    matrix = torch.tensor([[[1.5, 0, 1], [0, 1.5, 1], [1, 1, 5]]], dtype=torch.float64)
    costs = removal_costs(torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.float64), matrix)
    first, second, third = 0.25 / (2 * 3 / 11), 4 / 3, 49 / 12
    expected = torch.tensor([[first + second, first + second + third, first]], dtype=torch.float64)
    assert torch.allclose(costs, expected)
    mask, weight = pruned(1 / 3, block_size=3)
    assert mask == [[1, 1, 0]]
    assert torch.allclose(weight, torch.tensor([[4 / 3, 7 / 3, 0.0]]))
    # both of the removed weights are made up for together
    mask, weight = pruned(2 / 3, block_size=3)
    assert mask == [[0, 1, 0]]
    assert torch.allclose(weight, torch.tensor([[0.0, 7 / 3, 0.0]]))
    assert pruned(1 / 3, block_size=3, update=False)[1].tolist() == [[1.0, 2.0, 0.0]]
    # blocks (w1, w2) and (w3) do not see each other: 0.5^2 * 5 / 2 is less than 1^2 * 1.5 / 2, and nothing moves
    mask, weight = pruned(1 / 3, block_size=2)
    assert mask == [[1, 1, 0]]
    assert weight.tolist() == [[1.0, 2.0, 0.0]]


def test_costs_are_those_of_greedy_removal_by_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 5, 5, generator=generator, dtype=torch.float64)
    matrices = root @ root.mT + 0.1 * torch.eye(5, dtype=torch.float64)
    weight = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    found = removal_costs(weight, matrices)
    for row, matrix, costs in zip(weight, matrices, found, strict=True):
        order = costs.argsort().tolist()
        assert costs.sort().values.diff().min() >= 0
        for count in range(1, 6):
            assert torch.allclose(costs[order[count - 1]], loss_without(row, matrix, order[:count]))
            rest = order[count - 1 :]
            best = min(rest, key=lambda last: float(loss_without(row, matrix, [*order[: count - 1], last])))
            assert best == order[count - 1]


def loss_without(weight: Tensor, matrix: Tensor, gone: list[int]) -> Tensor:
    """The least (w' - w) F (w' - w)^T / 2 where w' is zero at `gone`: w_gone [H_gone]^-1 w_gone / 2 with H = F^-1."""
    inverse = torch.linalg.inv(matrix)[gone][:, gone]
    return weight[gone] @ torch.linalg.solve(inverse, weight[gone]) / 2


def test_spans_cover_each_layer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cut_into_spans({"a": 7, "b": 2}, 3, 1) == [
        Span(Block("a", 0, 6), 3), Span(Block("a", 6, 7), 1), Span(Block("b", 0, 2), 2)
    ]  # fmt: skip
    monkeypatch.setattr(fisher_spans, "SPAN_BYTES", 8 * 3 * 3)
    assert [span.block.stop for span in cut_into_spans({"a": 7}, 3, 1)] == [3, 6, 7]


def test_too_little_memory_changes_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {4096: 0, 0: 0}
    found = []
    stack_gradients = fisher_spans.stack_gradients
    for megabytes in calls:

        def counted(*arguments: Any, megabytes: int = megabytes) -> Any:
            calls[megabytes] += 1
            return stack_gradients(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(fisher_spans, "stack_gradients", counted)
            patched.setattr(CAP, "_memory", lambda _, megabytes=megabytes: megabytes * 2**20)
            model = tiny_net()
            prune_now(CAP(sparsity=0.6, block_size=30, **FEW), toy_context(model))
        found.append(model.state_dict())
    # 36, 288 and 32 weights: a span of whole blocks and one of the rest in each layer, twice
    assert calls == {4096: 1, 0: 12}
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())


def test_a_matrix_that_is_not_positive_is_an_error() -> None:
    with pytest.raises(FloatingPointError, match="raise it"):
        removal_costs(torch.ones(1, 2).double(), torch.tensor([[[1.0, 2.0], [2.0, 1.0]]]).double())


def test_counts_are_exact_and_masks_nest() -> None:
    pruner = CAP(sparsity=0.8, schedule="exponential", prune_rounds=3, **FEW)
    seen: list[dict[str, Tensor]] = []
    prune_to = pruner.prune_to

    def recording(sparsity: float) -> None:
        prune_to(sparsity)
        seen.append(pruner.masks.state_dict())

    pruner.prune_to = recording  # type: ignore[method-assign]
    prune_now(pruner, toy_context(tiny_net()))
    assert pruner.masks.num_kept == num_kept(356, 0.8)
    assert all(not (later[name] & ~earlier[name]).any() for earlier, later in pairwise(seen) for name in later)


def test_resumes_and_agrees_between_ranks() -> None:
    def make() -> CAP:
        return CAP(sparsity=0.8, start="init", schedule="cubic", **FEW)

    resume_equals_uninterrupted(make, epochs=2)
    assert_equal_masks(train_on_two_ranks(make, epochs=1))
