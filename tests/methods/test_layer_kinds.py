"""Every method on every kind of layer: it prunes exactly wherever a weight is held, or refuses and names the layer."""

from __future__ import annotations

import pytest
import torch
from layer_kinds import (
    Attention,
    Bilinear,
    Cell,
    CrossAttention,
    Empty,
    Gru,
    Kind,
    Recurrent,
    SpectralNorm,
    SpectralNormHook,
    Tied,
    TiedToEmbedding,
    Transformer,
    Transposed,
    View,
    WeightNorm,
    WeightNormHook,
    network_kind,
)
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.pruner import Pruner
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.count_macs import count_macs
from prunebench.benchmark.training.measure import check_masks, count_layers, kept_by_layer
from prunebench.methods.bases.toy_task import INPUT_SHAPE, toy_network
from prunebench.methods.checks.run_checks import quick_options
from prunebench.methods.checks.surround import after_each_step
from prunebench.methods.checks.trial import ToyTask, Trial
from prunebench.methods.registry import create, describe, method_names
from torch import nn
from torch.nn.utils import prune

WITHOUT_PRUNING = {"dense", "dense_longer", "random_subspace", "small_dense"}
PARAMETRISING = {"dpf", "dnw", "movement", "pdp", "str", "edge_popup", "powerprop", "sign_in"}
CHANNEL_METHODS = ("filter_l1", "filter_l2", "random_filters", "group_norm", "isomorphic", "taylor_filters")
OWN_SPARSITY = {
    "dense_longer": 0.0, "nm_magnitude": 0.5, "uniform_plus_mp": 0.2, **dict.fromkeys(CHANNEL_METHODS, 0.05)
}  # fmt: skip
OPTIONS = {"str": {"initial_threshold_logit": -3.0}}


def needs_own_weights(method: str) -> bool:
    return method not in WITHOUT_PRUNING


def parametrises(method: str) -> bool:
    return method in PARAMETRISING


def needs_inputs(method: str) -> bool:
    return describe(method).needs == "layer inputs"


def hides_from(method: str) -> bool:
    """torch's recurrent layers use no parametrisations, and show no states between their layers and steps."""
    return parametrises(method) or needs_inputs(method)


KINDS = {
    "tied": Kind(Tied),
    "tied to an embedding": Kind(TiedToEmbedding, "middle.second.weight", needs_inputs),
    "view": Kind(View, "middle.first.weight", needs_own_weights),
    "weight_norm": Kind(WeightNorm, "middle.second.weight", needs_own_weights),
    "spectral_norm": Kind(SpectralNorm, "middle.second.weight", needs_own_weights),
    "weight_norm hook": Kind(WeightNormHook, "middle.second.weight", needs_own_weights),
    "spectral_norm hook": Kind(SpectralNormHook, "middle.second.weight", needs_own_weights),
    "empty": Kind(Empty),
    "LSTM": Kind(Recurrent, "middle.layer.weight_ih_l0", hides_from),
    "GRU": Kind(Gru, "middle.layer.weight_ih_l0", hides_from),
    "LSTM cell": Kind(Cell),
    "attention": Kind(Attention),
    "attention of three inputs": Kind(CrossAttention),
    "transformer": Kind(Transformer),
    "transposed convolution": Kind(Transposed, "middle.layer.weight", needs_inputs),
    "bilinear": Kind(Bilinear),
}
# these need a low-rank cell or a batch norm behind a layer, which the networks of this file have not
METHODS = sorted(set(method_names()) - {"global_mp_columns", "random_columns", "network_slimming"})
"""Those want a low-rank cell, which none of these networks has."""


def make(method: str) -> Pruner:
    options = {**quick_options(describe(method)), **OPTIONS.get(method, {})}
    return create(method, OWN_SPARSITY.get(method, 0.6), options)


def assert_zero_in_all_places(run: Trial) -> None:
    masks = run.pruner.masks
    if masks is None:
        return
    for name, site in masks.sites.items():
        for module, attribute in site.uses:
            assert (getattr(module, attribute).detach()[~masks[name]] == 0).all(), (name, attribute)


def outputs(model: nn.Module) -> torch.Tensor:
    """In eval mode without gradients, where torch has kernels of its own for attention."""
    inputs = torch.randn(2, *INPUT_SHAPE, generator=torch.Generator().manual_seed(0))
    model.eval()
    with torch.no_grad():
        return model(inputs)


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
@pytest.mark.parametrize("method", METHODS)
def test_a_method_prunes_a_layer_exactly_or_refuses_it_by_name(method: str, kind: Kind) -> None:
    network = toy_network(kind=network_kind(kind.middle))
    task = ToyTask(epochs=1, steps_per_epoch=2)
    if kind.refused_by(method):
        with pytest.raises(UserError, match=f"cannot prune layer '{kind.layer}'"):
            Trial(make(method), network, task)
        return
    if isinstance(network.middle, Cell) and method in CHANNEL_METHODS:
        with pytest.raises(UserError, match="cannot follow the channels through CellNetwork"):
            Trial(make(method), network, task)
        return
    tied = [[getattr(*use) for use in site.uses] for site in find_sites(network)]
    run = Trial(make(method), network, task)
    after_each_step(run.pruner, lambda: assert_zero_in_all_places(run))
    run.train()
    kept_by_layer(run.model, run.pruner)
    before = outputs(run.model)
    run.pruner.detach()
    torch.testing.assert_close(outputs(run.model), before, msg="detach has changed what the network computes")
    assert_zero_in_all_places(run)
    check_masks(run.pruner, at_end=True)
    layers = count_layers(run.model, run.pruner, INPUT_SHAPE)
    if describe(method).reaches_target and run.pruner.masks is not None:
        kept = sum(layer["kept"] for layer in layers if layer["name"] in run.pruner.masks.sites)
        assert kept == run.pruner.masks.num_kept < run.pruner.masks.num_total
    if run.model is network:
        uses = [[getattr(*use) for use in site.uses] for site in find_sites(network)]
        assert [len(places) for places in uses] == [len(places) for places in tied]
        assert all(place is places[0] for places in uses for place in places if len(places) > 1)


