"""Iterative magnitude pruning: train, prune, rewind, repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.masks import num_kept
from ..benchmark.api.pruner import Context
from ..benchmark.api.sites import Site
from .bases.score_pruner import ScorePruner
from .lamp import lamp_scores
from .parts.allocation import masks_by_count, round_quotas
from .parts.dense_layers import select
from .parts.iterative_epochs import check_rewind_epoch, first_epoch, num_prunings, num_rounds

BISECTIONS = 60
"""Enough to tell apart numbers of rounds that differ by less than a weight."""


@dataclass(kw_only=True)
class IterativeMagnitude(ScorePruner):
    """Train, remove a fraction of the smallest weights that are left, rewind, and train again. Frankle & Carbin, 2019.

    arXiv 1803.03635; rewinding to a later epoch and of the learning rate: Renda et al., 2020 (arXiv 2003.02389). Every
    round runs the recipe once, so R pruning rounds from an initialisation cost R + 1 trainings. The last round ends at
    the sparsity exactly. The defaults are the form of later work (open_lth, Renda et al.): a fifth of the survivors a
    round, by one threshold over the network, back to the initial weights. The original experiments on LeNet-300-100
    prune layer by layer, the output layer at half the rate: `scope: layerwise, output_rate: half`. Each round has a
    new optimiser, without momentum from the epoch it rewinds to; the original code removes one weight more a round.

    Options:
        prune_fraction: share of the surviving weights that a round removes; 0: `prune_rounds` rounds by equal factors.
        prune_rounds: their number with `prune_fraction: 0`.
        output_rate: of the network's last layer with `scope: layerwise`: the `same`, or `half` of `prune_fraction`. The
            rounds are counted by the other layers, and the last one meets the sparsity over all of them.
        rewind: before the next round, weights and batch norm go back to those at `rewind_epoch` (`weights`), or only
            the learning rate goes back to that epoch's and the trained weights stay (`lr`).
        rewind_epoch: k; rounds after a pruning train the recipe from epoch k on.
        ranking: `magnitude`, or `lamp` scores (with `rewind: lr`, the procedure of the LAMP paper, arXiv 2010.07611).
        start: `init`, round 0 is the dense training; `trained` (with `rewind: lr`) prunes the shared one at once.
    """

    label: ClassVar[str] = "IMP"
    family: ClassVar[str] = "iterative"
    paper: ClassVar[str] = "arXiv 1803.03635"
    needs: ClassVar[str] = "weights, several trainings"
    epochs_rule: ClassVar[str] = "iterative_epochs:trained_epochs"
    search_space: ClassVar[dict[str, object]] = {"rewind_epoch": [0, 1, 2, 4]}

    start: Literal["trained", "init"] = "init"
    prune_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.2
    prune_rounds: Annotated[int, Field(ge=1)] = 1
    output_rate: Literal["same", "half"] = "same"
    rewind: Literal["weights", "lr"] = "weights"
    rewind_epoch: Annotated[int, Field(ge=0)] = 0
    ranking: Literal["magnitude", "lamp"] = "magnitude"
    _rewind_state: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prune_fraction > 0:
            self._refuse_changed("prune_rounds", f"needs prune_fraction: 0, not {self.prune_fraction}")
        if self.output_rate == "half":
            self._check_half()
        if self.start == "trained" and self.rewind == "weights":
            raise ValueError("rewind: weights needs start: init, where the weights of the early epochs are seen")
        if self.ranking == "lamp" and self.scope != "global":
            raise ValueError(f"ranking: lamp needs scope: global, not {self.scope}; within a layer it is magnitude")

    def _check_half(self) -> None:
        if self.scope != "layerwise":
            raise ValueError(f"output_rate: half needs scope: layerwise, not {self.scope}")
        if self.prune_fraction == 0:
            raise ValueError("output_rate: half needs a prune_fraction > 0, of which it is the half")
        self._refuse_changed("minimum_threshold", "has no effect with output_rate: half")

    @property
    def num_prunings(self) -> int:
        """R: the fewest rounds that reach the sparsity, or `prune_rounds`."""
        return num_prunings(self.sparsity, self.prune_fraction, self.prune_rounds)

    @property
    def rounds(self) -> int:
        return num_rounds(self.num_prunings, self.start)

    def first_epoch(self, index: int) -> int:
        return first_epoch(index, self.start, self.rewind_epoch)

    def sparsity_after(self, pruning: int) -> float:
        """The sparsity after the `pruning`-th pruning, 1 to R."""
        if pruning >= self.num_prunings:
            return self.sparsity
        if self.output_rate == "half":
            sizes = {name: site.weight.numel() for name, site in self._masks.sites.items()}
            return 1 - sum(size * self._survival(name) ** pruning for name, size in sizes.items()) / sum(sizes.values())
        if self.prune_fraction > 0:
            return 1 - (1 - self.prune_fraction) ** pruning
        return 1 - (1 - self.sparsity) ** (pruning / self.num_prunings)

    def score(self, name: str, weight: Tensor) -> Tensor:
        return lamp_scores(weight) if self.ranking == "lamp" else weight.abs()

    def check(self, context: Context) -> None:
        super().check(context)
        check_rewind_epoch(self.rewind_epoch, context.epochs)
        self._check_output_rate(context.sites)

    def attach(self, context: Context) -> nn.Module:
        check_rewind_epoch(self.rewind_epoch, context.epochs)
        model = super().attach(context)
        self._check_output_rate(context.sites)
        return model

    def _check_output_rate(self, sites: tuple[Site, ...]) -> None:
        if self.output_rate == "half" and sites[-1] not in select(sites, self.dense):
            raise ValueError(f"output_rate: half has no effect: dense leaves {sites[-1].name} whole")

    def _survival(self, name: str) -> float:
        """The share of a layer's weights that a whole round leaves."""
        is_output = self.output_rate == "half" and name == self.context.sites[-1].name
        return 1 - self.prune_fraction / (2 if is_output else 1)

    def allocate(self, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        if self.output_rate == "same":
            return super().allocate(scores, sparsity)
        sizes = {name: score.numel() for name, score in scores.items()}
        total = num_kept(sum(sizes.values()), sparsity)
        quotas = quotas_by_rate(sizes, {name: self._survival(name) for name in sizes}, total)
        return masks_by_count(scores, round_quotas(scores, quotas, total))

    def begin_round(self, index: int) -> None:
        if self.start == "init" and index == 0:
            self._remember(epoch=0)
            return
        self.prune_to(self.sparsity_after(index if self.start == "init" else index + 1))
        if self.rewind == "weights":
            self.context.model.load_state_dict(self._rewind_state)
            self._masks.apply()

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        if index == 0 and self.start == "init":
            self._remember(epoch=epoch + 1)

    def _remember(self, epoch: int) -> None:
        """Keep the network as it is at the beginning of the epoch that is rewound to."""
        if self.rewind == "weights" and epoch == self.rewind_epoch:
            state = self.context.model.state_dict()
            self._rewind_state = {name: tensor.detach().clone() for name, tensor in state.items()}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "rewind": dict(self._rewind_state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._rewind_state = dict(state["rewind"])


def quotas_by_rate(sizes: Mapping[str, int], survival: Mapping[str, float], total: int) -> dict[str, float]:
    """Weights left of each layer after that number of rounds, a fraction too, which leaves `total` in all."""

    def after(rounds: float) -> dict[str, float]:
        return {name: size * survival[name] ** rounds for name, size in sizes.items()}

    low, high = 0.0, 1.0
    while sum(after(high).values()) > total:
        high *= 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(after(middle).values()) > total else (low, middle)
    return after(high)
