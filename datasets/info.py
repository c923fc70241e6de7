"""Facts of a data set and what every data set can do. Reading them needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from .splits import Data

Decoder = Literal["pillow", "torchcodec"]
"""Which library decodes image files."""

Report = Callable[[str], None]
"""Takes one line of progress; the caller decides where it is shown."""


@dataclass(frozen=True, kw_only=True)
class DataSetInfo:
    """What a table or a list of data sets shows. `input_shape` has no batch dimension."""

    name: str
    title: str
    input_shape: tuple[int, ...]
    num_classes: int
    num_train: int
    num_test: int
    licence: str
    source: str


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


class DataSet(Protocol):
    """What the registry needs of a data set; its options are the fields of its constructor."""

    def describe(self) -> DataSetInfo: ...

    def load(self, root: Path, validation: float) -> Data: ...

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path: ...

    def check(self, root: Path) -> list[str]: ...