@pytest.mark.parametrize("method", METHODS)
def test_masking_a_tied_weight_equals_masking_one_layer_called_twice(method: str) -> None:
    """The same numbers, whether two modules hold the tensor or one module is called in both places."""

    class Twice(Tied):
        def make(self, hidden: int) -> None:
            super().make(hidden)
            self.second.bias = self.first.bias

    class Once(Twice):
        def make(self, hidden: int) -> None:
            super().make(hidden)
            self.second = self.first

    runs = []
    for middle in (Twice, Once):
        run = Trial(make(method), toy_network(kind=network_kind(middle)), ToyTask(epochs=1)).train()
        run.pruner.detach()
        runs.append(run)
    two, one = (run.model.state_dict() for run in runs)
    assert all(torch.equal(two[name], tensor) for name, tensor in one.items())
    assert count_macs(runs[0].model, INPUT_SHAPE) == count_macs(runs[1].model, INPUT_SHAPE)


def test_filters_beside_a_tied_layer_are_removed_and_its_own_stay() -> None:
    """A hidden unit of the tied matrix is an input of it as well: only the convolution's filters go."""
    network = toy_network(kind=network_kind(Tied))
    run = Trial(make("filter_l1"), network, ToyTask(epochs=1)).train()
    masks = run.pruner.masks
    assert masks is not None
    assert [name for name, mask in masks.items() if not mask.all()] == ["stem.weight", "mix.weight"]


def test_nm_prunes_recurrent_and_attention_matrices_along_their_inputs() -> None:
    for middle, pruned in ((Recurrent, "middle.layer.weight_ih_l0"), (Attention, "middle.layer.in_proj_weight")):
        run = Trial(make("nm_magnitude"), toy_network(kind=network_kind(middle)), ToyTask(epochs=1)).train()
        assert run.pruner.masks is not None
        assert (run.pruner.masks[pruned].unflatten(1, (-1, 4)).sum(dim=2) == 2).all()
    run = Trial(make("nm_magnitude"), toy_network(kind=network_kind(Transposed)), ToyTask(epochs=1)).train()
    assert run.pruner.masks is not None
    assert "middle.layer.weight" not in list(run.pruner.masks)


def test_a_recurrent_layer_computes_with_the_pruned_weights() -> None:
    """torch's layer keeps a list of its weights besides its parameters: an outdated list would hide the pruning."""
    network = toy_network(kind=network_kind(Recurrent))
    run = Trial(make("global_mp"), network, ToyTask(epochs=1)).train()
    run.pruner.detach()
    fresh = toy_network(seed=1, kind=network_kind(Recurrent))
    fresh.load_state_dict(network.state_dict())
    inputs = torch.randn(4, *INPUT_SHAPE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(network(inputs), fresh(inputs))
    assert run.pruner.masks is not None
    zeros = sum(int((site.weight == 0).sum()) for site in find_sites(fresh))
    assert zeros == run.pruner.masks.num_total - run.pruner.masks.num_kept > 0


def test_layers_left_dense_are_not_refused() -> None:
    network = toy_network(kind=network_kind(WeightNorm))
    pruner = create("global_mp", 0.6, {"dense": ["middle.second.weight"]})
    run = Trial(pruner, network, ToyTask(epochs=1)).train()
    check_masks(run.pruner, at_end=True)


def test_what_computes_a_weight_is_named() -> None:
    pruned = nn.Sequential(nn.Linear(3, 3))
    prune.l1_unstructured(pruned[0], "weight", amount=0.5)
    with pytest.raises(UserError, match=r"layer '0\.weight': its weight is not a parameter but computed by L1Unstruct"):
        create("snip", 0.6, {}).check_sites(pruned, find_sites(pruned))
    network = toy_network(kind=network_kind(SpectralNorm))
    with pytest.raises(UserError, match="computed by SpectralNorm; make it one, or leave the layer dense"):
        create("snip", 0.6, {}).check_sites(network, find_sites(network))
    # rows of one matrix as two parameters share a storage, but no entry
    whole = torch.zeros(4, 3)
    apart = nn.ModuleDict({"one": nn.Linear(3, 2), "two": nn.Linear(3, 2)})
    apart["one"].weight, apart["two"].weight = nn.Parameter(whole[:2]), nn.Parameter(whole[2:])
    create("snip", 0.6, {}).check_sites(apart, find_sites(apart))
