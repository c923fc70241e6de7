"""What the suite relies on in a network, tested on a few random samples in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...datasets.parts.info import DataSetInfo
from ...datasets.registry import describe
from ..api.errors import UserError
from ..api.sites import find_sites
from ..models.count_macs import count_macs
from ..models.made_up_inputs import made_up_inputs
from ..models.outside import count_parameters
from ..models.registry import create_model, origin, sketch_model
from .findings import Finding, run_checks

SHAPES = ("digits", "mnist", "cifar10", "har2", "imagenet", "python-text")
"""Data sets whose inputs are tried in turn, unless one is given."""
BATCH = 4


@dataclass(frozen=True)
class Network:
    """A registered network for the inputs and classes of a data set."""

    name: str
    info: DataSetInfo

    def build(self, seed: int = 0, classes: int | None = None) -> nn.Module:
        torch.manual_seed(seed)
        return create_model(self.name, num_classes=classes or self.info.num_classes, input_shape=self.info.input_shape)

    def inputs(self) -> Tensor:
        return made_up_inputs(self.info, BATCH, torch.Generator().manual_seed(1))

    def logits_shape(self, classes: int) -> tuple[int, ...]:
        """Of a batch, for so many classes."""
        return BATCH, classes, *self.info.target_shape


def check_model(name: str, dataset: str | None = None) -> list[Finding]:
    """Run every check on a network; the global random state is left alone.

    Raises UserError for an unknown name, code that does not load, or a network that takes the inputs of no data set
    that is tried. Whatever else is wrong with it is a failed check.
    """
    source = origin(name).source
    with torch.random.fork_rng(devices=[]):
        return run_checks(CHECKS, Network(name, _fitting(name, dataset)), source)


def _fitting(name: str, dataset: str | None) -> DataSetInfo:
    """The data set that is given, or the first whose inputs the network takes."""
    refusals = []
    for each in (dataset,) if dataset else SHAPES:
        info = describe(each)
        try:
            sketch_model(name, num_classes=info.num_classes, input_shape=info.input_shape)
        except UserError as error:
            refusals.append(str(error))
        # whatever else it raises, the checks meet it too and report it
        except Exception:
            return info
        else:
            return info
    tried = dataset or ", ".join(SHAPES)
    raise UserError(f"model {name!r} takes the inputs of none of {tried}; name one by --dataset: {refusals[0]}")


def _check_forward(network: Network) -> str:
    inputs = network.inputs()
    # a network of symbols takes no more of them than it has classes
    for classes in (network.info.num_classes, *([] if network.info.num_symbols else [7])):
        model = network.build(classes=classes)
        assert isinstance(model, nn.Module), f"{network.name} gives a {type(model).__name__}, not a torch.nn.Module"
        logits = model.eval()(inputs)
        assert isinstance(logits, Tensor), f"forward gives a {type(logits).__name__}, not a tensor of logits"
        shape = tuple(logits.shape)
        wanted = network.logits_shape(classes)
        assert shape == wanted, f"logits of {BATCH} inputs and {classes} classes have the shape {shape}, not {wanted}"
        assert logits.dtype == torch.float32, f"logits are {logits.dtype}, not float32"
        assert torch.isfinite(logits).all(), "logits of a new network are not finite"
    return f"{network.info.title}: {tuple(inputs.shape)} -> {network.logits_shape(network.info.num_classes)}"


def _check_gradients(network: Network) -> str:
    model = network.build().train()
    targets = torch.arange(BATCH) % network.info.num_classes
    targets = targets.view(BATCH, *[1] * len(network.info.target_shape)).expand(BATCH, *network.info.target_shape)
    cross_entropy(model(network.inputs()), targets).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert trained, "no parameter is trained"
    for name, parameter in trained.items():
        assert parameter.grad is not None, f"no gradient reaches {name}"
        assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
    return f"{len(trained)} parameters"


def _check_sites(network: Network) -> str:
    model = network.build()
    sites = find_sites(model)
    assert sites, "no prunable layer: a module of another kind names its weights in an attribute prunable_weights"
    return f"{len(sites)} layers; {count_parameters(model).describe()}"


def _check_macs(network: Network) -> str:
    counts = count_macs(network.build(), network.info.input_shape)
    sketch = sketch_model(network.name, num_classes=network.info.num_classes, input_shape=network.info.input_shape)
    assert counts == count_macs(sketch, network.info.input_shape), (
        "counts differ on the device meta, where `plan` counts"
    )
    assert all(counts.values()), f"no multiply-adds in {next(name for name, count in counts.items() if not count)}"
    return f"{sum(counts.values()):,}"


def _check_same_seed(network: Network) -> str:
    first, second, other = (network.build(seed).state_dict() for seed in (0, 0, 1))
    assert first.keys() == second.keys(), "two networks of one seed have other parameters"
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), f"{name} differs between two networks of one seed"
    assert any(not torch.equal(tensor, other[name]) for name, tensor in first.items()), "another seed gives the same"
    return f"{len(first)} tensors"


def _check_state_dict(network: Network) -> str:
    first, second = network.build(0).eval(), network.build(1).eval()
    second.load_state_dict(first.state_dict())
    inputs = network.inputs()
    assert torch.equal(first(inputs), second(inputs)), (
        "the outputs differ after load_state_dict: not all state is in it"
    )
    return ""


def _check_eval(network: Network) -> str:
    model, inputs = network.build().eval(), network.inputs()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = model(inputs)
    assert torch.equal(inputs, network.inputs()), "the forward pass changes its inputs"
    assert torch.equal(first, model(inputs)), "two forward passes in eval mode differ"
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), f"a forward pass in eval mode changes {name}"
    alone = model(inputs[:1])
    assert torch.allclose(alone, first[:1], rtol=1e-3, atol=1e-4), "an output depends on the other samples of the batch"
    return ""


CHECKS: dict[str, Callable[[Network], str]] = {
    "a batch gives finite logits": _check_forward,
    "finite gradients reach every parameter": _check_gradients,
    "prunable layers are found": _check_sites,
    "multiply-adds are counted": _check_macs,
    "same seed, same network": _check_same_seed,
    "a state dict holds all state": _check_state_dict,
    "eval mode changes nothing": _check_eval,
}
