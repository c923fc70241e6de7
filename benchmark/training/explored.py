"""Which weights a training has used at any time: the in-time over-parameterisation of Liu et al. (arXiv 2102.02887)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..api.masks import Masks
from ..api.transfer import read


class Explored:
    """The union of a pruner's masks from its first ones on, renewed when they have changed. A GPU is not waited for.

    `masks` is empty before the first note, and where what was used before is not known.
    """

    def __init__(self) -> None:
        self.masks: dict[str, Tensor] = {}
        self._versions: list[int] = []
        self._is_known = True

    @torch.no_grad()
    def note(self, masks: Masks | None) -> None:
        """After anything that may have set new masks."""
        if masks is None or not self._is_known:
            return
        # `Masks.set` writes into its tensors, which count that
        versions = [mask._version for _, mask in masks.items()]
        if versions == self._versions:
            return
        self._versions = versions
        for name, mask in masks.items():
            if name in self.masks:
                self.masks[name] |= mask
            else:
                self.masks[name] = mask.clone()

    @property
    def share(self) -> float | None:
        """Share of the weights of the pruned layers that were used; None if it is not known, or nothing has masks."""
        if not self.masks:
            return None
        counts = read([mask.sum() for mask in self.masks.values()])
        return sum(counts) / sum(mask.numel() for mask in self.masks.values())

    def restore(self, masks: Mapping[str, Tensor] | None) -> None:
        """From a checkpoint; None: one from before this was recorded."""
        self._is_known = masks is not None
        self.masks = dict(masks or {})
        self._versions = []
