"""`arrays`: the user's own inputs and classes in one .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ..benchmark.api.errors import DataDamaged
from .parts.in_memory import Arrays
from .parts.info import DataSetInfo
from .parts.npz_file import Header, read_array, read_headers
from .parts.own_data import OwnData

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

NEEDED = ("train_inputs", "train_targets", "test_inputs", "test_targets")
GROUPS = "train_groups"


@dataclass(frozen=True, kw_only=True)
class OwnArrays(OwnData):
    """`train_inputs`, `train_targets`, `test_inputs`, `test_targets` and, if wanted, `train_groups`.

    Inputs are images, uint8 (n, height, width, channels), normalised by mean and deviation of each channel over all
    training images; or floats (n, ...), which networks get as they are, as float32. Targets are whole numbers (n,)
    from 0. With groups, whole numbers (n,), validation takes whole groups, such as all samples of a person.
    """

    kind: ClassVar[str] = "arrays"

    def facts_at(self, root: Path) -> DataSetInfo:
        place = self.existing_place(root)
        headers = read_headers(place)
        check_headers(headers, place)
        inputs = headers["train_inputs"]
        is_image, shape = inputs.dtype.kind == "u", inputs.shape[1:]
        shape = (shape[-1], *shape[:-1]) if is_image else shape
        self.check_augmenting(shape, is_image=is_image)
        return DataSetInfo(
            name=self.kind,
            title=self.title or self.path,
            input_shape=shape,
            num_classes=int(self.targets_at(root)[0].max()) + 1,
            num_train=inputs.shape[0],
            num_test=headers["test_inputs"].shape[0],
            licence="your own",
            source=self.path,
        )

    def targets_at(self, root: Path) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        import numpy as np

        place = self.existing_place(root)
        headers = read_headers(place)
        check_headers(headers, place)
        targets = read_array(place, "train_targets").astype(np.int64)
        check_classes(targets, place)
        return targets, read_array(place, GROUPS).astype(np.int64) if GROUPS in headers else None

    def class_name(self, root: Path, index: int) -> str:
        return f"class {index}"

    def read(self, root: Path) -> Arrays:
        import torch

        place = self.place(root)
        targets, groups = self.targets_at(root)
        test_targets = read_array(place, "test_targets").astype("int64")
        return Arrays(
            train_inputs=_inputs(place, "train_inputs"),
            train_targets=torch.from_numpy(targets),
            test_inputs=_inputs(place, "test_inputs"),
            test_targets=torch.from_numpy(test_targets),
            train_groups=None if groups is None else torch.from_numpy(groups),
        )


def check_headers(headers: Mapping[str, Header], place: Path) -> None:
    """Raises DataDamaged for keys, types, shapes and lengths that do not fit, in one line."""
    known = (*NEEDED, GROUPS)
    if absent := [key for key in NEEDED if key not in headers]:
        raise DataDamaged(f"arrays: {place} lacks {', '.join(absent)}; keys are {', '.join(NEEDED)} and maybe {GROUPS}")
    if strange := [key for key in headers if key not in known]:
        raise DataDamaged(f"arrays: {place} holds {', '.join(strange)}, which is not read; known: {', '.join(known)}")
    for split in ("train", "test"):
        _check_inputs(f"{split}_inputs", headers[f"{split}_inputs"], place)
        length = headers[f"{split}_inputs"].shape[0]
        for key in (f"{split}_targets", f"{split}_groups"):
            if key in headers:
                _check_labels(key, headers[key], f"{split}_inputs", length, place)
    train, test = headers["train_inputs"], headers["test_inputs"]
    if (train.shape[1:], train.dtype.kind) != (test.shape[1:], test.dtype.kind):
        raise DataDamaged(f"arrays: {place}: train_inputs are {_shown(train)}, test_inputs {_shown(test)}")


def _check_inputs(key: str, header: Header, place: Path) -> None:
    is_image = header.dtype == "uint8"
    if not is_image and header.dtype.kind != "f":
        raise DataDamaged(f"arrays: {place}: {key} are {header.dtype}; they must be uint8 images or floats")
    if is_image and len(header.shape) != 4:
        raise DataDamaged(f"arrays: {place}: {key} are {_shown(header)}; images are (n, height, width, channels)")
    if len(header.shape) < 2 or 0 in header.shape:
        raise DataDamaged(f"arrays: {place}: {key} are {_shown(header)}; they must be (n, ...) and not empty")


def _check_labels(key: str, header: Header, inputs: str, length: int, place: Path) -> None:
    if header.dtype.kind not in "iu":
        raise DataDamaged(f"arrays: {place}: {key} are {header.dtype}; they must be whole numbers")
    if header.shape != (length,):
        raise DataDamaged(f"arrays: {place}: {key} have shape {header.shape}; there are {length} {inputs}")


def _shown(header: Header) -> str:
    return f"{header.dtype} {header.shape}"


def check_classes(targets: NDArray[np.int64], place: Path) -> None:
    """Raises DataDamaged unless each of 0..classes - 1 is there, and at least two."""
    import numpy as np

    present = np.unique(targets)
    if present[0] < 0:
        raise DataDamaged(f"arrays: {place}: train_targets hold {present[0]}; classes are numbered from 0")
    if present[-1] != len(present) - 1:
        first = int(np.flatnonzero(present != np.arange(len(present)))[0])
        raise DataDamaged(f"arrays: {place}: train_targets go to {present[-1]} but none is of class {first}")
    if len(present) < 2:
        raise DataDamaged(f"arrays: {place}: train_targets hold one class; there must be at least 2")


def _inputs(place: Path, key: str) -> Tensor:
    """uint8 (n, channels, height, width), or float32 as they are."""
    import numpy as np
    import torch

    values = read_array(place, key)
    if values.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
    with np.errstate(over="ignore"):  # values too large for float32 become infinite, and are reported below
        values = values.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(wrong):
        raise DataDamaged(f"arrays: {place}: {key} holds NaN or infinity in {len(wrong)} samples, first in {wrong[0]}")
    return torch.from_numpy(np.ascontiguousarray(values))
