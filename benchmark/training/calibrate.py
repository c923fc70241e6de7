"""Training throughput of a run's network and recipe on the device at hand, on random inputs of its data set's shape."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch.nn.functional import cross_entropy

from ...datasets.registry import describe
from ..models.registry import create_model
from ..runs.run import Run
from .loop import FUSED_DEVICES, forward_precision
from .memory import keep_freed
from .memory_format import choose_memory_format
from .precision import choose_precision

WARMUP_STEPS = 2
SECONDS = 5.0


def measure_throughput(run: Run, seconds: float = SECONDS, threads: int = 1) -> float:
    """Images a second of forward, backward and optimiser step, over about `seconds`; as many threads as a run has."""
    torch.set_num_threads(threads)
    info = describe(run.dataset, **dict(run.dataset_options))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keep_freed(device)
    options = {key: value for key, value in run.model_options if key != "weights"}
    model = create_model(run.model, num_classes=info.num_classes, input_shape=info.input_shape, **options).to(device)
    memory_format = choose_memory_format("auto", model, info.input_shape, device)
    if memory_format is torch.channels_last:
        model = model.to(memory_format=memory_format)
    batch_size = run.recipe.batch_size
    precision = choose_precision(
        run.recipe.precision, model, batch_size, info.input_shape, info.num_classes, device
    ).name
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, fused=device.type in FUSED_DEVICES)
    inputs = torch.randn(batch_size, *info.input_shape, device=device)
    targets = torch.randint(info.num_classes, (batch_size,), device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with forward_precision(replace(run.recipe, precision=precision), device):
            logits = model(inputs)
        cross_entropy(logits.float(), targets).backward()
        optimizer.step()

    for _ in range(WARMUP_STEPS):
        step()
    _synchronize(device)
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        step()
        _synchronize(device)
        steps += 1
    return steps * batch_size / (time.perf_counter() - begin)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
