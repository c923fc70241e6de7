"""How many parameters of a network sparsity counts, and which of the others are no biases and no normalisation.

Importing this module imports no torch: `plan` and the captions of tables read stored counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

MUCH = 0.05
"""From this share of the parameters on, what lies outside the count is a warning."""

MAX_NAMED = 4


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Parameters of a network.

    Attributes:
        prunable: weights that sparsity counts.
        parameters: all of them, each once.
        outside: those that are neither prunable nor biases nor of a normalisation, by what holds them
            ("Embedding.weight", or "ViT.position" of a parameter that a user's network makes).
    """

    prunable: int
    parameters: int
    outside: Mapping[str, int]

    @property
    def num_outside(self) -> int:
        return sum(self.outside.values())

    def describe(self) -> str:
        """`33,040 of 33,338 parameters are prunable`, and what lies outside the count."""
        counts = f"{self.prunable:,} of {self.parameters:,} parameters are prunable"
        return f"{counts}; outside the count: {name_outside(self.outside)}" if self.outside else counts

    def warning(self) -> str | None:
        """One line where much lies outside the count."""
        if self.num_outside <= MUCH * self.parameters:
            return None
        return (
            f"sparsity does not count {self.num_outside:,} of {self.parameters:,} parameters "
            f"({self.num_outside / self.parameters:.0%}), which stay dense: {name_outside(self.outside)}"
        )


def name_outside(outside: Mapping[str, int]) -> str:
    """The largest first: `Embedding.weight 10,000, ViT.position 640`."""
    ranked = sorted(outside.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{name} {size:,}" for name, size in ranked[:MAX_NAMED]]
    rest = ranked[MAX_NAMED:]
    if rest:
        named.append(f"{len(rest)} more kinds {sum(size for _, size in rest):,}")
    return ", ".join(named)


def count_parameters(model: nn.Module) -> Sizes:
    """The sizes of a network. What a weight is computed from (weight normalisation) counts as that weight's."""
    from ..api.sites import find_sites

    sites = find_sites(model)
    places = {(module, name) for site in sites for module, name in site.uses}
    inside = {id(parameter) for module, name in places for parameter in _sources(module, name)}
    outside: dict[str, int] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in inside and not _stays_dense_as_said(module, name):
                inside.add(id(parameter))
                kind = f"{type(module).__name__}.{name}"
                outside[kind] = outside.get(kind, 0) + parameter.numel()
    return Sizes(
        prunable=sum(site.weight.numel() for site in sites),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        outside={kind: size for kind, size in outside.items() if size},
    )


def _sources(module: nn.Module, name: str) -> list[Any]:
    """The parameters behind a weight: itself, or those that a parametrisation or a hook computes it from."""
    own = dict(module.named_parameters(recurse=False))
    made_from = [own[key] for key in (name, *(f"{name}_{part}" for part in ("g", "v", "orig"))) if key in own]
    parametrisations = getattr(module, "parametrizations", {})
    return [*made_from, *(parametrisations[name].parameters() if name in parametrisations else ())]


def _stays_dense_as_said(module: nn.Module, name: str) -> bool:
    """Biases and normalisation, torch's or the user's, by their names."""
    return "bias" in name or "norm" in type(module).__name__.lower()
