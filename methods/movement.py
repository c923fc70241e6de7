"""Movement pruning: keep the weights that training moves away from zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.pruner import Context
from .dpf import DPF
from .parts.schedule import Cubic, OneShot
from .parts.straight_through import shadow


@dataclass(kw_only=True)
class Movement(DPF):
    """Keep the weights whose training so far was away from zero. Sanh et al., 2020 (arXiv 2005.07683).

    Each weight has a score that starts at 0 and sums up -(dL/dW) W over the steps (section 4). L is the loss of the
    masked network, straight through the mask, so scores of pruned weights go on and a weight may come back, with the
    value that it had. Only weights that are kept are trained; weight decay acts on all. Masks are renewed after every
    step, and the sparsity rises by the cubic ramp between a warm-up and a cool-down: `begin` and `end` are those of the
    authors' run on SQuAD (5,400 steps of warm-up, twice as many of cool-down, of about 55,000). The method is made for
    starts from trained weights, and works from initialisation too. Hard pruning only: the soft variant prunes by a
    threshold and its sparsity is an outcome.

    In every layer the same share stays, as in the authors' code; the paper finds `scope: global` alike. Difference:
    scores are the plain sum, the paper's equation for SGD, in which the rate does not matter. The authors train them
    with Adam at a rate of 0.01, which scales each step. They prune the linear layers of transformers, and no
    embeddings.

    Options:
        schedule: `cubic`, the paper's.
        begin, end: of the ramp, as fractions of the training.
        every: steps between new masks; 0: once an epoch.
    """

    label: ClassVar[str] = "Movement"
    family: ClassVar[str] = "gradual"
    paper: ClassVar[str] = "arXiv 2005.07683"
    needs: ClassVar[str] = "dense gradients"
    schedules: ClassVar[Mapping[str, type[OneShot]]] = {"cubic": Cubic}
    search_space: ClassVar[dict[str, object]] = {"begin": {"low": 0.0, "high": 0.4}, "end": {"low": 0.5, "high": 0.95}}

    start: Literal["trained", "init"] = "trained"
    schedule: Literal["cubic"] = "cubic"  # pyright: ignore[reportIncompatibleVariableOverride]
    begin: Annotated[float, Field(ge=0, lt=1)] = 0.1
    end: Annotated[float, Field(gt=0, le=1)] = 0.8
    every: Annotated[int, Field(ge=0)] = 1
    _scores: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        sites = self._masks.sites.items()
        self._scores = {name: torch.zeros_like(shadow(site), requires_grad=False) for name, site in sites}
        return model

    def score(self, name: str, weight: Tensor) -> Tensor:
        return self._scores[name]

    @torch.no_grad()
    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        for name, site in self._masks.sites.items():
            weight = shadow(site)
            if weight.grad is not None:
                self._scores[name].addcmul_(weight.grad, weight, value=-1)
                weight.grad.mul_(self._masks[name])
        return False

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "scores": {name: score.clone() for name, score in self._scores.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._scores = {name: score.to(self._masks[name].device) for name, score in state["scores"].items()}
