"""Optimal brain damage with the diagonal of the Fisher matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from .bases.mask_pruner import MaskPruner
from .parts.fisher import fisher_diagonal


@dataclass(kw_only=True)
class DiagonalFisher(MaskPruner):
    """Remove the weights whose loss to second order is least, with a diagonal Hessian. LeCun et al., 1990.

    The saliency is w^2 (F + damping) / 2. The diagonal F is that of the empirical Fisher matrix, mean squared gradients
    of single samples in eval mode, as in Theis et al., 2018 (arXiv 1801.05787), in place of the Gauss-Newton diagonal
    of the original. Weights that stay are not moved.

    Options:
        fisher_gradients: how many gradients are averaged.
        fisher_batch: samples behind each gradient (1: the definition).
        damping: added to F. 0 leaves the weights of dead units tied at 0; large values rank by magnitude.
    """

    label: ClassVar[str] = "OBD (diagonal Fisher)"
    family: ClassVar[str] = "one-shot"
    paper: ClassVar[str] = "LeCun et al. 1990 (arXiv 1801.05787)"
    needs: ClassVar[str] = "gradients of single samples"
    search_space: ClassVar[dict[str, object]] = {
        "fisher_gradients": {"low": 100, "high": 1000, "log": True},
        "damping": [0.0, 1e-5, 1e-3],
    }

    fisher_gradients: Annotated[int, Field(ge=1)] = 400
    fisher_batch: Annotated[int, Field(ge=1)] = 1
    damping: Annotated[float, Field(ge=0)] = 0.0
    _diagonal: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def prepare_scores(self) -> None:
        sites = tuple(self._masks.sites.values())
        self._diagonal = fisher_diagonal(self.context, sites, self.fisher_gradients, self.fisher_batch)

    def score(self, name: str, weight: Tensor) -> Tensor:
        return (self._diagonal.pop(name) + self.damping).mul_(weight.double().square()).mul_(0.5)
