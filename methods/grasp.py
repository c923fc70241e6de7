"""GraSP: keep the gradient flow."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from .bases.mask_pruner import MaskPruner
from .parts.scoring import hessian_gradient


@dataclass(kw_only=True)
class GraSP(MaskPruner):
    """Remove the weights whose removal keeps most of the gradient's norm. Wang et al., 2020 (arXiv 2002.07376).

    The paper removes high -w * (H g); here high is kept, so the score is w * (H g). Logits are divided by the
    temperature. As in the authors' code the samples are taken in two halves, and both g and H g are sums over them:
    with batch norm, which sees half the samples at a time, that is another product than that of one batch. The draw is
    balanced over classes and shuffled; theirs is sorted by class, so that the halves hold different classes. Linear
    layers are not drawn anew for scoring, as theirs are.

    Options:
        samples_per_class: drawn for the scores.
        score_batch: bound on the samples of a pass; halves that are larger are cut further.
        temperature: divides the logits.
    """

    label: ClassVar[str] = "GraSP"
    family: ClassVar[str] = "at initialisation"
    paper: ClassVar[str] = "arXiv 2002.07376"
    needs: ClassVar[str] = "Hessian-gradient product"
    version: ClassVar[int] = 2
    search_space: ClassVar[dict[str, object]] = {
        "samples_per_class": {"low": 2, "high": 64, "log": True},
        "temperature": {"low": 1.0, "high": 400.0, "log": True},
    }

    start: Literal["trained", "init"] = "init"
    samples_per_class: Annotated[int, Field(ge=1)] = 10
    score_batch: Annotated[int, Field(ge=1)] = 128
    temperature: Annotated[float, Field(gt=0)] = 200.0
    _products: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def prepare_scores(self) -> None:
        count = self.samples_per_class * self.context.num_classes
        half = math.ceil(count / 2)
        batches = partial(self.context.samples, count, min(half, self.score_batch), balanced=True)
        self._products = hessian_gradient(self.context, tuple(self._masks.sites.values()), batches, self.temperature)

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight * self._products.pop(name)
