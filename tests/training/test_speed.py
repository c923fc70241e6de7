"""The optimisations of training change results only by the order of additions, and are recorded."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.masks import Masks
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.runs.run import Recipe, Run, derive_seed, frozen_options
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.training.memory_format import choose_memory_format
from prunebench.benchmark.training.optimizer import learning_rate
from prunebench.datasets.registry import load
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, TensorDataset

# At a rate of 0.05 rounding errors alone grow to 1 % of the loss and three images in four epochs, depending on the
# processor and the seed; at this rate they stay below 0.1 % and one image.
RECIPE = Recipe(epochs=4, batch_size=50, lr=0.01, nesterov=True, weight_decay=5e-4)
RUN = Run(dataset="digits", model="convnet-small", method="magnitude_init", seed=3, recipe=RECIPE, sparsity=0.8)
CPU = torch.device("cpu")


def result_of(run: Run, folder: Path, **settings: Any) -> dict[str, Any]:
    ending = attempt(run, "s", Settings(results=folder, device="cpu", **settings))
    assert ending.outcome == "done", ending.reason
    result = Store(folder).folder("s", run).read_result()
    assert result is not None
    return result


def history_of(run: Run, folder: Path) -> list[dict[str, Any]]:
    return Store(folder).folder("s", run).history()


def assert_same_losses(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal up to rounding in the first epoch; later steps amplify the differences."""
    assert found[0]["train_loss"] == pytest.approx(expected[0]["train_loss"], rel=1e-4)
    assert [r["train_loss"] for r in found] == pytest.approx([r["train_loss"] for r in expected], rel=0.01)


def plain_training(run: Run, masks: dict[str, torch.Tensor]) -> list[dict[str, float]]:
    """The same run as a usual loop: a DataLoader over normalised images, unfused SGD, one product for each layer.

    Only the network, the masks, the order of the samples and the learning rates come from the harness.
    """
    data = load(run.dataset, validation=run.validation)
    torch.manual_seed(derive_seed(run.seed, "init"))
    model = create_model(run.model, num_classes=data.num_classes, input_shape=data.input_shape)
    parameters = dict(model.named_parameters())
    recipe = run.recipe
    optimizer = torch.optim.SGD(
        parameters.values(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=recipe.nesterov,
        foreach=False, fused=False,
    )  # fmt: skip

    def tensors(split: Any) -> TensorDataset:
        return TensorDataset(*next(split.batches(len(split), device=CPU)))

    def apply() -> None:
        for name, mask in masks.items():
            parameters[name].data *= mask

    seed = derive_seed(run.seed, "dense" if run.parent is None else "pruned")
    records = []
    apply()
    for epoch in range(recipe.epochs):
        order = torch.randperm(
            len(data.train), generator=torch.Generator().manual_seed(derive_seed(seed, "order", 0, epoch))
        )
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, epoch)
        model.train()
        losses = []
        for inputs, targets in DataLoader(tensors(data.train), recipe.batch_size, sampler=order.tolist()):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            apply()
            losses.append(loss.item())
        model.eval()
        inputs, targets = tensors(data.test).tensors
        with torch.no_grad():
            accuracy = (model(inputs).argmax(dim=1) == targets).double().mean().item()
        records.append({"train_loss": sum(losses) / len(losses), "test_accuracy": accuracy})
    return records


def test_the_fast_path_follows_a_plain_loop(tmp_path: Path) -> None:
    """Channels last, resident data, fused optimiser and foreach masks against a DataLoader and the usual loop."""
    result = result_of(RUN, tmp_path)
    assert result["provenance"]["execution"]["memory_format"] == "channels_last"
    torch.manual_seed(derive_seed(RUN.seed, "init"))
    data = load("digits")
    model = create_model(RUN.model, num_classes=data.num_classes, input_shape=data.input_shape)
    weights = torch.cat([site.weight.detach().abs().flatten() for site in find_sites(model)])
    kept = weights.argsort(descending=True, stable=True)[: result["sparsity"]["kept"]]
    flat = torch.zeros(len(weights), dtype=torch.bool)
    flat[kept] = True
    sites = find_sites(model)
    pieces = flat.split([site.weight.numel() for site in sites])
    masks = {site.name: piece.view_as(site.weight) for site, piece in zip(sites, pieces, strict=True)}
    plain, fast = plain_training(RUN, masks), history_of(RUN, tmp_path)
    assert_same_losses(fast, plain)
    # two of 500 test images at most
    assert [r["test_accuracy"] for r in fast] == pytest.approx([r["test_accuracy"] for r in plain], abs=0.0041)


