"""What the data sets that fit in memory share: read the arrays, verify them, cut the splits."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ...benchmark.api.data import Data
from ...benchmark.api.errors import UserError
from ...benchmark.api.options import check_fields
from .info import Augmentation, DataSetInfo, Normalisation, Report, check_limit, num_held_out, size_of_cut
from .install import compare_with_manifest

if TYPE_CHECKING:
    from pydantic import Field
    from torch import Tensor

    from .in_memory_split import ResidentSplit
    from .stratify import Indices

VALIDATION_SEED = 1
LIMIT_SEED = 2


@dataclass(frozen=True)
class Arrays:
    """A data set as read: inputs (n, *input_shape) uint8 or float32, targets (n, *target_shape) int64.

    `train_groups` (n,) is the person each training sample is of, where validation must be cut by person.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    train_groups: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class ResidentDataSet(ABC):
    """Base of the data sets held in memory. The validation split is cut first, so it is the same for every `limit`.

    Args:
        limit: Number of training samples to keep, with the same class shares; null keeps all.
    """

    facts: ClassVar[DataSetInfo]
    cuts_by_person: ClassVar[bool] = False
    is_text: ClassVar[bool] = False
    """Whether each place of a window has a target, so that tables show bits per byte."""

    limit: Annotated[int, Field(ge=1)] | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    @abstractmethod
    def read(self, root: Path) -> Arrays:
        """The arrays from the files under `root`."""

    @abstractmethod
    def place(self, root: Path) -> Path:
        """The folder that the data are in, or would be."""

    @abstractmethod
    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """See `registry.prepare`."""

    def describe(self) -> DataSetInfo:
        return self.facts

    def facts_at(self, root: Path) -> DataSetInfo:
        """As `describe`, of the files under `root` where they tell it."""
        return self.describe()

    def train_size(self, validation: float) -> int | None:
        """Training samples besides validation; None if whole persons are held out, whose sizes only the files tell."""
        if self.cuts_by_person and validation > 0:
            return self.limit
        return size_of_cut(self.describe(), validation, self.limit)

    def normalisation(self) -> Normalisation | None:
        """Of uint8 images; None where `read` gives float32 inputs that are normalised already."""
        return None

    def measured(self, arrays: Arrays) -> Normalisation | None:
        """The normalisation, measured where it is not fixed; `arrays` hold all training samples."""
        return self.normalisation()

    def augmentation(self) -> Augmentation | None:
        """What `augment=True` does to training batches; None is nothing."""
        return None

    def standardised(self, arrays: Arrays) -> Arrays:
        """Float inputs as a network gets them. The fingerprint is taken before, of what the files hold."""
        return arrays

    def verified(self, root: Path) -> Arrays:
        """The arrays, with published counts, shapes and classes."""
        arrays = self.read(root)
        check_arrays(arrays, self.facts_at(root))
        return arrays

    def load(self, root: Path, validation: float) -> Data:
        info, arrays = self.facts_at(root), self.verified(root)
        groups = None if arrays.train_groups is None else arrays.train_groups.numpy()
        train, held_out = cut(arrays.train_targets.numpy(), validation, self.limit, groups)
        digest = fingerprint(arrays, train, held_out)
        arrays, normalisation = self.standardised(arrays), self.measured(arrays)
        return Data(
            name=info.name,
            train=_split(arrays.train_inputs[train], arrays.train_targets[train], normalisation, self.augmentation()),
            validation=_split(arrays.train_inputs[held_out], arrays.train_targets[held_out], normalisation),
            test=_split(arrays.test_inputs, arrays.test_targets, normalisation),
            input_shape=info.input_shape,
            num_classes=info.num_classes,
            fingerprint=digest,
            facts={
                **self.recorded(info, normalisation),
                **({"num_symbols": info.num_symbols} if info.num_symbols else {}),
            },
        )

    def recorded(self, info: DataSetInfo, normalisation: Normalisation | None) -> dict[str, Any]:
        """What results record of the user's own data."""
        return {}

    def check(self, root: Path) -> list[str]:
        info, arrays = self.describe(), self.verified(root)
        least, most = arrays.train_targets.bincount().aminmax()
        return [
            f"{info.name}: {len(arrays.train_targets)} training and {len(arrays.test_targets)} test samples "
            f"of shape {'x'.join(map(str, info.input_shape))}",
            f"{info.name}: {info.num_classes} classes, {least} to {most} training samples each",
            f"{info.name}: {compare_with_manifest(self.place(root), whole_fingerprint(arrays))}",
            f"{info.name}: licence: {info.licence}; source: {info.source}",
        ]


