"""ProsPr: what a weight is worth after a few steps of training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ..benchmark.api.pruner import Batch
from .bases.score_pruner import ScorePruner
from .parts.meta_gradients import Unrolled, mask_gradients
from .parts.scoring import untouched


@dataclass(kw_only=True)
class ProsPr(ScorePruner):
    """Keep the weights whose removal changes the loss after the first steps of training most. Alizadeh et al., 2022.

    arXiv 2202.08132 (ICLR 2022), section 3. SGD runs a few steps from m * w, and the score is |dL/dm| at m = 1, where
    L is the loss on one more batch after them: a gradient through all steps. Without steps it is SNIP. Biases and batch
    norm are trained in these steps too. Each step and the loss have a batch of their own, as in the paper's algorithm;
    the authors' command line takes one batch for all unless told otherwise (`batches: one`). 3 steps at a rate of 0.1
    without momentum, batches of 128 and gradients of second order are its defaults.

    Differences to the authors' code: with momentum, theirs cuts the gradient at the momentum of the first step; its
    steps run on the CPU, to save memory of the GPU. Their structured form is left out.

    Options:
        inner_steps: of SGD before the loss is taken; 0: SNIP.
        inner_lr, inner_momentum: of these steps.
        order: `second`, through the gradients of the steps; or `first`, which takes them as constants.
        batches: `new` for each step and for the loss, or `one` for all.
        score_batch: samples of a batch.
    """

    label: ClassVar[str] = "ProsPr"
    family: ClassVar[str] = "at initialisation"
    paper: ClassVar[str] = "arXiv 2202.08132"
    needs: ClassVar[str] = "gradients through steps of training"
    search_space: ClassVar[dict[str, object]] = {
        "inner_steps": [1, 3, 5],
        "inner_lr": {"low": 0.01, "high": 1.0, "log": True},
    }

    start: Literal["trained", "init"] = "init"
    inner_steps: Annotated[int, Field(ge=0)] = 3
    inner_lr: Annotated[float, Field(gt=0)] = 0.1
    inner_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    order: Literal["second", "first"] = "second"
    batches: Literal["new", "one"] = "new"
    score_batch: Annotated[int, Field(ge=1)] = 128
    _gradients: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_steps == 0:
            for option in ("inner_lr", "inner_momentum", "order", "batches"):
                self._refuse_changed(option, "needs inner_steps > 0")

    def prepare_scores(self) -> None:
        unrolled = Unrolled(
            context=self.context,
            lr=self.inner_lr,
            momentum=self.inner_momentum,
            second_order=self.order == "second",
        )
        with untouched(self.context.model, training=True):
            sites = tuple(self._masks.sites.values())
            self._gradients = mask_gradients(unrolled, sites, self._batches())

    def _batches(self) -> Iterator[Batch]:
        """One for each step, and one for the loss; a split that has fewer samples is drawn again."""
        count = self.inner_steps + 1
        if self.batches == "one":
            (batch,) = self.context.samples(self.score_batch, self.score_batch)
            return iter([batch] * count)
        draws = (self.context.samples(count * self.score_batch, self.score_batch, draw=i) for i in range(count))
        return itertools.islice(itertools.chain.from_iterable(draws), count)

    def score(self, name: str, weight: Tensor) -> Tensor:
        return self._gradients.pop(name).abs()
