"""`text`: a plain text file of the user's own, of which each next byte is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ..benchmark.api.errors import UserError
from .parts.in_memory import Arrays, whole_fingerprint
from .parts.info import DataSetInfo
from .parts.own_data import OwnData
from .parts.text import Texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic import Field

SECTIONS = 20
"""Equal parts of the training text; validation takes whole ones."""


@dataclass(frozen=True, kw_only=True)
class OwnText(OwnData):
    """Any file, read as bytes: the end of it is the test set, and validation takes whole twentieths of the rest.

    Args:
        context: bytes of a window. Windows follow one another; what is left of a part is left out.
        test_fraction: of the file, at its end.
    """

    kind: ClassVar[str] = "text"
    is_text: ClassVar[bool] = True

    context: Annotated[int, Field(ge=2, le=4096)] = 128
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment:
            raise UserError("text: augment crops and flips images; it must be false")

    def facts_at(self, root: Path) -> DataSetInfo:
        return self._texts(root).info(
            name=self.kind, title=self.title or self.path, licence="your own", source=self.path
        )  # fmt: skip

    def _texts(self, root: Path) -> Texts:
        place = self.existing_place(root)
        if not place.is_file():
            raise UserError(f"text: {place} is not a file")
        text = place.read_bytes()
        end = len(text) - round(self.test_fraction * len(text))
        cuts = [end * index // SECTIONS for index in range(SECTIONS + 1)]
        train = [text[start:stop] for start, stop in pairwise(cuts)]
        made = Texts(train, [text[end:]], self.context)
        made.check_sizes(f"text: {place}")
        return made

    def targets_at(self, root: Path) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        import numpy as np

        groups = self._texts(root).groups()
        return np.zeros(len(groups), dtype=np.int64), groups

    def class_name(self, root: Path, index: int) -> str:
        return f"byte {index}"

    def read(self, root: Path) -> Arrays:
        return self._texts(root).arrays()

    def check(self, root: Path) -> list[str]:
        info = self.facts_at(root)
        return [
            f"{info.title}: {info.num_train} training and {info.num_test} test windows of {self.context} bytes",
            f"{info.title}: fingerprint {whole_fingerprint(self.verified(root))}",
        ]
