"""Which layers can be pruned in place, and which through a parametrisation, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...benchmark.api.errors import UserError
from ...benchmark.api.sites import Site


def check_maskable(model: nn.Module, sites: Iterable[Site]) -> None:
    """The sites' tensors are parameters of their own, so that an entry put to zero is zero wherever it is used.

    A parameter that several modules hold is one tensor and fine. Raises UserError naming a layer whose weight is
    computed in each forward pass (weight and spectral normalisation, torch's own pruning), or one whose memory another
    parameter shares.
    """
    parameters = list(model.named_parameters())
    for site in sites:
        if site.module._parameters.get(site.attribute) is None:
            raise UserError(
                f"cannot prune layer {site.name!r}: its weight is not a parameter{_computed_by(site)}; "
                f"make it one, or leave the layer dense"
            )
        for name, parameter in parameters:
            if parameter is not site.weight and _overlap(parameter, site.weight):
                raise UserError(
                    f"cannot prune layer {site.name!r}: {name!r} shares its memory and is another parameter; "
                    f"tie weights by giving both modules the same parameter"
                )


def _computed_by(site: Site) -> str:
    module, attribute = site.module, site.attribute
    if parametrize.is_parametrized(module, attribute):
        makers: Iterator[object] = iter(module.parametrizations[attribute])  # pyright: ignore
    else:
        makers = iter(module._forward_pre_hooks.values())
    names = [type(maker).__name__.lstrip("_") for maker in makers]
    return f" but computed by {', '.join(names)}" if names else " of that module"


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Whether their memory does, seen as a stretch from the first to the last entry; on the meta device too."""
    if one.numel() == 0 or one.untyped_storage()._cdata != other.untyped_storage()._cdata:
        return False
    (start, stop), (first, last) = _stretch(one), _stretch(other)
    return start <= last and first <= stop


def _stretch(tensor: Tensor) -> tuple[int, int]:
    start = int(tensor.storage_offset())
    return start, start + sum((size - 1) * int(step) for size, step in zip(tensor.shape, tensor.stride(), strict=True))


def check_parametrisable(sites: Iterable[Site]) -> None:
    """Raises UserError naming a layer that would not see a parametrisation of its weight.

    torch's recurrent layers compute with a list of their own that they fill when they are made.
    """
    for site in sites:
        for module, _ in site.uses:
            if isinstance(module, nn.RNNBase):
                raise UserError(
                    f"cannot prune layer {site.name!r} by a parametrisation, which {type(module).__name__} passes by; "
                    f"leave the layer dense, or take a method that masks weights in place"
                )
