"""Prune a network of your own, run studies and read their results from Python. docs/python.md shows each in use.

Importing this loads no torch: it is loaded when a name that needs it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .benchmark import __version__ as __version__
    from .benchmark.api.errors import UserError as UserError
    from .benchmark.library.load_pruned import Loaded as Loaded
    from .benchmark.library.load_pruned import load_pruned as load_pruned
    from .benchmark.library.load_results import load_results as load_results
    from .benchmark.library.prune import prune as prune
    from .benchmark.library.run import run as run
    from .benchmark.library.wrap import wrap as wrap
    from .benchmark.library.wrapped import Wrapped as Wrapped
    from .benchmark.runs.plugins import add_plugin as add_plugin

_HOMES = {
    "Loaded": "benchmark.library.load_pruned",
    "UserError": "benchmark.api.errors",
    "Wrapped": "benchmark.library.wrapped",
    "__version__": "benchmark",
    "add_plugin": "benchmark.runs.plugins",
    "load_pruned": "benchmark.library.load_pruned",
    "load_results": "benchmark.library.load_results",
    "prune": "benchmark.library.prune",
    "run": "benchmark.library.run",
    "wrap": "benchmark.library.wrap",
}
"""Where each public name is defined."""

__all__ = [
    "Loaded",
    "UserError",
    "Wrapped",
    "__version__",
    "add_plugin",
    "load_pruned",
    "load_results",
    "prune",
    "run",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
