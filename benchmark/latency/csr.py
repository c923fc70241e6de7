"""Linear layers as sparse products on a CPU (compressed sparse rows), and the density from which these pay."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .turns import in_turns, quantiles

DENSITIES = (0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.02, 0.01)
"""At which products are timed, in falling order."""


class CsrLinear(nn.Module):
    """A linear layer that multiplies by its non-zero weights only. Inputs (..., in), outputs (..., out)."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias, self.shape = to_csr(layer.weight.detach()), layer.bias, layer.weight.shape

    def forward(self, inputs: Tensor) -> Tensor:
        flat = inputs.reshape(-1, self.shape[1])
        if self.bias is None:
            product = self.weight @ flat.t()
        else:
            # twice as fast as torch.nn.functional.linear with the sparse weight
            product = torch.addmm(self.bias[:, None].expand(-1, len(flat)), self.weight, flat.t())
        return product.t().reshape(*inputs.shape[:-1], self.shape[0])


def to_csr(weight: Tensor) -> Tensor:
    """The non-zero values of a matrix by row."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse (CSR|invariant)", UserWarning)  # torch says that it is in beta
        return weight.to_sparse_csr()


def sparse_linears(model: nn.Module) -> list[str]:
    """Names of the linear layers that have zeros."""
    return [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and _has_zeros(layer)]


def _has_zeros(layer: nn.Linear) -> bool:
    return bool((layer.weight == 0).any())


def put_csr(model: nn.Module) -> nn.Module:
    """Replace these layers in place, and return the model."""
    for name in sparse_linears(model):
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, CsrLinear(model.get_submodule(name)))  # pyright: ignore[reportArgumentType]
    return model


def measure_shape(shape: Sequence[int], batch: int, repeats: int) -> dict[str, Any]:
    """Dense and CSR products of a layer (outputs, inputs), in turns, with random weights of each density."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(*shape, generator=generator)
    inputs = torch.randn(batch, shape[1], generator=generator)
    ranks = torch.rand(shape, generator=generator).flatten().argsort().argsort().view(*shape)
    ways = {"dense": _way(nn.Linear(shape[1], shape[0]), weight, inputs)}
    for density in DENSITIES:
        kept = weight * (ranks < density * weight.numel())
        ways[str(density)] = _way(nn.Linear(shape[1], shape[0]), kept, inputs, is_csr=True)
    with torch.inference_mode():
        medians = {name: quantiles(found)["p50"] for name, found in in_turns(ways, repeats).items()}
    dense = medians.pop("dense")
    points = [{"density": float(density), "dense": dense, "csr": csr} for density, csr in medians.items()]
    return {"shape": list(shape), "batch": batch, "points": points, "pays_from": pays_from(points)}


def _way(layer: nn.Linear, weight: Tensor, inputs: Tensor, *, is_csr: bool = False) -> Callable[[], Tensor]:
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.requires_grad_(False)
    module = CsrLinear(layer) if is_csr else layer
    return lambda: module(inputs)


def pays_from(points: Sequence[dict[str, Any]]) -> float | None:
    """The largest density at which, and at all smaller ones, CSR is faster than dense; None if at none."""
    found = None
    for point in sorted(points, key=lambda point: point["density"]):
        if point["csr"] >= point["dense"]:
            break
        found = point["density"]
    return found
