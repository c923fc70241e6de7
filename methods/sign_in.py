"""Sign-In: train a masked network as a product of two factors, so that weights change their signs more easily."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.masks import check_finite
from ..benchmark.api.pruner import Context
from ..benchmark.api.sites import Site
from .bases.borrowed_mask import BorrowedMask
from .parts.dense_layers import select
from .parts.maskable import check_parametrisable
from .parts.straight_through import materialise, parametrise, shadow


class Product(nn.Module):
    """Parametrisation of a weight as w times a second trained factor m of its shape."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones_like(weight))

    def forward(self, weight: Tensor) -> Tensor:
        return self.factor * weight


@dataclass(kw_only=True)
class SignIn(BorrowedMask):
    """Train m * w under another method's mask, and balance m and w anew every few epochs. Gadhikar et al., 2025.

    arXiv 2504.12801 (NeurIPS 2025). `of` names the method that makes the mask at initialisation (with `of_options`).
    The weight is the product t of two trained numbers with m^2 - w^2 = b. Gradient flow moves it by sqrt(4 t^2 + b^2)
    times its gradient, so it crosses zero at some speed, which a product with b = 0 cannot. Noise and weight decay,
    which acts on both factors, shrink b. Therefore m and w are set back to b = 1 now and then, which leaves t as it is.
    The product is folded into one weight at the end.

    Uncertain: neither the paper's text nor code of the authors was at hand, but summaries of the paper, which give m w,
    the balance, b = 1, random masks, and resets every p epochs without naming p; 1 is a guess. They do not say which
    shares of the layers the random masks have (here the same in each), nor what becomes of the optimiser's momentum at
    a reset (here it is kept).

    Options:
        balance: b = m^2 - w^2, at the start and after each reset.
        reset_every: epochs between resets; 0: none.
    """

    label: ClassVar[str] = "Sign-In"
    family: ClassVar[str] = "reparameterised"
    paper: ClassVar[str] = "arXiv 2504.12801"
    needs: ClassVar[str] = "what the other method needs"
    search_space: ClassVar[dict[str, object]] = {
        "balance": {"low": 0.1, "high": 10.0, "log": True},
        "reset_every": [0, 1, 5, 10],
    }

    start: Literal["trained", "init"] = "init"
    of: str = "random_init"
    of_options: Any = ()
    balance: Annotated[float, Field(gt=0)] = 1.0
    reset_every: Annotated[int, Field(ge=0)] = 1
    _chosen: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        super().check_sites(model, sites)
        check_parametrisable(select(sites, getattr(self._create_inner(), "dense", ())))

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        # before the factors are there, so that the other method meets a plain network
        self._chosen = self.borrow()
        self._cover(self._chosen)
        for site in self._masks.sites.values():
            parametrise(site, Product(site.weight))
        return model

    def choose_masks(self) -> dict[str, Tensor]:
        return self._chosen

    def begin_round(self, index: int) -> None:
        super().begin_round(index)
        if index == 0:
            check_finite({name: site.weight for name, site in self._masks.sites.items()})
            self._balance()
            self._chosen = {}

    @torch.no_grad()
    def _balance(self) -> None:
        """Move scale between the factors of each weight, whose product stays; both factors of a pruned one are 0."""
        for name, site in self._masks.sites.items():
            product, mask = site.weight, self._masks[name]
            factor = balanced_factor(product, self.balance)
            shadow(site).copy_(product / factor * mask)
            self._factor(site).copy_(factor * mask)

    def _factor(self, site: Site) -> nn.Parameter:
        return site.module.parametrizations[site.attribute][0].factor  # pyright: ignore

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Pruned weights stay zero by themselves: each factor's gradient is a multiple of the other."""

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        is_due = self.reset_every > 0 and (epoch + 1) % self.reset_every == 0
        if is_due and epoch + 1 < self.context.epochs:
            self._balance()

    def detach(self) -> None:
        materialise(list(self._masks.sites.values()))


def balanced_factor(product: Tensor, balance: float) -> Tensor:
    """m > 0 with m w = product and m^2 - w^2 = balance: the larger root, squared (b + sqrt(b^2 + 4 t^2)) / 2."""
    return ((balance + (balance**2 + 4 * product.square()).sqrt()) / 2).sqrt()
