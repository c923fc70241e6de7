"""Pruning once: the masks of the harness, true zeros, and nothing else changed."""

from __future__ import annotations

import numpy as np
import prunebench
import pytest
import torch
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.runs.run import Recipe, derive_seed
from prunebench.benchmark.training.context import make_context
from prunebench.datasets.registry import load
from prunebench.methods.registry import create
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, SubsetRandomSampler, TensorDataset

CPU = torch.device("cpu")
DATA = load("digits", limit=200)
INPUTS, TARGETS = DATA.train.sample(torch.arange(200), device=CPU)


class Plain(Dataset):
    """Samples by index, with targets as Python numbers, as torchvision's data sets have them."""

    def __len__(self) -> int:
        return len(TARGETS)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return INPUTS[index], int(TARGETS[index])


class WithTargets(Plain):
    targets = TARGETS.tolist()


SOURCES = {
    "tensors": (INPUTS, TARGETS),
    "loader": DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=7, shuffle=True, drop_last=True),
    "dataset": Plain(),
    "targets": WithTargets(),
    "subset": Subset(TensorDataset(torch.cat([INPUTS + 1, INPUTS]), torch.cat([TARGETS, TARGETS])), range(200, 400)),
    "sampler": DataLoader(
        TensorDataset(torch.cat([INPUTS + 1, INPUTS]), torch.cat([TARGETS, TARGETS])),
        sampler=SubsetRandomSampler(range(200, 400)),
    ),
}


def network(seed: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "init"))
        return create_model("convnet-small", num_classes=10, input_shape=(1, 8, 8), width=4)


def of_harness(method: str, sparsity: float, seed: int, **options: object) -> tuple[nn.Module, dict[str, Tensor]]:
    model = network()
    pruner = create(method, sparsity, options)
    context = make_context(model, DATA, recipe=Recipe(epochs=1), seed=seed, device=CPU, rebuild=network)
    pruner.attach(context)
    pruner.begin_round(0)
    assert pruner.masks is not None
    return model, dict(pruner.masks.items())


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("method", "options"),
    [("snip", {"score_samples": 50, "seed": 5}), ("grasp", {"seed": 5}), ("obd", {"fisher_gradients": 20})],
)
def test_samples_are_those_that_a_run_draws(method: str, options: dict, source: str) -> None:
    model, given = network(), dict(options)
    masks = prunebench.prune(model, method, sparsity=0.8, data=SOURCES[source], **options)
    expected, wanted = of_harness(method, 0.8, given.pop("seed", 0), **given)
    assert masks.keys() == wanted.keys()
    assert all(torch.equal(mask, wanted[name]) for name, mask in masks.items())
    assert all(torch.equal(value, expected.state_dict()[name]) for name, value in model.state_dict().items())


def test_weights_worked_by_hand() -> None:
    model = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, -0.1, 0.3], [-0.9, 0.2, 0.05]]))
    masks = prunebench.prune(model, "global_mp", sparsity=0.5)
    assert masks["weight"].tolist() == [[True, False, True], [True, False, False]]
    assert model.weight.tolist() == pytest.approx(np.array([[0.5, 0.0, 0.3], [-0.9, 0.0, 0.0]]))
    masks["weight"].zero_()  # a copy: nothing of the network


def test_modes_buffers_gradients_and_random_state_stay() -> None:
    model = network().train()
    model.features[1].eval()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    modes, state = [module.training for module in model.modules()], torch.get_rng_state()
    prunebench.prune(model, "snip", sparsity=0.8, data=(INPUTS, TARGETS))
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())
    assert torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("method", ["rigl", "gmp", "str", "edge_popup", "dnw", "ac_dc", "dense", "random_subspace"])
def test_a_method_of_a_training_is_refused_and_leaves_the_network(method: str) -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    with pytest.raises(prunebench.UserError, match=f"method '{method}' does not set its final masks before a training"):
        prunebench.prune(model, method, sparsity=0.5, data=(INPUTS, TARGETS))
    assert kinds == [type(module) for module in model.modules()]
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


