"""Text as bytes: windows in which a network predicts each next byte, and what data sets of text share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...benchmark.api.errors import DataDamaged
from .in_memory import Arrays
from .info import DataSetInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUM_BYTES = 256


@dataclass(frozen=True)
class Texts:
    """Documents of which none is in two splits: `train` is cut into training and validation by whole documents."""

    train: Sequence[bytes]
    test: Sequence[bytes]
    context: int

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """Windows for training and validation, and for the test."""
        train, test = (sum(num_windows(text, self.context) for text in texts) for texts in (self.train, self.test))
        return train, test

    def groups(self) -> NDArray[np.int64]:
        """(n,) the document of each training window."""
        import numpy as np

        return np.repeat(np.arange(len(self.train)), [num_windows(text, self.context) for text in self.train])

    def arrays(self) -> Arrays:
        """Windows as float32 of whole numbers, the bytes that follow as targets."""
        import torch

        splits = [windows(texts, self.context) for texts in (self.train, self.test)]
        (train, train_next), (test, test_next) = (
            (torch.from_numpy(each[:, :-1].astype("float32")), torch.from_numpy(each[:, 1:].astype("int64")))
            for each in splits
        )
        return Arrays(train, train_next, test, test_next, train_groups=torch.from_numpy(self.groups()))

    def info(self, **facts: Any) -> DataSetInfo:
        """The facts of these texts; `facts` are the name, title, licence and source."""
        num_train, num_test = self.sizes
        return DataSetInfo(
            input_shape=(self.context,), num_classes=NUM_BYTES, num_train=num_train, num_test=num_test,
            target_shape=(self.context,), num_symbols=NUM_BYTES, **facts,
        )  # fmt: skip

    def check_sizes(self, name: str) -> None:
        """Raises DataDamaged where the context leaves a split without a window."""
        if min(self.sizes) < 1 or sum(num_windows(text, self.context) > 0 for text in self.train) < 2:
            raise DataDamaged(
                f"{name}: a context of {self.context} bytes leaves {self.sizes[0]} windows for training and "
                f"{self.sizes[1]} for the test; validation needs windows of two parts: the text is too short"
            )


def num_windows(text: bytes, context: int) -> int:
    """Whole windows of `context` bytes that each have a byte after them; what is left at the end is left out."""
    return max(0, len(text) - 1) // context


def windows(texts: Sequence[bytes], context: int) -> NDArray[np.uint8]:
    """(n, context + 1): windows that follow one another, each with the first byte of the next as its last."""
    import numpy as np

    found = [np.zeros((0, context + 1), dtype=np.uint8)]
    for text in texts:
        if count := num_windows(text, context):
            values = np.frombuffer(text, dtype=np.uint8)
            found.append(np.lib.stride_tricks.sliding_window_view(values, context + 1)[: count * context : context])
    return np.concatenate(found)
