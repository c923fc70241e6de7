"""What the suite relies on in a data set, tested on the data that are on this machine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ...datasets.parts.info import DataSetInfo
from ...datasets.registry import describe, field_types, load, origin, train_size
from ..api.data import Data, Split
from .findings import Finding, Skipped, run_checks

CPU = torch.device("cpu")
VALIDATION = 0.1
MOST = 20_000
"""Samples of a split that are looked at."""
COMMON = 0.01
"""Share of a split that may be in the training set too: published data hold some images twice."""


@dataclass(frozen=True)
class Subject:
    """A registered data set without options, under a data root."""

    name: str
    root: Path | None

    @cached_property
    def info(self) -> DataSetInfo:
        return describe(self.name)

    @cached_property
    def data(self) -> Data:
        return self.load()

    def load(self, validation: float = VALIDATION, **options: object) -> Data:
        return load(self.name, root=self.root, validation=validation, **options)

    @property
    def splits(self) -> dict[str, Split]:
        return {"training": self.data.train, "validation": self.data.validation, "test": self.data.test}


def check_dataset(name: str, root: Path | None = None) -> list[Finding]:
    """Run every check on a data set; the global random state is left alone.

    Raises UserError for an unknown name, and for data that are not on this machine. Whatever else is wrong is a failed
    check.
    """
    source = origin(name).source
    with torch.random.fork_rng(devices=[]):
        subject = Subject(name, root)
        _ = subject.data
        return run_checks(CHECKS, subject, source)


def _first(split: Split, size: int = 64, **options: object) -> tuple[Tensor, Tensor]:
    return next(iter(split.batches(min(size, len(split)), device=CPU, **options)))  # pyright: ignore[reportArgumentType]


def _batches(split: Split) -> Iterator[tuple[Tensor, Tensor]]:
    """File order, as far as is looked."""
    seen = 0
    for inputs, targets in split.batches(min(256, len(split)), device=CPU):
        yield inputs, targets
        seen += len(targets)
        if seen >= MOST:
            return


def _check_facts(subject: Subject) -> str:
    info, data = subject.info, subject.data
    assert info.name == subject.name, f"describe() calls it {info.name!r}; its registered name is {subject.name!r}"
    assert info.title, "it has no title"
    assert min(info.input_shape, default=0) > 0, f"input_shape is {info.input_shape}"
    assert info.num_classes >= 2, f"num_classes is {info.num_classes}"
    assert data.input_shape == info.input_shape, f"loaded inputs are {data.input_shape}, described {info.input_shape}"
    assert data.num_classes == info.num_classes, f"loaded: {data.num_classes} classes, described: {info.num_classes}"
    told, loaded = (info.num_train, info.num_test), (len(data.train) + len(data.validation), len(data.test))
    assert told == loaded, f"described: {told} training and test samples, loaded: {loaded}"
    known = train_size(subject.name, VALIDATION)
    assert known in (None, len(data.train)), f"train_size says {known}, the training split has {len(data.train)}"
    return f"{len(data.train)} training, {len(data.validation)} validation and {len(data.test)} test samples"


def _check_samples(subject: Subject) -> str:
    shape = subject.info.input_shape
    for name, split in subject.splits.items():
        inputs, targets = _first(split)
        assert tuple(inputs.shape[1:]) == shape, f"{name} inputs have the shape {tuple(inputs.shape[1:])}, not {shape}"
        assert inputs.dtype == torch.float32, f"{name} inputs are {inputs.dtype}, not float32"
        assert torch.isfinite(inputs).all(), f"{name} inputs are not finite"
        assert targets.dtype == torch.int64, f"{name} targets are {targets.dtype}, not int64"
        wanted = (len(inputs), *subject.info.target_shape)
        assert tuple(targets.shape) == wanted, f"{name} targets have the shape {tuple(targets.shape)}, not {wanted}"
    inputs, _ = _first(subject.data.train, 2000)
    return f"float32 {shape}, mean {inputs.mean():.2f}, deviation {inputs.std():.2f}"


def _check_labels(subject: Subject) -> str:
    classes = subject.info.num_classes
    for name, split in subject.splits.items():
        least, most = (int(value) for value in split.targets.aminmax())
        assert 0 <= least <= most < classes, f"{name} labels go from {least} to {most}, not within 0..{classes - 1}"
    counts = subject.data.train.targets.flatten().bincount(minlength=classes)
    if subject.info.num_symbols:
        return f"{int((counts > 0).sum())} of {classes} symbols occur"
    assert counts.min() > 0, f"class {int(counts.argmin())} has no training sample"
    return f"{classes} classes, {counts.min()} to {counts.max()} training samples each"


def _check_disjoint(subject: Subject) -> str:
    seen = {name: set(_digests(split)) for name, split in subject.splits.items()}
    found = []
    for name in ("validation", "test"):
        both = len(seen[name] & seen["training"])
        found.append(f"{both} of {len(seen[name])} {name} samples")
        assert both <= COMMON * len(seen[name]), f"{found[-1]} are training samples too"
    both = len(seen["validation"] & seen["test"])
    assert both <= COMMON * len(seen["validation"]), f"{both} validation samples are test samples too"
    return " and ".join(found) + " are in the training split"


def _digests(split: Split) -> Iterator[bytes]:
    for inputs, _ in _batches(split):
        for sample in inputs.contiguous():
            yield hashlib.blake2b(sample.numpy().tobytes(), digest_size=16).digest()


def _check_order(subject: Subject) -> str:
    for name, split in subject.splits.items():
        inputs, targets = _first(split)
        sampled = split.sample(torch.arange(len(targets)), device=CPU)
        assert torch.equal(inputs, sampled[0]), f"{name}: sample(indices) gives other inputs than the file order"
        assert torch.equal(targets, sampled[1]), f"{name}: sample(indices) gives other targets than the file order"
        assert torch.equal(split.targets[: len(targets)], targets), f"{name}: `targets` differs from those of batches"
    return ""


def _check_seed(subject: Subject) -> str:
    def drawn(seed: int) -> tuple[Tensor, Tensor]:
        return _first(subject.data.train, order=torch.Generator().manual_seed(seed), augment=True)

    state = torch.get_rng_state()
    first, second, other = drawn(0), drawn(0), drawn(1)
    assert all(map(torch.equal, first, second)), "two passes of one seed give other batches"
    assert not all(map(torch.equal, first, other)), "another seed gives the same batch"
    assert torch.equal(state, torch.get_rng_state()), "a pass draws from torch's global random state"
    return ""


def _check_fingerprint(subject: Subject) -> str:
    data, again, whole = subject.data, subject.load(), subject.load(validation=0.0)
    assert data.fingerprint, "there is no fingerprint"
    assert data.fingerprint == again.fingerprint, "loaded again, the fingerprint is another one"
    assert all(map(torch.equal, _first(data.train), _first(again.train))), "loaded again, the samples are others"
    assert data.fingerprint != whole.fingerprint, "the fingerprint does not depend on the split for validation"
    assert not len(whole.validation), "validation = 0 holds samples out"
    assert len(whole.train) == len(data.train) + len(data.validation), "validation is not cut from the training set"
    return data.fingerprint[:12]


def _check_limit(subject: Subject) -> str:
    if "limit" not in field_types(subject.name):
        raise Skipped("it has no option limit")
    limit = math.ceil(len(subject.data.train) / 2)
    found = subject.load(limit=limit)
    assert len(found.train) == limit, f"limit = {limit} keeps {len(found.train)} training samples"
    assert torch.equal(found.validation.targets, subject.data.validation.targets), "limit changes the validation split"
    return f"{limit} training samples"


CHECKS: dict[str, Callable[[Subject], str]] = {
    "what is described is what is loaded": _check_facts,
    "samples have the shape and type": _check_samples,
    "labels are in range": _check_labels,
    "splits are disjoint": _check_disjoint,
    "samples are found by index": _check_order,
    "same seed, same batches": _check_seed,
    "loaded again, the data are the same": _check_fingerprint,
    "a limit leaves validation alone": _check_limit,
}
