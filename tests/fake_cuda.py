"""A CUDA device for tests on machines that have none: tensors that say `cuda:0` and keep their values on the CPU.

    with fake_cuda() as gpu:
        weight = torch.ones(3, device="cuda")
        assert weight.sum().item() == 3
    assert [wait.kind for wait in gpu.waits] == ["item"]

Inside the block `torch.cuda.is_available()` is true and `device="cuda"` works. Three things are different from a CPU:

* an operation that mixes devices raises RuntimeError, as CUDA's kernels do;
* `gpu.waits` lists every time that the host waits for the device, with the lines of prunebench that asked for it.
  What waits is what `torch.cuda.set_sync_debug_mode` reports: blocking copies, `item` and results of unknown size;
* `gpu.kernels` counts the operations that start work on the device, which are all but views. `gpu.streams` ends with
  the current stream, and `gpu.kept_for` lists the streams for which memory was kept (`record_stream`).

A test looks at a part of its run by lengths: `begin = len(gpu.waits)` before it, `gpu.waits[begin:]` after it. All
patches are undone at the end of the block; tensors made in it must not be used after it. A test that patches torch.cuda
as well does so by a `pytest.MonkeyPatch.context()` inside the block: undone later, it would bring the emulation back.
`torch.save` stores CPU tensors and `torch.load` places them by `map_location`. Autocast, graphs and CUDA's own random
numbers are not emulated: values are those that the CPU computes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType, SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor
from torch._utils import _get_device_index  # refuses a device without a number, as `set_device` does
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

aten = torch.ops.aten
CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")

_WAITING = {
    aten._local_scalar_dense.default: "item", aten.nonzero.default: "nonzero", aten.where.default: "nonzero",
    aten.masked_select.default: "masked_select", aten._unique2.default: "unique", aten.unique_dim.default: "unique",
    aten.unique_consecutive.default: "unique", aten.bincount.default: "bincount", aten.equal.default: "equal",
    aten.repeat_interleave.Tensor: "repeat_interleave", aten._linalg_check_errors.default: "linalg",
    aten.linalg_cholesky.default: "linalg",
}  # fmt: skip
"""Operations of which the host needs a value, or the size of the result."""
_INDEXING = (aten.index.Tensor, aten._unsafe_index.Tensor, aten.index_put.default, aten.index_put_.default)
_TAKES_NO_SCALAR = (aten.cat.default, aten.stack.default, aten.index_select.default)
"""Most operations take a CPU tensor without dimensions as if it were a number; these do not."""
_STARTS_NOTHING = ("aten._local_scalar_dense", "aten.empty", "aten.new_empty", "aten._unsafe_view", "aten.set_")


class Wait(NamedTuple):
    """`where`: the innermost two lines of prunebench, as `api/masks.py:70 < methods/lamp.py:12`."""

    kind: str
    where: str


class FakeGpu:
    """What the device was asked for."""

    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self.kernels = 0
        self.streams: list[Any] = []
        self.kept_for: list[Any] = []

    def wait(self, kind: str) -> None:
        self.waits.append(Wait(kind, _where()))


_gpu = FakeGpu()


def _where() -> str:
    found: list[str] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and len(found) < 2:
        package, _, module = frame.f_globals.get("__name__", "").partition(".")
        if package == "prunebench":
            found.append(f"{module.replace('.', '/')}.py:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found) or "outside"


class CudaTensor(Tensor):
    """`on_host` has the values. For C++ this is a CPU tensor without storage, so that autograd needs no driver."""

    on_host: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> CudaTensor:
        return torch.Tensor._make_wrapper_subclass(  # pyright: ignore
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            layout=inner.layout, device=CPU,
        )  # fmt: skip

    def __init__(self, inner: Tensor) -> None:
        self.on_host = inner

    device = property(lambda self: CUDA)  # pyright: ignore
    is_cuda = property(lambda self: True)  # pyright: ignore
    is_cpu = property(lambda self: False)  # pyright: ignore

    def __repr__(self, **_: object) -> str:  # pyright: ignore
        return f"CudaTensor({self.on_host!r})"

    def __deepcopy__(self, memo: dict[int, object]) -> Tensor:
        copy = self.detach().clone().requires_grad_(self.requires_grad)
        return torch.nn.Parameter(copy, self.requires_grad) if isinstance(self, torch.nn.Parameter) else copy

    def __reduce_ex__(self, protocol: int) -> Any:  # pyright: ignore
        return _to_host(self).__reduce_ex__(protocol)

    def record_stream(self, s: object) -> None:  # pyright: ignore
        _gpu.kept_for.append(s)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # pyright: ignore
        return _run(func, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore


def _to_host(tensor: CudaTensor, *_: object, **__: object) -> Tensor:
    _gpu.wait("copy to host")
    return tensor.on_host.detach().clone()


def _to_list(tensor: CudaTensor) -> Any:
    _gpu.wait("tolist")
    return tensor.on_host.tolist()


def _to_numpy(*_: object, **__: object) -> None:
    raise TypeError("can't convert cuda:0 device type tensor to numpy; copy it with Tensor.cpu() first")


def _to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Tensor.to: the device first, then the rest of what is asked for."""
    like = kwargs.pop("other", None)
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        like = rest.pop(0)
    if like is not None:
        device, rest = like.device, [like.dtype, *rest]
    elif rest and (rest[0] is None or isinstance(rest[0], torch.device | str | int)):
        device = rest.pop(0)
    else:
        device = kwargs.pop("device", None)
    target = tensor.device if device is None else torch.device(device)
    if isinstance(tensor, CudaTensor) and target.type == "cpu":
        tensor = _to_host(tensor)
    elif not isinstance(tensor, CudaTensor) and target.type == "cuda":
        is_async = bool(kwargs.get("non_blocking")) or rest[1:2] == [True]
        tensor = aten._to_copy.default(tensor, device=CUDA, non_blocking=is_async)
    # For C++ both kinds are on the CPU.
    return Tensor.to(tensor, CPU, *rest, **kwargs)


