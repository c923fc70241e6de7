"""FastGRNN's recurrence as one differentiable operation, and the plain loop that it replaces.

Autograd keeps about ten tensors a time step of the plain loop and adds up the weights' gradients step by step. The
operation keeps four, in buffers whose first dimension is time, and its backward pass is derived by hand: with
g = dL/dh_t and a_t, z_t, c_t as in `FastGrnnCell`,

    dL/d(a_t + bias_gate)   = g * (h_(t-1) - zeta c_t) * gate'
    dL/d(a_t + bias_update) = g * (zeta (1 - z_t) + nu) * update'
    dL/da_t                 = the sum of the two
    dL/dh_(t-1)             = g * z_t + dL/da_t U^T
    dL/dzeta, dL/dnu        = the sums over time and batch of g * (1 - z_t) * c_t and of g * c_t

and dL/dU is one matrix product over all time steps after the loop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Nonlinearity = Literal["relu", "sigmoid", "tanh"]


class Inputs(NamedTuple):
    """What the recurrence computes with.

    `driven`: x_t W of all time steps, (time steps, batch, hidden); U is `first` (hidden, rank) times `second` (rank,
    hidden), or `second` alone (hidden, hidden); biases: (hidden,); `zeta`, `nu`: after their sigmoid, without
    dimensions; `initial`: h_0, (batch, hidden).
    """

    driven: Tensor
    first: Tensor | None
    second: Tensor
    bias_gate: Tensor
    bias_update: Tensor
    zeta: Tensor
    nu: Tensor
    initial: Tensor


@dataclass(frozen=True)
class _Function:
    """A nonlinearity: of a tensor, of a tensor in place, and times its slope.

    `times_slope_(gradient, result, scratch)` changes the gradient in place; the slope follows from the result.
    """

    apply: Callable[[Tensor], Tensor]
    apply_: Callable[[Tensor], Tensor]
    times_slope_: Callable[[Tensor, Tensor, Tensor], Tensor]


_MINUS_ONE = torch.tensor(-1.0)  # a number would be made a tensor by every operation, which takes longer than the sum


def _tanh_(tensor: Tensor) -> Tensor:
    """On a CPU 2 sigmoid(2 x) - 1: torch's tanh takes seven times as long as its sigmoid there.

    Within two units of rounding of 1; the sum with a bias of about 1, which it is taken of, is no more exact.
    """
    if tensor.device.type != "cpu":
        return tensor.tanh_()
    return torch.add(_MINUS_ONE, tensor.add_(tensor).sigmoid_(), alpha=2, out=tensor)


def _times_relu_slope(gradient: Tensor, result: Tensor, scratch: Tensor) -> Tensor:
    return gradient.mul_(torch.sign(result, out=scratch))


def _times_sigmoid_slope(gradient: Tensor, result: Tensor, scratch: Tensor) -> Tensor:
    """g (y - y^2)."""
    product = torch.mul(gradient, result, out=scratch)
    return torch.addcmul(product, product, result, value=-1, out=gradient)


def _times_tanh_slope(gradient: Tensor, result: Tensor, scratch: Tensor) -> Tensor:
    """g (1 - y^2)."""
    return gradient.addcmul_(torch.mul(gradient, result, out=scratch), result, value=-1)


_FUNCTIONS: dict[str, _Function] = {
    "relu": _Function(torch.relu, torch.relu_, _times_relu_slope),
    "sigmoid": _Function(torch.sigmoid, torch.sigmoid_, _times_sigmoid_slope),
    "tanh": _Function(torch.tanh, _tanh_, _times_tanh_slope),
}


def recurrence(inputs: Inputs, gate: Nonlinearity, update: Nonlinearity) -> Tensor:
    """h_T, (batch, hidden). Differentiable to any order: gradients of gradients go through the plain loop."""
    if _needs_single_operations(inputs.driven.device):
        return plain_loop(inputs, gate, update)
    if torch.is_grad_enabled():
        return _Recurrence.apply(gate, update, *inputs)  # pyright: ignore[reportReturnType]
    state = inputs.initial.clone()
    keep, candidate, difference = torch.empty(3, *state.shape, dtype=state.dtype, device=state.device).unbind()
    _steps(inputs, gate, update, state, itertools.repeat((keep, candidate, difference, state)))
    return state


def _needs_single_operations(device: torch.device) -> bool:
    """Autocast, compilers and the transforms of torch.func work on the operations they know."""
    has_autocast = torch.amp.is_autocast_available(device.type)  # the meta device has none
    return (
        (has_autocast and torch.is_autocast_enabled(device.type))
        or torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
    )


def plain_loop(inputs: Inputs, gate: Nonlinearity, update: Nonlinearity) -> Tensor:
    """The same by operations that autograd follows one by one."""
    hidden = inputs.initial
    for driven in inputs.driven:
        pushed = hidden if inputs.first is None else hidden @ inputs.first
        shared = driven + pushed @ inputs.second
        keep = _FUNCTIONS[gate].apply(shared + inputs.bias_gate)
        candidate = _FUNCTIONS[update].apply(shared + inputs.bias_update)
        hidden = keep * hidden + (inputs.zeta * (1 - keep) + inputs.nu) * candidate
    return hidden


def _steps(
    inputs: Inputs,
    gate: Nonlinearity,
    update: Nonlinearity,
    state: Tensor,
    outs: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]],
) -> None:
    """Write z_t, c_t, h_(t-1) - zeta c_t and h_t of each time step; h_t may go where h_(t-1) is."""
    gate_, update_ = _FUNCTIONS[gate].apply_, _FUNCTIONS[update].apply_
    minus_zeta, both = -inputs.zeta, inputs.zeta + inputs.nu
    for driven, (keep, candidate, difference, following) in zip(inputs.driven.unbind(), outs, strict=False):
        pushed = state if inputs.first is None else state @ inputs.first
        shared = torch.addmm(driven, pushed, inputs.second, out=difference)
        gate_(torch.add(shared, inputs.bias_gate, out=keep))
        update_(torch.add(shared, inputs.bias_update, out=candidate))
        torch.addcmul(state, candidate, minus_zeta, out=difference)
        # z h + (zeta (1 - z) + nu) c = (zeta + nu) c + z (h - zeta c)
        state = torch.mul(candidate, both, out=following).addcmul_(keep, difference)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Nonlinearity, update: Nonlinearity, *tensors: Any) -> Tensor:
        inputs = Inputs(*tensors)
        driven = inputs.driven
        kept = torch.empty(3, *driven.shape, dtype=driven.dtype, device=driven.device)
        states = driven.new_empty(len(driven) + 1, *driven.shape[1:])
        states[0] = inputs.initial
        initial, *following = states.unbind()
        outs = zip(*(buffer.unbind() for buffer in kept), following, strict=True)
        _steps(inputs, gate, update, initial, outs)
        ctx.save_for_backward(*inputs, kept, states)
        ctx.nonlinearities = gate, update
        return states[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, kept, states = ctx.saved_tensors
        inputs, (gate, update), (gradient,) = Inputs(*tensors), ctx.nonlinearities, gradients
        if torch.is_grad_enabled():  # with create_graph
            return None, None, *_differentiable_gradients(inputs, gate, update, gradient)
        return None, None, *_gradients(inputs, gate, update, kept, states, gradient)


def _differentiable_gradients(
    inputs: Inputs, gate: Nonlinearity, update: Nonlinearity, gradient: Tensor
) -> Sequence[Tensor | None]:
    """By autograd through the plain loop. From views of the inputs, because one may have been computed from another."""
    views = Inputs(*(None if tensor is None else tensor.view_as(tensor) for tensor in inputs))  # pyright: ignore[reportArgumentType]
    needed = [tensor for tensor in views if tensor is not None and tensor.requires_grad]
    found = torch.autograd.grad(plain_loop(views, gate, update), needed, gradient, create_graph=True)
    by_tensor = dict(zip(map(id, needed), found, strict=True))
    return [by_tensor.get(id(tensor)) for tensor in views]


def _gradients(
    inputs: Inputs, gate: Nonlinearity, update: Nonlinearity, kept: Tensor, states: Tensor, gradient: Tensor
) -> Sequence[Tensor | None]:
    """By the formulas at the top of this file, in the order of `inputs`."""
    times_gate_slope_, times_update_slope_ = _FUNCTIONS[gate].times_slope_, _FUNCTIONS[update].times_slope_
    minus_zeta, both = -inputs.zeta, inputs.zeta + inputs.nu
    back = [factor.T for factor in (inputs.second, inputs.first) if factor is not None]
    shared = torch.empty_like(inputs.driven)
    gradient = gradient.contiguous().clone()
    through_keep, scratch, of_gate, of_update = (torch.empty_like(gradient) for _ in range(4))
    # sums over time; over the batch they are summed once, after the loop
    gate_sum, update_sum, nu_sum, keep_sum = (torch.zeros_like(gradient) for _ in range(4))
    for out, keep, candidate, difference in zip(
        *(reversed(buffer.unbind()) for buffer in (shared, *kept)), strict=True
    ):
        torch.mul(gradient, keep, out=through_keep)
        times_gate_slope_(torch.mul(gradient, difference, out=of_gate), keep, scratch)
        torch.mul(gradient, both, out=of_update).addcmul_(through_keep, minus_zeta)
        times_update_slope_(of_update, candidate, scratch)
        gate_sum.add_(of_gate)
        update_sum.add_(of_update)
        nu_sum.addcmul_(gradient, candidate)
        keep_sum.addcmul_(through_keep, candidate)
        torch.add(of_gate, of_update, out=out)
        pulled = out if len(back) == 1 else out @ back[0]
        torch.addmm(through_keep, pulled, back[-1], out=gradient)
    first, second = _factor_gradients(inputs, states[:-1].flatten(0, 1), shared.flatten(0, 1))
    nu = nu_sum.sum()
    return shared, first, second, gate_sum.sum(0), update_sum.sum(0), nu - keep_sum.sum(), nu, gradient


def _factor_gradients(inputs: Inputs, states: Tensor, shared: Tensor) -> tuple[Tensor | None, Tensor]:
    """Of `first` and `second`, by h_(t-1) and dL/da_t of all time steps, both (time steps * batch, hidden)."""
    if inputs.first is None:
        return None, states.T @ shared
    return states.T @ (shared @ inputs.second.T), (states @ inputs.first).T @ shared
