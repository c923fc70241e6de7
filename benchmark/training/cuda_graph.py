"""Forward and backward pass of the training step as one CUDA graph: the same kernels, launched by one call.

Small networks wait for launches. All but a few of a step's kernels are in the forward and backward pass, which are
captured. The pruner's hooks, clipping and the fused optimiser
(one to three kernels) are called after each replay, as always. So a method may read the host, skip a step or clear the
optimiser's state, and rates stay numbers of double precision: captured, they would be tensors of single precision,
which gives other bits.

A graph reads and writes the same memory each time. What it reads is compared before each replay (`Reads`), and what has
moved is captured anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from ..api.errors import first_line
from ..api.masks import Masks
from ..runs.settings import Compile, CudaGraph
from . import distributed
from .optimizer import drop_gradients
from .step import Step
from .waits import noted_waits

WARMUP_STEPS = 3
"""Steps of the training that are taken as always before one is captured: libraries choose and load kernels in them."""

MAX_CAPTURES = 8
"""Of one round. A step that must be captured anew time and again is quicker without."""


class NotCapturable(Exception):
    """Why a step cannot be captured."""


@dataclass
class GraphLog:
    """Whether the steps of a run are captured, over all its rounds. `reason` says why not."""

    setting: CudaGraph = "off"
    reason: str = ""
    captures: int = 0

    def is_open(self, device: torch.device, compile: Compile) -> bool:
        """Whether steps may be captured, as far as that is known before the first one."""
        if self.setting == "auto" and not self.reason:
            self.reason = refusal(device, compile)
        return self.setting == "auto" and not self.reason

    def __str__(self) -> str:
        if self.setting == "off":
            return "off"
        if self.reason:
            return f"not captured: {self.reason}"
        return "captured" if self.captures else f"not captured: no more than {WARMUP_STEPS} whole batches in a round"


def refusal(device: torch.device, compile: Compile) -> str:
    """Why nothing can be captured here; empty if it can."""
    if device.type != "cuda":
        return f"the device is {device.type}"
    if distributed.is_active():
        return "several processes train the network"
    return "" if compile == "none" else f"torch.compile makes the step ({compile})"


class CudaRecorder:
    """Runs work on a stream of its own, where it can be captured."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)

    def warm_up(self, work: Callable[[], Tensor]) -> Tensor:
        """Do the work now."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = work()
        current.wait_stream(self._stream)
        return result

    def waits(self, work: Callable[[], Tensor]) -> tuple[Tensor, bool]:
        """Do the work, and say whether the host waited for the GPU in it: such work must not be captured."""
        with noted_waits() as lines:
            result = self.warm_up(work)
        return result, bool(lines)

    def record(self, work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """Capture the work without doing it; returns the tensor that its result will be in, and what does it."""
        graph = torch.cuda.CUDAGraph()
        # Threads that fetch data may allocate pinned memory meanwhile.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            result = work()
        return result, graph.replay


class Reads:
    """Where everything lies that the passes of a network read, and in which modes its modules are.

    The attributes of parametrisations are read as well: numbers, and masks. Raises NotCapturable for others.
    """

    def __init__(self, network: nn.Module) -> None:
        self._modules = list(network.modules())
        self._tensors = [d for module in self._modules for d in (module._parameters, module._buffers) if d]
        self._children = [module._modules for module in self._modules if module._modules]
        for module in self._modules:
            if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
                raise NotCapturable(f"a {type(module).__name__} has hooks")
        makers = [part for module in self._modules if isinstance(module, ParametrizationList) for part in module]
        self._attributes = [(maker, name) for maker in makers for name in _own_attributes(maker)]
        self._first = self._now()

    def hold(self) -> bool:
        return self._now() == self._first

    def _now(self) -> tuple[Any, ...]:
        tensors = [tensor for d in self._tensors for tensor in d.values() if tensor is not None]
        return (
            [module.training for module in self._modules],
            [id(child) for d in self._children for child in d.values()],
            [(tensor.data_ptr(), tensor.requires_grad) for tensor in tensors],
            [value for maker, name in self._attributes for value in _values(maker, name)],
        )


def _own_attributes(module: nn.Module) -> list[str]:
    return [name for name in vars(module) if name not in _USUAL_ATTRIBUTES]


_USUAL_ATTRIBUTES = frozenset(vars(nn.Module()))


def _values(maker: nn.Module, name: str) -> Iterator[object]:
    value = getattr(maker, name)
    if isinstance(value, Masks):
        yield from (mask.data_ptr() for _, mask in value.items())
    elif value is None or isinstance(value, bool | int | float | str):
        yield value
    else:
        raise NotCapturable(f"{type(maker).__name__} computes weights from its {name}, a {type(value).__name__}")


@dataclass(frozen=True)
class Captured:
    """A captured step: where its inputs go, and where loss and gradients are after `replay`."""

    inputs: Tensor
    targets: Tensor
    loss: Tensor
    gradients: list[tuple[nn.Parameter, Tensor]]
    replay: Callable[[], None]
    reads: Reads

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self.inputs.copy_(inputs)
        self.targets.copy_(targets)
        self.replay()
        # Hooks take gradients away, or put others in their place.
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        return self.loss


@dataclass(kw_only=True)
class GraphedStep(Step):
    """Steps whose passes are replayed from a graph, but for batches of another size than the first one's.

    The loss and the gradients of a step are overwritten by the next one.
    """

    log: GraphLog

    @classmethod
    def of(cls, step: Step, log: GraphLog) -> GraphedStep:
        return cls(**{each.name: getattr(step, each.name) for each in fields(step)}, log=log)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._recorder = CudaRecorder(self.device)
        self._layout: tuple[Any, ...] = ()
        self._num_warm = self._num_captured = 0
        self._captured: Captured | None = None

    def backward(self, inputs: Tensor, targets: Tensor, num_all: int | None = None) -> Tensor:
        layout = (inputs.shape, inputs.stride(), inputs.dtype, targets.shape, targets.dtype)
        self._layout = self._layout or layout
        if self.log.reason or layout != self._layout:
            return super().backward(inputs, targets, num_all)
        if self._num_warm < WARMUP_STEPS:
            return self._warm_up(inputs, targets)
        try:
            captured = self._renewed(inputs, targets)
        except NotCapturable as error:
            self._captured, self.log.reason = None, str(error)
            return super().backward(inputs, targets, num_all)
        drop_gradients(self.optimizer)
        return captured(inputs, targets)

    def _warm_up(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """A step as always. The last one looks whether the host waits for the GPU."""
        self._num_warm += 1
        work = super().backward
        if self._num_warm < WARMUP_STEPS:
            return self._recorder.warm_up(lambda: work(inputs, targets))
        loss, waits = self._recorder.waits(lambda: work(inputs, targets))
        if waits:
            self.log.reason = "the host waits for the GPU in the forward or backward pass"
        return loss

    def _renewed(self, inputs: Tensor, targets: Tensor) -> Captured:
        """The captured step, anew if what it reads has moved. Raises NotCapturable."""
        if self._captured is None or not self._captured.reads.hold():
            self._captured = None  # its memory is free for the next one
            if self._num_captured == MAX_CAPTURES:
                raise NotCapturable(f"what the forward pass reads has moved {MAX_CAPTURES} times")
            self._captured = self._capture(inputs.clone(), targets.clone())
            self._num_captured += 1
            self.log.captures += 1
        return self._captured

    def _capture(self, inputs: Tensor, targets: Tensor) -> Captured:
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        reads, work = Reads(self.network), super().backward
        drop_gradients(self.optimizer)
        if any(parameter.grad is not None for parameter in parameters):
            raise NotCapturable("gradients of parameters that the optimiser does not train add up")
        try:
            loss, replay = self._recorder.record(lambda: work(inputs, targets))
        except RuntimeError as error:
            raise NotCapturable(f"{type(error).__name__}: {first_line(error)}") from error
        gradients = [(parameter, parameter.grad) for parameter in parameters if parameter.grad is not None]
        return Captured(inputs, targets, loss, gradients, replay, reads)
