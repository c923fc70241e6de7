"""Linear CKA against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from prunebench.benchmark.training.similarity import linear_cka
from torch import Tensor

SQUARE = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
STRETCHED = [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]


def column(*values: float) -> list[list[float]]:
    return [[value] for value in values]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (column(1, -1), column(2, -2), 1),
        (column(1, -1, 0, 0), column(0, 0, 1, -1), 0),
        (column(1, -1, 0), column(1, 0, -1), 0.25),
        # X'Y = (2, 0), X'X = 2 I of norm 2 sqrt(2), Y'Y = 2
        (SQUARE, column(1, -1, 0, 0), 1 / math.sqrt(2)),
        (STRETCHED, column(1, -1, 0, 0), 4 / (2 * math.sqrt(68))),
        (column(11, 9, 10), column(-4, -5, -6), 0.25),
        (column(1, 2, 3, 4), column(1, 4, 9, 16), 125 / 129),
    ],
)
def test_known_values(first: list[list[float]], second: list[list[float]], expected: float) -> None:
    assert linear_cka(torch.tensor(first), torch.tensor(second)) == pytest.approx(expected, abs=1e-9)


def features() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(50, 6, generator=random).double(), torch.randn(50, 4, generator=random).double()


def test_shifts_rotations_and_scales_change_nothing() -> None:
    first, second = features()
    value = linear_cka(first, second)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)).double()).Q
    assert 0 < value < 1
    assert linear_cka(second, first) == pytest.approx(value, abs=1e-12)
    assert linear_cka(3 * first @ rotation + 5, second) == pytest.approx(value, abs=1e-12)


def test_it_equals_the_form_with_gram_matrices() -> None:
    first, second = features()
    centring = torch.eye(50).double() - 1 / 50
    left, right = (centring @ each @ each.T @ centring for each in (first, second))
    gram = (left * right).sum() / (torch.linalg.matrix_norm(left) * torch.linalg.matrix_norm(right))
    assert linear_cka(first, second) == pytest.approx(float(gram), abs=1e-9)


def test_constant_outputs_have_no_similarity() -> None:
    """A collapsed network answers the same to every image: neither 0 nor 1 would be true."""
    assert math.isnan(linear_cka(torch.ones(5, 3), torch.rand(5, 3)))
    assert math.isnan(linear_cka(torch.rand(7, 3), torch.full((7, 3), 0.1)))


def test_samples_have_to_match() -> None:
    with pytest.raises(ValueError, match="a row per sample"):
        linear_cka(torch.rand(5, 3), torch.rand(4, 3))
