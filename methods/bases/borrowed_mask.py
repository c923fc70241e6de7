"""Base class of controls that take another method's mask and change one thing: positions or weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...benchmark.api.errors import UserError
from ...benchmark.api.masks import Masks, num_kept
from ...benchmark.api.pruner import Context, Pruner
from ...benchmark.api.sites import Site
from ..registry import create  # a control builds the method that its option names
from .fixed_mask import FixedMask
from .toy_task import toy_context, toy_network


@dataclass(kw_only=True)
class BorrowedMask(FixedMask):
    """Let another method prune before training and keep only its mask; the network is restored.

    Options:
        of: the other method; it must set its final mask before training.
        of_options: its options, without `start`, which both share.
    """

    family: ClassVar[str] = "control"
    borrows: ClassVar[str] = "of"

    of: str = "snip"
    of_options: Any = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        # A stored run hands nested options over as pairs, a study file as a mapping.
        self.of_options = dict(self.of_options)
        if "start" in self.of_options:
            raise ValueError("of_options: give start beside of_options, not inside; both methods share it")
        try:
            self._create_inner()
        except UserError as error:
            raise ValueError(f"of: {error}") from error

    def _create_inner(self) -> Pruner:
        return create(self.of, self.sparsity, {**self.of_options, "start": self.start})

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        with _naming_option():
            self._create_inner().check_sites(model, sites)

    def check(self, context: Context) -> None:
        super().check(context)
        with _naming_option():
            self._create_inner().check(context)
        if not self._is_final_on_toy_network():
            raise self._not_final()

    def _is_final_on_toy_network(self) -> bool:
        """Whether the other method's first round sets its last mask; tried out, since methods need not say it."""
        inner, network = self._create_inner(), toy_network()
        try:
            with torch.random.fork_rng(devices=[]):
                return self._begin(inner, toy_context(network))
        except (ValueError, FloatingPointError):
            # its options are for another network: then the real one tells
            return True

    def _begin(self, inner: Pruner, context: Context) -> bool:
        """Let the other method set its first masks; whether they are its last, on plain layers."""
        model = context.model
        names = model.state_dict().keys()
        if inner.attach(context) is not model or model.state_dict().keys() != names:
            return False
        inner.begin_round(0)
        masks = inner.masks
        # masks of dynamic methods have the final number from the start, and move
        moves = inner.rounds > 1 or inner.family == "dynamic"
        return masks is not None and not moves and masks.num_kept == self._target(masks)

    def _not_final(self) -> ValueError:
        return ValueError(f"of: {self.of!r} does not set its final mask before training")

    def begin_round(self, index: int) -> None:
        if index == 0:
            self._cover(masks := self.choose_masks())
            self._masks.set(masks)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._cover(state["masks"])
        super().load_state_dict(state)

    def _cover(self, masks: Mapping[str, Tensor]) -> None:
        """Count the layers that the other method prunes, and no others."""
        self._masks = Masks(site for site in self.context.sites if site.name in masks)

    def borrow(self) -> dict[str, Tensor]:
        """The other method's masks by site name. Raises ValueError if they are not final before training."""
        model, inner = self.context.model, self._create_inner()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if not self._begin(inner, self.context):
            raise self._not_final()
        masks = inner.masks
        assert masks is not None
        model.load_state_dict(before)
        return {name: mask.clone() for name, mask in masks.items()}

    def _target(self, masks: Masks) -> int:
        return num_kept(masks.num_total, self.sparsity)


def shuffled(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """The same values in another order, drawn uniformly on the CPU so that every device draws the same."""
    order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
    return tensor.reshape(-1)[order].view(tensor.shape)


@contextlib.contextmanager
def _naming_option() -> Iterator[None]:
    """Name the option `of` in errors of the other method."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"of: {error}") from error
