"""Whether an error is the fault of the run or of the machine, and what `attempt` does with it."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from prunebench.benchmark.api.errors import DataDamaged, DataMissing, MachineError, UserError
from prunebench.benchmark.cli import main
from prunebench.benchmark.launch.attempt import Ending, attempt
from prunebench.benchmark.launch.faults import Fault, judge
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.training import harness
from prunebench.datasets.registry import load

OWN = Fault()
RETRY = Fault(retryable=True)
MACHINE = Fault(retryable=True, is_machine=True)
SPOILED = Fault(retryable=True, spoils_process=True)
MACHINE_SPOILED = Fault(retryable=True, is_machine=True, spoils_process=True)
NO_GPU = Fault(retryable=True, is_machine=True, spoils_process=True)
HOST = socket.gethostname()


def from_(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def after(error: Exception, earlier: BaseException) -> Exception:
    """Raised while the earlier one was handled."""
    error.__context__ = earlier
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("No space left on device"), OWN),
        (UserError("option"), OWN),
        (SystemExit(0), OWN),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), OWN),
        (DataMissing("mnist"), MACHINE),
        (DataDamaged("mnist"), MACHINE),
        (OSError(errno.ENOSPC, "No space left on device"), MACHINE),
        (from_(UserError("cannot read weights"), FileNotFoundError("w")), MACHINE),
        (RuntimeError("unable to open shared memory object </t> in read-write mode: No space left (28)"), MACHINE),
        (RuntimeError("Could not determine home directory."), MACHINE),
        (MemoryError(), RETRY),
        (torch.OutOfMemoryError("CUDA out of memory."), RETRY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), RETRY),
        (RuntimeError("CUDA error: out of memory"), SPOILED),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), SPOILED),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), RETRY),
        (RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer"), RETRY),
        (RuntimeError("No CUDA GPUs are available"), NO_GPU),
        (AssertionError("Torch not compiled with CUDA enabled"), NO_GPU),
        (torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"), NO_GPU),
        (torch.AcceleratorError("CUDA error: invalid device ordinal"), NO_GPU),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors"), SPOILED),
        (from_(ValueError("in a callback"), RuntimeError("CUDA error: misaligned address")), SPOILED),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), SPOILED),
        (RuntimeError("CUDA error: device-side assert triggered"), Fault(spoils_process=True)),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), NO_GPU),
        (torch.AcceleratorError("CUDA error: the launch timed out and was terminated"), SPOILED),
        (torch.AcceleratorError("CUDA error: an illegal instruction was encountered"), SPOILED),
        (RuntimeError("CUDA driver error: invalid program counter"), SPOILED),
        (RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"), SPOILED),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), SPOILED),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`"), SPOILED),
        (torch.cuda.DeferredCudaCallError("CUDA call failed lazily at initialization with error: x"), SPOILED),
        (after(ValueError("own"), torch.AcceleratorError("CUDA error: misaligned address")), SPOILED),
        (after(OSError(errno.ENOSPC, "full"), RuntimeError("CUDA error: misaligned address")), MACHINE_SPOILED),
        (after(torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA error: out of memory")), SPOILED),
        (after(ValueError("own"), torch.OutOfMemoryError("CUDA out of memory.")), OWN),
        (after(ValueError("own"), FileNotFoundError("looked for and not found")), OWN),
        (RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm`"), OWN),
        (RuntimeError("CUDA error: invalid configuration argument"), OWN),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, BaseException) else "",
)  # fmt: skip
def test_errors_are_told_apart(error: BaseException, fault: Fault) -> None:
    assert judge(error) == fault


def test_a_device_that_is_not_there_is_the_machines_fault() -> None:
    with pytest.raises(MachineError, match="device 'cuda:99' asked for, but torch sees"):
        harness.choose_device("cuda:99")


@pytest.mark.parametrize("name", ["foo", "meta", "cuda:x", ""])
def test_a_device_that_cannot_be_is_bad_input(name: str) -> None:
    with pytest.raises(UserError, match=f"device '{name}' must be auto, cpu, cuda or cuda:N") as caught:
        harness.choose_device(name)
    assert not isinstance(caught.value, MachineError)


def make_run(method: str = "snip", **changes: Any) -> Run:
    recipe = Recipe(epochs=1, batch_size=50, lr=0.05)
    plain = {"dataset": "digits", "dataset_options": (("limit", 200),), "model": "convnet-small"}
    return Run(**{**plain, "method": method, "sparsity": 0.5, "seed": 0, "recipe": recipe, **changes})


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def execute(*_: Any) -> None:
        raise error

    monkeypatch.setattr(harness, "execute", execute)


def test_the_machines_fault_is_recorded_as_such_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, DataMissing("mnist: train-images is missing in /data"))
    run, settings = make_run(), Settings(results=tmp_path, device="cpu")
    ending = attempt(run, "s", settings)
    reason = f"{HOST}: DataMissing: mnist: train-images is missing in /data"
    assert ending == Ending("failed", reason, retryable=True, is_machine=True)
    status = Store(tmp_path).folder("s", run).status()
    assert (status.state, status.reason, status.retryable) == ("failed", reason, True)


def test_a_method_that_exits_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, SystemExit(0))
    ending = attempt(make_run(), "s", Settings(results=tmp_path, device="cpu"))
    assert ending == Ending("failed", "SystemExit: 0")


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("error", [None, ValueError("own fault")], ids=["done", "failed"])
def test_a_disk_that_is_full_for_the_record(
    place: str, error: Exception | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is raised whatever happened to the run, and a run whose outcome was not recorded is tried again."""
    if error is None:
        monkeypatch.setattr(harness, "execute", lambda *_: None)
    else:
        failing(monkeypatch, error)
    write = RunFolder.write_attempt

    def full(folder: RunFolder, index: int, content: dict[str, Any]) -> None:
        if (content["outcome"] is None) == (place == "first"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, index, content)

    monkeypatch.setattr(RunFolder, "write_attempt", full)
    run = make_run()
    ending = attempt(run, "s", Settings(results=tmp_path, device="cpu"))
    assert not (Store(tmp_path).folder("s", run).path / "claim.json").exists()
    if place == "last" and error is None:
        assert ending == Ending("done")
        return
    assert (ending.outcome, ending.retryable, ending.is_machine) == ("failed", True, True)
    assert "No space left on device" in ending.reason
    assert HOST in ending.reason


