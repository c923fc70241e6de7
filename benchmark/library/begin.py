"""Attach a method to a user's network and let it prune before the first step, or leave the network as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from ...methods.registry import create, describe
from ..api.errors import UserError
from ..api.pruner import Context, Pruner
from ..api.second_pass import SecondPass


def attached(method: str, sparsity: float, options: Mapping[str, Any], context: Context) -> Pruner:
    """The method, attached to the network, its first round begun; call it inside `restored_on_error`.

    Raises UserError for an unknown method, for options or layers that it refuses, and for one that cannot work on a
    network that somebody else trains: it trains another network, or several times, or takes two passes a step.
    """
    if not describe(method).keeps_network:
        raise UserError(f"method {method!r} trains another network than the one it is given; {_STUDY}")
    if "start" in options:
        raise UserError("start is an option of studies: here the network is taken with the weights that it has")
    pruner = create(method, sparsity, options)
    if pruner.rounds != 1:
        raise UserError(f"method {method!r} trains the network {pruner.rounds} times, with rounds between; {_STUDY}")
    if isinstance(pruner, SecondPass):
        raise UserError(f"method {method!r} takes two passes over each batch, which it cannot do here; {_STUDY}")
    try:
        pruner.check(context)
        model = pruner.attach(context)
        assert model is context.model, f"method {method!r} says that it keeps the network"
        pruner.begin_round(0)
    except ValueError as error:
        raise UserError(f"method {method!r}: {error}") from error
    return pruner


_STUDY = "run it in a study: prunebench.run"


def parametrised(model: nn.Module) -> set[tuple[str, str]]:
    """The tensors that are computed by a parametrisation: path of the module, and attribute."""
    return {
        (path, name)
        for path, module in model.named_modules()
        if parametrize.is_parametrized(module)
        for name in module.parametrizations  # pyright: ignore[reportGeneralTypeIssues]
    }


@contextmanager
def restored_on_error(model: nn.Module) -> Iterator[None]:
    """If the block raises an error, the network has no new parametrisation, and all values and flags of before."""
    # not a state dict, which may hold other things than tensors, and leaves buffers out
    before = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    made_before = parametrised(model)
    try:
        yield
    except BaseException:
        for path, name in parametrised(model) - made_before:
            parametrize.remove_parametrizations(model.get_submodule(path), name, leave_parametrized=False)
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)
        for parameter, flag in trained:
            parameter.requires_grad_(flag)
        raise
