"""FORCE and Iterative SNIP: connection sensitivity at initialisation, in rounds, at the pruned network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..benchmark.api.masks import num_kept
from .bases.score_pruner import ScorePruner
from .parts.schedule import Exponential, OneShot
from .parts.scoring import mean_gradients


@dataclass(kw_only=True)
class IterativeSnip(ScorePruner):
    """SNIP in rounds, each on other samples; what a round removes stays removed. de Jorge et al., 2021.

    arXiv 2006.09081. The score is |w * dL/dw| at the pruned network. 60 rounds with exponentially falling density, one
    batch each, are those of the authors' CIFAR-10 example. Their threshold keeps everything where too few scores are
    not zero; here the count is exact.

    Options:
        schedule: `exponential` (`prune_rounds` rounds of falling density) or `one_shot`.
        prune_rounds: rounds, each with other samples.
        score_samples: training samples of a round.
        score_batch: samples of a pass.
    """

    label: ClassVar[str] = "Iterative SNIP"
    family: ClassVar[str] = "at initialisation"
    paper: ClassVar[str] = "arXiv 2006.09081"
    needs: ClassVar[str] = "gradients"
    schedules: ClassVar[Mapping[str, type[OneShot]]] = {"one_shot": OneShot, "exponential": Exponential}
    search_space: ClassVar[dict[str, object]] = {
        "prune_rounds": {"low": 10, "high": 120, "log": True},
        "score_samples": {"low": 64, "high": 512, "log": True},
    }

    start: Literal["trained", "init"] = "init"
    schedule: Literal["one_shot", "exponential"] = "exponential"
    prune_rounds: Annotated[int, Field(ge=1)] = 60
    score_samples: Annotated[int, Field(ge=1)] = 128
    score_batch: Annotated[int, Field(ge=1)] = 128
    _round: int = field(init=False, repr=False, default=0)
    _gradients: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def prepare_scores(self) -> None:
        batches = self.context.samples(self.score_samples, self.score_batch, draw=self._round)
        self._gradients = mean_gradients(self.context, tuple(self._masks.sites.values()), batches)
        self._round += 1

    def score(self, name: str, weight: Tensor) -> Tensor:
        return (weight * self._gradients.pop(name)).abs()


@dataclass(kw_only=True)
class Force(IterativeSnip):
    """Foresight connection sensitivity: a weight that was removed may come back. de Jorge et al., 2021.

    arXiv 2006.09081. The score is |w * dL/dw| with the weight of the dense network and the gradient at the pruned one,
    for all weights, pruned or not. The rest is as in `iterative_snip`.
    """

    label: ClassVar[str] = "FORCE"

    _dense: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def begin_round(self, index: int) -> None:
        self._dense = {name: site.weight.detach().clone() for name, site in self._masks.sites.items()}
        super().begin_round(index)
        self._dense = {}

    def score(self, name: str, weight: Tensor) -> Tensor:
        return (self._dense[name] * self._gradients.pop(name)).abs()

    @torch.no_grad()
    def prune_to(self, sparsity: float) -> None:
        """As in the base class, but what was pruned competes again, with its initial value."""
        masks = self.allocate(self.scores(), sparsity)
        for name, site in self._masks.sites.items():
            site.weight.copy_(self._dense[name])
        self._masks.set(masks, kept=num_kept(self._masks.num_total, sparsity))
