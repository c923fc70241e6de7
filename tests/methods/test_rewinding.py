"""Rewinding: what stays of weights and of the learning rate in each of its three ways, and that it is IMP otherwise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from prunebench.methods.lottery_ticket import IterativeMagnitude
from prunebench.methods.registry import describe
from prunebench.methods.rewinding import Rewinding
from toys import make_optimizer, prune_now, resume_equals_uninterrupted, tiny_net, toy_context, train_all, train_step


@pytest.mark.parametrize("rewind", ["lr", "weights"])
def test_two_ways_are_those_of_imp(rewind: str) -> None:
    options: dict[str, Any] = {"sparsity": 0.6, "prune_fraction": 0.5, "rewind": rewind, "rewind_epoch": 1}
    models = []
    for method in (IterativeMagnitude, Rewinding):
        model, _ = train_all(method(**options), toy_context(tiny_net(), epochs=2))
        models.append(model.state_dict())
    assert all(torch.equal(tensor, models[1][name]) for name, tensor in models[0].items())


def test_by_default_trained_weights_stay_and_the_whole_schedule_is_trained_again() -> None:
    pruner, model = Rewinding(sparsity=0.36), tiny_net()
    assert (pruner.rounds, [pruner.first_epoch(index) for index in range(3)]) == (3, [0, 0, 0])
    prune_now(pruner, toy_context(model))
    trained = {name: site.weight.detach().clone() for name, site in pruner.masks.sites.items()}
    pruner.begin_round(1)
    kept = dict(pruner.masks.items())
    assert sum(int(mask.sum()) for mask in kept.values()) == 356 - 71
    for name, site in pruner.masks.sites.items():
        assert torch.equal(site.weight, trained[name] * kept[name])


def test_fine_tuning_keeps_the_last_rate() -> None:
    pruner, model = Rewinding(sparsity=0.5, prune_fraction=0.5, rewind="none"), tiny_net()
    prune_now(pruner, toy_context(model, epochs=1))
    optimizer, rates = make_optimizer(pruner), [0.4, 0.3, 0.2, 0.1]
    for index, expected in ((0, rates), (1, [0.1] * 4)):
        if index == 1:
            pruner.begin_round(1)
        seen = []
        for step, rate in enumerate(rates):
            for group in optimizer.param_groups:
                group["lr"] = rate
            train_step(pruner, model, optimizer, step)
            seen.append(optimizer.param_groups[0]["lr"])
        assert seen == expected


def test_fine_tuning_resumes() -> None:
    resume_equals_uninterrupted(lambda: Rewinding(sparsity=0.6, prune_fraction=0.5, rewind="none"), epochs=2)


def test_fine_tuning_needs_the_end_of_the_training() -> None:
    with pytest.raises(ValueError, match="rewind: none needs start: init"):
        Rewinding(sparsity=0.5, start="trained", rewind="none")
    Rewinding(sparsity=0.5, start="trained")


def test_plans_count_its_epochs() -> None:
    assert describe("lr_rewinding").epochs_rule == "iterative_epochs:trained_epochs"
