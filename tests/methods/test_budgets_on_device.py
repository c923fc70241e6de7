"""Budgets that a GPU computes by itself are those of the CPU."""

from __future__ import annotations

import pytest
import torch
from fake_cuda import fake_cuda
from hypothesis import given
from hypothesis import strategies as st
from prunebench.methods.parts.allocation import distribute
from prunebench.methods.parts.budgets_on_device import keep_number, share_out, total


def shared_out(number: int, shares: list[float], room: list[int]) -> list[int]:
    """On the device; it must not wait before it is read."""
    with fake_cuda() as gpu:
        inputs = [torch.tensor(number), torch.tensor(shares, dtype=torch.float64), torch.tensor(room)]
        on_device = [tensor.to("cuda") for tensor in inputs]
        begin = len(gpu.waits)
        counts = share_out(*on_device)
        assert gpu.waits[begin:] == []
        return counts.tolist()


@pytest.mark.parametrize(
    ("number", "shares", "room", "expected"),
    [
        (8, [0.75, 0.25], [20, 20], [6, 2]),
        (30, [0.8, 0.1, 0.1], [10, 40, 40], [10, 10, 10]),
        (30, [0.8, 0.1, 0.1], [10, 5, 40], [10, 5, 15]),
        (3, [1.0, 0.0], [1, 2], [1, 2]),
        (2, [1 / 3, 1 / 3, 1 / 3], [5, 5, 5], [1, 1, 0]),
        (0, [0.5, 0.5], [0, 0], [0, 0]),
    ],
)
def test_shares_by_hand(number: int, shares: list[float], room: list[int], expected: list[int]) -> None:
    assert shared_out(number, shares, room) == distribute(number, shares, room) == expected


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 50)), min_size=1, max_size=8).filter(
        lambda layers: any(weight for _, weight in layers)
    ),
    st.floats(0, 1),
)
def test_shares_are_those_of_the_cpu(layers: list[tuple[int, int]], share: float) -> None:
    room, weights = [room for room, _ in layers], [weight for _, weight in layers]
    number, shares = round(share * sum(room)), [weight / sum(weights) for weight in weights]
    assert shared_out(number, shares, room) == distribute(number, shares, room)


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 6])
def test_the_first_of_equal_scores_stay(kept: int) -> None:
    scores = torch.tensor([[1.0, -torch.inf, 2.0], [1.0, 1.0, -0.0]])
    with fake_cuda() as gpu:
        on_device, number = scores.to("cuda"), torch.tensor(kept).to("cuda")
        begin = len(gpu.waits)
        mask = keep_number(on_device, number)
        assert gpu.waits[begin:] == []
        found = mask.cpu().tolist()
    assert found == keep_number(scores, torch.tensor(kept)).tolist()
    assert sum(map(sum, found)) == kept


def test_a_sum_on_a_cpu_has_the_bits_of_pythons() -> None:
    numbers = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert total(numbers).item() == sum(numbers.tolist())
