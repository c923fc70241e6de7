"""A wrapped loop gives the weights and masks of the harness, bit for bit, for methods of every kind."""

from __future__ import annotations

import io

import prunebench
import pytest
import torch
from plain_loops import optimizer_of, plain_loop, samples, train, wrapped
from prunebench.methods import METHODS
from prunebench.methods.checks.run_checks import fit, quick_options
from prunebench.methods.checks.subject import Subject
from prunebench.methods.checks.trial import ToyTask
from prunebench.methods.registry import describe
from torch import nn
from torch.nn.utils import parametrize

REFUSED = {
    "imp": "method 'imp' trains the network 9 times, with rounds between; run it in a study: prunebench.run",
    "lr_rewinding": "method 'lr_rewinding' trains the network 9 times, with rounds between; "
    "run it in a study: prunebench.run",
    "safe": "method 'safe' takes two passes over each batch, which it cannot do here; "
    "run it in a study: prunebench.run",
    "reinit": "the method needs the network newly initialised, which only a study can build: prunebench.run",
    "small_dense": "method 'small_dense' trains another network than the one it is given; "
    "run it in a study: prunebench.run",
}
OPTIONS = {
    "global_mp_columns": {"apply": "epoch"},
    "str": {"initial_threshold_logit": -4.0},
    "ac_dc": {"begin": 0.0, "sparse_phase": 0.2, "dense_phase": 0.2},
}
"""Where defaults would have no effect in a dozen steps."""


