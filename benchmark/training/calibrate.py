"""Training throughput of a run's network and recipe on this machine, on random inputs of its data set's shape."""

from __future__ import annotations

import time

import torch

from ...datasets.registry import describe
from ..api.pruner import Pruner
from ..models.made_up_inputs import made_up_inputs
from ..models.registry import create_model
from ..runs.run import Run
from .memory import keep_freed
from .memory_format import choose_memory_format
from .optimizer import FUSED_DEVICES
from .precision import check_precisions, set_precision
from .step import Step

WARMUP_STEPS = 2
SECONDS = 5.0
NUM_WAITS = 8
"""Of the host for a GPU during a measurement, about."""


def measure_throughput(run: Run, seconds: float = SECONDS, threads: int = 1) -> float:
    """Images a second in steps of dense training, over about `seconds`; give as many threads as a run has."""
    torch.set_num_threads(threads)
    info = describe(run.dataset, **dict(run.dataset_options))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_precisions([run.recipe.precision], device)
    set_precision(run.recipe.precision)
    keep_freed(device)
    options = {key: value for key, value in run.model_options if key != "weights"}
    model = create_model(run.model, num_classes=info.num_classes, input_shape=info.input_shape, **options).to(device)
    model = model.to(memory_format=choose_memory_format("auto", model, info.input_shape, device))
    # The rate is so low that weights stay finite on random targets.
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, fused=device.type in FUSED_DEVICES)
    step = Step(network=model, pruner=Pruner(), optimizer=optimizer, recipe=run.recipe, device=device)
    batch_size = run.recipe.batch_size
    inputs = made_up_inputs(info, batch_size).to(device)
    targets = torch.randint(info.num_classes, (batch_size, *info.target_shape), device=device)
    for index in range(WARMUP_STEPS):
        step(index, inputs, targets)
    _synchronize(device)
    begin, steps, at_once, taken = time.perf_counter(), 0, 1, 0.0
    while taken < seconds:
        for index in range(steps, steps + at_once):
            step(index, inputs, targets)
        # A step that is waited for leaves the GPU idle until the next one is queued.
        _synchronize(device)
        steps, taken = steps + at_once, time.perf_counter() - begin
        at_once = max(1, int(steps / taken * seconds / NUM_WAITS)) if device.type == "cuda" else 1
    return steps * batch_size / taken


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
