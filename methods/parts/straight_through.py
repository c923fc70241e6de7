"""Forward with masked weights, backward as if they were whole: dense shadow weights behind a sparse network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...benchmark.api.masks import Masks
from ...benchmark.api.sites import Site


class MaskedForward(nn.Module):
    """Parametrisation of one weight tensor by its mask, which is looked up anew in every forward pass."""

    def __init__(self, masks: Masks, name: str) -> None:
        super().__init__()
        self._masks, self._name = masks, name

    def forward(self, weight: Tensor) -> Tensor:
        """mask * weight; its gradient reaches all of `weight`, unmasked."""
        # w + (w - w) is w and w + (0 - w) is 0 without rounding, so the values are exactly those of the product.
        return weight + (weight * self._masks[self._name] - weight).detach()


def parametrise(site: Site, parametrisation: nn.Module) -> None:
    """From now on every module that holds the site's tensor computes with what the parametrisation makes of it."""
    for module, attribute in site.uses:
        parametrize.register_parametrization(module, attribute, parametrisation)


def attach_masks(masks: Masks) -> None:
    """From now on every site's weight is the masked one; the dense one is found by `shadow`."""
    for name, site in masks.sites.items():
        parametrise(site, MaskedForward(masks, name))


def shadow(site: Site) -> Tensor:
    """The tensor that is trained: the dense one behind a parametrisation, or the site's weight itself."""
    if not parametrize.is_parametrized(site.module, site.attribute):
        return site.weight
    return site.module.parametrizations[site.attribute].original  # pyright: ignore


def materialise(sites: list[Site]) -> None:
    """Write the values that the network computes with into its weights and remove the parametrisations."""
    for site in sites:
        parametrize.remove_parametrizations(site.module, site.attribute, leave_parametrized=True)
        # The stored tensor, which tied modules share, has the values now.
        for module, attribute in site.others:
            parametrize.remove_parametrizations(module, attribute, leave_parametrized=False)
