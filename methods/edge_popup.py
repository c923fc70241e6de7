"""Edge-popup: find a subnetwork of random weights that are never trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ..benchmark.api.masks import Masks, check_finite, num_kept
from ..benchmark.api.pruner import Context, Pruner
from ..benchmark.api.sites import Site
from .parts.allocation import global_masks, layer_counts, masks_by_count
from .parts.dense_layers import select
from .parts.maskable import check_maskable, check_parametrisable
from .parts.straight_through import materialise, parametrise, shadow


class _MaskedByScores(torch.autograd.Function):
    """mask * weight, with the gradient of |scores| * weight for the scores; holds no tensors of its own."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(weight, scores)
        return weight * mask

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, Tensor, None]:
        (gradient,) = grad_outputs
        weight, scores = ctx.saved_tensors
        return None, (gradient * weight).mul_(scores.sign()), None


class Supermask(nn.Module):
    """Parametrisation of a frozen weight by the mask of its largest |scores|; the gradient reaches every score."""

    def __init__(self, masks: Masks, name: str, scores: Tensor) -> None:
        super().__init__()
        self._masks, self._name = masks, name
        self.scores = nn.Parameter(scores)

    def forward(self, weight: Tensor) -> Tensor:
        return _MaskedByScores.apply(weight, self.scores, self._masks[self._name])


@dataclass(kw_only=True)
class EdgePopup(Pruner):
    """Train a score for each weight and use the weights of the largest |scores|. Ramanujan et al., 2020.

    arXiv 1911.13299. Weights, biases and the scale and shift of batch norm keep their initial values; only scores are
    trained, with the recipe's weight decay on them, through the mask as if it were not there. As in the authors' code
    the absolute value of a score counts, scores start Kaiming-uniform, and weights are signed constants. The masks are
    renewed after every step, with exact counts, the same fraction of each layer. Difference: the authors' networks
    have no biases, and batch norm without scale and shift.

    The constant is that of the authors' published configurations, which they call unscaled. Their option `scale_fan`
    multiplies the fan-in by 1 - prune_rate; as their code keeps the fraction prune_rate, that is the fraction removed.
    Dividing by the fraction kept instead holds the variance of a layer's outputs. The two agree where half is kept.

    Options:
        weights: `signed_constant`, the sign of the initial weight times the constant of `scale`; or `initial`.
        scale: the constant, with n the fan-in: `unscaled`, sqrt(2 / n); `scale_fan`, sqrt(2 / (n * sparsity)), the
            option of the authors' code; `density`, sqrt(2 / (n * density)), which holds the variance.
        scope: of the largest scores: `layerwise` (the paper's), `erk` or `global`.
        dense: layers whose weights all stay, by keyword (first, last, depthwise, shortcut) or name pattern.
    """

    label: ClassVar[str] = "Edge-popup"
    family: ClassVar[str] = "reparameterised"
    paper: ClassVar[str] = "arXiv 1911.13299"
    needs: ClassVar[str] = "gradients; weights stay random"
    version: ClassVar[int] = 2
    moves_weights: ClassVar[bool] = True
    search_space: ClassVar[dict[str, object]] = {"scale": ["unscaled", "scale_fan", "density"]}

    start: Literal["trained", "init"] = "init"
    weights: Literal["signed_constant", "initial"] = "signed_constant"
    scale: Literal["unscaled", "scale_fan", "density"] = "unscaled"
    scope: Literal["global", "layerwise", "erk"] = "layerwise"
    dense: tuple[str, ...] = ()
    _masks: Masks = field(init=False, repr=False)
    _counts: dict[str, int] | None = field(init=False, repr=False, default=None)
    _needs_gradient: dict[str, bool] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale != "unscaled" and self.weights == "initial":
            raise ValueError(f"scale = {self.scale!r} needs weights: signed_constant, not initial")
        if self.scale == "scale_fan" and self.sparsity == 0:
            raise ValueError("scale: scale_fan needs a sparsity > 0: it divides by the fraction removed")

    @property
    def masks(self) -> Masks:
        return self._masks

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        chosen = select(sites, self.dense)
        check_maskable(model, chosen)
        check_parametrisable(chosen)

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._masks = Masks(select(context.sites, self.dense))
        generator = context.generator("supermask scores")
        for name, site in self._masks.sites.items():
            bound = 1 / math.sqrt(site.weight[0].numel())
            scores = torch.empty(site.weight.shape).uniform_(-bound, bound, generator=generator)
            supermask = Supermask(self._masks, name, scores.to(site.weight))
            parametrise(site, supermask)
            # Not trained, so without a gradient, which would be as large as the network.
            self._needs_gradient[name] = shadow(site).requires_grad
            shadow(site).requires_grad_(False)
        self._counts = layer_counts(self._magnitudes(), self.sparsity, self.scope)
        return model

    def begin_round(self, index: int) -> None:
        if index == 0:
            check_finite({name: shadow(site) for name, site in self._masks.sites.items()})
            if self.weights == "signed_constant":
                self._set_signed_constants()
            self._choose()

    @torch.no_grad()
    def _set_signed_constants(self) -> None:
        share = {"unscaled": 1.0, "scale_fan": self.sparsity, "density": 1.0 - self.sparsity}[self.scale]
        for site in self._masks.sites.values():
            weight = shadow(site)
            weight.copy_(weight.sign() * math.sqrt(2 / (weight[0].numel() * share)))

    def param_groups(self, weight_decay: float, decay_norm: bool) -> list[dict[str, Any]]:
        return [{"params": list(self._scores().values()), "weight_decay": weight_decay}]

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        """Gradients of what is not trained are dropped: they must not add up, nor count when gradients are clipped."""
        trained = {id(scores) for scores in self._scores().values()}
        for parameter in self.context.model.parameters():
            if id(parameter) not in trained:
                parameter.grad = None
        return False

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        self._choose()

    def detach(self) -> None:
        materialise(list(self._masks.sites.values()))
        for name, site in self._masks.sites.items():
            site.weight.requires_grad_(self._needs_gradient[name])

    def _choose(self) -> None:
        magnitudes = self._magnitudes()
        if self._counts is None:
            self._masks.set(global_masks(magnitudes, num_kept(self._masks.num_total, self.sparsity)))
        else:
            self._masks.set(masks_by_count(magnitudes, self._counts))

    def _scores(self) -> dict[str, nn.Parameter]:
        sites = self._masks.sites.items()
        return {name: site.module.parametrizations[site.attribute][0].scores for name, site in sites}  # pyright: ignore

    def _magnitudes(self) -> dict[str, Tensor]:
        return {name: scores.detach().abs() for name, scores in self._scores().items()}

    def state_dict(self) -> dict[str, Any]:
        """Only the masks: scores and frozen weights are tensors of the model."""
        return {"masks": self._masks.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._masks.load_state_dict(state["masks"])
