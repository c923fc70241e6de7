"""The emulated device of fake_cuda.py keeps CUDA's rules: what it let pass, no test of the suite would find."""

from __future__ import annotations

import io
from copy import deepcopy

import pytest
import torch
from fake_cuda import CudaTensor, fake_cuda
from prunebench.benchmark.api.sites import find_sites
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

WAITING = {
    "item": lambda x: x.sum().item(),
    "if": lambda x: bool((x > 0).any()),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu", torch.float64),
    "tolist": lambda x: x.tolist(),
    "host into device": lambda x: x.copy_(torch.zeros(4)),
    "device into host": lambda x: torch.zeros(4).copy_(x),
    "constant": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "boolean index": lambda x: x[x > 0],
    "host index": lambda x: x[torch.tensor([0, 2])],
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
}  # fmt: skip
PASSING = {
    "sum": lambda x: x.sum(),
    "number": lambda x: x * torch.tensor(2.0),
    "fill": lambda x: x.masked_fill_(x > 2, 0.0),
    "index fill": lambda x: x.__setitem__(x > 2, 0.0),
    "non-blocking": lambda x: x.copy_(torch.zeros(4), non_blocking=True),
    "non-blocking to": lambda x: torch.zeros(4).to("cuda", non_blocking=True),
    "constant shape": lambda x: torch.full((4,), 3.0, device=x.device),
    "sort": lambda x: x.sort(),
    "to itself": lambda x: x.to(x.device, torch.float64),
}
MIXED = {
    "add": lambda x: x + torch.ones(4),
    "into the host": lambda x: torch.ones(4).add_(x[0]),
    "matmul": lambda x: torch.ones(4) @ x,
    "stack": lambda x: torch.stack([torch.tensor(1.0), x[0]]),
    "generator": lambda x: x.uniform_(generator=torch.Generator()),
}


@pytest.mark.parametrize("name", WAITING)
def test_what_waits(name: str) -> None:
    with fake_cuda() as gpu:
        tensor = torch.arange(4.0).to("cuda", non_blocking=True)
        assert gpu.waits == []
        WAITING[name](tensor)
        assert len(gpu.waits) == 1


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_wait(name: str) -> None:
    with fake_cuda() as gpu:
        tensor = torch.arange(4.0).to("cuda", non_blocking=True)
        PASSING[name](tensor)
        assert gpu.waits == []


@pytest.mark.parametrize("name", MIXED)
def test_devices_are_not_mixed(name: str) -> None:
    with fake_cuda(), pytest.raises(RuntimeError, match="cuda"):
        MIXED[name](torch.arange(4.0).to("cuda"))


def train(network: nn.Module, device: str) -> list[Tensor]:
    """Three steps; returns the parameters on the CPU."""
    network = network.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, fused=True)
    inputs = torch.arange(96.0).sin().view(2, 3, 4, 4).to(device)
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(network(inputs), torch.tensor([1, 0], device=device)).backward()
        optimizer.step()
    return [parameter.detach().cpu() for parameter in network.parameters()]


def test_a_training_has_the_cpus_values() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    expected = train(deepcopy(network), "cpu")
    with fake_cuda() as gpu:
        found = train(network, "cuda")
        assert isinstance(network[0].weight, nn.Parameter)
        assert isinstance(deepcopy(network)[0].weight, nn.Parameter)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert gpu.kernels > 3 * 10


def test_what_is_saved_comes_back() -> None:
    file = io.BytesIO()
    with fake_cuda() as gpu:
        torch.save({"mask": torch.ones(2, dtype=torch.bool, device="cuda"), "epoch": 3}, file)
        assert [wait.kind for wait in gpu.waits] == ["copy to host"]
        file.seek(0)
        state = torch.load(file, map_location="cuda", weights_only=True)
        assert isinstance(state["mask"], CudaTensor)
    file.seek(0)
    assert torch.load(file, weights_only=True)["mask"].tolist() == [True, True]


def test_waits_name_the_lines_that_asked() -> None:
    with fake_cuda() as gpu:
        network = nn.Linear(2, 2).to("cuda")
        before = len(gpu.waits)
        assert len(find_sites(network)) == 1
        assert gpu.waits[before:] == []
    assert not torch.cuda.is_available()
    assert [each.where for each in gpu.waits[:1]] == ["outside"]
