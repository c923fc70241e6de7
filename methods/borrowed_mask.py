"""The ground of controls that take another method's mask and change one thing about it: positions, or weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..benchmark.errors import UserError
from ..benchmark.pruning import Masks, num_kept
from .base import Pruner
from .fixed_mask import FixedMask
from .registry import create


@dataclass(kw_only=True)
class BorrowedMask(FixedMask):
    """Let another method prune before training and keep only its mask; the network is put back as it was.

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
        is_same = inner.attach(self.context) is model and model.state_dict().keys() == before.keys()
        if is_same:
            inner.begin_round(0)
        masks = inner.masks
        if not is_same or masks is None or inner.rounds != 1 or masks.num_kept != self._target(masks):
            raise ValueError(f"of: {self.of!r} does not set its final mask before training")
        model.load_state_dict(before)
        return {name: mask.clone() for name, mask in masks.items()}

    def _target(self, masks: Masks) -> int:
        return num_kept(masks.num_total, self.sparsity)


def shuffled(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """The same values in another order, drawn uniformly on the CPU so that every device draws the same."""
    order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
    return tensor.reshape(-1)[order].view(tensor.shape)
