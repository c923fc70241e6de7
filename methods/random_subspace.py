"""Training in a random subspace: how many numbers does the task need?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ..benchmark.api.masks import num_kept
from ..benchmark.api.pruner import Context, Pruner
from .parts.fastfood import Fastfood


@dataclass(kw_only=True)
class RandomSubspace(Pruner):
    """Train d numbers that move all parameters along fixed random directions. Li et al., 2018 (arXiv 1804.08838).

    The parameters are theta = theta_0 + P x, with x of d = N - floor(sparsity * N) numbers, N prunable weights, and P a
    fixed random matrix (Fastfood, as in the paper's large networks). Weight decay pulls towards theta_0. The network
    that results is dense: d, not a sparsity of its weights, is its size, so its weights count as kept and it belongs
    in no comparison by multiply-adds. The recipe's `clip_norm` bounds the gradient of x. Frozen parameters stay.
    """

    label: ClassVar[str] = "Random subspace"
    family: ClassVar[str] = "control"
    paper: ClassVar[str] = "arXiv 1804.08838"
    needs: ClassVar[str] = "gradients; few trained numbers, a dense network"
    reaches_target: ClassVar[bool] = False

    start: Literal["trained", "init"] = "init"
    _position: nn.Parameter = field(init=False, repr=False)
    _origin: Tensor = field(init=False, repr=False)
    _projection: Fastfood = field(init=False, repr=False)

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        if not context.sites:
            raise ValueError("the network has no prunable weight that is trained, whose number would give d")
        dimension = num_kept(sum(site.weight.numel() for site in context.sites), self.sparsity)
        self._origin = torch.cat([parameter.detach().reshape(-1) for parameter in self._parameters()])
        self._position = nn.Parameter(torch.zeros(dimension, device=context.device))
        generator = context.generator("random subspace")
        self._projection = Fastfood(self._origin.numel(), dimension, generator, context.device)
        return model

    def _parameters(self) -> list[nn.Parameter]:
        """The trained ones: P has no rows for frozen parameters."""
        return [parameter for parameter in self.context.model.parameters() if parameter.requires_grad]

    def param_groups(self, weight_decay: float, decay_norm: bool) -> list[dict[str, Any]]:
        return [{"params": [self._position], "weight_decay": weight_decay}]

    @torch.no_grad()
    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        """The chain rule: dL/dx = P^T dL/dtheta. The gradients of theta are dropped, or they would add up."""
        self._position.grad = self._projection.contract(self._taken_gradients())
        return False

    def _taken_gradients(self) -> Iterator[Tensor]:
        """Each gradient is freed once it has been read, to make room for the projection."""
        return map(_take_gradient, self._parameters())

    @torch.no_grad()
    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        parameters = self._parameters()
        sizes = [parameter.numel() for parameter in parameters]
        moves = self._projection.expand(self._position, sizes)
        for parameter, move, origin in zip(parameters, moves, self._origin.split(sizes), strict=True):
            parameter.copy_(move.add_(origin).view(parameter.shape))

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position.detach().clone(), "origin": self._origin.clone()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._position.copy_(state["position"])
        self._origin.copy_(state["origin"])


def _take_gradient(parameter: nn.Parameter) -> Tensor:
    gradient, parameter.grad = parameter.grad, None
    return torch.zeros_like(parameter) if gradient is None else gradient
