"""What a plan says a batch leaves for the backward pass is what real tensors of a training step take."""

from __future__ import annotations

import json

import pytest
import torch
from prunebench.benchmark.models.macs_table import ACTIVATIONS_TABLE, size_all
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.models.saved_tensors import kept_bytes
from prunebench.datasets.parts.info import DataSetInfo
from prunebench.datasets.registry import describe
from torch import Tensor
from torch.nn.functional import cross_entropy


def measured(name: str, info: DataSetInfo, batch_size: int, precision: str, **options: object) -> int:
    """Bytes of the memory that real tensors hold until the backward pass, each address once."""
    model = create_model(name, num_classes=info.num_classes, input_shape=info.input_shape, **options).train()
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    held: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: held.append(tensor) or tensor, lambda tensor: tensor):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(torch.randn(batch_size, *info.input_shape))
        cross_entropy(logits.float(), torch.zeros(batch_size, dtype=torch.long))
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in held}
    return sum(size for address, size in storages.items() if address not in own)


@pytest.mark.parametrize(
    ("name", "dataset", "precision", "options"),
    [
        ("convnet-small", "digits", "float32", {}),
        ("convnet-small", "digits", "bfloat16", {"width": 8}),
        ("lenet-300-100", "mnist", "float32", {}),
        ("resnet-8", "cifar10", "float32", {}),
        ("resnet-8", "cifar10", "bfloat16", {}),
        ("fastgrnn", "har2", "float32", {}),
        ("vit-tiny", "digits", "float32", {}),
    ],
)
def test_the_count_is_what_a_step_holds(name: str, dataset: str, precision: str, options: dict[str, object]) -> None:
    info = describe(dataset)
    constant, per_sample = kept_bytes(name, options, info, precision=precision)
    assert per_sample > 0
    # a CPU may keep a weight in another format beside its copy in bfloat16
    tolerance = 0.02 if precision == "bfloat16" else 0.0
    for batch_size in (3, 10):
        found = measured(name, info, batch_size, precision, **options)
        assert constant + batch_size * per_sample == pytest.approx(found, rel=tolerance, abs=0)


def test_a_network_worked_by_hand() -> None:
    """LeNet-300-100: inputs of 784, ReLU outputs of 300 and 100, log-probabilities of 10, all of 4 bytes; and the
    targets of 8 bytes. The loss also keeps its total weight, one number."""
    assert kept_bytes("lenet-300-100", {}, describe("mnist")) == (4, 4 * (784 + 300 + 100 + 10) + 8)


def test_counting_leaves_the_random_state_and_constants_of_networks_alone() -> None:
    before = torch.get_rng_state()
    kept_bytes("fastgrnn", {}, describe("har2"))
    assert torch.equal(before, torch.get_rng_state())
    info = describe("har2")
    model = create_model("fastgrnn", num_classes=info.num_classes, input_shape=info.input_shape)
    assert type(model(torch.zeros(2, *info.input_shape))) is Tensor


def test_the_shipped_table_is_what_is_counted() -> None:
    table = json.loads(ACTIVATIONS_TABLE.read_text(encoding="utf-8"))
    assert table.keys() == size_all().keys()
    for name in ("convnet-small digits", "lenet-5 mnist", "resnet-20 cifar10", "fastgrnn har2"):
        model, dataset = name.split()
        for precision, numbers in table[name].items():
            assert tuple(numbers) == kept_bytes(model, {}, describe(dataset), precision=precision), (name, precision)
