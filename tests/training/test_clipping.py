"""Clipping uses the norm of the gradients that move weights; the others are scaled and do not count."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from prunebench.benchmark.api.masks import Masks
from prunebench.benchmark.api.pruner import Pruner
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.runs.run import Recipe, protocol_of
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.training.clipping import clip_gradients
from prunebench.methods.column_magnitude import ColumnMagnitude
from prunebench.methods.parts.straight_through import MaskedForward, shadow
from torch import nn
from torch.nn.utils import parametrize


@dataclass(kw_only=True)
class Masked(Pruner):
    """A pruner with given masks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.given: Masks | None = None

    @property
    def masks(self) -> Masks | None:
        return self.given


def layer_with_gradient() -> tuple[nn.Linear, Masks]:
    """Weights with the gradients (3, 4, 12), the last one pruned, and a bias with the gradient 84."""
    layer = nn.Linear(3, 1)
    masks = Masks(find_sites(layer))
    masks.set({"weight": torch.tensor([[True, True, False]])})
    layer.weight.grad = torch.tensor([[3.0, 4.0, 12.0]])
    assert layer.bias is not None
    layer.bias.grad = torch.tensor([84.0])
    return layer, masks


def clip(layer: nn.Linear, masks: Masks | None, trained: list[nn.Parameter], max_norm: float) -> None:
    pruner = Masked()
    pruner.given = masks
    clip_gradients(pruner, torch.optim.SGD(trained, lr=0.1), max_norm)


def test_pruned_weights_do_not_count_but_are_scaled() -> None:
    layer, masks = layer_with_gradient()
    clip(layer, masks, [layer.weight], 2.5)
    # the norm of (3, 4) is 5, so all are halved, also the gradient of the pruned weight, which momentum collects
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[1.5, 2.0, 6.0]]), atol=1e-5, rtol=0)


def test_a_dense_network_is_clipped_as_torch_does() -> None:
    layer, _ = layer_with_gradient()
    other, _ = layer_with_gradient()
    clip(layer, None, list(layer.parameters()), 17.0)
    nn.utils.clip_grad_norm_(other.parameters(), 17.0)  # the norm of (3, 4, 12, 84) is 85
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        assert one.grad is not None
        assert two.grad is not None
        assert torch.equal(one.grad, two.grad)
    assert layer.bias.grad is not None
    assert layer.bias.grad.item() == pytest.approx(16.8)


def test_what_is_not_trained_does_not_count() -> None:
    layer, _ = layer_with_gradient()
    clip(layer, None, [layer.weight], 6.5)
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[1.5, 2.0, 6.0]]), atol=1e-5, rtol=0)
    assert layer.bias.grad is not None
    assert layer.bias.grad.item() == 84.0


def test_dense_weights_behind_a_mask_all_count() -> None:
    layer, masks = layer_with_gradient()
    gradient = layer.weight.grad
    parametrize.register_parametrization(layer, "weight", MaskedForward(masks, "weight"))
    weight = shadow(masks.sites["weight"])
    weight.grad = gradient
    clip(layer, masks, [weight], 6.5)  # type: ignore[list-item]
    torch.testing.assert_close(weight.grad, torch.tensor([[1.5, 2.0, 6.0]]), atol=1e-5, rtol=0)


def test_columns_that_grow_back_within_an_epoch_count() -> None:
    pruner = ColumnMagnitude(rank_w=1, rank_u=1, apply="epoch")
    pruner._masks = Masks(find_sites(nn.Linear(2, 2)))
    assert pruner.held_masks is None
    pruner.apply = "step"
    assert pruner.held_masks is pruner.masks


def test_only_recipes_that_clip_have_new_ids(tmp_path: Path) -> None:
    assert (protocol_of(Recipe(epochs=1)), protocol_of(Recipe(epochs=1, clip_norm=1.0))) == (1, 2)
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\ndataset: digits\nmodel: convnet-small\nseeds: [0]\ntrain: {epochs: 1}\nfinetune: {clip_norm: 1}\n"
        "runs: [{method: dense}, {method: [global_mp, snip], sparsity: 90%}]\n",
        encoding="utf-8",
    )
    protocols = {row.method: (row.run.protocol if row.run else 0) for row in load_study(str(path)).rows}
    assert protocols == {"dense": 1, "global_mp": 2, "snip": 1}