def subject_of(name: str) -> Subject:
    info = describe(name)
    return fit(info, {**quick_options(info), **OPTIONS.get(name, {})})


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", sorted(METHODS.keys() - REFUSED.keys()))
def test_a_wrapped_loop_is_the_harness(name: str, optimizer: str) -> None:
    subject, task = subject_of(name), ToyTask(optimizer=optimizer)
    trial = subject.start(task).train()
    trial.pruner.detach()
    model, masks = plain_loop(subject, task)
    expected = trial.model.state_dict()
    assert model.state_dict().keys() == expected.keys()
    assert [key for key, value in model.state_dict().items() if not torch.equal(value, expected[key])] == []
    if trial.pruner.masks is not None:
        assert masks.keys() == dict(trial.pruner.masks.items()).keys()
        assert all(torch.equal(mask, masks[layer]) for layer, mask in trial.pruner.masks.items())
    untrained = subject.network().state_dict()
    assert any(not torch.equal(value, untrained[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", sorted(METHODS.keys() - REFUSED.keys()))
def test_finish_leaves_a_plain_network_and_the_users_optimiser(name: str) -> None:
    subject, task = subject_of(name), ToyTask()
    model = subject.network()
    kinds = [type(module) for module in model.modules()]
    optimizer = optimizer_of(model, task)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    pruning = wrapped(subject, task, model, optimizer)
    train(model, optimizer, task, range(task.epochs))
    pruning.finish()
    assert [type(module) for module in model.modules()] == kinds
    assert not any(parametrize.is_parametrized(module) for module in model.modules())
    assert [id(p) for group in optimizer.param_groups for p in group["params"]] == held == [
        id(p) for p in sorted(model.parameters(), key=lambda p: p.ndim <= 1)
    ]  # fmt: skip
    assert all(p.requires_grad for p in model.parameters())
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    # the optimiser works as before, and is not counted any more
    train(model, optimizer, task, range(1))


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_loop_cannot_do_is_refused_and_leaves_the_network(name: str) -> None:
    subject, task = subject_of(name), ToyTask()
    model = subject.network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = optimizer_of(model, task)
    with pytest.raises(prunebench.UserError) as error:
        wrapped(subject, task, model, optimizer)
    assert str(error.value) == REFUSED[name]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("name", ["rigl", "gmp", "str", "edge_popup", "snfs", "random_subspace", "dpf"])
def test_a_resumed_loop_equals_an_uninterrupted_one(name: str) -> None:
    subject, task = subject_of(name), ToyTask()
    whole, _ = plain_loop(subject, task)
    model = subject.network()
    optimizer = optimizer_of(model, task)
    pruning = wrapped(subject, task, model, optimizer)
    train(model, optimizer, task, range(2))
    file = io.BytesIO()
    torch.save([each.state_dict() for each in (model, optimizer, pruning)], file)
    model = subject.network()
    optimizer = optimizer_of(model, task)
    pruning = wrapped(subject, task, model, optimizer)
    file.seek(0)
    for each, state in zip((model, optimizer, pruning), torch.load(file, weights_only=True), strict=True):
        each.load_state_dict(state)
    assert pruning.step == 6
    train(model, optimizer, task, range(2, 4))
    pruning.finish()
    assert all(torch.equal(value, whole.state_dict()[key]) for key, value in model.state_dict().items())


def test_clipping_is_that_of_the_recipe() -> None:
    from dataclasses import dataclass, replace

    @dataclass(frozen=True, kw_only=True)
    class Clipped(ToyTask):
        @property
        def recipe(self):
            return replace(super().recipe, clip_norm=0.05)

    subject, task = subject_of("rigl"), Clipped()
    trial = subject.start(task).train()
    trial.pruner.detach()
    model = subject.network()
    optimizer = optimizer_of(model, task)
    pruning = wrapped(subject, task, model, optimizer, clip_norm=0.05)
    train(model, optimizer, task, range(task.epochs))
    pruning.finish()
    assert all(torch.equal(value, trial.model.state_dict()[key]) for key, value in model.state_dict().items())
    unclipped, _ = plain_loop(subject, task)
    assert not torch.equal(unclipped.stem.weight, model.stem.weight)


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def test_errors_say_what_to_do() -> None:
    model, data = small(), samples(ToyTask())
    cases = [
        ({"optimizer": sgd(small())}, "the optimiser does not hold 1.weight: build it from the parameters of the "
         "network that is wrapped; what is not to be trained or pruned gets requires_grad_(False)"),
        ({"optimizer": model}, "optimizer is a Sequential; it must be a torch.optim.Optimizer"),
        ({"steps": 0}, "steps is 0; it must be an integer >= 1"),
        ({"steps": 10, "steps_per_epoch": 3}, "steps is 10; it must be a multiple of the 3 steps of an epoch: give "
         "whole epochs, or another steps_per_epoch"),
        ({"method": "snip", "data": None}, "the method needs training samples for its scores: give data=, a DataLoader "
         "of training samples without augmentation"),
        ({"clip_norm": -1}, "clip_norm is -1; it must be a number >= 0"),
        ({"start": "init"}, "start is an option of studies: here the network is taken with the weights that it has"),
        ({"data": (data[0][:, :2], data[1])}, "network, loss and data do not fit together: a batch has inputs "
         "(2, 2, 8, 8) float32 and targets (2,) int64: mat1 and mat2 shapes cannot be multiplied (2x128 and 192x4)"),
    ]  # fmt: skip
    for changes, message in cases:
        given = {"model": model, "optimizer": sgd(model), "method": "rigl", "sparsity": 0.5, "steps": 4, "data": data}
        with pytest.raises(prunebench.UserError) as error:
            prunebench.wrap(**{**given, **changes})
        assert str(error.value) == message


def test_errors_in_the_loop() -> None:
    model = small()
    optimizer = sgd(model)
    pruning = prunebench.wrap(model, optimizer, "gmp", sparsity=0.5, steps=2, every=1, end=1.0)
    with pytest.raises(prunebench.UserError, match="the optimiser is wrapped already: call finish"):
        prunebench.wrap(model, optimizer, "gmp", sparsity=0.5, steps=2)
    with pytest.raises(prunebench.UserError, match="takes no closure"):
        optimizer.step(lambda: torch.zeros(()))
    with pytest.raises(prunebench.UserError, match=r"after 0 of 2 steps 768 weights are kept, not 384"):
        pruning.finish()
    for _ in range(2):
        model(torch.randn(2, 192)).sum().backward()
        optimizer.step()
    with pytest.raises(prunebench.UserError, match="was to have 2 steps, and this is one more"):
        optimizer.step()
    assert pruning.finish()[1].weight.count_nonzero() == 384
    assert pruning.sparsity == 0.5
    with pytest.raises(prunebench.UserError, match="called already"):
        pruning.finish()


def test_scaled_gradients_are_refused_until_they_are_unscaled() -> None:
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    prunebench.wrap(model, optimizer, "gmp", sparsity=0.5, steps=2)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(model(torch.randn(2, 192)).sum()).backward()
    with pytest.raises(prunebench.UserError, match="unscale_"):
        scaler.step(optimizer)
    optimizer.grad_scale = None
    scaler = torch.amp.GradScaler("cpu")
    optimizer.zero_grad()
    scaler.scale(model(torch.randn(2, 192)).sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()


def test_a_scheduler_made_before_is_refused_where_the_method_has_parameters() -> None:
    model = small()
    optimizer = sgd(model)
    torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    with pytest.raises(prunebench.UserError, match="wrap before a learning-rate scheduler is built"):
        prunebench.wrap(model, optimizer, "str", sparsity=0.5, steps=2)
    assert not parametrize.is_parametrized(model[1])
    prunebench.wrap(model, optimizer, "gmp", sparsity=0.5, steps=2).state_dict()
