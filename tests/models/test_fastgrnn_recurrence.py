"""FastGRNN's recurrence as one operation: the plain loop's values and gradients, of first and second order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from prunebench.benchmark.models import fastgrnn_recurrence
from prunebench.benchmark.models.fastgrnn import FastGrnn, FastGrnnCell
from prunebench.benchmark.models.fastgrnn_recurrence import Inputs, Nonlinearity, plain_loop, recurrence
from prunebench.benchmark.perf.fastgrnn import WAYS, LoopCell, Steps
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, vmap
from torch.utils.flop_counter import FlopCounterMode

Recurrence = Callable[[Inputs, Nonlinearity, Nonlinearity], Tensor]
PAIRS: list[tuple[Nonlinearity, Nonlinearity]] = [("sigmoid", "tanh"), ("tanh", "relu"), ("relu", "sigmoid")]
"""Every nonlinearity as gate and as update."""


def random_inputs(steps: int, batch: int, hidden: int, rank: int | None) -> Inputs:
    """In double precision, all with gradients; `rank` None is a recurrent matrix without factors."""
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> Tensor:
        return (0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()

    return Inputs(
        driven=values(steps, batch, hidden),
        first=None if rank is None else values(hidden, rank),
        second=values(hidden if rank is None else rank, hidden),
        bias_gate=values(hidden),
        bias_update=values(hidden),
        zeta=values(),
        nu=values(),
        initial=values(batch, hidden),
    )


def tensors_of(inputs: Inputs) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in inputs if tensor is not None)


def with_tensors(tensors: Sequence[Tensor]) -> Inputs:
    """The inverse of `tensors_of`."""
    driven, *factors, bias_gate, bias_update, zeta, nu, initial = tensors
    return Inputs(
        driven, factors[0] if len(factors) == 2 else None, factors[-1], bias_gate, bias_update, zeta, nu, initial
    )


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize(("gate", "update"), PAIRS)
def test_derivatives_are_those_of_differences(gate: Nonlinearity, update: Nonlinearity, rank: int | None) -> None:
    """With respect to x W, the factors of U, both biases, zeta, nu and the initial state."""
    given = tensors_of(random_inputs(3, 2, 3, rank))

    def output(*tensors: Tensor) -> Tensor:
        return recurrence(with_tensors(tensors), gate, update)

    assert gradcheck(output, given)
    assert gradgradcheck(output, given)


@pytest.mark.parametrize("rank", [None, 5])
@pytest.mark.parametrize(("gate", "update"), PAIRS)
def test_values_and_gradients_are_the_plain_loops(gate: Nonlinearity, update: Nonlinearity, rank: int | None) -> None:
    inputs = random_inputs(40, 6, 7, rank)
    found, expected = recurrence(inputs, gate, update), plain_loop(inputs, gate, update)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-14)
    with torch.no_grad():
        assert torch.equal(recurrence(inputs, gate, update), found)
    direction = torch.randn(found.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours, theirs = (torch.autograd.grad(out, tensors_of(inputs), direction) for out in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-13)


def test_the_backward_pass_runs_as_often_as_it_is_asked_and_leaves_its_inputs() -> None:
    inputs = random_inputs(5, 3, 4, 2)
    before = [tensor.detach().clone() for tensor in tensors_of(inputs)]
    output = recurrence(inputs, "sigmoid", "tanh").sum()
    once, twice = (torch.autograd.grad(output, tensors_of(inputs), retain_graph=True) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(once, twice, strict=True))
    assert all(torch.equal(tensor, old) for tensor, old in zip(tensors_of(inputs), before, strict=True))


def test_gradients_of_gradients_count_an_input_made_of_another_once() -> None:
    """As in two stacked cells with the same weights."""
    inputs = random_inputs(4, 3, 3, None)

    def penalty(way: Recurrence) -> Tensor:
        made = inputs._replace(driven=inputs.driven @ inputs.second)
        output = way(made, "sigmoid", "tanh").square().sum()
        (gradient,) = torch.autograd.grad(output, inputs.second, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), inputs.second)[0]

    assert torch.allclose(penalty(recurrence), penalty(plain_loop), rtol=1e-10, atol=1e-13)


def test_the_cell_learns_as_a_loop_of_single_operations_does() -> None:
    """In float32, over a window of HAR-2's length; `LoopCell` multiplies by one factor after the other."""
    torch.manual_seed(0)
    for rank_u in (20, 3):
        ours, loop = FastGrnnCell(9, 20, 9, rank_u), LoopCell(9, 20, 9, rank_u)
        loop.load_state_dict(ours.state_dict())
        windows = torch.randn(8, 128, 9)
        outputs = [cell(windows) for cell in (ours, loop)]
        assert torch.allclose(*outputs, atol=1e-5)
        for output in outputs:
            output.square().sum().backward()
        for (name, one), other in zip(ours.named_parameters(), loop.parameters(), strict=True):
            assert one.grad is not None
            assert other.grad is not None
            assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-4 * float(other.grad.abs().max())), name


def test_transforms_of_torch_func_work() -> None:
    """Gradients of every window by itself."""
    torch.manual_seed(0)
    model = FastGrnn(FastGrnnCell(3, 6, 3, 6), 2)
    weights, windows = dict(model.named_parameters()), torch.randn(4, 5, 3)

    def output(weights: dict[str, Tensor], window: Tensor) -> Tensor:
        return functional_call(model, weights, (window[None],)).sum()

    each = vmap(grad(output), (None, 0))(weights, windows)
    model(windows).sum().backward()
    for name, weight in weights.items():
        assert weight.grad is not None
        assert torch.allclose(each[name].sum(0), weight.grad, rtol=1e-4, atol=1e-5), name


def test_autocast_reaches_the_products() -> None:
    """As in torch: products in bfloat16, sums and the hidden state in float32."""
    torch.manual_seed(0)
    cell, windows = FastGrnnCell(3, 6, 3, 2), torch.randn(4, 5, 3)
    exact = cell(windows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = cell(windows)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert torch.allclose(rounded, exact, atol=0.02)
    rounded.sum().backward()
    assert all(parameter.grad is not None for parameter in cell.parameters())


def test_tanh_by_sigmoid_is_tanh_to_rounding() -> None:
    values = torch.cat([torch.linspace(-12, 12, 1001), torch.tensor([0.0, -math.inf, math.inf, 1e-6])])
    found = fastgrnn_recurrence._tanh_(values.clone())
    assert (found - torch.tanh(values)).abs().max() <= 2 * torch.finfo(torch.float32).eps
    assert found[-4:-1].tolist() == [0.0, -1.0, 1.0]


def test_torch_counts_the_multiply_adds_of_the_loop() -> None:
    """Even if the operation multiplies the factors first, a weight counts once a time step."""
    cell, windows = LoopCell(9, 80, 9, 80), torch.zeros(1, 128, 9)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        cell(windows)
    assert counter.get_total_flops() == 2 * sum(cell.macs(windows.shape).values())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("work", ["training", "evaluation"])
def test_every_way_of_the_measurement_runs(way: str, work: str) -> None:
    assert Steps(way, work, 8, torch.device("cpu"), steps=1, threads=torch.get_num_threads())()() > 0
