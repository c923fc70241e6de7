"""Channels of a network that can be removed, what goes with them, and how many weights are then left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...benchmark.api.channel_walk import follow_channels
from ...benchmark.api.coupled_channels import Group, coupled_channels
from ...benchmark.api.pruner import Context
from ...benchmark.api.sites import Site

Removal = tuple[int, int | tuple[int, ...]]
"""The index of a group, and the channel or channels of it that go in one step."""


def removable_groups(context: Context) -> list[Group]:
    """The groups of which channels can be removed: all that they reach are layers that read them one by one.

    Channels that are padded, reshaped or split, that reach the output, or whose layer is called twice or shares its
    weight stay whole, and so do those whose removal would change a frozen parameter. Raises UserError for a network
    whose graph cannot be traced.
    """
    model = context.model
    dtype = next((each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32)
    example = torch.empty(1, *context.input_shape, dtype=dtype, device="meta")
    groups = coupled_channels(model, follow_channels(model, example))
    trained = {site.name for site in context.sites}
    return [group for group in groups if not group.whole and _is_trained(group, context, trained)]


def _is_trained(group: Group, context: Context, trained: set[str]) -> bool:
    """Whether nothing that removing a channel changes is frozen."""
    if not trained.issuperset(each.name for each in group.slices if each.kind != "norm"):
        return False
    vectors = [
        vector
        for each in group.of_kind("rows", "depthwise", "norm")
        for name, vector in context.model.get_submodule(each.path).named_parameters(recurse=False)
        if name == "bias" or each.kind == "norm"
    ]
    return all(vector.requires_grad for vector in vectors)


def site_masks(groups: Sequence[Group], kept: Sequence[Tensor], sites: Mapping[str, Site]) -> dict[str, Tensor]:
    """Masks of all sites, on the CPU, when each group keeps the channels that `kept` says, (channels,) each."""
    masks = {name: torch.ones(site.weight.shape, dtype=torch.bool) for name, site in sites.items()}
    for group, channels in zip(groups, kept, strict=True):
        for each in group.slices:
            gone = each.indices[~channels[each.channels]]
            if each.kind == "columns":
                masks[each.name][:, gone] = False
            elif each.kind != "norm":
                masks[each.name][gone] = False
    return masks


def count_kept(groups: Sequence[Group], shapes: Mapping[str, torch.Size], kept: Sequence[Tensor]) -> int:
    """Weights of the network when each group keeps these channels."""
    left = {name: [torch.ones(size, dtype=torch.bool) for size in shape[:2]] for name, shape in shapes.items()}
    for group, channels in zip(groups, kept, strict=True):
        for each in group.slices:
            if each.kind != "norm":
                left[each.name][each.axis][each.indices] = channels[each.channels]
    return sum(
        int(left[name][0].sum()) * int(left[name][1].sum()) * (shape.numel() // (shape[0] * shape[1]))
        for name, shape in shapes.items()
    )


def keep_channels(
    groups: Sequence[Group], shapes: Mapping[str, torch.Size], order: Sequence[Removal], target: int
) -> list[Tensor]:
    """Masks over the channels of each group: as many of `order` removed as brings the weights nearest to `target`.

    Raises ValueError if removing all of `order` leaves more than `target`.
    """
    check_reachable(groups, shapes, order, target)
    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        if count_kept(groups, shapes, _channels_left(groups, order[:middle])) >= target:
            low = middle
        else:
            high = middle
    nearest = min(
        (low, high), key=lambda n: abs(count_kept(groups, shapes, _channels_left(groups, order[:n])) - target)
    )
    return _channels_left(groups, order[:nearest])


def check_reachable(
    groups: Sequence[Group], shapes: Mapping[str, torch.Size], order: Sequence[Removal], target: int
) -> None:
    """Raises ValueError if removing all of `order` leaves more than `target` weights."""
    fewest = count_kept(groups, shapes, _channels_left(groups, order))
    if fewest > target:
        total = sum(shape.numel() for shape in shapes.values())
        raise ValueError(f"filters can remove at most {total - fewest} of {total} weights, not {total - target}")


def _channels_left(groups: Sequence[Group], removed: Sequence[Removal]) -> list[Tensor]:
    left = [torch.ones(group.size, dtype=torch.bool) for group in groups]
    for index, channels in removed:
        left[index][torch.as_tensor(channels)] = False
    return left
