"""The keys of a recipe in a study file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from ..runs.run import Optimizer, Precision, Schedule
from .names import STRICT


class RecipeFile(BaseModel):
    """The keys of a recipe, all optional: missing ones are taken from the recipe that this one changes."""

    model_config = STRICT

    epochs: int | None = Field(default=None, ge=0)
    """Passes over the training set."""
    batch_size: int | None = Field(default=None, ge=1)
    """Samples of a step, over all processes."""
    optimizer: Optimizer | None = None
    """SGD with momentum, Adam, or AdamW (decoupled weight decay)."""
    lr: float | None = Field(default=None, gt=0)
    """Learning rate after warm-up."""
    momentum: float | None = Field(default=None, ge=0, lt=1)
    """Of SGD."""
    nesterov: bool | None = None
    """Nesterov's momentum, with SGD."""
    weight_decay: float | None = Field(default=None, ge=0)
    """Factor of the weights in each step: added to the gradient (SGD, Adam), or apart from it (AdamW)."""
    decay_norm: bool | None = None
    """Whether biases and normalisation decay as well."""
    schedule: Schedule | None = None
    """How the learning rate falls; adaptive_linear, for retraining: linearly, and from less where pruning did less."""
    step_epochs: int | None = Field(default=None, ge=1)
    """With `schedule: step`: epochs between drops; or `milestones`."""
    step_factor: float | None = Field(default=None, gt=0, le=1)
    """What a drop multiplies the rate by."""
    milestones: list[int] | None = None
    """With `schedule: step`: the epochs of the drops."""
    warmup_epochs: int | None = Field(default=None, ge=0)
    """Epochs in which the rate rises linearly."""
    lr_update: Literal["epoch", "step"] | None = None
    """Whether the rate changes once an epoch or with each step."""
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    """Share of the target that is spread over all classes."""
    clip_norm: float | None = Field(default=None, ge=0)
    """Bound on the norm of the gradients that move weights; 0: none."""
    precision: Precision | None = None
    """float32, tf32 (a GPU's products with 10 bits after the point), or bfloat16 (torch's autocast)."""
    sync_batch_norm: bool | None = None
    """With several processes: statistics of batch norm over the whole batch."""
    recalibrate_bn: int | None = Field(default=None, ge=0)
    """Batches of training samples over which the statistics of batch norm are estimated anew after pruning; 0: none."""


class TrainFile(RecipeFile):
    """The recipe of dense training, which may stop before its schedule ends."""

    stop_epoch: int | None = Field(default=None, ge=1)
    """Of `train` only: stop after this epoch; the schedule remains that of all epochs."""
