"""AC/DC: alternating compressed and decompressed training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..benchmark.api.masks import CountedMasks
from ..benchmark.api.pruner import Context
from .bases.score_pruner import ScorePruner
from .parts.optimizer_state import reset_all, reset_positions


@dataclass(kw_only=True)
class AcDc(ScorePruner):
    """Alternate between sparse and dense phases by magnitude, end sparse. Peste et al., 2021 (arXiv 2106.12379).

    The defaults are the paper's ImageNet schedule as fractions of the training. Of 100 epochs: dense to 10; pruned at
    10, 20, ..., 70 and restored at 15, 25, ..., 75; pruned for good at 85. Restored weights start from 0 and the
    momentum of all parameters is cleared, as in the authors' scripts. In a sparse phase they mask gradients,
    here only weights are masked, so without `reset_momentum` the momentum of weights that return is still cleared.
    Their masks change before the first forward pass of an epoch, here after its backward pass: a restoration is the
    same (weights that return are 0, and their gradient is dense), a pruning applies one gradient of the dense network.
    They keep one weight fewer. Their uniform variant is `scope: layerwise, dense: [first, last]`.

    Options:
        begin, end: first pruning, and the last one, whose mask stays; fractions of the training.
        sparse_phase, dense_phase: lengths of the alternating phases, as fractions of the training.
        last_dense_phase: length of the dense phase before `end`.
        reset_momentum: forget the optimiser's state when weights are restored.
    """

    label: ClassVar[str] = "AC/DC"
    family: ClassVar[str] = "dynamic"
    paper: ClassVar[str] = "arXiv 2106.12379"
    needs: ClassVar[str] = "weights"
    search_space: ClassVar[dict[str, object]] = {
        "sparse_phase": {"low": 0.03, "high": 0.15},
        "dense_phase": {"low": 0.03, "high": 0.15},
        "last_dense_phase": {"low": 0.05, "high": 0.2},
    }

    start: Literal["trained", "init"] = "init"
    begin: Annotated[float, Field(ge=0, lt=1)] = 0.1
    end: Annotated[float, Field(gt=0, le=1)] = 0.85
    sparse_phase: Annotated[float, Field(gt=0, lt=1)] = 0.05
    dense_phase: Annotated[float, Field(gt=0, lt=1)] = 0.05
    last_dense_phase: Annotated[float, Field(gt=0, lt=1)] = 0.1
    reset_momentum: bool = True
    _phases: dict[int, bool] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.begin + self.sparse_phase > self.end - self.last_dense_phase + 1e-9:
            raise ValueError(
                f"begin + sparse_phase must be at most end - last_dense_phase, "
                f"not {self.begin} + {self.sparse_phase} and {self.end} - {self.last_dense_phase}"
            )

    def attach(self, context: Context) -> nn.Module:
        model = super().attach(context)
        self._phases = self.phases(context.total_steps)
        self.check_budget()
        return model

    def begin_round(self, index: int) -> None:
        """The network starts dense."""

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs()

    def phases(self, total_steps: int) -> dict[int, bool]:
        """The steps at which a phase starts, and whether it is sparse. In a very short training some fall together."""
        starts: dict[int, bool] = {}
        begin = self.begin
        # 1e-9: sums of 0.05 must not miss the last restoration by rounding
        while begin + self.sparse_phase <= self.end - self.last_dense_phase + 1e-9:
            starts[round(begin * total_steps)] = True
            starts[round((begin + self.sparse_phase) * total_steps)] = False
            begin += self.sparse_phase + self.dense_phase
        final = min(round(self.end * total_steps), total_steps - 1)
        return {step: is_sparse for step, is_sparse in starts.items() if step < final} | {final: True}

    def on_gradients(self, step: int, optimizer: torch.optim.Optimizer) -> bool:
        if step in self._phases:
            if self._phases[step]:
                self.prune_to(self.sparsity)
            else:
                self._restore(optimizer)
        return False

    def _restore(self, optimizer: torch.optim.Optimizer) -> None:
        for name, site in self._masks.sites.items():
            reset_positions(optimizer, site.weight, ~self._masks[name])
        if self.reset_momentum:
            reset_all(optimizer)
        sizes = {name: mask.numel() for name, mask in self._masks.items()}
        self._masks.set(CountedMasks({name: torch.ones_like(mask) for name, mask in self._masks.items()}, sizes))
