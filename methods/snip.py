"""SNIP: single-shot pruning by connection sensitivity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from .bases.mask_pruner import MaskPruner
from .parts.scoring import mean_gradients


@dataclass(kw_only=True)
class Snip(MaskPruner):
    """Keep the weights that the loss is most sensitive to, before training. Lee et al., 2019 (arXiv 1810.02340).

    The score |w * dL/dw| is dL/dm at m = 1 in absolute value; its normalisation does not change the order. Differences
    to the authors' code: biases stay dense (theirs masks them), the weights scored are those that are trained (theirs
    are drawn anew), batch norm uses batch statistics unless `mode: eval`.

    Options:
        score_samples: training samples of which the gradients are taken.
        score_batch: samples of a pass.
        mode: of batch norm while scoring: `train` (batch statistics) or `eval` (running ones).
    """

    label: ClassVar[str] = "SNIP"
    family: ClassVar[str] = "at initialisation"
    paper: ClassVar[str] = "arXiv 1810.02340"
    needs: ClassVar[str] = "gradients"
    search_space: ClassVar[dict[str, object]] = {
        "score_samples": {"low": 32, "high": 2048, "log": True},
        "mode": ["train", "eval"],
    }

    start: Literal["trained", "init"] = "init"
    score_samples: Annotated[int, Field(ge=1)] = 128
    score_batch: Annotated[int, Field(ge=1)] = 128
    mode: Literal["train", "eval"] = "train"
    _gradients: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def prepare_scores(self) -> None:
        batches = self.context.samples(self.score_samples, self.score_batch)
        sites = tuple(self._masks.sites.values())
        self._gradients = mean_gradients(self.context, sites, batches, training=self.mode == "train")

    def score(self, name: str, weight: Tensor) -> Tensor:
        return (weight * self._gradients.pop(name)).abs()
