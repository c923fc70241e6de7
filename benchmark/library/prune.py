"""Prune a network once: with weights that are trained already, or at its initialisation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...methods.bases.dynamic import DynamicPruner
from ..api.errors import UserError
from ..api.masks import num_kept
from ..api.pruner import Pruner
from ..training.measure import check_masks
from .begin import attached, parametrised, restored_on_error
from .user_context import Loss, user_context
from .user_data import TrainingData


def prune(
    model: nn.Module,
    method: str,
    *,
    sparsity: float,
    data: TrainingData | None = None,
    loss: Loss = cross_entropy,
    seed: int = 0,
    **options: Any,
) -> dict[str, Tensor]:
    """Prune a network in place, once, and return its masks.

    Pruned weights are set to zero; nothing holds them there in a training that follows (`wrap` does). Modes, buffers
    and the random state stay as they were, and after an error so do the weights.

    Args:
        model: any network; the weights of its convolutions, linear, recurrent and attention layers are pruned.
        method: a registered name, such as "global_mp" or "snip"; one that prunes once, not during the training.
        sparsity: fraction of the prunable weights to remove, 0 <= sparsity < 1; N - floor(sparsity * N) are kept.
        data: training samples for methods that need them: a DataLoader over an indexed data set, such a data set, or
            a pair of tensors (inputs, targets). Samples are drawn by index and go through the loader's `collate_fn`,
            so give data without augmentation.
        loss: mean loss of outputs and targets, for methods that take gradients.
        seed: of random masks and of the samples that are drawn.
        options: of the method; `prunebench show METHOD` lists them.

    Returns:
        By the name of each pruned tensor, such as "conv1.weight": a bool tensor of its shape, True = kept.

    Raises:
        UserError: an unknown method or option, a network without prunable layers, data that are missing or do not fit
            the network, or a method that prunes during the training.
        FloatingPointError: scores that are not finite.
    """
    made_before = parametrised(model) if isinstance(model, nn.Module) else set()
    context = user_context(model, data, loss=loss, seed=seed, epochs=1, steps_per_epoch=1)
    with restored_on_error(model):
        pruner = attached(method, sparsity, options, context)
        if not _is_final(pruner) or parametrised(model) != made_before:
            raise UserError(f"method {method!r} does not set its final masks before a training; use prunebench.wrap")
        check_masks(pruner, at_end=True)
        pruner.detach()
    assert pruner.masks is not None
    return {name: mask.clone() for name, mask in pruner.masks.items()}


def _is_final(pruner: Pruner) -> bool:
    masks = pruner.masks
    if masks is None or isinstance(pruner, DynamicPruner):
        return False
    return not pruner.reaches_target or masks.num_kept == num_kept(masks.num_total, pruner.sparsity)
