"""What the files of a run must contain: JSON of another shape is damaged, which is found when it is read.

Only what readers use is listed; files may have other keys. Keys that later versions added are optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes no other on Python 3.11; it brings the package

from .run import id_of

Fraction = float | None


class _Accuracy(TypedDict):
    before: Fraction
    pruned: Fraction
    last: Fraction
    last_top5: Fraction
    selected: Fraction
    selected_validation: Fraction
    best_test: Fraction
    last5: NotRequired[Fraction]


class _Sparsity(TypedDict):
    achieved: float
    kept: int
    prunable: int
    parameters: int
    empty_layers: list[str]
    smallest_layer_density: float
    explored: NotRequired[float | None]


class _Macs(TypedDict):
    dense: float
    sparse: float
    pruned: float
    products: NotRequired[float]


class _Training(TypedDict):
    epochs: int
    macs: float
    sparse_macs: float


class _Cost(_Training):
    parent: _Training | None
    seconds: float
    train_seconds: float
    prune_seconds: float
    mask_seconds: float
    peak_memory_bytes: int | None
    scoring_macs: NotRequired[float]


class _Layer(TypedDict):
    name: str
    total: int
    kept: int
    density: float
    macs: float


class _Data(TypedDict):
    fingerprint: str
    train: int
    validation: int
    test: int
    facts: NotRequired[dict[str, Any]]


class _File(TypedDict):
    sha256: str
    bytes: int


class _Provenance(TypedDict):
    device_name: str | None
    host: str
    revision: str | None
    processes: NotRequired[int]
    finished: NotRequired[float]
    code: NotRequired[dict[str, Any] | None]
    weights: NotRequired[dict[str, Any] | None]
    data_root: NotRequired[str | None]
    changed_since_submission: NotRequired[bool | None]
    history: NotRequired[_File]


class Result(TypedDict):
    """`result.json`."""

    id: str
    run: dict[str, Any]
    accuracy: _Accuracy
    loss: NotRequired[dict[str, float | None]]
    sparsity: _Sparsity
    macs: _Macs
    cost: _Cost
    layers: list[_Layer]
    data: _Data
    provenance: _Provenance
    files: NotRequired[dict[str, _File]]


class Attempt(TypedDict):
    """`attempts/NNNN.json`."""

    outcome: str | None
    reason: NotRequired[str]
    retryable: NotRequired[bool]
    host: NotRequired[str]
    pid: NotRequired[int]
    begin: NotRequired[float]
    end: NotRequired[float]


class Epoch(TypedDict):
    """A line of `history.jsonl`."""

    epoch: int
    density: float
    validation_accuracy: Fraction
    test_accuracy: Fraction


class Described(TypedDict):
    """`run.json`."""

    id: str
    run: dict[str, Any]


class Record(TypedDict):
    """A record of a run, see `records`."""

    record: int
    result: dict[str, Any]
    history: list[dict[str, list[Any]]]


def contradiction(result: Mapping[str, Any]) -> str:
    """Where a result does not fit the run whose id it has; empty if it does."""
    run, sparsity = result["run"], result["sparsity"]
    try:
        described = id_of(run)
    except ValueError as error:
        return f"it describes no run ({error})"
    if described != result["id"]:
        return f"it describes run {described}"
    target = run.get("sparsity", 0.0)
    if sparsity.get("target", target) != target:
        return f"sparsity.target: {sparsity['target']}, its run says {target}"
    parent = id_of(run["parent"]) if run.get("parent") else None
    if result.get("parent", parent) != parent:
        return f"parent: {result['parent']!r}, its run says {parent!r}"
    return ""


def flaw(content: object, kind: type) -> str:
    """Why `content` is not of the kind, in a few words; empty if it is."""
    try:
        _adapter(kind).validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else first["msg"]
    return ""


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
