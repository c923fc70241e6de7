"""Random ranks of FastGRNN: as many as by magnitude, whatever the weights, and each with its paired row."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from prunebench.benchmark.models.fastgrnn import FastGrnn, FastGrnnCell
from prunebench.methods.column_magnitude import ColumnMagnitude
from prunebench.methods.random_columns import RandomColumns
from torch import nn
from toys import prune_now, toy_context


def cell(first_columns: float = 1.0) -> FastGrnn:
    """Rank 3 of W and 4 of U; the first two columns of U1 are by far the largest, or the smallest."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FastGrnn(FastGrnnCell(3, 5, rank_w=3, rank_u=4), 2)
    with torch.no_grad():
        model.cell.U1[:, :2] *= first_columns
    return model


def context_of(model: nn.Module, seed: int = 0) -> Any:
    def generator(purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    data = (torch.randn(8, 6, 3, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 2)
    return toy_context(model, data=data, input_shape=(6, 3), num_classes=2, generator=generator)


def kept(seed: int, first_columns: float = 1.0) -> list[bool]:
    masks = prune_now(RandomColumns(rank_w=2, rank_u=2), context_of(cell(first_columns), seed))
    return masks["cell.U1"][0].tolist()


def test_the_draw_does_not_see_the_weights() -> None:
    """Forty seeds draw every pair of columns, also if two columns are a thousand times as large."""
    drawn = {tuple(kept(seed, first_columns=1e3)) for seed in range(40)}
    wanted = {tuple(index in pair for index in range(4)) for pair in itertools.combinations(range(4), 2)}
    assert drawn == wanted
    assert tuple(kept(7)) == tuple(kept(7))


def test_ranks_are_those_of_global_mp_and_rows_go_with_their_columns() -> None:
    models = {kind: cell() for kind in (ColumnMagnitude, RandomColumns)}
    masks = {kind: prune_now(kind(rank_w=2, rank_u=3), context_of(model)) for kind, model in models.items()}
    for first, second in models[RandomColumns].cell.low_rank_pairs:
        columns, rows = masks[RandomColumns][f"cell.{first}"], masks[RandomColumns][f"cell.{second}"]
        assert torch.equal(columns[0], rows[:, 0])
        assert columns.sum() == masks[ColumnMagnitude][f"cell.{first}"].sum()
        assert (columns == columns[0]).all()
    assert models[RandomColumns].cell.ranks_in_use() == (2, 3)


def test_once_an_epoch_only_columns_are_masked() -> None:
    masks = prune_now(RandomColumns(rank_w=2, rank_u=2, apply="epoch"), context_of(cell()))
    assert masks["cell.U1"][0].sum() == 2
    assert masks["cell.U2"].all()


def test_a_ranking_is_refused() -> None:
    with pytest.raises(TypeError, match="argument 'ranking'"):
        RandomColumns(ranking="product")
