"""Controls: shuffled and reinitialised masks of other methods, and the smaller dense network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.registry import MODELS, create_model
from prunebench.benchmark.training.measure import kept_by_layer
from prunebench.methods.bases.borrowed_mask import shuffled
from prunebench.methods.dense_longer import DenseLonger
from prunebench.methods.magnitude import GlobalMagnitude
from prunebench.methods.reinit import Reinit
from prunebench.methods.shuffled import Shuffled
from prunebench.methods.small_dense import SmallDense
from prunebench.methods.snip import Snip
from torch import nn
from toys import (
    NUM_CLASSES,
    assert_equal_masks,
    prune_now,
    resume_equals_uninterrupted,
    tiny_net,
    toy_context,
    train_all,
    train_on_two_ranks,
)


class Scalable(nn.Sequential):
    """A classifier whose width is an option, a whole number: 64 * width + width * 4 prunable weights."""

    def __init__(self, width: int = 20) -> None:
        if width != int(width):
            raise UserError(f"width is {width}: not a whole number")
        layers = nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, NUM_CLASSES)
        super().__init__(*layers)


def rebuild(**options: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Scalable(**options)


def trained_net(seed: int = 5) -> nn.Module:
    """Weights that are not the initial ones."""
    model = tiny_net(seed)
    model.load_state_dict(tiny_net(seed + 1).state_dict())
    return model


def test_shuffled_keeps_the_layers_counts_and_moves_the_weights() -> None:
    options: dict[str, Any] = {"score_samples": 32, "score_batch": 16}
    snip = prune_now(Snip(sparsity=0.7, **options), toy_context(tiny_net()))
    model = tiny_net()
    masks = prune_now(Shuffled(sparsity=0.7, of="snip", of_options=options), toy_context(model))
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {n: int(m.sum()) for n, m in snip.items()}
    assert any(not torch.equal(masks[name], snip[name]) for name in masks)
    # the weights that stay are the initial ones, not what scoring left
    original = tiny_net()
    for name, mask in masks.items():
        assert torch.equal(model.get_parameter(name), original.get_parameter(name) * mask)


def test_shuffling_is_uniform_over_positions() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([True, False, False, False])
    hits = sum(shuffled(mask, generator).int() for _ in range(4000))
    # 1,000 each; 5 standard deviations are 137
    assert all(abs(int(count) - 1000) < 137 for count in hits)  # type: ignore[union-attr]


def test_another_seed_shuffles_otherwise() -> None:
    first, again, other = (
        prune_now(Shuffled(sparsity=0.5, of="magnitude_init"), toy_context(tiny_net(), seed=s)) for s in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_layers_the_other_method_leaves_dense_are_not_counted() -> None:
    pruner = Shuffled(sparsity=0.5, of="snip", of_options={"dense": ["first"], "score_samples": 16})
    masks = prune_now(pruner, toy_context(tiny_net()))
    assert list(masks) == ["conv2.weight", "fc.weight"]
    assert pruner.masks.num_kept == 160
    resume_equals_uninterrupted(
        lambda: Shuffled(sparsity=0.5, of="magnitude_init", of_options=(("dense", ("first",)),)), epochs=2
    )


@pytest.mark.parametrize("weights", ["fresh", "original"])
def test_reinit_keeps_the_mask_of_the_trained_weights(weights: str) -> None:
    expected = prune_now(GlobalMagnitude(sparsity=0.6), toy_context(trained_net()))
    model = trained_net()
    masks = prune_now(Reinit(sparsity=0.6, weights=weights), toy_context(model, rebuild=tiny_net))  # type: ignore[arg-type]
    assert all(torch.equal(masks[name], expected[name]) for name in masks)
    original = tiny_net()
    for name, parameter in model.named_parameters():
        initial = original.get_parameter(name)
        mask = masks.get(name, torch.ones_like(initial, dtype=torch.bool))
        if weights == "original":
            assert torch.equal(parameter, initial * mask)
        else:
            assert set(parameter[mask].tolist()) <= set(initial.flatten().tolist())
    if weights == "fresh":
        assert not torch.equal(
            model.get_parameter("conv2.weight"), original.get_parameter("conv2.weight") * masks["conv2.weight"]
        )


def test_batch_norm_is_reset_too() -> None:
    model = trained_net()
    with torch.no_grad():
        model.get_buffer("bn1.running_mean").fill_(3.0)
        model.get_parameter("bn1.weight").fill_(2.0)
    prune_now(Reinit(sparsity=0.5), toy_context(model, rebuild=tiny_net))
    assert not model.get_buffer("bn1.running_mean").any()
    assert (model.get_parameter("bn1.weight") == 1).all()


def test_controls_resume_and_agree_between_ranks() -> None:
    resume_equals_uninterrupted(lambda: Shuffled(sparsity=0.8, of_options={"score_samples": 16}), epochs=2)
    resume_equals_uninterrupted(lambda: Reinit(sparsity=0.8), epochs=2, rebuild=tiny_net)
    assert_equal_masks(train_on_two_ranks(lambda: Shuffled(sparsity=0.8, of_options={"score_samples": 16}), epochs=1))


NOT_FINAL: list[tuple[str, dict[str, Any]]] = [
    ("gmp", {}), ("dense", {}), ("str", {}), ("rigl", {}), ("set", {}), ("sign_in", {}),
    ("dpf", {"schedule": "one_shot"}),
]  # fmt: skip


@pytest.mark.parametrize(("of", "options"), NOT_FINAL)
def test_methods_without_a_final_mask_before_training_are_refused(of: str, options: dict[str, Any]) -> None:
    """Before anything runs, by `check`; those that change the layers too, whose masks fit no plain network."""
    for act in (Shuffled.check, prune_now):
        with pytest.raises(ValueError, match=f"'{of}' does not set its final mask before training"):
            act(Shuffled(sparsity=0.5, of=of, of_options=options), toy_context(tiny_net()))


def test_bad_options_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="unknown method 'snap'; did you mean 'snip'"):
        Shuffled(sparsity=0.5, of="snap")
    with pytest.raises(ValueError, match="score_sample"):
        Shuffled(sparsity=0.5, of_options={"score_sample": 3})
    with pytest.raises(ValueError, match="start"):
        Shuffled(sparsity=0.5, of_options={"start": "trained"})
    with pytest.raises(ValueError, match="itself"):
        Reinit(sparsity=0.5, start="init", weights="original")
    with pytest.raises(ValueError, match="start"):
        SmallDense(sparsity=0.5, start="trained")


def test_dense_longer_prunes_nothing() -> None:
    model, _ = train_all(DenseLonger(), toy_context(tiny_net()))
    assert all((site.weight != 0).all() for site in find_sites(model))
    with pytest.raises(ValueError, match=r"sparsity is 0.5; it must be 0"):
        DenseLonger(sparsity=0.5)


@pytest.mark.parametrize(("sparsity", "width"), [(0.0, 20), (0.5, 10), (0.9, 2), (0.93, 1), (0.949, 1)])
def test_small_dense_is_the_widest_that_fits(sparsity: float, width: int) -> None:
    pruner = SmallDense(sparsity=sparsity)
    model, _ = train_all(pruner, toy_context(Scalable(), rebuild=rebuild))
    assert pruner.width == width
    assert sum(site.weight.numel() for site in find_sites(model)) == 68 * width <= 1360 * (1 - sparsity) + 1e-6
    assert kept_by_layer(model, pruner) == {"1.weight": (64 * width,) * 2, "4.weight": (4 * width,) * 2}


def test_small_dense_searches_fractions_where_the_network_takes_them() -> None:
    """Two layers that round on their own: width w has 64 [20 w] + [20 w] [10 w] + 4 [10 w] weights."""

    def two_layers(width: float = 1.0) -> nn.Module:
        first, second = (max(1, round(size * width)) for size in (20, 10))
        return nn.Sequential(nn.Flatten(), nn.Linear(64, first), nn.Linear(first, second), nn.Linear(second, 4))

    pruner = SmallDense(sparsity=0.5)
    model = pruner.attach(toy_context(two_layers(), rebuild=two_layers))
    # of 1520 weights 760 may stay: 64 * 11 + 11 * 5 + 4 * 5 is 779, 64 * 10 + 10 * 5 + 4 * 5 is 710
    assert [site.weight.shape[0] for site in find_sites(model)] == [10, 5, 4]
    assert 0.475 < pruner.width < 0.525


IMAGES = sorted(set(MODELS) - {"fastgrnn"})


@pytest.mark.parametrize("name", IMAGES)
def test_small_dense_meets_the_budget_of_every_network(name: str) -> None:
    """One step wider is too wide. Whole channels leave at most an eighth of the budget, heads a fifth."""
    shape = (1, 28, 28) if name.startswith("lenet") or name.endswith("-small") else (3, 32, 32)
    shape = (16,) if name == "byte-transformer" else shape

    def rebuild(**options: Any) -> nn.Module:
        with torch.device("meta"):
            return create_model(name, num_classes=10, input_shape=shape, **options)

    def num_weights(model: nn.Module) -> int:
        return sum(site.weight.numel() for site in find_sites(model))

    model = rebuild()
    for sparsity in (0.5, 0.9, 0.98):
        pruner = SmallDense(sparsity=sparsity)
        budget = num_kept(num_weights(model), sparsity)
        kept = num_weights(pruner.attach(toy_context(model, rebuild=rebuild)))
        least = (0.8 if name in ("swin-t", "byte-transformer") else 0.875) * budget
        assert least < kept <= budget < num_weights(rebuild(width=pruner.width + 2**-10))


def test_small_dense_says_when_nothing_fits_or_there_is_no_width() -> None:
    with pytest.raises(ValueError, match=r"leaves 55 weights, and the network of width 1 has 68"):
        SmallDense(sparsity=0.96).attach(toy_context(Scalable(), rebuild=rebuild))

    def without_width(**options: Any) -> nn.Module:
        raise UserError(f"unknown option {next(iter(options))!r}")

    with pytest.raises(UserError, match="unknown option 'hidden'"):
        SmallDense(sparsity=0.5, width_option="hidden").attach(toy_context(tiny_net(), rebuild=without_width))


def test_small_dense_resumes() -> None:
    resume_equals_uninterrupted(lambda: SmallDense(sparsity=0.5), rebuild, epochs=2, rebuild=rebuild)