def _split(
    inputs: Tensor, targets: Tensor, normalisation: Normalisation | None, augmentation: Augmentation | None = None
) -> ResidentSplit:
    from .in_memory_split import ResidentSplit

    return ResidentSplit(inputs, targets, normalisation=normalisation, augmentation=augmentation)


def check_arrays(arrays: Arrays, info: DataSetInfo) -> None:
    """Refuse counts, shapes and classes other than the published ones: a truncated copy must not train silently."""
    for split, inputs, targets, count in (
        ("training", arrays.train_inputs, arrays.train_targets, info.num_train),
        ("test", arrays.test_inputs, arrays.test_targets, info.num_test),
    ):
        if len(inputs) != count or len(targets) != count:
            raise UserError(
                f"{info.name}: {len(inputs)} {split} inputs and {len(targets)} labels; both must be {count}"
            )
        if tuple(inputs.shape[1:]) != info.input_shape:
            raise UserError(f"{info.name}: {split} inputs of shape {tuple(inputs.shape[1:])}, not {info.input_shape}")
        if tuple(targets.shape[1:]) != info.target_shape:
            raise UserError(f"{info.name}: {split} labels of shape {tuple(targets.shape[1:])}, not {info.target_shape}")
        if int(targets.min()) < 0 or int(targets.max()) >= info.num_classes:
            wrong = int(targets.min()) if int(targets.min()) < 0 else int(targets.max())
            raise UserError(f"{info.name}: {split} label {wrong} is not in 0..{info.num_classes - 1}")
    present = len(arrays.train_targets.unique())
    if present != info.num_classes and not info.target_shape:
        raise UserError(f"{info.name}: training labels of {present} classes, not {info.num_classes}")


def cut(
    targets: Indices, validation: float, limit: int | None, groups: Indices | None = None
) -> tuple[Indices, Indices]:
    """Indices of the training and of the validation samples, from fixed seeds that are not the run's.

    Args:
        targets: (n,) class of each sample, or (n, context) symbols of windows, which have no class of their own.
        groups: (n,) person of each sample, where validation is of whole persons.
    """
    import numpy as np

    from .stratify import choose, choose_groups

    if targets.ndim > 1:
        targets = np.zeros(len(targets), dtype=np.int64)
    train, held_out = np.arange(len(targets)), np.arange(0)
    if validation > 0 and groups is not None:
        held_out, train = choose_groups(groups, validation, seed=VALIDATION_SEED)
    elif validation > 0:
        count = num_held_out(len(targets), int(targets.max()) + 1, validation)
        held_out, train = choose(targets, count, seed=VALIDATION_SEED, keep_rest=True)
    if limit is not None:
        check_limit(limit, len(train))
        kept, _ = choose(targets[train], limit, seed=LIMIT_SEED, keep_rest=False)
        train = train[kept]
    return train, held_out


def fingerprint(arrays: Arrays, train: Indices, held_out: Indices) -> str:
    """sha256 of the arrays, whatever files they came from, and of the indices of the splits."""
    import numpy as np

    digest = hashlib.sha256()
    tensors = (arrays.train_inputs, arrays.train_targets, arrays.test_inputs, arrays.test_targets)
    for array in (*(tensor.numpy() for tensor in tensors), train, held_out):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def whole_fingerprint(arrays: Arrays) -> str:
    """The fingerprint without validation or limit: what a folder of files is compared by."""
    return fingerprint(arrays, *cut(arrays.train_targets.numpy(), validation=0.0, limit=None))
