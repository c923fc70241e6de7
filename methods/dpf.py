"""DPF: masks over dense weights that go on learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.masks import num_kept
from ..benchmark.api.pruner import Context
from ..benchmark.api.sites import Site
from .bases.score_pruner import ScorePruner
from .parts.allocation import CountedScores
from .parts.dense_layers import select
from .parts.maskable import check_parametrisable
from .parts.schedule import Cubic, Held, OneShot
from .parts.straight_through import attach_masks, materialise, shadow


@dataclass(kw_only=True)
class DPF(ScorePruner):
    """Prune the forward pass, train all weights, renew the masks often. Lin et al., 2020 (arXiv 2006.07253).

    Dynamic pruning with feedback: the gradient at the masked weights moves the dense ones behind them, so a weight
    pruned too early comes back. Masks are renewed every 16 steps from the magnitudes of the dense weights, to the end
    of the training; the sparsity rises by the cubic ramp between `begin` and `end`. Both are the paper's, which gives
    no end of the ramp. The network is evaluated, and left behind, with masked weights. Weight decay acts on the dense
    weights.

    The scope is not settled: no code of the authors is public. Three independent implementations (BIMP, a Keras
    callback, a PyTorch port) take one threshold over the network, `scope: global`. The rows that are printed for
    ResNet-50 fit one rate in every layer: 80.0 % of the multiply-adds pruned at 80 %, and 90.0 % with 90 % of the
    convolutions and none of the classifier (computed: 80.00 and 89.95), where Global MP prunes 72.4 and 82.8 %. Layer-
    wise is the default, as it fits the numbers that it is compared with; they may have been computed by assuming it.

    Options:
        schedule: `cubic`; or `one_shot`, which holds the sparsity from the first step.
        begin, end: of the ramp, as fractions of the training.
        power: exponent of the ramp.
        initial_sparsity: where the ramp starts.
        every: steps between new masks; 0: once an epoch.
    """

    label: ClassVar[str] = "DPF"
    family: ClassVar[str] = "dynamic"
    paper: ClassVar[str] = "arXiv 2006.07253"
    needs: ClassVar[str] = "dense gradients"
    schedules: ClassVar[Mapping[str, type[OneShot]]] = {"one_shot": Held, "cubic": Cubic}
    search_space: ClassVar[dict[str, object]] = {"end": {"low": 0.5, "high": 0.95}, "every": [8, 16, 32, 64]}

    start: Literal["trained", "init"] = "init"
    scope: Literal["global", "layerwise", "erk"] = "layerwise"
    schedule: Literal["one_shot", "cubic"] = "cubic"
    begin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    end: Annotated[float, Field(gt=0, le=1)] = 0.75
    every: Annotated[int, Field(ge=0)] = 16
    power: Annotated[float, Field(gt=0)] = 3.0
    initial_sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        super().check_sites(model, sites)
        check_parametrisable(select(sites, self.dense))

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        attach_masks(self._masks)
        return model

    def score(self, name: str, weight: Tensor) -> Tensor:
        # the weight itself is the masked one
        return shadow(self._masks.sites[name]).detach().abs()

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        # the step comes first: masks are made of the weights that the next forward pass uses
        return False

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        if self._events is None:
            if (step + 1) % self._interval == 0:
                self.prune_to(self.sparsity)
        elif self._events.is_due(step) or (
            step > self._events.last and (step - self._events.first) % self._interval == 0
        ):
            self.prune_to(self._schedule.at(self._events.progress(step)))

    @property
    def _interval(self) -> int:
        return self.every or self.context.steps_per_epoch

    def prune_to(self, sparsity: float) -> None:
        """New masks of exactly num_kept(N, sparsity) weights; every weight may come back."""
        scores = CountedScores(self.scores(), lambda name: self._masks[name].numel())
        masks = self.allocate(scores, sparsity)
        self._masks.set(masks, kept=num_kept(self._masks.num_total, sparsity))

    def detach(self) -> None:
        materialise(list(self._masks.sites.values()))
