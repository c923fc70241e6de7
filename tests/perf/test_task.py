"""Steps that the scripts of speed time."""

from __future__ import annotations

import pytest
import torch
from fake_cuda import fake_cuda
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.perf.task import Masked, context_of, make_step, timed_step
from prunebench.benchmark.runs.run import Recipe
from prunebench.benchmark.training.clock import GpuClock


class Slow(Masked):
    """Its hook takes 0.25 s of the GPU, which the host only queues."""

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        Event.gpu += 0.25


class Event:
    gpu = 0.0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at = Event.gpu

    def query(self) -> bool:
        return False

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: Event) -> float:
        return 1000 * (end.at - self.at)


def test_the_hooks_of_a_step_are_timed_where_the_gpu_does_them() -> None:
    with fake_cuda(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "Event", Event)
        patch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
        device = torch.device("cuda", 0)
        model = create_model("convnet-small", num_classes=10, input_shape=(1, 8, 8)).to(device)
        pruner, context = Slow(sparsity=0.5), context_of(model, (1, 8, 8), num_classes=10, device=device)
        pruner.attach(context)
        recipe = Recipe(epochs=1, batch_size=32, lr=0.1)
        step = make_step(model, pruner, recipe, device)
        assert isinstance(step.clock, GpuClock)
        ((inputs, targets),) = context.samples(32, 32)
        assert [timed_step(step, index, inputs, targets).hooks for index in range(2)] == [0.25, 0.25]
