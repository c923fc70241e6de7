"""What the harness sees of a data set: three splits that yield batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Split(Protocol):
    """Inputs (n, *input_shape) float32, normalised, and targets (n,) int64.

    Of a text inputs are (n, context) whole numbers, and targets (n, context): the symbol after each place.
    """

    def __len__(self) -> int: ...

    def batches(
        self,
        batch_size: int,
        *,
        device: torch.device,
        order: torch.Generator | None = None,
        augment: bool = False,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the split.

        All random numbers of the pass are drawn by this call, before the first batch is asked for: the state in
        which it leaves `order` does not depend on how many batches are taken.

        Args:
            batch_size: Of the global batch; `world` must divide it.
            order: Generator on the CPU for the permutation and the augmentation. None is file order.
            augment: Needs `order`. Without effect on splits that are never augmented.
            drop_last: Leave out the last global batch if it is not full.
            rank: This process gets its contiguous share of each global batch. The shares of a last batch that is
                not full differ by one sample at most, and are empty for some if it has fewer than `world`.
            world: Number of processes; each must pass a generator in the same state.
        """
        ...

    def sample(self, indices: Tensor, *, device: torch.device) -> tuple[Tensor, Tensor]:
        """The samples at `indices`, normalised and not augmented: scoring batches."""
        ...

    @property
    def targets(self) -> Tensor:
        """All targets in file order, int64 on the CPU."""
        ...


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set ready for training; `input_shape` has no batch dimension.

    `fingerprint` is a sha256 of the data and of the indices of the training and validation splits. `facts` are recorded
    in results, as plain data: what is known only from the user's own files.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    input_shape: tuple[int, ...]
    num_classes: int
    fingerprint: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def check_batching(length: int, batch_size: int, drop_last: bool, rank: int, world: int) -> None:
    """Refuse a batching that would train on nothing or give the processes unequal shares."""
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; it must be at least 1")
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} is not in a world of {world}")
    if batch_size % world:
        raise UserError(f"batch_size {batch_size} cannot be shared equally by {world} processes")
    if drop_last and length < batch_size:
        raise UserError(f"batch_size {batch_size} is larger than the split of {length} samples")


def check_augmenting(augment: bool, order: torch.Generator | None) -> None:
    """Augmentation without a generator would have to draw from the global random state."""
    if augment and order is None:
        raise ValueError("augment=True needs a generator as `order`")


def shares(length: int, batch_size: int, drop_last: bool, rank: int, world: int) -> Iterator[tuple[int, int]]:
    """Start and stop, in the permutation, of this rank's share of each global batch."""
    for start in range(0, length, batch_size):
        size = min(batch_size, length - start)
        if size == batch_size or not drop_last:
            yield start + size * rank // world, start + size * (rank + 1) // world
