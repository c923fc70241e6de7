"""Network slimming: train with a penalty on the scales of batch norm, then remove the channels of small scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.coupled_channels import Group
from ..benchmark.api.masks import num_kept
from ..benchmark.api.transfer import send
from .bases.channel_pruner import ChannelPruner
from .parts.channels_on_device import masks_on_device


@dataclass(kw_only=True)
class NetworkSlimming(ChannelPruner):
    """Push the scales of batch norm to zero by an L1 penalty, then remove the smallest. Liu et al., 2017.

    arXiv 1708.06519. While the network trains, `penalty` times the sign of each scale is added to its gradient (the
    subgradient of the L1 norm), as the authors do. Then one threshold over the network removes the channels of the
    smallest |scale|, and the training goes on without the penalty. In a residual stream a channel has several scales;
    their mean counts. Channels without a batch norm stay.

    The paper trains with the penalty for the whole recipe and fine-tunes in a second training; here both share one
    recipe, whose learning rate does not start anew. The authors' code starts the scales at 0.5; here they start as the
    network has them. In its residual networks a layer selects the channels that a block reads, and the stream keeps
    all; here a channel of a stream goes from all its layers.

    Options:
        penalty: factor of the L1 norm; the paper's 1e-4 for VGG (1e-5 for its residual and dense networks).
        prune_at: when channels are removed, as a fraction of the training.
        scope: `global`, one threshold (the paper's); `layerwise`, the same fraction of each group of layers.
        dense: layers that keep all their filters, by keyword (first, last, depthwise, shortcut) or name pattern.
    """

    label: ClassVar[str] = "Network slimming"
    paper: ClassVar[str] = "arXiv 1708.06519"
    needs: ClassVar[str] = "batch norm"

    start: Literal["trained", "init"] = "init"
    scope: Literal["layerwise", "global"] = "global"
    penalty: Annotated[float, Field(gt=0)] = 1e-4
    prune_at: Annotated[float, Field(gt=0, lt=1)] = 0.5

    def takes(self, group: Group, model: nn.Module) -> bool:
        """Channels with a scale."""
        return bool(_scales(group, model))

    def begin_round(self, index: int) -> None:
        """Dense until the penalty has worked."""

    @property
    def event(self) -> int:
        """The step that removes channels, before its update."""
        total = self.context.total_steps
        return min(round(self.prune_at * total), total - 1)

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        if step < self.event:
            self._penalise()
        elif step == self.event:
            self._masks.set(self.choose_masks())
        return False

    @torch.no_grad()
    def _penalise(self) -> None:
        for group in self._groups:
            for scale, _, _ in _scales(group, self.context.model):
                assert scale.grad is not None
                scale.grad.add_(scale.sign(), alpha=self.penalty)

    def choose_masks(self) -> dict[str, Tensor]:
        """In a training step, so that the host does not wait for a GPU."""
        if self.context.device.type == "cpu":
            return super().choose_masks()
        sites = self._masks.sites
        scores = self.channel_scores()
        self._masks.check_finite({name: site.weight.detach() for name, site in sites.items()})
        self._masks.check_finite({group.root: score for group, score in zip(self._groups, scores, strict=True)})
        target = num_kept(self._masks.num_total, self.sparsity)
        return masks_on_device(self._groups, scores, self.scope, sites, target)

    def channel_scores(self) -> list[Tensor]:
        device = self.context.device
        scores = []
        for group in self._groups:
            total, count = torch.zeros(2, group.size, dtype=torch.float64, device=device)
            for scale, indices, channels in _scales(group, self.context.model):
                indices, channels = send(indices, device), send(channels, device)
                total.index_add_(0, channels, scale.detach().abs().double()[indices])
                count.index_add_(0, channels, torch.ones(len(channels), dtype=torch.float64, device=device))
            scores.append(total / count.clamp(min=1))
        return scores


def _scales(group: Group, model: nn.Module) -> list[tuple[nn.Parameter, Tensor, Tensor]]:
    """The scales of each batch norm of a group, with the entries and the channels that these belong to."""
    norms = ((model.get_submodule(each.path).weight, each) for each in group.of_kind("norm"))
    return [(scale, each.indices, each.channels) for scale, each in norms if isinstance(scale, nn.Parameter)]
