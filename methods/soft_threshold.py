"""STR: soft-threshold reparameterisation with learned thresholds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.pruner import Context, Pruner
from ..benchmark.api.sites import Site
from .parts.dense_layers import select
from .parts.maskable import check_maskable, check_parametrisable
from .parts.straight_through import materialise, parametrise


class SoftThreshold(nn.Module):
    """Parametrisation sign(w) * relu(|w| - sigmoid(s)) with one learned s."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit))

    def forward(self, weight: Tensor) -> Tensor:
        """The shrunken weight; the gradient of s is minus sigmoid'(s) times the sum over surviving weights."""
        return weight.sign() * torch.relu(weight.abs() - torch.sigmoid(self.logit))


@dataclass(kw_only=True)
class STR(Pruner):
    """Learn one soft threshold a layer together with the weights. Kusupati et al., 2020 (arXiv 2002.03231).

    The sparsity is an outcome of the initial thresholds and of weight decay, which acts on the thresholds too: at the
    default of -3200, the authors' for ResNet-50 at 90.23 %, sigmoid(s) and its derivative are exactly 0, and only decay
    moves s until pruning starts (around epoch 28 of 100 with the paper's recipe). Shorter trainings need a start
    nearer to 0. The sparsity of the run is therefore a label, and what was reached is counted. Weights that stay are
    shrunk by the threshold. Authors' code and this one agree but for the classifier's bias, which theirs lacks.

    Options:
        initial_threshold_logit: s at the start, the same for all layers.
        threshold_decay: weight decay of the thresholds; None: that of the recipe.
        dense: layers left dense, by keyword (first, last, depthwise, shortcut) or name pattern.
    """

    label: ClassVar[str] = "STR"
    family: ClassVar[str] = "reparameterised"
    paper: ClassVar[str] = "arXiv 2002.03231"
    needs: ClassVar[str] = "gradients"
    reaches_target: ClassVar[bool] = False
    search_space: ClassVar[dict[str, object]] = {
        "initial_threshold_logit": [-12800.0, -3200.0, -800.0, -200.0, -50.0, -10.0],
    }

    start: Literal["trained", "init"] = "init"
    initial_threshold_logit: Annotated[float, Field(ge=-1e6, le=0)] = -3200.0
    threshold_decay: Annotated[float, Field(ge=0, lt=1)] | None = None
    dense: tuple[str, ...] = ()
    _sites: tuple[Site, ...] = field(init=False, repr=False, default=())

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        chosen = select(sites, self.dense)
        check_maskable(model, chosen)
        check_parametrisable(chosen)

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._sites = select(context.sites, self.dense)
        for site in self._sites:
            threshold = SoftThreshold(self.initial_threshold_logit).to(context.device)
            parametrise(site, threshold)
        return model

    def param_groups(self, weight_decay: float, decay_norm: bool) -> list[dict[str, Any]]:
        """The usual groups without the thresholds, and one of the thresholds, which always decay."""
        logits = [site.module.parametrizations[site.attribute][0].logit for site in self._sites]  # pyright: ignore
        groups = super().param_groups(weight_decay, decay_norm)
        for group in groups:
            group["params"] = [p for p in group["params"] if not any(p is logit for logit in logits)]
        decay = weight_decay if self.threshold_decay is None else self.threshold_decay
        return [*groups, {"params": logits, "weight_decay": decay}]

    def detach(self) -> None:
        materialise(list(self._sites))
