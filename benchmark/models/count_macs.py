"""Multiply-adds of a network: dense per layer by shape, and what is left of them at given densities.

Convention A of the pruning literature (STR, WoodFisher): H_out * W_out * weights for a convolution,
weights for a linear layer, a multiply-add counts one, batch 1. By the same rule a weight of a recurrent layer counts
once a time step, one of attention once a token, one of a transposed convolution once an input position. Biases,
normalisation, activations, pooling, residual sums and products of activations (`count_products`) count nothing. The
first and the last layer are in the total. ResNet-50 at 224 x 224 has 4,089,184,256.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..api.errors import UserError
from ..api.sites import Use, find_sites, prunable_names
from ..api.weight_uses import LinearUses, module_by_module
from .layer_macs import KNOWN_LAYERS, call_macs


@runtime_checkable
class CountsMacs(Protocol):
    """What a module of a kind that the suite does not know offers so that its tensors are pruned and counted.

    `prunable_weights` names attributes that hold its prunable tensors. `macs` takes the shape of the module's
    first positional input, batch included, and returns the dense multiply-adds of that call for each name.
    """

    prunable_weights: tuple[str, ...]

    def macs(self, input_shape: torch.Size) -> dict[str, int]: ...


def count_macs(model: nn.Module, input_shape: tuple[int, ...], *, example: Tensor | None = None) -> dict[str, int]:
    """Dense multiply-adds for one example, by site name (`find_sites`), in the order of the sites.

    One forward pass on zeros in eval mode, on the model's own device: a network built under
    torch.device("meta") is counted in milliseconds. Weights, buffers, training flags, hooks and random
    states stay as they were. A module that is called twice counts twice, and modules that share a tensor add
    up under the tensor's one name.

    Args:
        input_shape: of one example, without the batch.
        example: (1, *input_shape) in place of the zeros, for a network that takes other numbers, such as tokens.

    Raises:
        UserError: a layer that the forward pass does not call (its multiply-adds are unknown, not zero), or a
            module with prunable tensors but no `macs`.
    """
    sites = find_sites(model)
    names = {use: site.name for site in sites for use in site.uses}
    macs: dict[str, int] = {}

    def add(module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        for use, count in _module_macs(module, inputs, keywords, output).items():
            if use in names:  # a tensor without entries is no site
                macs[names[use]] = macs.get(names[use], 0) + count

    linear_macs = Counter[int]()  # by the weight's id, inside of layers and outside

    def add_linear(weight: Tensor, inputs: Tensor) -> None:
        linear_macs[id(weight)] += inputs.numel() * math.prod(weight.shape[:-1])

    layers = [module for module in model.modules() if prunable_names(module)]
    _check_countable(layers)
    with _hooked(layers, add), LinearUses(add_linear):
        counting_pass(model, input_shape, example)
    for site in sites:  # a layer that is not called may have its weight used all the same
        if site.name not in macs and id(site.weight) in linear_macs:
            macs[site.name] = linear_macs[id(site.weight)]
    unused = [site.name for site in sites if site.name not in macs]
    if unused:
        raise UserError(f"cannot count multiply-adds: the forward pass never called the layer of {unused[0]!r}")
    return {site.name: macs[site.name] for site in sites}


def counting_pass(model: nn.Module, input_shape: tuple[int, ...], example: Tensor | None = None) -> Any:
    """The outputs for zeros, or for the example, in eval mode and module by module. The model stays as it was."""
    with _evaluating(model), _random_state_kept(model), module_by_module(), torch.no_grad():
        return _forward(model, _zeros(model, input_shape) if example is None else example)


def sparse_macs(macs: Mapping[str, int], densities: Mapping[str, float]) -> float:
    """Multiply-adds left when each layer keeps the given fraction of its weights: sum of macs * density."""
    if macs.keys() != densities.keys():
        odd = sorted(macs.keys() ^ densities.keys())
        raise ValueError(f"multiply-adds and densities must name the same layers; only one of them has {odd}")
    outside = {name: density for name, density in densities.items() if not 0 <= density <= 1}
    if outside:
        raise ValueError(f"densities must be in [0, 1], not {outside}")
    return math.fsum(macs[name] * densities[name] for name in macs)


def _check_countable(layers: Iterable[nn.Module]) -> None:
    for module in layers:
        if not isinstance(module, (*KNOWN_LAYERS, CountsMacs)):
            names = tuple(prunable_names(module))
            raise UserError(f"{type(module).__name__} names prunable_weights {names} but has no macs(input_shape)")


def _module_macs(
    module: nn.Module, inputs: tuple[Any, ...], keywords: Mapping[str, Any], output: Any
) -> dict[Use, int]:
    """Multiply-adds of one call of a module, by (module, attribute)."""
    known = call_macs(module, inputs, keywords, output)
    if known is not None:
        return known
    assert isinstance(module, CountsMacs)
    counts = module.macs(inputs[0].shape)
    if counts.keys() != set(prunable_names(module)):
        raise ValueError(f"{type(module).__name__}.macs names {sorted(counts)}, not {sorted(prunable_names(module))}")
    return {(module, name): count for name, count in counts.items()}


def _zeros(model: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    weight = _first_weight(model)
    return torch.zeros((1, *input_shape), dtype=weight.dtype, device=weight.device)


def _forward(model: nn.Module, example: Tensor) -> Any:
    """One forward pass; buffers are copies, for modules that write to theirs even in eval mode."""
    # torch's handling of ties would leave the copies behind in a module that is registered twice.
    return functional_call(model, _buffer_copies(model), (example,), tie_weights=False)


def _buffer_copies(model: nn.Module) -> dict[str, Tensor]:
    """By the one name of each module; modules that share a buffer share its copy."""
    copies: dict[int, Tensor] = {}
    return {
        f"{path}.{name}".lstrip("."): copies.setdefault(id(buffer), buffer.clone())
        for path, module in model.named_modules()
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False)
    }


def _first_weight(model: nn.Module) -> Tensor:
    """Its type and device are those that the network's input must have."""
    return next((tensor for tensor in model.parameters() if tensor.is_floating_point()), torch.empty(0))


def _random_state_kept(model: nn.Module) -> AbstractContextManager[None]:
    """The generators of the CPU and of the model's own GPU; naming it spares the others and a warning."""
    device = _first_weight(model).device
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode for every module, each flag put back by itself: users freeze parts of a network."""
    flags = {module: module.training for module in model.modules()}
    try:
        for module in flags:
            module.training = False
        yield
    finally:
        for module, flag in flags.items():
            module.training = flag


@contextmanager
def _hooked(modules: Iterable[nn.Module], hook: Any) -> Iterator[None]:
    handles = [module.register_forward_hook(hook, with_kwargs=True) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