_READS: dict[Any, Callable[..., Any]] = {
    Tensor.cpu: _to_host, Tensor.tolist: _to_list, Tensor.numpy: _to_numpy, Tensor.__array__: _to_numpy,
}  # fmt: skip
"""C++ would look for the values in the tensor's storage."""


class _Calls(TorchFunctionMode):
    """Calls that C++ answers from its own view of the tensors, or for which it asks the driver."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.to, Tensor.type_as):
            func = _to
        elif func is Tensor.cuda:
            func, args = _to, (args[0], CUDA)
        elif func in _READS and isinstance(args[0], CudaTensor):
            func = _READS[func]
        kwargs = kwargs or {}
        if func is torch.tensor and str(kwargs.get("device")) == "cuda":
            kwargs["device"] = CUDA  # for which C++ need not ask what the current device is
        return func(*args, **kwargs)


class _Emulation(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """One operation: by CUDA's rules if it is the device's, unchanged if it is the CPU's."""
    flat, shape = tree_flatten((args, kwargs))
    tensors = [each for each in flat if isinstance(each, Tensor)]
    if func is aten.is_pinned.default:
        return True
    if func is aten._pin_memory.default:
        return args[0].clone()
    device = kwargs.get("device")
    if device is not None and not tensors and torch._C._current_autograd_node() is not None:
        # Backward passes make constants where C++ believes the gradients to be.
        device = CUDA
    if not any(isinstance(each, CudaTensor) for each in tensors) and (device is None or device.type != "cuda"):
        return func(*args, **kwargs)
    if device is not None and device.type == "meta":
        return func(*tree_map_only(CudaTensor, lambda tensor: tensor.on_host, args), **kwargs)
    _check_devices(func, args, kwargs, tensors)
    _note_waits(func, args, kwargs)
    inner_args, inner_kwargs = tree_unflatten(
        [each.on_host if isinstance(each, CudaTensor) else each for each in flat], shape
    )
    if device is not None:
        inner_kwargs["device"] = CPU
    found = func(*inner_args, **{key: value for key, value in inner_kwargs.items() if key != "pin_memory"})
    if not func.is_view and not str(func).startswith(_STARTS_NOTHING):
        _gpu.kernels += 1
    if func is aten._local_scalar_dense.default:
        return found
    return return_and_correct_aliasing(func, args, kwargs, tree_map_only(Tensor, CudaTensor, found))


def _check_devices(func: Any, args: Sequence[Any], kwargs: dict[str, Any], tensors: Sequence[Tensor]) -> None:
    """Raises RuntimeError for tensors or a generator of another device, where CUDA's kernel would."""
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != "cuda":
        raise RuntimeError(f"{func}: expected a 'cuda' device type for generator but found 'cpu' at {_where()}")
    if func in (aten._to_copy.default, aten.copy_.default):
        return
    for each in tensors:
        is_number = each.ndim == 0 and func not in _TAKES_NO_SCALAR
        is_index = func in _INDEXING and each is not args[0] and not each.dtype.is_floating_point
        if not (isinstance(each, CudaTensor) or is_number or is_index):
            raise RuntimeError(
                f"{func}: expected all tensors to be on the same device, found cuda:0 and cpu at {_where()}"
            )


