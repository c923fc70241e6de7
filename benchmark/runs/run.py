"""The specification of a run: frozen plain data, and an id that is its hash.

The id is the hash of canonical JSON without fields that have their default value. So a new field needs a default that
means "no effect"; then the ids of stored results stay the same. A test pins ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any, Literal

DENSE = "dense"
"""Method name of plain training without pruning, whose weights other runs may start from."""

Options = Mapping[str, Any]
Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["cosine", "step", "linear", "adaptive_linear", "constant"]
Precision = Literal["float32", "tf32", "bfloat16"]
"""Stored runs of earlier versions may also have `auto`: their results are read, but they cannot be computed."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained: optimiser, learning-rate schedule, regularisation.

    `schedule` is evaluated once per `lr_update`; warm-up is linear, lr * (i + 1) / warm-up, as in the paper's code.
    `step` multiplies by `step_factor` every `step_epochs` epochs, or at each of `milestones`. `adaptive_linear` is for
    retraining: linear, from `lr` times a factor that each pruning sets (`training/retraining_rate.py`), in each round
    of a method that has several. `precision: bfloat16` is
    torch's autocast. `tf32` is float32 in which the products and convolutions of a GPU round their factors to 10 bits
    after the point, in scores too; a CPU refuses it. `clip_norm` bounds the norm of the gradients that move weights
    (0: off). `stop_epoch` ends a dense training after that epoch (0: after the last one); the schedule remains that of
    all epochs. `recalibrate_bn` estimates the statistics of batch norm anew over so many batches of training samples,
    not augmented, after the pruning and before the training of each round (0: off).
    """

    epochs: int
    batch_size: int = 128
    optimizer: Optimizer = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_norm: bool = True
    schedule: Schedule = "cosine"
    step_epochs: int = 0
    step_factor: float = 0.1
    milestones: tuple[int, ...] = ()
    warmup_epochs: int = 0
    lr_update: Literal["epoch", "step"] = "epoch"
    label_smoothing: float = 0.0
    clip_norm: float = 0.0
    precision: Precision = "float32"
    sync_batch_norm: bool = False
    stop_epoch: int = 0
    recalibrate_bn: int = 0

    @property
    def trained_epochs(self) -> int:
        """Epochs of one round of training."""
        return self.stop_epoch or self.epochs


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that determines one result. `parent` is the dense training whose weights it starts from, if any.

    `protocol` is raised when the training loop computes other numbers from the same recipe, only for the runs that are
    concerned; see `protocol_of`. `borrowed_versions`: of the method that a control borrows from, of the method that
    this borrows from, and so on; empty if all are 1. `retrain_seed` changes the order of the data and the noise of this
    run's own training: runs that differ in it alone have the same start and draw the same samples for their scores.
    """

    dataset: str
    model: str
    method: str
    seed: int
    recipe: Recipe
    sparsity: float = 0.0
    dataset_options: tuple[tuple[str, Any], ...] = ()
    model_options: tuple[tuple[str, Any], ...] = ()
    method_options: tuple[tuple[str, Any], ...] = ()
    method_version: int = 1
    borrowed_versions: tuple[int, ...] = ()
    validation: float = 0.1
    parent: Run | None = None
    protocol: int = 1
    retrain_seed: int = 0

    @cached_property
    def id(self) -> str:
        """Twelve hex digits of the SHA-256 of the canonical JSON."""
        return id_of(to_dict(self))

    @property
    def is_dense(self) -> bool:
        return self.method == DENSE


def protocol_of(recipe: Recipe) -> int:
    """2 with `clip_norm`: in 1 the norm included gradients of pruned weights. Other recipes keep 1 and their ids."""
    return 2 if recipe.clip_norm > 0 else 1


def frozen_options(options: Options) -> tuple[tuple[str, Any], ...]:
    """Options sorted by name and with lists as tuples, so that equal options are equal data."""
    return tuple((key, _frozen(options[key])) for key in sorted(options))


def with_options(name: str, options: tuple[tuple[str, Any], ...]) -> str:
    """`Global MP (start=init)`; only the name where there are no options."""
    return f"{name} ({', '.join(f'{key}={value}' for key, value in options)})" if options else name


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, Mapping):
        return frozen_options(value)
    return value


def to_dict(value: Recipe | Run) -> dict[str, Any]:
    """Plain data with default values left out; nested runs and recipes likewise."""
    plain: dict[str, Any] = {}
    for name, default in _defaults(type(value)):
        item = getattr(value, name)
        if item is default or item == default:
            continue
        if isinstance(item, Recipe | Run):
            item = to_dict(item)
        elif name.endswith("_options"):
            item = {key: _thawed(option) for key, option in item}
        elif isinstance(item, tuple):
            item = list(item)
        plain[name] = item
    return plain


@cache
def _defaults(kind: type[Recipe | Run]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(kind))


def _thawed(value: Any) -> Any:
    return [_thawed(item) for item in value] if isinstance(value, tuple) else value


def from_dict(plain: Mapping[str, Any]) -> Run:
    """The inverse of `to_dict` for a run. Raises TypeError on unknown or missing fields."""
    values = dict(plain)
    recipe = dict(values["recipe"])
    if "milestones" in recipe:
        recipe["milestones"] = tuple(recipe["milestones"])
    values["recipe"] = Recipe(**recipe)
    for key in ("dataset_options", "model_options", "method_options"):
        if key in values:
            values[key] = frozen_options(values[key])
    if "borrowed_versions" in values:
        values["borrowed_versions"] = tuple(values["borrowed_versions"])
    if values.get("parent") is not None:
        values["parent"] = from_dict(values["parent"])
    return Run(**values)


def canonical_json(run: Run) -> str:
    """Sorted keys, no white space, defaults left out: the text that is hashed."""
    return _canonical(to_dict(run))


def id_of(plain: Mapping[str, Any]) -> str:
    """The id of the run that `to_dict` gave, whatever version gave it: fields that are not known here count too."""
    return hashlib.sha256(_canonical(plain).encode()).hexdigest()[:12]


def _canonical(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def derive_seed(seed: int, *labels: object) -> int:
    """An independent 63-bit seed for a purpose, e.g. derive_seed(3, "order", epoch)."""
    text = ":".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
