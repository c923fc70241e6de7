"""The context that a method gets in a program of the user's: his network, his data, and the suite's random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ...methods.parts.scoring import untouched
from ..api.errors import UserError, first_line
from ..api.pruner import Context
from ..api.sites import find_sites
from ..models.count_macs import count_macs
from ..training.context import method_generator
from .user_data import TrainingData, UserSamples, read_data

Loss = Callable[[Tensor, Tensor], Tensor]
"""Mean loss of outputs and targets, a scalar."""


def user_context(
    model: nn.Module, data: TrainingData | None, *, loss: Loss, seed: int, epochs: int, steps_per_epoch: int
) -> Context:
    """Raises UserError for a network without prunable layers, and for data that it does not take."""
    if not isinstance(model, nn.Module):
        raise UserError(f"model is a {type(model).__name__}; it must be a torch.nn.Module")
    _check_values(model)
    sites = find_sites(model)
    if not any(site.is_trained for site in sites):
        kinds = sorted({type(module).__name__ for module in model.modules()})
        raise UserError(
            f"the network has no prunable layer that is trained ({', '.join(kinds)}): convolutions, linear, recurrent "
            "and attention layers are; a module of another kind names its weights in an attribute prunable_weights"
        )
    device = sites[0].weight.device
    facts: dict[str, Any] = {"samples": _no_samples, "macs": _NoMacs(), "input_shape": _NoShape(), "num_classes": 0}
    if data is not None:
        given = read_data(data)
        if not len(given):
            raise UserError("data have no samples")
        inputs, targets = given.batch(torch.arange(min(2, len(given))))
        outputs = _outputs(model, inputs.to(device), targets.to(device), loss)
        shape = tuple(inputs.shape[1:])
        facts = {
            "samples": UserSamples(given, seed, device), "macs": _Macs(model, inputs[:1].to(device)),
            "input_shape": shape, "num_classes": outputs.shape[-1] if outputs.ndim > 1 else 1,
        }  # fmt: skip
    return Context(
        model=model, sites=sites, loss=loss, device=device, epochs=epochs, steps_per_epoch=steps_per_epoch,
        generator=method_generator(seed), rebuild=_not_rebuilt, **facts,
    )  # fmt: skip


def _check_values(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.UninitializedParameter):
            raise UserError(f"{name} has no shape yet: give the network one batch first, which sets its lazy layers up")
        if parameter.is_meta:
            raise UserError(f"{name} has no values, being on the meta device: load the weights first")


def _outputs(model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Of two samples, in eval mode. Raises UserError if network, loss and data do not fit together."""
    try:
        with untouched(model, training=False), torch.no_grad():
            outputs = model(inputs)
            value = loss(outputs, targets)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        batch = f"a batch has inputs {_shown(inputs)} and targets {_shown(targets)}"
        raise UserError(f"network, loss and data do not fit together: {batch}: {first_line(error)}") from error
    if not (isinstance(outputs, Tensor) and isinstance(value, Tensor) and value.ndim == 0):
        raise UserError("the network must return a tensor, and the loss a mean over the batch, one number")
    return outputs


def _shown(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


class _Macs(Mapping[str, int]):
    """Multiply-adds of the layers, counted when a method asks: few do, and not every network can be counted."""

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self._model, self._example = model, example

    @cached_property
    def _counts(self) -> dict[str, int]:
        return count_macs(self._model, tuple(self._example.shape[1:]), example=self._example)

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)


def _needs_data(what: str) -> NoReturn:
    raise UserError(f"the method needs {what}: give data=, a DataLoader of training samples without augmentation")


def _no_samples(num_samples: int, batch_size: int, *, balanced: bool = False, draw: int = 0) -> NoReturn:
    _needs_data("training samples for its scores")


class _NoShape(tuple[int, ...]):
    """In place of a shape that is not known."""

    def __iter__(self) -> Iterator[int]:
        _needs_data("the shape of the inputs")


class _NoMacs(Mapping[str, int]):
    """In place of counts that are not known."""

    def __getitem__(self, name: str) -> int:
        _needs_data("the multiply-adds of the layers")

    def __iter__(self) -> Iterator[str]:
        _needs_data("the multiply-adds of the layers")

    def __len__(self) -> int:
        _needs_data("the multiply-adds of the layers")


def _not_rebuilt(**options: Any) -> NoReturn:
    raise ValueError("it needs the network newly initialised, which only a study can build: prunebench.run")
