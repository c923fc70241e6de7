"""SparseGPT against its published mask rule, and against a plain elimination of columns one after the other."""

from __future__ import annotations

import pytest
import torch
from layer_problems import correlated, error, fitted, magnitude_mask, pruned, random
from prunebench.methods.parts.least_squares import damped
from prunebench.methods.parts.matrix_masks import keep_n_of_m
from prunebench.methods.sparsegpt import SparseGPT
from torch import Tensor

WEIGHT, INPUTS = random(6, 12, seed=3), correlated(40, 12)
H = damped((INPUTS.T @ INPUTS)[None], 0.01)[0]


def trailing_costs(h: Tensor = H) -> Tensor:
    """[(H_jj..nn)^-1]_11 of each column j: what is left of the inverse when the columns before j are out."""
    return torch.stack([torch.linalg.inv(h[j:, j:])[0, 0] for j in range(len(h))])


def column_by_column(weight: Tensor, mask: Tensor, h: Tensor = H) -> Tensor:
    """Optimal brain surgeon from left to right: a column is removed from its rows, then taken out of H."""
    weight, inverse = weight.clone(), torch.linalg.inv(h)
    for j in range(weight.shape[1]):
        gone = torch.where(mask[:, j], 0.0, weight[:, j])
        weight -= (gone / inverse[j, j])[:, None] * inverse[j]
        inverse = inverse - inverse[:, j : j + 1] * inverse[j] / inverse[j, j]
        inverse[j, j] = 1.0  # its row and column are zero from now on
    return weight * mask


@pytest.mark.parametrize("block_size", [5, 12, 128])
def test_without_the_update_the_mask_is_the_published_rule(block_size: int) -> None:
    """In every block the weights at or below a threshold of w^2 / [H^-1] go, the columns before being fixed."""
    mask, weight = pruned(SparseGPT(sparsity=0.5, block_size=block_size, update=False), WEIGHT, INPUTS)
    assert torch.equal(weight, WEIGHT * mask)
    scores = WEIGHT.square() / trailing_costs()
    for columns in torch.arange(12).split(block_size):
        block = scores[:, columns]
        threshold = block.flatten().sort().values[int((~mask[:, columns]).sum()) - 1]
        assert torch.equal(mask[:, columns], block > threshold)
        assert abs(int(mask[:, columns].sum()) - block.numel() / 2) <= 0.5


def test_blocks_of_full_width_are_the_unblocked_elimination() -> None:
    mask, weight = pruned(SparseGPT(sparsity=0.6, block_size=12), WEIGHT, INPUTS)
    first, _ = pruned(SparseGPT(sparsity=0.6, block_size=12, update=False), WEIGHT, INPUTS)
    assert torch.equal(mask, first)
    torch.testing.assert_close(weight, column_by_column(WEIGHT, mask))
    assert (weight[~mask] == 0).all()


@pytest.mark.parametrize("block_size", [1, 3, 5])
def test_updates_in_blocks_are_those_of_single_columns(block_size: int) -> None:
    """A block is chosen after the updates by those before; the weights are then the elimination's for that mask."""
    mask, weight = pruned(SparseGPT(sparsity=0.6, block_size=block_size), WEIGHT, INPUTS)
    torch.testing.assert_close(weight, column_by_column(WEIGHT, mask))
    first = mask[:, :block_size]
    moved = column_by_column(WEIGHT, torch.cat([first, torch.ones(6, 12 - block_size, dtype=torch.bool)], dim=1))
    second = slice(block_size, 2 * block_size)
    scores = (moved.square() / trailing_costs())[:, second].flatten()
    kept = scores.argsort(descending=True)[: int(mask[:, second].sum())]
    assert mask[:, second].flatten().nonzero().squeeze(1).tolist() == sorted(kept.tolist())


@pytest.mark.parametrize("block_size", [4, 12, 128])
def test_n_of_m_is_chosen_at_the_first_column_of_each_group(block_size: int) -> None:
    """Whatever the blocks are: updates have reached the group either way."""
    mask, weight = pruned(SparseGPT(sparsity=0.5, pattern="n:m", block_size=block_size), WEIGHT, INPUTS)
    expected = torch.ones_like(WEIGHT, dtype=torch.bool)
    for start in range(0, 12, 4):
        scores = column_by_column(WEIGHT, expected).square() / trailing_costs()
        expected[:, start : start + 4] = keep_n_of_m(scores[None, :, start : start + 4], 2, 4)[0]
    assert torch.equal(mask, expected)
    torch.testing.assert_close(weight, column_by_column(WEIGHT, expected))


def test_blocks_that_cut_a_group_are_refused() -> None:
    with pytest.raises(ValueError, match="block_size is 6; it must be a multiple of m, 4"):
        SparseGPT(sparsity=0.5, pattern="n:m", block_size=6)


@pytest.mark.parametrize("seed", range(5))
def test_reconstruction_errors(seed: int) -> None:
    """Least squares within its mask is no worse (a theorem); it beats magnitude without a fit (seen in these cases).

    With inputs as strongly correlated as those above it does not always, since columns to the left cannot move.
    """
    weight, inputs = random(6, 12, seed=seed), random(40, 12, seed=seed)
    inputs += 0.5 * inputs.roll(1, dims=1)
    mask, moved = pruned(SparseGPT(sparsity=0.5, damping=1e-9), weight, inputs)
    best = error(weight, fitted(weight, inputs, mask), inputs)
    assert best <= error(weight, moved, inputs) * (1 + 1e-9)
    assert error(weight, moved, inputs) < error(weight, weight * magnitude_mask(weight, 36), inputs)
    assert error(weight, moved, inputs) < error(weight, weight * mask, inputs)


def test_one_sample_and_dead_inputs() -> None:
    """H has rank 1 without damping. Weights of inputs that are always zero go first; one that stays keeps its value."""
    inputs = INPUTS[:1].clone()
    inputs[:, :4] = 0
    mask, weight = pruned(SparseGPT(sparsity=1 / 3), WEIGHT, inputs)
    assert mask[:, 4:].all()
    assert not mask[:, :4].any()
    mask, weight = pruned(SparseGPT(sparsity=1 / 6), WEIGHT, inputs)
    assert mask[:, :4].sum() == 12
    torch.testing.assert_close(weight[:, :4][mask[:, :4]], WEIGHT[:, :4][mask[:, :4]])
