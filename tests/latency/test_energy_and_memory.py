"""The energy counter, by a stand-in for NVML, and the growth of memory."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prunebench.benchmark.latency.energy import counter_of, joules_of_call, open_counter
from prunebench.benchmark.latency.peak import peak_growth

CPU = torch.device("cpu")
CLEAR_REFS = Path("/proc/self/clear_refs")


class Nvml:
    """Stands in for libnvidia-ml: a card whose counter advances by 2,500 mJ at each reading."""

    def __init__(self, **errors: int) -> None:
        self.errors, self.millijoules, self.uuid = errors, 0, b""

    def nvmlInit_v2(self) -> int:
        return self.errors.get("init", 0)

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:
        self.uuid = uuid
        return self.errors.get("handle", 0)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, target: Any) -> int:
        self.millijoules += 2500
        ctypes.cast(target, ctypes.POINTER(ctypes.c_ulonglong))[0] = self.millijoules
        return self.errors.get("energy", 0)


def test_the_counter_reads_joules_of_the_card_that_is_asked_for() -> None:
    library = Nvml()
    counter = counter_of(library, "GPU-12")
    assert counter is not None
    assert library.uuid == b"GPU-12"
    assert [counter(), counter()] == [5.0, 7.5]  # the first reading has tried it


@pytest.mark.parametrize("error", ["init", "handle", "energy"])
def test_a_card_without_a_counter_has_none(error: str) -> None:
    assert counter_of(Nvml(**{error: 3}), "GPU-12") is None


def test_a_counter_that_stops_answering_is_an_error() -> None:
    library = Nvml()
    counter = counter_of(library, "GPU-12")
    assert counter is not None
    library.errors["energy"] = 15
    with pytest.raises(RuntimeError, match="NVML's energy counter answers with error 15"):
        counter()


def test_a_cpu_has_no_counter() -> None:
    assert open_counter(CPU) is None


def test_joules_are_the_mean_of_calls_that_last_long_enough_to_be_read() -> None:
    calls: list[int] = []
    readings = iter([100.0, 130.0])
    found = joules_of_call(lambda: calls.append(0), lambda: next(readings), clock=lambda: 0.25 * len(calls))
    assert len(calls) == 4  # of a quarter of a second each
    assert found == 7.5


def test_a_system_that_cannot_reset_the_peak_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak is then that of whatever the process held before."""

    def refuse(path: Path, *args: Any, **kwargs: Any) -> int:
        assert path == CLEAR_REFS
        raise PermissionError

    np.ones(4_000_000)  # held for a moment, which raises the peak
    monkeypatch.setattr(Path, "write_text", refuse)
    assert peak_growth(lambda: lambda: None, CPU) is None


def can_reset_the_peak() -> bool:
    try:
        CLEAR_REFS.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


@pytest.mark.skipif(not can_reset_the_peak(), reason=f"needs a kernel that lets a process write {CLEAR_REFS}")
def test_memory_grows_by_what_a_way_and_its_call_take() -> None:
    def make() -> Any:
        weights = np.ones(4_000_000)  # 32 MB
        return lambda: weights * 2  # and as much again

    assert peak_growth(make, CPU) == pytest.approx(64e6, rel=0.1)
