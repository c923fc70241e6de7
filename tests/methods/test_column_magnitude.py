"""Structured Global MP on FastGRNN: which ranks stay, that removed ranks have no effect, when masks are applied."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from prunebench.benchmark.models.fastgrnn import FastGrnn, FastGrnnCell, effective_parameters
from prunebench.benchmark.training.measure import check_masks
from prunebench.methods.column_magnitude import ColumnMagnitude
from torch import nn
from torch.nn.functional import cross_entropy
from toys import make_optimizer, prune_now, tiny_net, toy_context


def small_cell(seed: int = 0) -> FastGrnn:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FastGrnn(FastGrnnCell(3, 5, rank_w=3, rank_u=4), 2)


def context_of(model: nn.Module, **changes: Any):
    data = (torch.randn(8, 6, 3, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 2)
    return toy_context(model, data=data, input_shape=(6, 3), num_classes=2, **changes)


def test_smallest_column_sum_goes_with_its_row() -> None:
    model = small_cell()
    cell = model.cell
    with torch.no_grad():
        cell.W1.copy_(torch.tensor([[1.0, -2.0, 0.1], [0.5, 1.0, 0.2], [0.0, 0.0, 0.0]]))  # sums 1.5, 3, 0.3
        cell.U1.copy_(torch.tensor([0.1, 3.0, 2.0, 0.2]).expand(5, 4))
    masks = prune_now(ColumnMagnitude(rank_w=2, rank_u=2), context_of(model))
    assert masks["cell.W1"][0].tolist() == [True, True, False]
    assert masks["cell.W2"][:, 0].tolist() == [True, True, False]
    assert masks["cell.U1"][0].tolist() == [False, True, True, False]
    assert masks["cell.U2"][:, 0].tolist() == [False, True, True, False]
    assert "classifier.weight" not in masks
    assert cell.ranks_in_use() == (2, 2)


def test_product_ranking_does_not_care_where_the_scale_is() -> None:
    def masks_of(scale: float, ranking: str) -> list[bool]:
        model = small_cell()
        with torch.no_grad():
            model.cell.U1[:, 0] *= scale
            model.cell.U2[0] /= scale
        pruner = ColumnMagnitude(rank_w=3, rank_u=2, ranking=ranking)  # type: ignore[arg-type]
        return prune_now(pruner, context_of(model))["cell.U1"][0].tolist()

    assert masks_of(1e3, "product") == masks_of(1.0, "product") == masks_of(1e-3, "product")
    assert masks_of(1e3, "column")[0]
    assert not masks_of(1e-3, "column")[0]


def test_a_removed_column_makes_its_row_inert() -> None:
    model = small_cell()
    prune_now(ColumnMagnitude(rank_w=2, rank_u=2), context_of(model))
    inputs = torch.randn(4, 6, 3)
    before = model(inputs)
    with torch.no_grad():
        for first, second in model.cell.low_rank_pairs:
            removed = (getattr(model.cell, first) == 0).all(dim=0)
            getattr(model.cell, second)[removed] = 7.0
    assert torch.equal(model(inputs), before)


@pytest.mark.parametrize(
    ("ranks", "parameters"), [((9, 80), 13_925), ((9, 8), 2_405), ((9, 7), 2_245), ((8, 7), 2_156)]
)
def test_sizes_of_the_paper(ranks: tuple[int, int], parameters: int) -> None:
    model = FastGrnn(FastGrnnCell(9, 80, rank_w=9, rank_u=80), 2)
    pruner = ColumnMagnitude(rank_w=ranks[0], rank_u=ranks[1])
    prune_now(pruner, toy_context(model, input_shape=(16, 9)))
    assert effective_parameters(model) == parameters


def columns_in_use(model: FastGrnn) -> int:
    return int((model.cell.U1 != 0).any(dim=0).sum())


def train_epoch(pruner: ColumnMagnitude, model: FastGrnn) -> list[int]:
    """Three steps and the end of the epoch; the columns of U1 that are not zero, after each."""
    optimizer = make_optimizer(pruner)
    inputs, targets = next(iter(pruner.context.samples(8, 8)))
    columns = []
    for step in range(3):
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        pruner.on_gradients(step, optimizer)
        optimizer.step()
        pruner.on_weights(step, optimizer)
        columns.append(columns_in_use(model))
    pruner.on_epoch_end(0, 0, optimizer)
    return [*columns, columns_in_use(model)]


def test_columns_stay_zero_or_grow_back_within_an_epoch() -> None:
    models = {apply: small_cell() for apply in ("step", "epoch")}
    pruners = {apply: ColumnMagnitude(rank_w=2, rank_u=2, apply=apply) for apply in models}  # type: ignore[arg-type]
    for apply, model in models.items():
        prune_now(pruners[apply], context_of(model))
    assert train_epoch(pruners["step"], models["step"]) == [2, 2, 2, 2]
    assert train_epoch(pruners["epoch"], models["epoch"]) == [4, 4, 4, 2]
    # the paired rows were trained too; they are removed at the end, without changing the outputs
    assert models["epoch"].cell.U2.all()
    inputs = torch.randn(4, 6, 3)
    before = models["epoch"](inputs)
    pruners["epoch"].detach()
    assert models["epoch"].cell.ranks_in_use() == (2, 2)
    assert pruners["epoch"].masks.num_kept == pruners["step"].masks.num_kept
    assert torch.equal(models["epoch"](inputs), before)
    check_masks(pruners["epoch"], at_end=True)


def test_bad_values_are_refused() -> None:
    for options in ({"sparsity": 0.5}, {"rank_w": 0}, {"ranking": "l1"}, {"apply": "never"}):
        with pytest.raises(ValueError, match=r"sparsity|rank|apply"):
            ColumnMagnitude(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no low-rank cell"):
        ColumnMagnitude().attach(toy_context(tiny_net()))
    with pytest.raises(ValueError, match=r"cannot keep rank 9 of cell\.W1: it has 3 columns"):
        prune_now(ColumnMagnitude(rank_w=9, rank_u=2), context_of(small_cell()))


def test_state_restores_the_masks() -> None:
    pruner = ColumnMagnitude(rank_w=2, rank_u=2)
    masks = prune_now(pruner, context_of(small_cell()))
    other = ColumnMagnitude(rank_w=2, rank_u=2)
    other.attach(context_of(small_cell(1)))
    other.load_state_dict(pruner.state_dict())
    assert all(torch.equal(other.masks[name], mask) for name, mask in masks.items())