def test_without_its_dense_training_a_run_is_blocked_and_leaves_nothing(tmp_path: Path) -> None:
    dense = make_run("dense", sparsity=0.0)
    child = make_run("global_mp", parent=dense)
    settings = Settings(results=tmp_path, device="cpu")
    ending = attempt(child, "s", settings)
    assert ending == Ending("blocked", f"its dense training {dense.id} has no result", retryable=True)
    assert not list(tmp_path.iterdir())
    assert attempt(dense, "s", settings) == Ending("done")
    assert attempt(child, "s", settings) == Ending("done"), "it is computed once its dense training is there"


def test_data_without_a_home_folder_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("PRUNEBENCH_DATA", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(DataMissing, match="no home folder here; give --data-root"):
        load("mnist")


def test_a_full_disk_is_reported_in_one_line(
    tmp_path: Path, tiny_study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the command itself, when it records that a failed run may be tried again."""
    run = load_study(str(tiny_study)).runs[0]
    folder = Store(tmp_path / "results").folder("tiny", run)
    folder.create(run)
    folder.write_attempt(1, {"outcome": "failed", "reason": "nan", "retryable": False})

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    arguments = ["prunebench", "run", str(tiny_study), "--results", str(tmp_path / "results"), "--retry-failed"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    path = folder.path / "attempts" / "0001.json"
    assert capsys.readouterr().err == f"prunebench: {path}: No space left on device\n"
    assert list(path.parent.iterdir()) == [path], "nothing is half-written"


def test_a_claim_that_does_not_fit_on_the_disk_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is created, then there is no room for its content."""
    run, settings = make_run(), Settings(results=tmp_path, device="cpu")
    folder = Store(tmp_path).folder("s", run).path

    def full(handle: int, mode: str) -> Any:
        os.close(handle)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("prunebench.benchmark.runs.claim.os.fdopen", full)
        ending = attempt(run, "s", settings)
    assert (ending.outcome, ending.is_machine) == ("failed", True)
    assert "No space left on device" in ending.reason
    assert not (folder / "claim.json").exists()
