"""Training throughput of a run's network and recipe on the device at hand, on random inputs of its data set's shape."""

from __future__ import annotations

import time

import torch
from torch.nn.functional import cross_entropy

from ..datasets.registry import describe
from .models.registry import create_model
from .run import Run

WARMUP_STEPS = 2
SECONDS = 5.0


def measure_throughput(run: Run, seconds: float = SECONDS, threads: int = 1) -> float:
    """Images a second of forward, backward and optimiser step, over about `seconds`; as many threads as a run has."""
    torch.set_num_threads(threads)
    info = describe(run.dataset, **dict(run.dataset_options))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options = {key: value for key, value in run.model_options if key != "weights"}
    model = create_model(run.model, num_classes=info.num_classes, input_shape=info.input_shape, **options).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
    inputs = torch.randn(run.recipe.batch_size, *info.input_shape, device=device)
    targets = torch.randint(info.num_classes, (run.recipe.batch_size,), device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    for _ in range(WARMUP_STEPS):
        step()
    _synchronize(device)
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        step()
        _synchronize(device)
        steps += 1
    return steps * run.recipe.batch_size / (time.perf_counter() - begin)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
