"""From a score of each weight to exact masks: scope, minimum threshold and layers left dense."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...benchmark.api.masks import Masks, num_kept
from ...benchmark.api.pruner import Context, Pruner
from ...benchmark.api.sites import Site
from ..parts import minimum_threshold as mt
from ..parts.allocation import CountedScores, global_masks, layer_counts, masks_by_count
from ..parts.dense_layers import select
from ..parts.maskable import check_maskable
from ..parts.schedule import Events, OneShot, choose_schedule


@dataclass(kw_only=True)
class ScorePruner(Pruner, ABC):
    """A method that says how important each weight is, and itself when it prunes: MaskPruner makes that an option.

    A class that has an option `schedule` lists what its values stand for in `schedules`, and has the options that
    those schedules take. Without one the pruning is one-shot, unless the class overrides the hooks.

    An event during the training comes after the backward pass of its step, where scores may use the dense gradients,
    and before the update: the mask is made of the weights that the step began with, and the one gradient that is then
    applied to the weights left is that of the network before the event. Zhu & Gupta's code renews masks after the
    update of a step and AC/DC's before the forward pass, which is the same mask one gradient earlier.

    Options:
        scope: `global` (one threshold), `layerwise` (each layer at the sparsity), `erk`.
        minimum_threshold: percentage of all prunable weights that every layer keeps at least (0: off).
        minimum_threshold_mode: `solve`, `rescale` (the authors' procedure) or `protect`; see minimum_threshold.py.
        dense: layers left dense, by keyword (first, last, depthwise, shortcut) or name pattern; the sparsity then
            holds over the others.
    """

    family: ClassVar[str] = "one-shot"
    schedules: ClassVar[Mapping[str, type[OneShot]]] = {"one_shot": OneShot}

    scope: Literal["global", "layerwise", "erk"] = "global"
    minimum_threshold: Annotated[float, Field(ge=0, lt=100)] = 0.0
    minimum_threshold_mode: Literal["solve", "rescale", "protect"] = "solve"
    dense: tuple[str, ...] = ()
    _masks: Masks = field(init=False, repr=False)
    _events: Events | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimum_threshold == 0 or self.scope != "global":
            self._refuse_changed("minimum_threshold_mode", "needs scope: global and a minimum_threshold > 0")
        _ = self._schedule  # checks its options

    @property
    def _schedule(self) -> OneShot:
        """How the sparsity rises, by the options and the sparsity that the method has now."""
        return choose_schedule(getattr(self, "schedule", "one_shot"), self.schedules, self, self.sparsity)

    def _refuse_changed(self, option: str, reason: str) -> None:
        """Raises ValueError for an option that has another value than its default, where it would have no effect."""
        default = next(each.default for each in fields(self) if each.name == option)
        if getattr(self, option) != default:
            raise ValueError(f"{option} is {getattr(self, option)!r}; it {reason}")

    @abstractmethod
    def score(self, name: str, weight: Tensor) -> Tensor:
        """Importance of each weight of a layer: finite floats in the shape of `weight`; high is kept."""

    def prepare_scores(self) -> None:
        """Before the scores of all layers are asked for: gradients, random numbers, statistics.

        What is as large as the network is best dropped layer by layer, as `score` uses it: see benchmark/perf/
        score_methods.md for what each method takes.
        """

    def compensate(self, masks: Mapping[str, Tensor]) -> None:
        """Before new masks are set: second-order methods move the weights that stay. State `moves_weights` then."""

    @property
    def masks(self) -> Masks:
        return self._masks

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        check_maskable(model, select(sites, self.dense))

    def check(self, context: Context) -> None:
        super().check(context)
        self.check_sizes([site.weight.numel() for site in select(context.sites, self.dense)])

    def check_sizes(self, sizes: Sequence[int]) -> None:
        """Raises ValueError if layers of these sizes cannot share the final budget, whatever the scores are."""
        total = sum(sizes)
        mt.check_minimum(sizes, num_kept(total, self.sparsity), mt.threshold_count(total, self.minimum_threshold))

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._masks = Masks(select(context.sites, self.dense))
        self._events = self._schedule.events(context.total_steps, context.steps_per_epoch)
        if self._events is not None:
            self.check_budget()
        return model

    def check_budget(self) -> None:
        """Raises ValueError if layers cannot share the final budget: now, not at an event late in the training."""
        self.allocate({name: torch.zeros_like(site.weight) for name, site in self._masks.sites.items()}, self.sparsity)

    def begin_round(self, index: int) -> None:
        if index == 0:
            for sparsity in self._schedule.before_training():
                self.prune_to(sparsity)

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        """The event of a step, if there is one: after its gradients, before its update."""
        if self._events is not None and self._events.is_due(step):
            self.prune_to(self._schedule.at(self._events.progress(step)))
        return False

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        self._masks.apply()

    def prune_to(self, sparsity: float) -> None:
        """Score all layers, set masks of exactly num_kept(N, sparsity) weights, zero the rest.

        What was pruned before ranks below everything else, so masks are nested while sparsity rises.
        """
        self._masks.release()
        scores = self.scores()
        for name, score in scores.items():
            score.masked_fill_(~self._masks[name], -torch.inf)
        masks = self.allocate(CountedScores(scores, lambda name: self._masks.counts[name]), sparsity)
        del scores  # the size of the network, and not needed any more
        self.compensate(masks)
        self._masks.set(masks, kept=num_kept(self._masks.num_total, sparsity))

    @torch.no_grad()
    def scores(self) -> dict[str, Tensor]:
        """Scores of all layers that are pruned, high is kept. Errors are those of `Masks.check_finite`."""
        with torch.enable_grad():
            self.prepare_scores()
        scores = {name: self._scored(name, site.weight.detach()) for name, site in self._masks.sites.items()}
        for name, site in self._masks.sites.items():
            if scores[name].shape != site.weight.shape:
                shapes = f"{tuple(scores[name].shape)}; the weight has {tuple(site.weight.shape)}"
                raise ValueError(f"scores of layer {name!r} have the shape {shapes}")
        self._masks.check_finite(scores)
        return scores

    def _scored(self, name: str, weight: Tensor) -> Tensor:
        score: object = self.score(name, weight)
        if not isinstance(score, Tensor):
            raise TypeError(f"scores of layer {name!r} are a {type(score).__name__}; they must be a tensor of floats")
        return score.clone()

    def allocate(self, scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """From scores to masks, by scope and minimum threshold."""
        if self.minimum_threshold > 0 and self.scope == "global":
            return mt.masks_with_minimum(scores, sparsity, self.minimum_threshold, self.minimum_threshold_mode)
        minimum = mt.threshold_count(self._masks.num_total, self.minimum_threshold)
        counts = layer_counts(scores, sparsity, self.scope, minimum)
        if counts is None:
            return global_masks(scores, num_kept(self._masks.num_total, sparsity))
        return masks_by_count(scores, counts)

    def state_dict(self) -> dict[str, Any]:
        return {"masks": self._masks.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._masks.load_state_dict(state["masks"])
