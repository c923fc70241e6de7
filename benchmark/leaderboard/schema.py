"""A published result: one run with what a reader needs to compare it, to judge it and to compute it again.

Names of machines, folders and commands are no part of it. `json_schema` describes the file for other programs.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..api.errors import UserError
from ..runs.run import id_of

VERSION = 1
"""Of the files; in each as `leaderboard`."""

NAME = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Method(_Part):
    """What the suite, or the plug-in that offers it, says of a method."""

    name: str
    label: str
    family: str
    paper: str
    year: int | None = None
    needs: str
    start: str
    version: Annotated[int, Field(ge=1)]
    borrows: str = ""
    reaches_target: bool = True
    source: str = ""
    """Where the code of a plug-in (method, network or data) can be read; empty where the suite has all of it."""


class Accuracy(_Part):
    """Shares of the test set, `selected_validation` of the validation split; null where there is none."""

    before: Share | None
    pruned: Share | None
    last: Share | None
    last_top5: Share | None = None
    last5: Share | None = None
    selected: Share | None
    selected_validation: Share | None
    best_test: Share | None


class Sparsity(_Part):
    """Of all prunable weights. `parameters` are those of the network before pruning."""

    achieved: Share
    kept: Count
    prunable: Count
    parameters: Count
    outside: dict[str, int] | None = None
    empty_layers: list[str]
    smallest_layer_density: Share


class Layer(_Part):
    """Prunable weights of a layer; `is_dense`: the method leaves it whole."""

    name: str
    total: Count
    kept: Count
    is_dense: bool = False


class Macs(_Part):
    """Multiply-adds for one input."""

    dense: Amount
    sparse: Amount
    pruned: float
    products: Amount = 0


class Training(_Part):
    """Epochs and multiply-adds of a training; `sparse_macs` on a machine that skips zeros."""

    epochs: Count
    macs: Amount
    sparse_macs: Amount


class Cost(Training):
    """The run's own training; `parent` is the dense training that it starts from."""

    parent: Training | None
    scoring_macs: Amount | None = None
    seconds: Amount
    train_seconds: Amount
    prune_seconds: Amount
    mask_seconds: Amount
    peak_memory_bytes: Count | None


class Data(_Part):
    """`classes` is null where the result does not say it."""

    title: str
    fingerprint: str
    train: Count
    validation: Count
    test: Count
    classes: int | None = None


class Provenance(_Part):
    """Versions, code and hardware. `start_weights` is the SHA-256 of the dense weights that the run starts from."""

    prunebench: str
    revision: str | None
    python: str
    packages: dict[str, str]
    device_name: str | None
    platform: str
    threads: int | None = None
    processes: int = 1
    code: dict[str, Any] | None = None
    start_weights: str | None = None
    changed_since_submission: bool | None = None


class Latency(_Part):
    """Median seconds of a call with a batch, and those of the dense network in turns with it."""

    machine: str
    variant: str
    batch: Annotated[int, Field(ge=1)]
    p50: Amount
    dense_p50: Amount | None = None


class Measured(_Part):
    """What a finished run has."""

    accuracy: Accuracy
    sparsity: Sparsity
    layers: list[Layer]
    macs: Macs
    cost: Cost
    data: Data
    provenance: Provenance
    latency: list[Latency] = []

    @model_validator(mode="after")
    def _layers_add_up(self) -> Measured:
        kept, total = (sum(getattr(layer, name) for layer in self.layers) for name in ("kept", "total"))
        if kept != self.sparsity.kept:
            raise ValueError(f"the layers keep {kept:,} weights, sparsity.kept says {self.sparsity.kept:,}")
        # a control may train a smaller network than the one whose weights are counted
        if any(layer.kept > layer.total for layer in self.layers) or total > self.sparsity.prunable:
            raise ValueError("more weights are kept than there are")
        return self


class Published(_Part):
    """One run. `source` is `reference`, or the name of the contribution; `run` all that determines the result."""

    leaderboard: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    source: Name
    study: Name
    label: Annotated[str, Field(min_length=1)]
    method: Method
    run: dict[str, Any]
    state: Literal["done", "failed"]
    reason: str = ""
    measured: Measured | None

    @model_validator(mode="after")
    def _is_of_its_run(self) -> Published:
        if (described := id_of(self.run)) != self.id:
            raise ValueError(f"id is {self.id}, and run describes {described}")
        if (self.measured is None) != (self.state == "failed"):
            raise ValueError(f"a run that is {self.state} has {'no' if self.measured is None else ''} measured values")
        return self

    @property
    def file_name(self) -> str:
        """In the published folder: no two results have the same."""
        return f"{self.id}.json" if self.source == REFERENCE else f"{self.id}-{self.source}.json"


def check_name(name: str) -> str:
    """The name of a contribution. Raises UserError for one that no contribution can have."""
    if not re.fullmatch(NAME, name) or name == REFERENCE:
        raise UserError(f"name {name!r}: letters a-z, digits, '-', '_' and '.', at most 64, and not {REFERENCE!r}")
    return name


REFERENCE = "reference"
"""The source of the project's own results."""


class Contribution(_Part):
    """Results of others: one file in `results/contributed/`."""

    leaderboard: Literal[1] = 1
    name: Name
    by: str = ""
    results: Annotated[list[Published], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_the_source(self) -> Contribution:
        if self.name == REFERENCE or any(result.source != self.name for result in self.results):
            raise ValueError(
                f"each result has the contribution's name as its source, and {REFERENCE!r} is no such name"
            )
        return self


def json_schema() -> str:
    """The JSON Schema of a published result."""
    return json.dumps(Published.model_json_schema(), indent=1) + "\n"


def as_json(part: Published | Contribution) -> str:
    """Compact; equal values are equal bytes, and what has its default is left out."""
    plain = part.model_dump(exclude_defaults=True) | {"leaderboard": VERSION}
    return json.dumps(plain, sort_keys=True, separators=(",", ":")) + "\n"


def first_complaint(error: ValidationError) -> str:
    """The first thing that is wrong, in a line: its place and the reason."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    reason = first["msg"].removeprefix("Value error, ")
    return f"{place}: {reason}" if place else reason
