"""What the checks do around the calls of a method's hooks while the real loop trains it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch.nn.utils import parametrize

from ...benchmark.api.pruner import Pruner
from ..parts.straight_through import shadow

HOOKS = ("begin_round", "on_gradients", "on_weights", "on_epoch_end")


def surround(pruner: Pruner, manager: Callable[[], AbstractContextManager[None]], *hooks: str) -> None:
    """Call these hooks of this pruner (all by default) inside a new context of the manager each time."""
    for name in hooks or HOOKS:
        setattr(pruner, name, _inside(getattr(pruner, name), manager))


def _inside(hook: Callable[..., Any], manager: Callable[[], AbstractContextManager[None]]) -> Callable[..., Any]:
    @functools.wraps(hook)
    def call(*arguments: Any) -> Any:
        with manager():
            return hook(*arguments)

    return call


def after_each_step(pruner: Pruner, look: Callable[[], None]) -> None:
    """Call `look` when a step is over, so that pruned weights must be zero."""

    @contextmanager
    def then_look() -> Iterator[None]:
        yield
        look()

    surround(pruner, then_look, "on_weights")


def in_random_state(pruner: Pruner, seed: int) -> None:
    """Every hook finds the global random state of this seed, and the training goes on with its own."""

    @contextmanager
    def seeded() -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield

    surround(pruner, seeded)


def with_nan(pruner: Pruner) -> None:
    """Every hook finds weights that are not numbers in one layer; after it they have their values again.

    The loop itself refuses such weights, so they are there only while the method can look at them.
    """
    surround(pruner, lambda: _nan_weights(pruner))


@contextmanager
@torch.no_grad()
def _nan_weights(pruner: Pruner) -> Iterator[None]:
    masks = pruner.masks
    assert masks is not None
    name, site = list(masks.sites.items())[-1]
    before = shadow(site)[0, 0].clone()
    shadow(site)[0, 0] = torch.nan
    with torch.enable_grad():
        yield
    weights, masks = shadow(site)[0, 0], pruner.masks
    assert masks is not None
    if not parametrize.is_parametrized(site.module, site.attribute):
        before = before * masks[name][0, 0]
    weights.copy_(torch.where(weights.isnan(), before, weights))
