"""Methods that train on the gradient at moved weights, such as sharpness-aware minimisation."""

from __future__ import annotations

from abc import ABC, abstractmethod


class SecondPass(ABC):
    """What a `Pruner` derives from as well if each step takes two passes over its batch.

    After the first backward pass the training step calls `move_weights`, drops the gradients, does a second forward and
    backward pass over the same batch, and calls `restore_weights`. What follows sees the gradients of the second pass;
    the loss that is reported is that of the first. Whatever counts the cost of training doubles it.
    """

    @abstractmethod
    def move_weights(self) -> None:
        """Move the weights; the gradients of the first pass, averaged over processes, are in `grad`."""

    @abstractmethod
    def restore_weights(self) -> None:
        """Put back the weights, bit for bit, and whatever else the second pass is not to change."""