class Strayed(TorchDispatchMode):
    """Collects the operators that return images whose channels are not last in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for output in tree_leaves(result):
            is_map = isinstance(output, torch.Tensor) and output.dim() == 4 and min(output.shape) > 1
            if is_map and not output.is_contiguous(memory_format=torch.channels_last):
                self.operators.add(func.__name__)
        return result


@pytest.mark.parametrize("name", ["convnet-small", "mobilenet-small", "resnet-20", "resnet-50-cifar", "vgg-19-bn"])
def test_channels_stay_last_forward_and_backward(name: str) -> None:
    """Two tensors of different formats make an operator several times slower, and its output has the wrong one."""
    shape = (3, 32, 32)
    model = create_model(name, num_classes=10, input_shape=shape, width=0.25)
    model = model.to(memory_format=choose_memory_format("auto", model, shape, CPU))
    images = torch.randn(2, *shape).to(memory_format=torch.channels_last)
    with Strayed() as strayed:
        cross_entropy(model(images), torch.tensor([0, 1])).backward()
    # the gradient of the last mean over all pixels is one number a channel, spread out
    assert strayed.operators <= {"expand.default", "div.Scalar"}


def test_the_memory_format_moves_only_rounding(tmp_path: Path) -> None:
    last = result_of(RUN, tmp_path / "last", memory_format="channels_last")
    plain = result_of(RUN, tmp_path / "plain", memory_format="contiguous")
    assert plain["provenance"]["execution"]["memory_format"] == "contiguous"
    assert last["id"] == plain["id"]
    assert last["sparsity"] == plain["sparsity"]
    assert_same_losses(history_of(RUN, tmp_path / "last"), history_of(RUN, tmp_path / "plain"))


def test_networks_without_images_stay_as_they_are(tmp_path: Path) -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert choose_memory_format("auto", linear, (1, 8, 8), CPU) is torch.contiguous_format
    assert choose_memory_format("auto", nn.Sequential(nn.Conv1d(9, 4, 3)), (9, 128), CPU) is torch.contiguous_format
    with pytest.raises(ValueError, match="'channels_last' needs a network with 2-D convolutions"):
        choose_memory_format("channels_last", linear, (1, 8, 8), CPU)


def test_no_training_enters_the_kernel_that_writes_past_its_memory(tmp_path: Path) -> None:
    """oneDNN's gradient of a strided 1x1 convolution with few channels, channels last, crashes, hangs or is wrong."""
    thin = create_model("wrn-16-8", num_classes=10, input_shape=(1, 8, 8), width=0.25)
    with pytest.raises(ValueError, match=r"damages memory on a CPU in layer 'group2\.0\.shortcut', .* fewer than 16"):
        choose_memory_format("channels_last", thin, (1, 8, 8), CPU)
    assert choose_memory_format("channels_last", thin, (1, 8, 8), torch.device("cuda")) is torch.channels_last
    wide = create_model("wrn-16-8", num_classes=10, input_shape=(1, 8, 8))
    assert choose_memory_format("auto", wide, (1, 8, 8), CPU) is torch.channels_last

    recipe = Recipe(epochs=1, batch_size=100, lr=0.05)
    run = Run(dataset="digits", model="wrn-16-8", method="dense", seed=0, recipe=recipe,
              model_options=frozen_options({"width": 0.05}))  # fmt: skip
    assert result_of(run, tmp_path)["provenance"]["execution"]["memory_format"] == "contiguous"


def test_masks_lie_as_the_weights_do() -> None:
    """Otherwise the foreach product falls back to one slow kernel for each layer."""
    model = create_model("convnet-small", num_classes=10, input_shape=(1, 8, 8)).to(memory_format=torch.channels_last)
    masks = Masks(find_sites(model))
    masks.set({name: torch.rand(mask.shape) > 0.5 for name, mask in masks.items()})
    for site in masks.sites.values():
        assert masks[site.name].stride() == site.weight.stride()


def test_a_compiled_step_trains_alike(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("needs g++ (apt install g++)")
    run = replace(RUN, model="lenet-300-100", recipe=replace(RECIPE, epochs=2))
    compiled = result_of(run, tmp_path / "compiled", compile="default")
    assert compiled["provenance"]["execution"]["compile"] == "default"
    result_of(run, tmp_path / "plain")
    assert_same_losses(history_of(run, tmp_path / "compiled"), history_of(run, tmp_path / "plain"))


def test_the_smaller_last_batch_is_not_compiled_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three full batches an epoch and one of 12 samples: one graph, and the weights of a training without it."""
    graphs: list[Any] = []
    compile_ = torch.compile

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda network, mode: compile_(network, backend=count))
    run = replace(
        RUN, model="lenet-300-100", dataset_options=(("limit", 162),), validation=0.0, recipe=replace(RECIPE, epochs=2)
    )
    compiled = result_of(run, tmp_path / "compiled", compile="default", keep_weights=True)
    assert len(graphs) == 1
    plain = result_of(run, tmp_path / "plain", keep_weights=True)
    assert compiled["provenance"]["weights"]["stored"] == plain["provenance"]["weights"]["stored"]
    assert compiled["provenance"]["weights"]["stored"] is not None


def test_a_data_set_of_one_batch_is_compiled_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Noting(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            sizes.append(len(inputs))
            return self.network(inputs)

    monkeypatch.setattr(torch, "compile", lambda network, mode: Noting(network))
    run = replace(
        RUN, model="lenet-300-100", dataset_options=(("limit", 40),), validation=0.0, recipe=replace(RECIPE, epochs=2)
    )
    result_of(run, tmp_path, compile="default")
    assert sizes == [40, 40]


@pytest.mark.parametrize(("setting", "recorded"), [("off", "off"), ("auto", "not captured: the device is cpu")])
def test_a_result_says_whether_steps_were_captured(tmp_path: Path, setting: str, recorded: str) -> None:
    run = replace(RUN, model="lenet-300-100", recipe=replace(RECIPE, epochs=1))
    assert result_of(run, tmp_path, cuda_graph=setting)["provenance"]["execution"]["cuda_graph"] == recorded


def test_options_of_a_run_are_not_of_its_id() -> None:
    assert RUN.id == replace(RUN, model_options=frozen_options({})).id
