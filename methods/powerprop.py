"""Powerpropagation: weights as powers, of which the small ones hardly move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.masks import Masks, check_finite
from ..benchmark.api.pruner import Context
from ..benchmark.api.sites import Site
from .gradual_magnitude import GradualMagnitude
from .parts.dense_layers import select
from .parts.maskable import check_parametrisable
from .parts.straight_through import materialise, parametrise


class _Power(torch.autograd.Function):
    """v |v|^(a - 1) with the gradient a |v|^(a - 1), which is 0 at v = 0; autograd's own is NaN there for a < 2."""

    @staticmethod
    def forward(ctx: Any, root: Tensor, exponent: float) -> Tensor:
        size = root.abs().pow_(exponent - 1)
        ctx.save_for_backward(size)
        ctx.exponent = exponent
        return root * size

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (size,) = ctx.saved_tensors
        return grad_outputs[0] * size * ctx.exponent, None


class SignedPower(nn.Module):
    """Parametrisation of a weight as v |v|^(exponent - 1), which keeps the sign of v."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, root: Tensor) -> Tensor:
        return _Power.apply(root, self.exponent)  # pyright: ignore


@dataclass(kw_only=True)
class PowerPropagation(GradualMagnitude):
    """Train v with the weights v |v|^(a - 1), and prune gradually by magnitude as `gmp` does. Schwarz et al., 2021.

    arXiv 2110.00296 (NeurIPS 2021), section 2. The gradient of v is that of the weight times a |v|^(a - 1), so
    that small weights hardly move and large ones move faster. More of them end near zero. The weights start as they
    would without it: v is the signed root of the initial ones, as in the authors' code. The order of magnitudes is the
    same for v and the weights. With Zhu and Gupta's schedule it is a row of the paper's table on ImageNet; the authors'
    code, the experiment on MNIST, prunes a trained network at once. Layers left dense have plain weights. Weight decay
    acts on v. The powers are folded into plain weights at the end.

    Uncertain: the exponent of the paper's results on ImageNet, and whether weight decay acts on v or on the weights
    there. The authors' code tries 1 to 5 on MNIST; the default is the first of them that does something.

    Options:
        exponent: a; 1 would be `gmp`.
    """

    label: ClassVar[str] = "Powerprop"
    family: ClassVar[str] = "reparameterised"
    paper: ClassVar[str] = "arXiv 2110.00296"
    needs: ClassVar[str] = "weights"
    search_space: ClassVar[dict[str, object]] = {"exponent": [1.25, 1.5, 2.0, 3.0, 4.0]}

    exponent: Annotated[float, Field(gt=1, le=10)] = 2.0
    _powers: tuple[Site, ...] = field(init=False, repr=False, default=())

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        super().check_sites(model, sites)
        check_parametrisable(select(sites, self.dense))

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._powers = select(context.sites, self.dense)
        for site in self._powers:
            parametrise(site, SignedPower(self.exponent))
        # Masks are held over the roots, which are zero where the weights are.
        self._masks = Masks(self._root(site) for site in self._powers)
        return model

    def _root(self, site: Site) -> Site:
        return Site(site.name, site.module.parametrizations[site.attribute], "original")  # pyright: ignore

    def begin_round(self, index: int) -> None:
        if index == 0:
            self._take_roots()
        super().begin_round(index)

    @torch.no_grad()
    def _take_roots(self) -> None:
        """From the initial weights to the v that gives them."""
        roots = {site.name: self._root(site).weight for site in self._powers}
        check_finite(roots)
        for root in roots.values():
            root.copy_(root.sign() * root.abs().pow(1 / self.exponent))

    def detach(self) -> None:
        materialise(list(self._powers))
