"""SynFlow: prune by synaptic flow, without data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from .bases.mask_pruner import MaskPruner
from .parts.scoring import untouched

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_BIASES = ("bias", "in_proj_bias", "bias_k", "bias_v", "bias_ih", "bias_hh")
_RECURRENT_BIASES = ("bias_ih_", "bias_hh_")


@dataclass(kw_only=True)
class SynFlow(MaskPruner):
    """Keep the weights that carry most of the flow from input to output, in many rounds. Tanaka et al., 2020.

    arXiv 2006.05467. The score is |w| * dR/d|w|, where R is the sum of the outputs for an input of ones with every
    weight replaced by its absolute value. 100 rounds with exponentially falling density are the paper's.

    Biases and the offsets of batch norm are left out of R, as in the paper's formula: only then is the flow conserved
    from layer to layer. The authors' code keeps |bias| and |running mean|; for a new network with batch norm the two
    agree. R is computed in float64: in float32 it overflows in a network of some 25 layers without batch norm.
    """

    label: ClassVar[str] = "SynFlow"
    family: ClassVar[str] = "at initialisation"
    paper: ClassVar[str] = "arXiv 2006.05467"
    needs: ClassVar[str] = "weights and gradients, no data"
    search_space: ClassVar[dict[str, object]] = {"prune_rounds": {"low": 10, "high": 200, "log": True}}

    start: Literal["trained", "init"] = "init"
    schedule: Literal["one_shot", "cubic", "exponential"] = "exponential"
    prune_rounds: Annotated[int, Field(ge=1)] = 100
    _flow: dict[str, Tensor] = field(init=False, repr=False, default_factory=dict)

    def prepare_scores(self) -> None:
        model, names = self.context.model, list(self._masks.sites)
        tensors = positive_tensors(model)
        weights = [tensors[name].requires_grad_(True) for name in names]
        ones = torch.ones(1, *self.context.input_shape, dtype=torch.float64, device=self.context.device)
        with untouched(model, training=False):
            # Ties are in the tensors; torch's own handling of them leaves tensors behind in a module with two names.
            flow = functional_call(model, tensors, (ones,), tie_weights=False).sum()
            gradients = torch.autograd.grad(flow, weights)
        for gradient in gradients:
            # Every process computes the same; the sum settles last bits that kernels may round differently.
            self.context.reduce(gradient)
        self._flow = dict(zip(names, gradients, strict=True))

    def score(self, name: str, weight: Tensor) -> Tensor:
        return self._flow.pop(name).mul_(weight.double().abs())


def positive_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, in float64, with which the network is positive and without offsets.

    Every module has one name here, and a tensor that several modules hold is one tensor.
    """
    offsets = {f"{path}.running_mean".lstrip(".") for path, m in model.named_modules() if isinstance(m, _NORMS)}
    tensors: dict[str, Tensor] = {}
    made: dict[int, Tensor] = {}
    for path, module in model.named_modules():
        for attribute, tensor in (*_own(module.named_parameters), *_own(module.named_buffers)):
            if not tensor.is_floating_point():
                continue
            name = f"{path}.{attribute}".lstrip(".")
            if id(tensor) not in made:
                positive = tensor.detach().double().abs()
                made[id(tensor)] = positive.zero_() if name in offsets or _is_bias(attribute) else positive
            tensors[name] = made[id(tensor)]
    return tensors


def _own(named: Callable[..., Iterator[tuple[str, Tensor]]]) -> Iterator[tuple[str, Tensor]]:
    return named(recurse=False, remove_duplicate=False)


def _is_bias(attribute: str) -> bool:
    """By the names of torch's layers."""
    return attribute in _BIASES or attribute.startswith(_RECURRENT_BIASES)
