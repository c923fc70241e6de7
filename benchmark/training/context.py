"""What a method is given: its context, and the training samples for its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..api.data import Data, Split
from ..api.pruner import Context
from ..api.sites import find_sites
from ..models.count_macs import count_macs
from ..runs.run import Recipe, derive_seed
from . import distributed
from .loop import num_steps


def make_context(
    model: nn.Module,
    data: Data,
    *,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    rebuild: Callable[..., nn.Module],
    scored: Scored | None = None,
) -> Context:
    """The context of a run. The network is on `device`, and `seed` is the run's; `scored` counts what scores draw."""
    return Context(
        model=model,
        sites=find_sites(model),
        samples=ScoringSamples(data.train, seed, device, Scored() if scored is None else scored),
        loss=cross_entropy,
        macs=count_macs(model, data.input_shape),
        input_shape=data.input_shape,
        num_classes=data.num_classes,
        device=device,
        epochs=recipe.epochs,
        steps_per_epoch=num_steps(len(data.train), recipe.batch_size),
        generator=method_generator(seed),
        reduce=distributed.total,
        rank=distributed.rank(),
        num_ranks=distributed.world(),
        rebuild=rebuild,
    )


def method_generator(seed: int) -> Callable[[str], torch.Generator]:
    """Random numbers of a method: a fresh generator for a purpose, fixed by the run's seed."""
    return lambda purpose: torch.Generator().manual_seed(derive_seed(seed, "method", purpose))


@dataclass
class Scored:
    """How many training samples the scores of a run have drawn so far, in all processes."""

    count: int = 0


@dataclass(frozen=True)
class ScoringSamples:
    """`ScoringData` from a training split; the draws depend on the seed, and are counted in `scored`."""

    train: Split
    seed: int
    device: torch.device
    scored: Scored

    def __call__(
        self, num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "samples", draw))
        indices = scoring_indices(self.train.targets, num_samples, balanced, generator)
        for part in scoring_batches(indices, batch_size, distributed.world()):
            self.scored.count += len(part)
            own = part.tensor_split(distributed.world())[distributed.rank()]
            yield self.train.sample(own, device=self.device)


def scoring_indices(targets: Tensor, num_samples: int, balanced: bool, generator: torch.Generator) -> Tensor:
    """Which training samples a score sees: drawn without replacement, the whole split if it has no more.

    `balanced` takes num_samples / classes of each class (all of a smaller class), in shuffled order; windows of a text
    have no class of their own, so of them any are drawn.
    """
    if not balanced or targets.ndim > 1:
        return torch.randperm(len(targets), generator=generator)[:num_samples]
    classes = targets.unique()
    chosen = []
    for label in classes:
        members = (targets == label).nonzero().squeeze(1)
        chosen.append(members[torch.randperm(len(members), generator=generator)[: num_samples // len(classes)]])
    indices = torch.cat(chosen)
    return indices[torch.randperm(len(indices), generator=generator)]


def scoring_batches(indices: Tensor, batch_size: int, num_ranks: int) -> list[Tensor]:
    """Batches of samples for a score. A last batch of fewer than two samples a process joins the one before it.

    Batch norm in training mode cannot take a single sample. A batch size that small is kept: it was asked for.
    """
    parts = list(indices.split(batch_size))
    if len(parts) > 1 and len(parts[-1]) < 2 * num_ranks <= batch_size:
        *parts, last, rest = parts
        parts.append(torch.cat([last, rest]))
    return parts
