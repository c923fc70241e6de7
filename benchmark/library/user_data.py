"""Training samples from a user's own DataLoader, data set or tensors, drawn as the harness draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
)

from ..api.errors import UserError, first_line
from ..api.pruner import Batch
from ..runs.run import derive_seed
from ..training.context import scoring_batches, scoring_indices

TrainingData = DataLoader[Any] | Dataset[Any] | tuple[Tensor, Tensor]
"""A DataLoader, a data set that is indexed, or inputs (n, ...) and targets (n, ...)."""

ACCEPTED = (
    "a DataLoader over a data set that is indexed, such a data set, or a pair of tensors (inputs, targets); "
    "of a part of a data set, a torch.utils.data.Subset"
)


@dataclass(frozen=True)
class UserData:
    """Samples of a data set by index. `collate` makes a batch of a list of samples."""

    dataset: Dataset[Any]
    collate: Callable[[list[Any]], Any]

    def __len__(self) -> int:
        return len(self.dataset)  # pyright: ignore[reportArgumentType]

    def batch(self, indices: Tensor) -> Batch:
        """Inputs and targets at these indices. Raises UserError for samples of another kind."""
        samples = [self.dataset[index] for index in indices.tolist()]
        try:
            found = self.collate(samples)
        except (RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"samples of data make no batch: {first_line(error)}; data must be {ACCEPTED}") from error
        if not (isinstance(found, list | tuple) and len(found) == 2 and all(isinstance(x, Tensor) for x in found)):
            raise UserError(f"a batch of data is a {type(found).__name__}; it must be two tensors (inputs, targets)")
        return found[0], found[1]


def read_data(data: TrainingData) -> UserData:
    """Raises UserError for data that cannot be drawn by index."""
    if isinstance(data, DataLoader):
        return UserData(_of_loader(data), data.collate_fn)
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Tensor) for part in data):
        if len(data[0]) != len(data[1]):
            raise UserError(f"data are {len(data[0])} inputs and {len(data[1])} targets; there must be one for each")
        return UserData(TensorDataset(*data), default_collate)
    if isinstance(data, IterableDataset) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise UserError(f"data is a {type(data).__name__}; it must be {ACCEPTED}")
    return UserData(cast(Dataset[Any], data), default_collate)


def _of_loader(loader: DataLoader[Any]) -> Dataset[Any]:
    """The samples that a loader goes over: a sampler may leave some out, such as those of a validation split."""
    dataset, sampler = loader.dataset, loader.sampler
    if isinstance(dataset, IterableDataset):
        raise UserError(f"data go over a {type(dataset).__name__}, which has no index; data must be {ACCEPTED}")
    if type(loader.batch_sampler) not in (BatchSampler, type(None)):
        raise UserError(f"data have a batch sampler {type(loader.batch_sampler).__name__}; data must be {ACCEPTED}")
    if isinstance(sampler, SubsetRandomSampler):
        return Subset(dataset, [int(index) for index in sampler.indices])
    if not isinstance(sampler, RandomSampler | SequentialSampler):
        raise UserError(f"data have a sampler {type(sampler).__name__}; data must be {ACCEPTED}")
    return dataset


@dataclass(frozen=True)
class UserSamples:
    """`ScoringData` from a user's data: the samples that a run of the suite with this seed would draw."""

    data: UserData
    seed: int
    device: torch.device

    def __call__(
        self, num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "samples", draw))
        # only a balanced draw looks at the targets; reading those of all samples may take long
        targets = all_targets(self.data) if balanced else torch.empty(len(self.data), device="meta")
        for part in scoring_batches(scoring_indices(targets, num_samples, balanced, generator), batch_size, 1):
            inputs, found = self.data.batch(part)
            yield inputs.to(self.device), found.to(self.device)


def all_targets(data: UserData) -> Tensor:
    """(n,) targets in file order: those that the data set has as a whole, else read sample by sample."""
    whole = _whole_targets(data.dataset)
    if whole is not None and len(whole) == len(data):
        return whole
    return torch.cat([data.batch(torch.tensor([index]))[1] for index in range(len(data))])


def _whole_targets(dataset: Any) -> Tensor | None:
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[1]
    if isinstance(dataset, Subset):
        whole = _whole_targets(dataset.dataset)
        return None if whole is None else whole[torch.as_tensor(dataset.indices)]
    if getattr(dataset, "target_transform", None) is not None or not hasattr(dataset, "targets"):
        return None
    return torch.as_tensor(dataset.targets)
