"""Facts of a data set and what every data set can do. Reading them needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from ...benchmark.api.errors import UserError

if TYPE_CHECKING:
    from ...benchmark.api.data import Data

Decoder = Literal["pillow", "torchcodec"]
"""Which library decodes image files."""

Report = Callable[[str], None]
"""Takes one line of progress; the caller decides where it is shown."""


@dataclass(frozen=True, kw_only=True)
class DataSetInfo:
    """What a table or a list of data sets shows. `input_shape` has no batch dimension.

    `target_shape` is that of one sample's targets: one class where it is empty, a class at each place of a text where
    it is (context,). `num_symbols`: inputs are whole numbers below it, held as floats; 0 for measured values.
    """

    name: str
    title: str
    input_shape: tuple[int, ...]
    num_classes: int
    num_train: int
    num_test: int
    licence: str
    source: str
    target_shape: tuple[int, ...] = ()
    num_symbols: int = 0


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """(stored / maximum - mean) / std, the last two for each channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    maximum: float = 255.0


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random crop out of the padded image, then a horizontal flip of every second image on average."""

    padding: int
    padding_mode: Literal["reflect", "constant"] = "reflect"
    flips: bool = True


def num_held_out(total: int, num_classes: int, validation: float) -> int:
    """Validation samples of `total` training samples, at least one a class."""
    return max(round(validation * total), num_classes) if validation > 0 else 0


def check_limit(limit: int, left: int) -> None:
    """Raises UserError for a limit beyond the samples that validation leaves."""
    if limit > left:
        raise UserError(f"limit is {limit}; there are {left} training samples besides validation")


def size_of_cut(info: DataSetInfo, validation: float, limit: int | None) -> int:
    """Training samples after `base.cut` by class. Raises UserError for a limit beyond them."""
    left = info.num_train - num_held_out(info.num_train, info.num_classes, validation)
    if limit is not None:
        check_limit(limit, left)
        return limit
    return left


class DataSet(Protocol):
    """What the registry needs of a data set; its options are the fields of its constructor."""

    def describe(self) -> DataSetInfo: ...

    def train_size(self, validation: float) -> int | None: ...

    def load(self, root: Path, validation: float) -> Data: ...

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path: ...

    def check(self, root: Path) -> list[str]: ...
