"""How many epochs a run of a method trains, from what its class declares. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from ...benchmark.api.errors import UserError
from .describe import MethodInfo


def trained_epochs(info: MethodInfo, sparsity: float, options: Mapping[str, Any], epochs: int) -> int | None:
    """Epochs over all rounds of a recipe of `epochs`; None where only the running method knows.

    Options that are not given have their defaults. Raises UserError for values that the method refuses.
    """
    if info.epochs_rule is None:
        return None
    if not info.epochs_rule:
        return epochs
    module, _, function = info.epochs_rule.partition(":")
    try:
        rule = getattr(
            importlib.import_module(f"..parts.{module}" if "." not in module else module, __package__), function
        )
    except (ModuleNotFoundError, AttributeError, TypeError) as error:
        wanted = "a module of methods/parts/ or one with a dot in its name, and its function: 'my_package.rounds:count'"
        raise UserError(f"method {info.name!r}: epochs_rule {info.epochs_rule!r} must be {wanted} ({error})") from error
    known = {name: option.default for name, option in info.options.items()}
    try:
        return rule(epochs, sparsity, {**known, **options})
    except (TypeError, ValueError) as error:
        raise UserError(f"method {info.name!r}: {error}") from error
