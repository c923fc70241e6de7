"""A frozen parameter stays as it is under every method, and a frozen weight is no part of what is pruned."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.api.sites import find_sites
from prunebench.methods.bases.toy_task import ToyNetwork, ToyRecurrentNetwork, toy_network
from prunebench.methods.checks.run_checks import SPARSITIES, quick_options
from prunebench.methods.checks.trial import Trial
from prunebench.methods.filter_norm import FilterL1
from prunebench.methods.magnitude import GlobalMagnitude
from prunebench.methods.random_subspace import RandomSubspace
from prunebench.methods.registry import create, describe, method_names
from prunebench.methods.reinit import Reinit
from prunebench.methods.rigl import RigL
from torch import nn
from toys import prune_now, tiny_net, toy_context, train_all

OPTIONS: dict[str, dict[str, Any]] = {"str": {"initial_threshold_logit": -3.0}}
FROZEN = {ToyNetwork: ("mix.weight", "norm3.bias"), ToyRecurrentNetwork: ("cell.W1", "cell.W2", "head.bias")}


def frozen_network(kind: type[nn.Module]) -> nn.Module:
    network = toy_network(kind=kind)
    for name in FROZEN[kind]:
        network.get_parameter(name).requires_grad_(False)
    return network


def frozen_run(name: str) -> Trial:
    """A run of the first network and sparsity that the method takes, with some of the parameters frozen."""
    options = {**quick_options(describe(name)), **OPTIONS.get(name, {})}
    refusals = []
    for kind, sparsity in itertools.product(FROZEN, (*SPARSITIES, 0.2)):
        try:
            Trial(create(name, sparsity, options), frozen_network(kind)).pruner.begin_round(0)
        except (UserError, ValueError) as error:
            refusals.append(str(error))
        else:
            return Trial(create(name, sparsity, options), frozen_network(kind))
    raise AssertionError(refusals)


@pytest.mark.parametrize("name", method_names())
def test_frozen_parameters_stay_under_every_method(name: str) -> None:
    run = frozen_run(name)
    if run.model is not run.network:
        assert name == "small_dense"  # trains another network, which its builder may freeze
        return
    frozen = {n: p.detach().clone() for n, p in run.network.named_parameters() if not p.requires_grad}
    frozen = {n: value for n, value in frozen.items() if n in FROZEN[type(run.network)]}
    assert frozen
    run.train()
    run.pruner.detach()
    for parameter, before in frozen.items():
        assert torch.equal(run.network.get_parameter(parameter), before), parameter
        assert not run.network.get_parameter(parameter).requires_grad
    if run.pruner.masks is not None:
        assert not set(run.pruner.masks) & set(frozen)


def test_the_sparsity_holds_over_the_layers_that_are_trained() -> None:
    model = tiny_net()
    model.conv1.weight.requires_grad_(False)
    masks = prune_now(GlobalMagnitude(sparsity=0.5), toy_context(model))
    assert list(masks) == ["conv2.weight", "fc.weight"]
    assert sum(int(mask.sum()) for mask in masks.values()) == num_kept(288 + 32, 0.5)
    assert model.conv1.weight.all()


def test_a_frozen_layer_has_no_dead_weights_after_dynamic_training() -> None:
    model = tiny_net()
    model.conv2.weight.requires_grad_(False)
    train_all(RigL(sparsity=0.8, every=2, distribution="uniform"), toy_context(model))
    assert model.conv2.weight.all()
    assert int((model.conv1.weight != 0).sum() + (model.fc.weight != 0).sum()) == num_kept(36 + 32, 0.8)


def test_a_random_subspace_is_one_of_the_trained_parameters() -> None:
    model = tiny_net()
    model.conv2.weight.requires_grad_(False)
    pruner = RandomSubspace(sparsity=0.5)
    pruner.attach(toy_context(model))
    assert pruner.state_dict()["position"].numel() == num_kept(36 + 32, 0.5)


def test_reinitialising_leaves_a_frozen_parameter() -> None:
    model = tiny_net()
    model.bn1.bias.requires_grad_(False).fill_(3.0)
    prune_now(Reinit(sparsity=0.5), toy_context(model, rebuild=lambda **_: tiny_net(seed=1)))
    assert model.bn1.bias.tolist() == [3.0] * 4
    assert torch.equal(model.fc.bias, tiny_net(seed=1).fc.bias)


@pytest.mark.parametrize("frozen", ["conv1.weight", "bn1.bias", "conv2.weight"])
def test_filters_whose_removal_would_change_a_frozen_parameter_stay(frozen: str) -> None:
    """conv1's filters go with their entries in bn1 and the columns of conv2 that read them."""
    model = tiny_net()
    model.get_parameter(frozen).requires_grad_(False)
    pruner = FilterL1()
    if frozen == "conv2.weight":
        with pytest.raises(UserError, match="has no filter that can be removed"):
            pruner.attach(toy_context(model))
        return
    pruner.attach(toy_context(model))
    assert [group.root for group in pruner._groups] == ["conv2"]


def test_a_network_that_is_frozen_throughout_is_refused() -> None:
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    assert len(find_sites(model)) == 1
    for pruner in (GlobalMagnitude(sparsity=0.5), RigL(sparsity=0.5), RandomSubspace(sparsity=0.5)):
        with pytest.raises(ValueError, match=r"no (layer to prune|prunable weight that is trained)"):
            pruner.attach(toy_context(model))
