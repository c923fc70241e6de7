"""The one contract between the harness and every pruning method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from .masks import Masks
from .options import check_fields
from .sites import Site

Batch = tuple[Tensor, Tensor]


class ScoringData(Protocol):
    """Training samples for scores: normalised, without augmentation, never from the test or validation split."""

    def __call__(self, num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0) -> Iterator[Batch]:
        """Yield batches of `num_samples` samples in all, a deterministic draw (another for each value of `draw`).

        `balanced` takes equally many of each class, in shuffled order. With several processes each gets its share.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a method is given. The harness makes one for each run.

    Attributes:
        model: the network; a method may parametrise it, but `detach` must give a plain one back.
        sites: all prunable weights that are trained, in traversal order. Frozen weights (without
            `requires_grad`) are left out: they stay as they are, and the sparsity holds over the others.
        samples: training samples for scores.
        loss: mean cross-entropy of logits and integer targets.
        macs: dense multiply-adds of each site for one input, by site name.
        input_shape: of one input, without the batch.
        epochs, steps_per_epoch: of the training recipe that follows; `total_steps` is their product.
        generator: a fresh CPU generator for a purpose, fixed by the run's seed and the name of the purpose.
        reduce: sums a tensor over all processes, in place (nothing to do when there is one).
        rank, num_ranks: which of the processes this is, and how many there are.
        rebuild: the same network, newly initialised, with other model options (e.g. a width); a model that lacks an
            option raises UserError.
    """

    model: nn.Module
    sites: tuple[Site, ...]
    samples: ScoringData
    loss: Callable[[Tensor, Tensor], Tensor]
    macs: Mapping[str, int]
    input_shape: tuple[int, ...]
    num_classes: int
    device: torch.device
    epochs: int
    steps_per_epoch: int
    generator: Callable[[str], torch.Generator]
    reduce: Callable[[Tensor], Tensor] = lambda tensor: tensor
    rank: int = 0
    num_ranks: int = 1
    rebuild: Callable[..., nn.Module] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sites", tuple(site for site in self.sites if site.is_trained))

    @property
    def total_steps(self) -> int:
        return self.epochs * self.steps_per_epoch


@dataclass(kw_only=True)
class Pruner:
    """Dense training: every hook is empty. Methods override what they need; the harness treats all methods alike.

    The dataclass fields are the method's options. Their annotations say type, bounds and choices, and are checked (see
    options.py); options that do not go together raise ValueError in `__post_init__`.
    The class attributes and the defaults are read by the command line from the source, without importing it, so they
    are literals (or arithmetic on them, or constants of the file), each on a line of its own; creating a pruner fails
    if the class has other values than its source shows. A registered class has a label that no other method
    has: tables, plots and `--only` know methods by it.

    Options:
        start: `trained` (the weights of the dense training with the same seed) or `init` (a new initialisation).
    """

    label: ClassVar[str] = ""
    family: ClassVar[str] = "baseline"
    paper: ClassVar[str] = ""
    needs: ClassVar[str] = "nothing"
    version: ClassVar[int] = 1
    reaches_target: ClassVar[bool] = True
    # False where `attach` returns another network than the context's: a plan does not know its multiply-adds
    keeps_network: ClassVar[bool] = True
    # a method with rounds of its own names a function that counts their epochs without torch: see budget.py
    epochs_rule: ClassVar[str] = ""
    # True where pruning also changes weights that stay (second-order updates, a new initialisation)
    moves_weights: ClassVar[bool] = False
    # the option that names another method, whose code and version then count as this one's too (see BorrowedMask)
    borrows: ClassVar[str] = ""
    # options that a search may change, with {"low": 1, "high": 100, "log": True} or a list each: see docs/tuning.md
    search_space: ClassVar[dict[str, object]] = {}

    sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0
    start: Literal["trained", "init"] = "trained"
    context: Context = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def rounds(self) -> int:
        """How often the training recipe is run, each time with a new optimiser; see `begin_round`."""
        return 1

    def first_epoch(self, index: int) -> int:
        """The epoch of the recipe at which round `index` starts (rewinding methods: k of T epochs)."""
        return 0

    def check_sites(self, model: nn.Module, sites: tuple[Site, ...]) -> None:
        """Raises UserError naming a layer that the method cannot prune. Asked by `check`, and again by `attach`."""

    def check(self, context: Context) -> None:
        """Raises UserError or ValueError for layers, options or a sparsity that do not go together.

        Called before anything runs, on a network without values: its tensors are on the meta device, so only their
        shapes may be used, there are no samples, and the network is left as it is. What depends on weights or
        data is left to `attach` and `begin_round`.
        """
        self.check_sites(context.model, context.sites)

    def attach(self, context: Context) -> nn.Module:
        """Once a run, before the first round. Returns the model to train: the context's or one the method builds."""
        self.check_sites(context.model, context.sites)
        self.context = context
        return context.model

    def begin_round(self, index: int) -> None:
        """Before the optimiser of round `index` is built: one-shot methods set their masks in round 0."""

    def param_groups(self, weight_decay: float, decay_norm: bool) -> list[dict[str, Any]]:
        """The optimiser's groups: all trainable parameters; vectors and scalars without decay unless `decay_norm`."""
        parameters = [p for p in self.context.model.parameters() if p.requires_grad]
        if decay_norm:
            return [{"params": parameters, "weight_decay": weight_decay}]
        return [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        """After backward, before clipping and the optimiser: dense gradients are visible. True skips both.

        `step` is the position in the recipe: epoch * steps_per_epoch + step of the epoch.
        """
        return False

    def on_weights(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """After the optimiser's step: pruned weights go back to zero."""

    def on_epoch_end(self, index: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        """After the last step of an epoch of round `index`, before the evaluation."""

    def detach(self) -> None:
        """Leave a plain model with true zeros behind; learned parametrisations are folded here."""

    @property
    def masks(self) -> Masks | None:
        """The masks of the sites that the method prunes, if it works with masks; counted by the harness at the end."""
        return None

    @property
    def held_masks(self) -> Masks | None:
        """The masks whose pruned weights stand still from step to step; None where pruned weights move as well.

        Clipping leaves their gradients out of the norm.
        """
        return self.masks

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs beyond the model and the optimiser: tensors, numbers and strings only."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`, after `attach` on a model of the same architecture."""