class Endless(IterableDataset):
    def __iter__(self):
        yield from zip(INPUTS, TARGETS, strict=True)


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (nn.ReLU(), {}, "the network has no prunable layer that is trained (ReLU): convolutions"),
        (nn.Linear(2, 2).requires_grad_(False), {}, "the network has no prunable layer that is trained (Linear)"),
        ("resnet", {}, "model is a str; it must be a torch.nn.Module"),
        (network(), {"method": "synflow"}, "the method needs the shape of the inputs: give data="),
        (network(), {"method": "global_mp_flops"}, "the method needs the multiply-adds of the layers: give data="),
        (network(), {"data": (INPUTS, TARGETS[:3])}, "data are 200 inputs and 3 targets; there must be one for each"),
        (network(), {"data": (INPUTS[:0], TARGETS[:0])}, "data have no samples"),
        (network(), {"method": "snip", "data": [INPUTS, TARGETS]}, "samples of data make no batch: stack expects each"),
        (nn.LazyLinear(2), {}, "weight has no shape yet: give the network one batch first"),
        (nn.Linear(2, 2, device="meta"), {}, "weight has no values, being on the meta device"),
        (network(), {"data": iter(())}, "data is a tuple_iterator; it must be a DataLoader over a data set"),
        (network(), {"data": DataLoader(Endless())}, "data go over a Endless, which has no index"),
        (network(), {"data": TensorDataset(INPUTS)}, "a batch of data is a list; it must be two tensors"),
        (network(), {"data": (INPUTS, TARGETS + 90)}, "network, loss and data do not fit together: a batch has inputs "
         "(2, 1, 8, 8) float32 and targets (2,) int64: Target 9"),
        (network(), {"data": (INPUTS.double(), TARGETS)}, "network, loss and data do not fit together"),
        (network(), {"data": (INPUTS, TARGETS), "loss": lambda outputs, targets: outputs}, "the network must return a "
         "tensor, and the loss a mean over the batch"),
        (network(), {"sparsity": 1.0}, "method 'global_mp': sparsity is 1.0; it must be a finite number >= 0 and < 1"),
        (network(), {"method": "nm_magnitude", "sparsity": 0.9}, "method 'nm_magnitude'"),
        (network(), {"minimum_threshold": 50, "sparsity": 0.99}, "method 'global_mp'"),
    ],
)  # fmt: skip
def test_bad_input_says_what_to_do(model: object, given: dict, message: str) -> None:
    with pytest.raises(prunebench.UserError) as error:
        prunebench.prune(model, **{"method": "global_mp", "sparsity": 0.5, **given})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_network_of_tokens_is_counted_on_its_own_inputs() -> None:
    """Multiply-adds are counted on zeros in other places; an embedding takes no floats."""
    model = nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 4))
    tokens = torch.arange(60).remainder(20).view(20, 3)
    masks = prunebench.prune(model, "global_mp_flops", sparsity=0.5, data=(tokens, torch.arange(20) % 4))
    assert sum(int(mask.sum()) for mask in masks.values()) == 224


def test_another_loss_and_a_regression() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 10), nn.Tanh(), nn.Linear(10, 1))
    inputs = torch.randn(30, 5)
    targets = inputs[:, :1] * 2
    weights = [model[0].weight, model[2].weight]
    gradients = torch.autograd.grad(nn.functional.mse_loss(model(inputs), targets), weights)
    scores = [(weight.detach() * gradient).abs() for weight, gradient in zip(weights, gradients, strict=True)]
    cut = torch.cat([score.flatten() for score in scores]).sort(descending=True).values[29:31].mean()
    masks = prunebench.prune(
        model, "snip", sparsity=0.5, data=(inputs, targets), loss=nn.functional.mse_loss, score_samples=30
    )
    assert all(torch.equal(mask, score > cut) for mask, score in zip(masks.values(), scores, strict=True))
