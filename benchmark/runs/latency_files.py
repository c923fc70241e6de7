"""Measured latency: a file for each run and machine, `RESULTS/STUDY/latency/<run id>-<machine>.json`. No torch here.

The machine is a digest of what the times depend on besides the network: device, processor, threads and versions. A file
holds the SHA-256 of the weights: of a run that was computed anew since, and to other bits, it is not valid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes no other on Python 3.11

from ..api.errors import Damaged
from .files import SCHEMA, names_in, read_typed, write_json
from .pair_files import stored_weights
from .run_folder import RunFolder
from .store import LATENCY_FOLDER

Seconds = Annotated[float, Field(ge=0)]
Bytes = Annotated[int, Field(ge=0)]


class Machine(TypedDict):
    """What times depend on besides the network. Versions are null where a package is not there."""

    device: str
    device_name: str
    processor: str
    instructions: str | None
    threads: int
    torch: str
    onnxruntime: str | None
    cuda: str | None


class Times(TypedDict):
    """Of one call with a batch: quantiles over the calls; joules are those of one input, where a counter was read."""

    batch: int
    p50: Seconds
    p95: Seconds
    joules: NotRequired[float | None]


class MeasuredVariant(TypedDict):
    """`difference`: the largest of its outputs from its reference's, as a share of the largest reference output."""

    times: list[Times]
    file_bytes: Bytes
    packed_bytes: NotRequired[Bytes | None]
    peak_memory_bytes: NotRequired[Bytes | None]
    difference: NotRequired[float | None]
    accuracy: NotRequired[Annotated[float, Field(ge=0, le=1)] | None]


class MeasuredLatency(TypedDict):
    """The content of the file. `left_out` has a reason for each variant that this run or machine does not have."""

    schema: int
    run: str
    weights: str
    machine: Machine
    batches: list[int]
    repeats: int
    variants: dict[str, MeasuredVariant]
    left_out: dict[str, str]
    provenance: dict[str, Any]


class CsrPoint(TypedDict):
    """p50 of one product at one density."""

    density: Annotated[float, Field(gt=0, le=1)]
    dense: Seconds
    csr: Seconds


class CsrShape(TypedDict):
    """Of a linear layer (outputs, inputs); `pays_from`: the largest density from which CSR is faster, or null."""

    shape: list[int]
    batch: int
    points: list[CsrPoint]
    pays_from: float | None


class MeasuredCsr(TypedDict):
    """`RESULTS/STUDY/latency/csr-<machine>.json`."""

    schema: int
    machine: Machine
    batches: list[int]
    repeats: int
    shapes: list[CsrShape]
    provenance: dict[str, Any]


def digest_of_machine(machine: Mapping[str, Any]) -> str:
    """Eight digits that name the machine in file names."""
    return hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:8]


def latency_folder(root: Path, study: str) -> Path:
    return root / study / LATENCY_FOLDER


def latency_path(root: Path, study: str, name: str, machine: Mapping[str, Any]) -> Path:
    """`name` is a run's id, or `csr`."""
    return latency_folder(root, study) / f"{name}-{digest_of_machine(machine)}.json"


def write_latency(path: Path, content: Mapping[str, Any]) -> None:
    write_json(path, {"schema": SCHEMA, **content})


def read_latency(path: Path, folder: RunFolder) -> Mapping[str, Any] | None:
    """What is stored of a run on a machine. None where nothing is, or the weights are others now.

    Raises Damaged for a file of another shape or run.
    """
    try:
        found = read_typed(path, MeasuredLatency)
    except FileNotFoundError:
        return None
    if found["run"] != folder.path.name:
        raise Damaged(path, f"it is of run {found['run']}")
    return found if found["weights"] == stored_weights(folder) else None


def read_csr(path: Path) -> Mapping[str, Any] | None:
    """The measured products of a machine. None where there are none. Raises Damaged for a file of another shape."""
    try:
        return read_typed(path, MeasuredCsr)
    except FileNotFoundError:
        return None


def is_enough(found: Mapping[str, Any], batches: Collection[int], repeats: int, variants: Collection[str]) -> bool:
    """Whether what is stored answers what is asked."""
    known = {*found["variants"], *found["left_out"]}
    return found["batches"] == list(batches) and found["repeats"] >= repeats and known >= set(variants)


def stored_paths(root: Path, study: str) -> dict[str, list[Path]]:
    """The files on all machines, by the run's id or `csr`."""
    folder, found = latency_folder(root, study), dict[str, list[Path]]()
    for name in sorted(names_in(folder)):
        run, _, rest = name.partition("-")
        if rest.endswith(".json") and not name.startswith("."):
            found.setdefault(run, []).append(folder / name)
    return found
