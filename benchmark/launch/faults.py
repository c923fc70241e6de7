"""Separates errors of the run from errors of the machine, and finds those after which the process cannot go on.

A run that failed by itself would only fail again. One that failed by a missing GPU, a full disk or too little memory is
tried again. After some CUDA errors every later call in the same process fails, so the process must end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..api.errors import MachineError, UserError


@dataclass(frozen=True)
class Fault:
    """What follows from an error.

    Attributes:
        retryable: the same run may succeed at another time or on another machine.
        is_machine: the next runs of this process would fail by it too.
        spoils_process: nothing more can be computed in this process.
    """

    retryable: bool = False
    is_machine: bool = False
    spoils_process: bool = False


def judge(error: BaseException) -> Fault:
    """Judge an error that a run raised by the types of it and its causes, or by the message if torch has no type.

    A process is spoiled by any error on the way to this one: also by one that was handled, or after which another was
    raised while a method cleaned up.
    """
    fault = _judge_causes(error)
    if fault.spoils_process or not any(_judge_causes(each).spoils_process for each in _earlier(error)):
        return fault
    return replace(fault, retryable=True, spoils_process=True)


def _judge_causes(error: BaseException) -> Fault:
    chain = list(_chain(error))
    if any(isinstance(each, MachineError) for each in chain):
        return Fault(retryable=True, is_machine=True)
    if any(isinstance(each, MemoryError) or type(each).__name__ == "OutOfMemoryError" for each in chain):
        return Fault(retryable=True)
    if any(isinstance(each, OSError) for each in chain):
        return Fault(retryable=True, is_machine=True)
    if isinstance(error, UserError):
        return Fault()
    # torch raises most errors as a plain RuntimeError, and an AssertionError if it was built without CUDA.
    text = " ".join(str(each) for each in chain if _is_of_torch(each)).lower()
    return _judge_text(text, {type(each).__name__ for each in chain})


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes (`raise ... from`)."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _earlier(error: BaseException) -> Iterator[BaseException]:
    """Errors that were raised before this one and led to it, handled ones too."""
    seen = {id(error)}
    waiting = [error.__cause__, error.__context__]
    while waiting:
        current = waiting.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting += [current.__cause__, current.__context__]


def _is_of_torch(error: BaseException) -> bool:
    """DeferredCudaCallError, of calls that were kept until CUDA's first use, is a plain Exception."""
    return isinstance(error, RuntimeError | AssertionError) or type(error).__name__ == "DeferredCudaCallError"


def _judge_text(text: str, types: set[str]) -> Fault:
    def says(signs: tuple[str, ...]) -> bool:
        return any(sign in text for sign in signs)

    is_cuda = says(_CUDA) or "AcceleratorError" in types
    if says(_MEMORY):
        return Fault(retryable=True, spoils_process=is_cuda)
    if says(_OWN_AND_SPOILED):
        return Fault(spoils_process=True)
    if says(_NO_GPU):
        return Fault(retryable=True, is_machine=True, spoils_process=True)
    if says(_SYSTEM):
        return Fault(retryable=True, is_machine=True)
    if is_cuda:
        # A kernel with wrong arguments was not run; after any other error the state of the context is unknown.
        return Fault() if says(_REFUSED) else Fault(retryable=True, spoils_process=True)
    return Fault(retryable=bool(types & _CONNECTION_TYPES) or says(_OTHER_PROCESS))


# Parts of messages in lower case: from c10, cudaGetErrorString, and names of status codes of cuBLAS and cuDNN.
_CUDA = ("cuda error", "cuda driver error", "cuda call failed lazily", "triton error [cuda]", "cublas", "cudnn",
         "cusolver", "cusparse", "cufft", "nccl error")  # fmt: skip
_MEMORY = ("can't allocate memory", "out of memory", "cublas_status_alloc_failed", "cublas_status_not_initialized",
           "cudnn_status_alloc_failed", "std::bad_alloc")  # fmt: skip
_OWN_AND_SPOILED = ("device-side assert",)
_REFUSED = ("invalid argument", "invalid configuration argument", "invalid_value", "not_supported", "bad_param",
            "too many resources requested")  # fmt: skip
_NO_GPU = (
    "no cuda gpus are available", "no cuda-capable device", "found no nvidia driver", "torch not compiled with cuda",
    "driver version is insufficient", "driver initialization failed", "cudagetdevicecount", "cuda unknown error",
    "cuda error: unknown error", "invalid device ordinal", "busy or unavailable", "no kernel image",
    "cuda error: initialization error", "system not yet initialized", "unsupported display driver",
    "uncorrectable", "unspecified launch failure", "hardware stack error", "driver shutting down",
    "context is destroyed",
)  # fmt: skip
_SYSTEM = ("no space left on device", "too many open files", "input/output error", "read-only file system",
           "unable to open shared memory", "unable to allocate shared memory", "unable to mmap",
           "could not determine home directory", "can't start new thread")  # fmt: skip
# Raised when another process has died that trains with this one or reads its data.
_CONNECTION_TYPES = {"DistBackendError", "DistNetworkError", "DistStoreError"}
_OTHER_PROCESS = ("gloo/transport", "dataloader worker")
