"""Methods that each break the contract in one way, as a plug-in: the checks must find them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from prunebench.benchmark.api.pruner import Context
from prunebench.methods.lottery_ticket import IterativeMagnitude
from prunebench.methods.magnitude import GlobalMagnitude
from torch import Tensor, nn

METHODS = {
    "good": "GlobalMagnitude2",
    "off_by_one": "OffByOne",
    "leaky": "Leaky",
    "late": "Late",
    "noisy": "Noisy",
    "evaluating": "Evaluating",
    "graded": "Graded",
    "moving": "Moving",
    "global_noise": "GlobalNoise",
    "restless": "Restless",
    "forgetful": "Forgetful",
    "counting": "Counting",
    "wrapped": "Wrapped",
    "replacing": "Replacing",
    "unplanned": "Unplanned",
    "careless": "Careless",
    "trusting": "Trusting",
    "trusting_later": "TrustingLater",
    "boolean": "Boolean",
    "unchecked": "Unchecked",
    "misshapen": "Misshapen",
    "listed": "Listed",
    "hasty": "Hasty",
    "touching": "Touching",
    "remembering": "Remembering",
}


class GlobalMagnitude2(GlobalMagnitude):
    label: ClassVar[str] = "GlobalMagnitude2"


@dataclass(kw_only=True)
class OffByOne(GlobalMagnitude):
    label: ClassVar[str] = "OffByOne"

    def begin_round(self, index: int) -> None:
        super().begin_round(index)
        name = next(iter(self._masks))
        mask = self._masks[name].clone().view(-1)
        mask[mask.nonzero()[0]] = False
        self._masks.set({name: mask.view_as(self._masks[name])})


@dataclass(kw_only=True)
class Leaky(GlobalMagnitude):
    label: ClassVar[str] = "Leaky"

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        pass


@dataclass(kw_only=True)
class Noisy(GlobalMagnitude):
    label: ClassVar[str] = "Noisy"

    def prepare_scores(self) -> None:
        self.context.model.train()
        self.context.model(torch.randn(2, 3, 8, 8))


@dataclass(kw_only=True)
class GlobalNoise(GlobalMagnitude):
    label: ClassVar[str] = "GlobalNoise"

    def score(self, name: str, weight: Tensor) -> Tensor:
        return torch.rand_like(weight)


@dataclass(kw_only=True)
class Forgetful(GlobalMagnitude):
    label: ClassVar[str] = "Forgetful"

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


@dataclass(kw_only=True)
class Wrapped(GlobalMagnitude):
    label: ClassVar[str] = "Wrapped"

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        model.register_buffer("left_behind", torch.zeros(1))
        return model


@dataclass(kw_only=True)
class Careless(GlobalMagnitude):
    label: ClassVar[str] = "Careless"
    strength: int = 1


@dataclass(kw_only=True)
class Trusting(GlobalMagnitude):
    label: ClassVar[str] = "Trusting"

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs().nan_to_num()


@dataclass(kw_only=True)
class Listed(GlobalMagnitude):
    label: ClassVar[str] = "Listed"

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs().tolist()  # type: ignore[return-value]


@dataclass(kw_only=True)
class Boolean(GlobalMagnitude):
    label: ClassVar[str] = "Boolean"

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight > 0


@dataclass(kw_only=True)
class Unchecked(GlobalMagnitude):
    label: ClassVar[str] = "Unchecked"

    def scores(self) -> dict[str, Tensor]:
        return {name: site.weight.detach() / 0 for name, site in self._masks.sites.items()}


@dataclass(kw_only=True)
class Misshapen(GlobalMagnitude):
    label: ClassVar[str] = "Misshapen"

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs().flatten()


@dataclass(kw_only=True)
class Late(GlobalMagnitude):
    """Its pruned weights are zero only at the end of an epoch, when results are measured."""

    label: ClassVar[str] = "Late"

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        pass

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        super().on_epoch_end(index, epoch, optimizer)
        self._masks.apply()


@dataclass(kw_only=True)
class Evaluating(GlobalMagnitude):
    label: ClassVar[str] = "Evaluating"

    def prepare_scores(self) -> None:
        self.context.model.eval()


@dataclass(kw_only=True)
class Graded(GlobalMagnitude):
    label: ClassVar[str] = "Graded"

    def prepare_scores(self) -> None:
        inputs, targets = next(iter(self.context.samples(8, 8)))
        self.context.model.eval()
        self.context.loss(self.context.model(inputs), targets).backward()


@dataclass(kw_only=True)
class Moving(GlobalMagnitude):
    label: ClassVar[str] = "Moving"

    @torch.no_grad()
    def prepare_scores(self) -> None:
        for site in self._masks.sites.values():
            site.weight.mul_(1.5)


@dataclass(kw_only=True)
class Restless(GlobalMagnitude):
    """Draws from the global random state while it trains."""

    label: ClassVar[str] = "Restless"

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        for site in self._masks.sites.values():
            if site.weight.grad is not None:
                site.weight.grad += torch.rand_like(site.weight)
        return super().on_gradients(step, optimizer)


@dataclass(kw_only=True)
class Counting(GlobalMagnitude):
    """Moves its masks by a counter that is not part of its state."""

    label: ClassVar[str] = "Counting"
    _epochs: int = field(init=False, default=0)

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        self._epochs += 1
        self._masks.set({name: mask.roll(self._epochs, 0) for name, mask in self._masks.items()})


@dataclass(kw_only=True)
class Replacing(GlobalMagnitude):
    """Trains another network than the given one and does not say so."""

    label: ClassVar[str] = "Replacing"

    def attach(self, context: Context) -> nn.Module:
        super().attach(context)
        return copy.deepcopy(context.model)


@dataclass(kw_only=True)
class Unplanned(IterativeMagnitude):
    """Trains one round more than its rule says."""

    label: ClassVar[str] = "Unplanned"
    epochs_rule: ClassVar[str] = "iterative_epochs:trained_epochs"

    @property
    def rounds(self) -> int:
        return super().rounds + 1


@dataclass(kw_only=True)
class TrustingLater(GlobalMagnitude):
    """Prunes while it trains, and ranks weights without checking that they are finite."""

    label: ClassVar[str] = "TrustingLater"

    def begin_round(self, index: int) -> None:
        pass

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        if step == 4:
            self.prune_to(self.sparsity)
        super().on_weights(step, optimizer)

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs().nan_to_num()


@dataclass(kw_only=True)
class Hasty(GlobalMagnitude):
    label: ClassVar[str] = "Hasty"

    def check(self, context: Context) -> None:
        super().check(context)
        next(iter(context.samples(8, 8)))


@dataclass(kw_only=True)
class Touching(GlobalMagnitude):
    label: ClassVar[str] = "Touching"

    def check(self, context: Context) -> None:
        super().check(context)
        context.model.eval()


@dataclass(kw_only=True)
class Remembering(GlobalMagnitude):
    label: ClassVar[str] = "Remembering"

    def check(self, context: Context) -> None:
        super().check(context)
        self.sparsity = 0.5
