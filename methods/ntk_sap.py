"""NTK-SAP: keep the tangent kernel, whatever the weights are."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..benchmark.api.masks import check_finite
from ..benchmark.api.sites import Site
from .bases.mask_pruner import MaskPruner
from .parts.scoring import untouched
from .parts.stand_ins import call_with, copied_buffers

Network = dict[Tensor, Tensor]
"""Weights that stand in the place of each prunable tensor."""


@dataclass(kw_only=True)
class NtkSap(MaskPruner):
    """Keep the weights that the nuclear norm of the tangent kernel depends on most. Wang et al., 2023.

    arXiv 2304.02840 (ICLR 2023). The kernel's nuclear norm is the squared Frobenius norm of the Jacobian, of which
    |f(m w) - f(m (w + e))|^2 with Gaussian noise e is an estimate. The score is the derivative for m in absolute value,
    summed over batches. Neither the data nor the weights of the run are used: each batch is Gaussian noise, with
    weights of its own, Kaiming normal, so that the mask is not made for one initialisation. Batch norm has the
    statistics of the batch at m w as constants, and both outputs are computed with them.

    20 rounds with exponentially falling density, 5 draws and 10 inputs for each class are those of the authors' script
    for ResNet-20 on CIFAR-10; a standard deviation of 0.01 and batches of 256 are defaults of their code. Difference:
    the weights of the run are those that it began with; theirs are the last draw. Tables of cost count passes over
    training samples, and so none of these.

    Options:
        noise: standard deviation of e.
        weight_draws: passes over the inputs in a round.
        samples_per_class: inputs of a pass, for each class of the data.
        score_batch: inputs of a batch, which has weights of its own.
    """

    label: ClassVar[str] = "NTK-SAP"
    family: ClassVar[str] = "at initialisation"
    paper: ClassVar[str] = "arXiv 2304.02840"
    needs: ClassVar[str] = "gradients, no data and no weights"
    search_space: ClassVar[dict[str, object]] = {
        "prune_rounds": {"low": 5, "high": 100, "log": True},
        "weight_draws": {"low": 1, "high": 10, "log": True},
    }

    start: Literal["trained", "init"] = "init"
    schedule: Literal["one_shot", "cubic", "exponential"] = "exponential"
    prune_rounds: Annotated[int, Field(ge=1)] = 20
    noise: Annotated[float, Field(gt=0)] = 0.01
    weight_draws: Annotated[int, Field(ge=1)] = 5
    samples_per_class: Annotated[int, Field(ge=1)] = 10
    score_batch: Annotated[int, Field(ge=1)] = 256
    _round: int = field(init=False, repr=False, default=0)
    _sensitivity: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def begin_round(self, index: int) -> None:
        # no score sees the weights
        check_finite({name: site.weight for name, site in self._masks.sites.items()})
        super().begin_round(index)

    def prepare_scores(self) -> None:
        sites = tuple(self._masks.sites.values())
        totals = [torch.zeros_like(site.weight) for site in sites]
        generator = self.context.generator(f"NTK-SAP round {self._round}")
        self._round += 1
        with untouched(self.context.model, training=True), latest_statistics(self.context.model):
            for size in self._batch_sizes():
                self._add(totals, sites, size, generator)
        # Every process computes the same; the sum settles last bits that kernels may round differently.
        self._sensitivity = {site.name: self.context.reduce(total) for site, total in zip(sites, totals, strict=True)}

    def _batch_sizes(self) -> list[int]:
        whole, rest = divmod(self.samples_per_class * self.context.num_classes, self.score_batch)
        return ([self.score_batch] * whole + [rest] * (rest > 0)) * self.weight_draws

    def _add(self, totals: Sequence[Tensor], sites: Sequence[Site], size: int, generator: torch.Generator) -> None:
        """d/dm of |f(m w) - f(m (w + e))|^2, summed over a new batch, for new weights and noise; 0 where m is.

        By the chain rule it is the sum over both networks of their weights times the derivatives for these.
        """
        model = self.context.model
        networks = first, _ = self._draw(sites, generator)
        inputs = self._normal((size, *self.context.input_shape), next(model.parameters()), generator)
        statistics = copied_buffers(model)
        model.train()
        with torch.no_grad():
            call_with(model, {**first, **statistics}, inputs)
        model.eval()
        weights = [[network[site.weight].requires_grad_(True) for site in sites] for network in networks]
        outputs = [call_with(model, {**network, **statistics}, inputs) for network in networks]
        change = (outputs[0] - outputs[1]).square().sum()
        for leaves in weights:
            gradients = torch.autograd.grad(change, leaves, retain_graph=leaves is weights[0], allow_unused=True)
            for total, leaf, gradient in zip(totals, leaves, gradients, strict=True):
                if gradient is not None:
                    total.addcmul_(leaf.detach(), gradient)

    def _draw(self, sites: Sequence[Site], generator: torch.Generator) -> tuple[Network, Network]:
        """m w for every prunable weight, and m (w + e) for those that are masked."""
        first, second = Network(), Network()
        for site in self.context.sites:
            weight = site.weight
            first[weight] = second[weight] = self._normal(weight.shape, weight, generator) * kaiming_deviation(weight)
            if site in sites:
                mask = self._masks[site.name]
                noise = self._normal(weight.shape, weight, generator) * self.noise
                second[weight] = noise.add_(first[weight]).mul_(mask)
                first[weight].mul_(mask)
        return first, second

    def _normal(self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
        # on the CPU, so that every device draws the same
        return torch.randn(shape, generator=generator).to(like)

    def score(self, name: str, weight: Tensor) -> Tensor:
        return self._sensitivity.pop(name).abs()


def kaiming_deviation(weight: Tensor) -> float:
    """Standard deviation of Kaiming normal weights (outputs, inputs, ...): sqrt(2 / inputs)."""
    return math.sqrt(2 / weight[0].numel())


@contextlib.contextmanager
def latest_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norm that tracks statistics keeps those of the last batch alone."""
    before = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    for module in before:
        module.momentum = 1.0
    try:
        yield
    finally:
        for module, momentum in before.items():
            module.momentum = momentum
