"""The minimum threshold keeps every layer alive under every global score, at the exact total."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import num_kept
from prunebench.methods.bases.mask_pruner import MaskPruner
from prunebench.methods.grasp import GraSP
from prunebench.methods.lamp import Lamp
from prunebench.methods.registry import method_class
from prunebench.methods.snip import Snip
from prunebench.methods.synflow import SynFlow
from torch import Tensor, nn
from toys import prune_now, tiny_net, toy_context

SCORES: list[tuple[type[MaskPruner], dict[str, Any]]] = [
    (Snip, {"score_samples": 32}),
    (GraSP, {"samples_per_class": 8}),
    (SynFlow, {"prune_rounds": 7}),
    (Lamp, {}),
]
SPARSITY = 0.85
PERCENT = 4.5  # 16 of 356 weights for each of three layers, where 54 are left
IDS = [method.__name__ for method, _ in SCORES]


def lopsided() -> nn.Module:
    """The tiny net with a classifier so small that global scores give it nothing."""
    model = tiny_net()
    with torch.no_grad():
        model.fc.weight.mul_(1e-3)
    return model


def masks_of(method: type[MaskPruner], options: dict[str, Any], **more: Any) -> dict[str, Tensor]:
    return prune_now(method(sparsity=SPARSITY, **options, **more), toy_context(lopsided()))


@pytest.mark.parametrize("mode", ["solve", "rescale", "protect"])
@pytest.mark.parametrize(("method", "options"), SCORES, ids=IDS)
def test_every_layer_keeps_its_minimum(method: type[MaskPruner], options: dict[str, Any], mode: str) -> None:
    masks = masks_of(method, options, minimum_threshold=PERCENT, minimum_threshold_mode=mode)
    counts = [int(mask.sum()) for mask in masks.values()]
    assert sum(counts) == num_kept(356, SPARSITY) == 54
    assert all(count >= 16 for count in counts)


@pytest.mark.parametrize(("method", "options"), SCORES, ids=IDS)
def test_without_it_a_layer_falls_below(method: type[MaskPruner], options: dict[str, Any]) -> None:
    counts = {name: int(mask.sum()) for name, mask in masks_of(method, options).items()}
    assert min(counts.values()) < 16, counts
    if method is GraSP:
        assert counts["fc.weight"] == 0  # collapse: no path from the input to the output is left


@pytest.mark.parametrize(("method", "options"), SCORES, ids=IDS)
def test_too_high_a_minimum_is_refused(method: type[MaskPruner], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="minimum_threshold"):
        masks_of(method, options, minimum_threshold=5.4)


def test_it_is_an_option_of_every_method_with_a_global_score() -> None:
    for name in (
        "snip",
        "grasp",
        "synflow",
        "lamp",
        "force",
        "iterative_snip",
        "obd",
        "woodfisher",
        "imp",
        "global_mp",
    ):
        assert "minimum_threshold" in method_class(name).__dataclass_fields__  # type: ignore[attr-defined]
