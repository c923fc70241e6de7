"""PX: exclude the paths that the trace of the tangent kernel depends on least."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from ..benchmark.api.pruner import Batch
from .bases.mask_pruner import MaskPruner
from .parts.gates import OpenGates, RecordGates, SetGates
from .parts.scoring import untouched
from .synflow import positive_tensors


@dataclass(kw_only=True)
class PX(MaskPruner):
    """Path eXclusion: keep the weights on the paths that bound the trace of the tangent kernel. Iurada et al., 2024.

    arXiv 2406.01820 (CVPR 2024), section on the method. A path is one weight of each layer. The trace of the kernel is
    at most the product of two sums over paths: of squared inputs over the paths that are open for them, and of squared
    weights. R is the sum over samples and outputs of g * h. g is the output for squared inputs of the network whose
    weights are all 1 where they are left, its ReLUs replaced by the gates of the real network on the same sample. h is
    the output for an input of ones with squared weights and without ReLUs. The score is w^2 * dR/d(w^2), as in SynFlow
    with squares; the data weight the outputs against each other. Scores are positive, and a round removes few weights,
    which keeps layers from collapsing. 100 rounds of 2 batches of 128 are the authors' for CIFAR-10.

    Batch norm is at its running statistics in all three; in g it is the identity, and biases are left out of g and h.
    Sums are in float64. Only ReLU and leaky ReLU have gates; other nonlinearities, pooling and layer norm keep
    their own function.

    Differences to the authors' code: its first version has this score, the present one w^2 * (dR/d(w^2))^2, summed over
    the batches; batch norm in its g uses the statistics of the batch, although it sets it to the identity as well, so
    that g may be negative; the squared bias of the classifier is added to h.

    Uncertain: the formulas were read from the authors' code and another implementation, and not in the paper; that the
    score has the first power of the derivative follows from both and from the paper's likeness to SynFlow.

    Options:
        score_samples: training samples of a round; each round draws others.
        score_batch: samples of a pass.
    """

    label: ClassVar[str] = "PX"
    family: ClassVar[str] = "at initialisation"
    paper: ClassVar[str] = "arXiv 2406.01820"
    needs: ClassVar[str] = "weights, gradients, inputs without labels"
    search_space: ClassVar[dict[str, object]] = {
        "prune_rounds": {"low": 10, "high": 200, "log": True},
        "score_samples": {"low": 32, "high": 512, "log": True},
    }

    start: Literal["trained", "init"] = "init"
    schedule: Literal["one_shot", "cubic", "exponential"] = "exponential"
    prune_rounds: Annotated[int, Field(ge=1)] = 100
    score_samples: Annotated[int, Field(ge=1)] = 256
    score_batch: Annotated[int, Field(ge=1)] = 128
    _round: int = field(init=False, repr=False, default=0)
    _slopes: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def prepare_scores(self) -> None:
        model, context = self.context.model, self.context
        batches = context.samples(self.score_samples, self.score_batch, draw=self._round)
        self._round += 1
        with untouched(model, training=False):
            open_paths = context.reduce(self._open_paths(batches))
            squares = positive_tensors(model)
            for tensor in set(squares.values()):  # a tied one has several names
                tensor.square_()
            weights = [squares[name].requires_grad_(True) for name in self._masks]
            ones = torch.ones(1, *context.input_shape, dtype=torch.float64, device=context.device)
            with OpenGates():
                strength = functional_call(model, squares, (ones,), tie_weights=False)
            slopes = torch.autograd.grad((open_paths * strength).sum(), weights)
        self._slopes = dict(zip(self._masks, slopes, strict=True))

    @torch.no_grad()
    def _open_paths(self, batches: Iterable[Batch]) -> Tensor:
        """The sum of g over samples, for each output (1, outputs)."""
        model = self.context.model
        tensors = unit_tensors(model, dict(self._masks.items()))
        total = torch.zeros((), dtype=torch.float64, device=self.context.device)
        for inputs, _ in batches:
            with RecordGates() as recorded:
                model(inputs)
            with SetGates(recorded.gates):
                outputs = functional_call(model, tensors, (inputs.double().square(),), tie_weights=False)
            total = total + outputs.sum(dim=0, keepdim=True)
        return total

    def score(self, name: str, weight: Tensor) -> Tensor:
        return self._slopes.pop(name).mul_(weight.double().square())


def unit_tensors(model: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters and buffers by name, in float64: masked weights are their mask, others 1, biases and means 0."""
    units = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in (*units.parameters(), *units.buffers()):
            if tensor.is_floating_point():
                tensor.fill_(1.0)
    tensors = positive_tensors(units)
    for name, mask in masks.items():
        tensors[name].mul_(mask)
    return tensors
