"""STR: the worked example, thresholds that only weight decay moves at first, weights after `detach`."""

from __future__ import annotations

import math

import pytest
import torch
from prunebench.benchmark.api.sites import find_sites
from prunebench.methods.soft_threshold import STR, SoftThreshold
from torch import nn
from toys import resume_equals_uninterrupted, tiny_net, toy_context, train_all


def logits_of(pruner: STR) -> list[nn.Parameter]:
    return pruner.param_groups(0.0, True)[-1]["params"]


@pytest.mark.parametrize(("upstream", "by_threshold"), [((1.0, 1.0, 1.0), 0.0), ((1.0, 1.0, -1.0), -2.0)])
def test_by_hand(upstream: tuple[float, ...], by_threshold: float) -> None:
    soft = SoftThreshold(math.log(0.1 / 0.9))  # sigmoid is 0.1
    weight = torch.tensor([0.3, -0.05, -0.4], requires_grad=True)
    shrunken = soft(weight)
    assert shrunken.tolist() == pytest.approx([0.2, 0.0, -0.3])
    shrunken.backward(torch.tensor(upstream))
    assert weight.grad is not None
    assert weight.grad.tolist() == [upstream[0], 0.0, upstream[2]]
    assert soft.logit.grad is not None
    assert float(soft.logit.grad) == pytest.approx(by_threshold * 0.1 * 0.9, abs=1e-7)


def test_at_the_papers_start_only_decay_moves_the_thresholds() -> None:
    pruner = STR(sparsity=0.9)
    model = tiny_net()
    before = model.conv1.weight.detach().clone()
    pruner.attach(toy_context(model))
    assert torch.equal(model.conv1.weight, before), "no weight is shrunk yet"
    model(torch.ones(2, 1, 8, 8)).sum().backward()
    assert [float(logit.grad) for logit in logits_of(pruner) if logit.grad is not None] == [0.0, 0.0, 0.0]
    optimizer = torch.optim.SGD(pruner.param_groups(weight_decay=0.5, decay_norm=False), lr=0.1)
    optimizer.step()
    assert [logit.item() for logit in logits_of(pruner)] == pytest.approx([-3200 * 0.95] * 3)


@pytest.mark.parametrize(("own", "expected"), [(None, 0.01), (0.0, 0.0), (0.3, 0.3)])
def test_thresholds_decay_whatever_the_rule_for_vectors_is(own: float | None, expected: float) -> None:
    pruner = STR(sparsity=0.9, threshold_decay=own)
    model = tiny_net()
    pruner.attach(toy_context(model))
    groups = pruner.param_groups(weight_decay=0.01, decay_norm=False)
    assert groups[-1]["weight_decay"] == expected
    assert len(groups[-1]["params"]) == 3
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters()), "each parameter is in one group"


def test_the_network_left_behind_holds_the_shrunken_weights() -> None:
    pruner = STR(sparsity=0.9, initial_threshold_logit=-1.5, dense=("first",))
    model = tiny_net()
    pruner.attach(toy_context(model))
    computed = model.conv2.weight.detach().clone()
    inputs = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model.eval()
    outputs = model(inputs)
    pruner.detach()
    assert torch.equal(model.conv2.weight, computed)
    assert torch.equal(model(inputs), outputs)
    assert sorted(model.state_dict()) == sorted(tiny_net().state_dict())
    assert sum(int((w == 0).sum()) for w in (model.conv2.weight, model.fc.weight)) > 100
    assert int((model.conv1.weight == 0).sum()) == 0


def test_training_prunes_and_resumes() -> None:
    def make() -> STR:
        return STR(sparsity=0.9, initial_threshold_logit=-3.0, threshold_decay=0.9)

    resume_equals_uninterrupted(make)
    pruner = make()
    model, _ = train_all(pruner, toy_context(tiny_net()))
    assert pruner.masks is None
    assert sum(int((site.weight == 0).sum()) for site in find_sites(model)) > 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial_threshold_logit": 1.0}, "initial_threshold_logit is 1.0; .* and <= 0"),
        ({"initial_threshold_logit": math.nan}, "initial_threshold_logit is nan; it must be a finite number"),
        ({"threshold_decay": -0.1}, "threshold_decay is -0.1; .* >= 0 and < 1 or null"),
    ],
)
def test_bad_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        STR(sparsity=0.9, **options)  # type: ignore[arg-type]