def _note_waits(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    if func in _WAITING and not (func is aten.repeat_interleave.Tensor and kwargs.get("output_size") is not None):
        _gpu.wait(_WAITING[func])
    elif func in (aten._to_copy.default, aten.copy_.default):
        target, source = (args[0], args[1]) if func is aten.copy_.default else (None, args[0])
        to_device = isinstance(target, CudaTensor) if target is not None else True
        if to_device != isinstance(source, CudaTensor) and not (kwargs.get("non_blocking") or True in args[2:]):
            _gpu.wait("copy to device" if to_device else "copy to host")
    elif func in _INDEXING:
        indices = [each for each in args[1] if isinstance(each, Tensor)]
        # One value put where a mask is true is a `masked_fill`.
        is_fill = func in _INDEXING[2:] and args[2].numel() == 1
        if any(each.dtype in (torch.bool, torch.uint8) for each in indices) and not is_fill:
            _gpu.wait("boolean index")
        if any(not isinstance(each, CudaTensor) for each in indices):
            _gpu.wait("copy to device")


def _load(file: Any, map_location: Any = None, **options: Any) -> Any:
    """torch.load, which would ask the driver to place what it reads."""
    found = _torch_load(file, map_location="cpu", **options)
    device = CPU if map_location is None else torch.device(map_location)
    return tree_map_only(Tensor, lambda tensor: tensor.to(device), found)


def _group(lists: Any, with_indices: bool = False) -> Any:
    """How optimisers and clipping split their tensors, by device and type; C++ believes all to be on the CPU."""
    is_cuda = any(isinstance(tensor, CudaTensor) for tensor in lists[0])
    found = _torch_group(lists, with_indices)
    return {(CUDA if is_cuda else device, dtype): group for (device, dtype), group in found.items()}


_torch_load, _torch_group = torch.load, torch._C._group_tensors_by_device_and_dtype


class _Event:
    """torch.cuda.Event: no time passes on the device."""

    def __init__(self, enable_timing: bool = False) -> None: ...

    def record(self, stream: object = None) -> None: ...

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        _gpu.wait("synchronize")

    def elapsed_time(self, end: _Event) -> float:
        return 0.0


class _Stream:
    """torch.cuda.Stream: what is queued on any is done at once. `others` are the streams that it waited for."""

    def __init__(self, device: object = None) -> None:
        self.others: list[_Stream] = []

    def wait_stream(self, other: _Stream) -> None:
        self.others.append(other)

    def record_event(self) -> _Event:
        return _Event()


@contextmanager
def _on_stream(stream: _Stream) -> Iterator[None]:
    _gpu.streams.append(stream)
    yield
    _gpu.streams.pop()


def _answers() -> dict[str, Any]:
    """What torch.cuda says about the machine: one H100."""
    state = torch.Generator().get_state()
    properties = SimpleNamespace(major=9, minor=0, multi_processor_count=132, total_memory=80 << 30, name="Fake H100")
    return {
        "_lazy_init": lambda: None, "is_available": lambda: True, "is_initialized": lambda: True,
        "device_count": lambda: 1, "current_device": lambda: 0, "set_device": _get_device_index,
        "is_bf16_supported": lambda including_emulation=True: True, "is_current_stream_capturing": lambda: False,
        "get_rng_state": lambda device="cuda": state.clone(), "set_rng_state": lambda new, device="cuda": None,
        "manual_seed_all": lambda seed: None, "reset_peak_memory_stats": lambda device=None: None,
        "max_memory_allocated": lambda device=None: 0, "memory_allocated": lambda device=None: 0,
        "mem_get_info": lambda device=None: (79 << 30, 80 << 30), "empty_cache": lambda: None,
        "get_device_name": lambda device=None: "Fake H100", "get_device_properties": lambda device=None: properties,
        "get_device_capability": lambda device=None: (9, 0), "Event": _Event, "memory_reserved": lambda device=None: 0,
        "Stream": _Stream, "stream": _on_stream, "current_stream": lambda device=None: _gpu.streams[-1],
        "synchronize": lambda device=None: _gpu.wait("synchronize"),
    }  # fmt: skip


@contextmanager
def fake_cuda() -> Iterator[FakeGpu]:
    """Give torch the device inside the block. What it counts starts at zero."""
    global _gpu
    _gpu = FakeGpu()
    _gpu.streams.append(_Stream())
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    with ExitStack() as stack:
        stack.enter_context(patch.multiple(torch.cuda, **_answers()))
        stack.enter_context(patch.object(torch, "load", _load))
        stack.enter_context(patch.object(torch._C, "_group_tensors_by_device_and_dtype", _group))
        stack.enter_context(patch.object(torch.backends.cudnn, "version", lambda: 0))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swaps)
        torch.__future__.set_swap_module_params_on_conversion(True)
        stack.enter_context(_Calls())
        stack.enter_context(_Emulation())
        yield _gpu
