"""A layer as a product of a matrix with vectors: its weights as rows of outputs, and the vectors that they meet.

A weight is a tensor (groups, outputs of a group, inputs of an output). Linear layers have one group, convolutions their
own, attention's packed projection three. The inputs of a convolution are those under its kernel, ordered pixel by
pixel, so that neighbours are input channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad

from ...benchmark.api.errors import UserError
from ...benchmark.api.sites import Site, Use

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
ATTENTION_OUTPUT = "out_proj.weight"
"""The weight of attention's last projection: attention multiplies with it itself and never calls its module."""
ATTENTION_INPUTS = {"q_proj_weight": "query", "k_proj_weight": "key", "v_proj_weight": "value"}
CHUNK_BYTES = 64 * 2**20
"""Of the vectors, in float64, that are taken at a time."""


def matrix_of(site: Site, tensor: Tensor) -> Tensor:
    """A tensor of the weight's shape as (groups, outputs, inputs).

    For kinds of layers that are not named above the first axis is that of the outputs.
    """
    if isinstance(site.module, CONVOLUTIONS):
        tensor = tensor.movedim(1, -1)
    return tensor.flatten(1).unflatten(0, (_num_groups((site.module, site.attribute)), -1))


def weight_of(site: Site, matrix: Tensor) -> Tensor:
    """The inverse of `matrix_of`."""
    if isinstance(site.module, CONVOLUTIONS):
        outputs, inputs, *kernel = site.weight.shape
        return matrix.reshape(outputs, *kernel, inputs).movedim(-1, 1)
    return matrix.reshape(site.weight.shape)


def _num_groups(use: Use) -> int:
    module, attribute = use
    if isinstance(module, CONVOLUTIONS):
        return module.groups
    return 3 if attribute == "in_proj_weight" else 1


def called_uses(model: nn.Module, site: Site) -> Iterator[Use]:
    """The modules to listen to for the inputs that a weight meets, each with the name that it has there."""
    attentions = {module.out_proj: module for module in model.modules() if isinstance(module, nn.MultiheadAttention)}
    for module, attribute in site.uses:
        if module in attentions:
            yield attentions[module], ATTENTION_OUTPUT  # pyright: ignore
        else:
            yield module, attribute


def check_inputs(sites: Sequence[Site]) -> None:
    """Raises UserError naming a layer whose inputs cannot be recorded.

    Torch's recurrent layers show no states between their layers and time steps, a module of one's own does not say what
    it multiplies, and a transposed convolution has no vector of inputs for an output. A tied weight needs all places to
    be the same kind of product.
    """
    for site in sites:
        for use in site.uses:
            if not _has_inputs(use) or _num_groups(use) != _num_groups(site.uses[0]):
                raise UserError(
                    f"cannot prune layer {site.name!r} by its inputs: they cannot be recorded in "
                    f"{type(use[0]).__name__}; leave the layer dense, or take a method that needs no layer inputs"
                )


def _has_inputs(use: Use) -> bool:
    return isinstance(use[0], (*CONVOLUTIONS, nn.Linear, nn.Bilinear, nn.RNNCellBase, nn.MultiheadAttention))


def vectors_of(use: Use, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Iterator[tuple[int, Tensor]]:
    """The input vectors of one call, in parts: the first group they belong to, and (groups, vectors, inputs), float64.

    Args:
        use: as `called_uses` gives it.
        inputs: positional arguments of the call.
        keywords: its other arguments.
    """
    for first, vectors in _vectors(use, inputs, keywords):
        size = max(1, CHUNK_BYTES // (8 * vectors.shape[0] * vectors.shape[2]))
        for part in vectors.split(size, dim=1):
            yield first, part.double()


def _vectors(use: Use, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Iterator[tuple[int, Tensor]]:
    module, attribute = use

    def argument(place: int, name: str) -> Any:
        return inputs[place] if place < len(inputs) else keywords.get(name)

    if isinstance(module, CONVOLUTIONS):
        yield from _unfolded(module, argument(0, "input"))
    elif isinstance(module, nn.Linear):
        yield 0, _rows(argument(0, "input"))
    elif isinstance(module, nn.Bilinear):
        one, other = _rows(argument(0, "input1")), _rows(argument(1, "input2"))
        yield 0, (one.unsqueeze(3) * other.unsqueeze(2)).flatten(2)
    elif isinstance(module, nn.RNNCellBase):
        yield 0, _rows(_of_cell(module, attribute, argument(0, "input"), argument(1, "hx")))
    elif attribute == ATTENTION_OUTPUT:
        yield 0, _rows(_heads(module, inputs, keywords))
    else:
        places = list(ATTENTION_INPUTS.values())
        wanted = places if attribute == "in_proj_weight" else [ATTENTION_INPUTS[attribute]]
        for group, name in enumerate(wanted):
            yield group, _rows(argument(places.index(name), name))


def _rows(tensor: Tensor) -> Tensor:
    """One group of all vectors along the last axis."""
    return tensor.reshape(1, -1, tensor.shape[-1])


def _unfolded(module: nn.Conv1d | nn.Conv2d | nn.Conv3d, images: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The inputs under the kernel at each output position, by a few samples at a time."""
    axes = len(module.kernel_size)
    if images.ndim == axes + 1:
        images = images.unsqueeze(0)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    padded = pad(images, module._reversed_padding_repeated_twice, mode=mode)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(module.kernel_size, module.stride, module.dilation, strict=True), start=2
    ):
        span = dilation * (kernel - 1) + 1
        padded = padded.unfold(axis, span, stride)[..., ::dilation]
    by_group = padded.unflatten(1, (module.groups, -1)).movedim(1, 0)  # groups, samples, channels, positions, kernel
    by_group = by_group.movedim(2, -1)
    size = by_group.numel() // max(1, by_group.shape[1])
    for part in by_group.split(max(1, CHUNK_BYTES // (8 * max(1, size))), dim=1):
        inner = module.in_channels // module.groups * torch.Size(module.kernel_size).numel()
        yield 0, part.reshape(module.groups, -1, inner)


def _of_cell(module: nn.RNNCellBase, attribute: str, step: Tensor, state: Any) -> Tensor:
    """What a recurrent cell multiplies a weight with: the input of the step, or the state before it."""
    if attribute == "weight_ih":
        return step
    if state is None:
        return step.new_zeros(*step.shape[:-1], module.hidden_size)
    return state[0] if isinstance(state, tuple) else state


def _heads(attention: nn.Module, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Tensor:
    """What attention multiplies its last projection with: its result where that projection changes nothing."""
    weight: Tensor = attention.out_proj.weight  # pyright: ignore
    values = {"module.out_proj.weight": torch.eye(len(weight), dtype=weight.dtype, device=weight.device)}
    if attention.out_proj.bias is not None:  # pyright: ignore
        values["module.out_proj.bias"] = weight.new_zeros(len(weight))
    # A wrapper, because a call of the module itself would come back to the hook that asks.
    return functional_call(_Unheard(attention), values, tuple(inputs), dict(keywords))[0]


class _Unheard(nn.Module):
    """Calls the forward pass of a module without its hooks."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        return self.module.forward(*inputs, **keywords)
