"""What must hold for every pruning method: a check raises AssertionError or Skipped with a reason, or says a detail."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...benchmark.api.masks import check_finite, num_kept
from ...benchmark.api.sites import find_sites
from ..bases.toy_task import INPUT_SHAPE
from ..listing.budget import trained_epochs
from .subject import Subject
from .surround import after_each_step, in_random_state, with_nan
from .trial import ToyTask, Trial


class Skipped(Exception):
    """The method has nothing that this check could test; the message says what is missing."""


MAX_RESUMES = 4
"""Trainings are resumed from at most this many of their checkpoints, spread evenly over rounds and epochs."""


def _detached(trial: Trial) -> Trial:
    trial.pruner.detach()
    return trial


def check_target(subject: Subject) -> str:
    """The number of weights kept is num_kept(N, sparsity), and pruned weights are exactly zero."""
    trial = _detached(subject.start().train())
    counts = [(int((site.weight != 0).sum()), site.weight.numel()) for site in find_sites(trial.model)]
    nonzero, total = (sum(pair[i] for pair in counts) for i in (0, 1))
    masks = trial.pruner.masks
    if masks is None:
        raise Skipped(f"no masks; {nonzero} of {total} weights are not zero")
    _assert_zero_outside_masks(trial)
    if not subject.info.reaches_target:
        raise Skipped(f"chooses its sparsity; kept {masks.num_kept} of {masks.num_total}")
    wanted = num_kept(masks.num_total, subject.sparsity)
    assert masks.num_kept == wanted, f"{masks.num_kept} of {masks.num_total} weights are kept, not {wanted}"
    return f"kept {masks.num_kept} of {masks.num_total}"


def check_scores(subject: Subject) -> str:
    """Scores are finite floats every time the method computes them."""
    trial = subject.start()
    compute = getattr(trial.pruner, "scores", None)
    if compute is None:
        raise Skipped("ranks no weights by scores")
    dtypes: set[str] = set()

    def observed() -> Mapping[str, Tensor]:
        scores = compute()
        check_finite(scores)
        dtypes.update(str(score.dtype) for score in scores.values())
        return scores

    setattr(trial.pruner, "scores", observed)  # noqa: B010  a method's own name: only some pruners have it
    trial.train()
    if not dtypes:
        raise Skipped("asks for no scores")
    return ", ".join(sorted(dtypes))


def check_masks_hold(subject: Subject, optimizer: Literal["sgd", "adam"]) -> str:
    """Pruned weights are zero after every step, whatever momentum and weight decay do."""
    trial = subject.start(ToyTask(optimizer=optimizer))
    if trial.pruner.masks is None:
        raise Skipped("no masks")
    after_each_step(trial.pruner, lambda: _assert_zero_outside_masks(trial))
    trial.train()
    return "SGD with momentum 0.9, Nesterov, weight decay" if optimizer == "sgd" else "Adam, weight decay"


def _assert_zero_outside_masks(trial: Trial) -> None:
    masks = trial.pruner.masks
    if masks is None:
        return
    for name, site in masks.sites.items():
        leaked = int((site.weight.detach()[~masks[name]] != 0).sum())
        assert leaked == 0, f"{leaked} pruned weights of {name} are not zero in epoch {trial.position[1]}"


def check_no_trace(subject: Subject) -> str:
    """Attaching and pruning leave parameters, buffers, modes, gradients and the global random state as they were."""
    network = subject.network()
    # one part in eval mode and one frozen parameter: modes and flags must be restored one by one
    next(network.children()).eval()
    list(network.parameters())[-1].requires_grad_(False)
    before, random_state = _facts(network), torch.get_rng_state()
    values = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trial = Trial(subject.make(), network)
    trial.pruner.begin_round(0)
    assert torch.equal(torch.get_rng_state(), random_state), "the global random state has moved"
    after = _facts(network)
    changed = [key for key in before if key in after and before[key] != after[key]]
    assert not changed, f"changed: {', '.join(changed)}"
    if type(trial.pruner).moves_weights:
        return "changes weights that stay, as it says"
    masks = trial.pruner.masks
    pruned = dict(masks.items()) if masks is not None and trial.model is network else {}
    state = network.state_dict()
    for name, value in values.items():
        if name in state:
            expected = value * pruned[name] if name in pruned else value
            assert torch.equal(state[name], expected), f"{name} has changed beyond its mask"
    return ""


def _facts(network: nn.Module) -> dict[str, Any]:
    modes = {f"mode of {name or 'network'}": module.training for name, module in network.named_modules()}
    grads = {f"gradient of {name}": p.grad is None for name, p in network.named_parameters()}
    needs = {f"requires_grad of {name}": p.requires_grad for name, p in network.named_parameters()}
    return {**modes, **grads, **needs}


def check_determinism(subject: Subject) -> str:
    """The same seed gives the same masks and weights bit for bit, even in another global random state."""
    trials = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            trial = subject.start()
            in_random_state(trial.pruner, seed)
            trials.append(_detached(trial.train()))
    _assert_equal(trials[0], trials[1], "in a second run")
    return ""


def check_resume(subject: Subject) -> str:
    """A training killed after any epoch and resumed ends with the same bits as an uninterrupted one."""
    checkpoints: list[tuple[tuple[int, int], bytes]] = []
    task = ToyTask()
    whole = subject.start(task, on_epoch=lambda trial: checkpoints.append((trial.position, trial.checkpoint())))
    _detached(whole.train())
    assert checkpoints, "the method trains no epoch"
    stride = math.ceil(len(checkpoints) / MAX_RESUMES)
    for position, checkpoint in checkpoints[::stride]:
        resumed = _detached(subject.start(task).resume(checkpoint).train())
        _assert_equal(whole, resumed, f"when resumed in round {position[0]} after {position[1]} epochs")
    return f"{len(checkpoints[::stride])} of {len(checkpoints)} checkpoints"


def _assert_equal(one: Trial, other: Trial, when: str) -> None:
    tensors, others = one.model.state_dict(), other.model.state_dict()
    assert tensors.keys() == others.keys(), f"the network has other tensors {when}"
    for name, tensor in tensors.items():
        assert torch.equal(tensor, others[name]), f"{name} differs {when}"
    if one.pruner.masks is not None:
        assert other.pruner.masks is not None
        for name, mask in one.pruner.masks.items():
            assert torch.equal(mask, other.pruner.masks[name]), f"the mask of {name} differs {when}"


def check_plain_model(subject: Subject) -> str:
    """After `detach` the network has the tensors of a fresh one, no parametrisation, no hook, and the same outputs."""
    trial = subject.start().train()
    inputs = torch.randn(4, *INPUT_SHAPE, generator=torch.Generator().manual_seed(0))
    trial.model.eval()
    with torch.no_grad():
        before = trial.model(inputs)
        trial.pruner.detach()
        after = trial.model(inputs)
    assert torch.equal(before, after), "detach has changed what the network computes"
    for name, module in trial.model.named_modules():
        assert not parametrize.is_parametrized(module), f"{name} is still parametrised"
        hooks = [h for h in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks) if h]
        assert not hooks, f"{name} still has hooks"
    if trial.model is not trial.network:
        return "the method builds a network of its own"
    fresh = subject.network()
    assert sorted(trial.model.state_dict()) == sorted(fresh.state_dict()), (
        "the tensors are not those of a fresh network"
    )
    fresh.load_state_dict(trial.model.state_dict())
    return ""


def check_budget(subject: Subject) -> str:
    """A plan counts the epochs of all rounds, and `keeps_network` says whether the given network is trained."""
    trial = subject.start()
    planned = trained_epochs(subject.info, subject.sparsity, subject.options, trial.task.epochs)
    trained = sum(trial.task.epochs - trial.pruner.first_epoch(index) for index in range(trial.pruner.rounds))
    assert planned in (None, trained), f"a plan counts {planned} epochs by its epochs_rule, its rounds train {trained}"
    keeps = trial.model is trial.network
    assert keeps == subject.info.keeps_network, f"keeps_network must be {keeps}, not {subject.info.keeps_network}"
    if planned is None:
        raise Skipped("its rounds are not known to a plan")
    return f"{planned} epochs of {trial.task.epochs}"


def check_before_anything_runs(subject: Subject) -> str:
    """`check` accepts a network without values, and changes neither the method nor the network."""
    with torch.device("meta"):
        network = subject.network()
    before = _facts(network)
    checked = subject.make()
    checked.check(replace(ToyTask().context(network), samples=_no_samples))
    assert _facts(network) == before, "the network has changed"
    task = ToyTask(epochs=2)
    trial = Trial(checked, subject.network(), task)
    _assert_equal(subject.start(task).train(), trial.train(), "after check was called")
    return ""


def _no_samples(*_: object, **__: object) -> NoReturn:
    raise AssertionError("samples are asked for before anything runs")


def check_nan(subject: Subject) -> str:
    """The method raises FloatingPointError for NaN weights whenever it ranks weights: NaN ranks as the largest."""
    trial = subject.start()
    if trial.pruner.masks is None or subject.info.needs == "nothing":
        raise Skipped("ranks no weights")
    with_nan(trial.pruner)
    try:
        trial.train()
    except FloatingPointError:
        return ""
    raise AssertionError("NaN weights are accepted")
