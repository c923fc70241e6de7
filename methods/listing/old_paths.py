"""Old import paths of plug-ins. They work for this version, with a DeprecationWarning; new code uses `prunebench.api`.

`install` makes `import prunebench.methods.mask_pruner` work where that module has moved. `moved_imports` reads the same
from a plug-in's source, so that commands which never import it can name the new path.
"""

from __future__ import annotations

import ast
import importlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ROOT = "prunebench."


_RENAMED = {
    "benchmark.errors": "benchmark.api.errors",
    "benchmark.flops": "benchmark.models.count_macs",
    "benchmark.layer_macs": "benchmark.models.layer_macs",
    "benchmark.pruning": "benchmark.api.masks benchmark.api.sites",
    "benchmark.run": "benchmark.runs.run",
    "benchmark.settings": "benchmark.runs.settings",
    "benchmark.sites": "benchmark.api.sites",
    "benchmark.store": "benchmark.runs.store benchmark.runs.run_folder benchmark.runs.files",
    "datasets.base": "datasets.parts.in_memory",
    "datasets.own_arrays": "datasets.arrays",
    "datasets.own_images": "datasets.image_folder",
    "datasets.resident": "datasets.parts.in_memory_split",
    "datasets.splits": "benchmark.api.data",
    "methods.at_initialisation": "methods.magnitude_init methods.random_init",
    "methods.base": "benchmark.api.pruner methods.dense",
    "methods.redistribution": "methods.parts.allocation",
    "methods.selection": "methods.parts.dense_layers",
}
_BASES = "borrowed_mask dynamic fixed_mask mask_pruner"
_METHOD_PARTS = """allocation channel_groups fastfood fisher iterative_epochs maskable minimum_threshold optimizer_state
    schedule scoring straight_through"""
_DATA_PARTS = """cifar decoded_cache download idx idx_images imagenet_archives info install listing npz_file own_data
    own_decode own_listing roots stratify"""
_SAME_NAME = {("methods", "bases"): _BASES, ("methods", "parts"): _METHOD_PARTS, ("datasets", "parts"): _DATA_PARTS}


def _table() -> dict[str, tuple[str, ...]]:
    moved = dict(_RENAMED)
    for (folder, room), names in _SAME_NAME.items():
        moved |= {f"{folder}.{name}": f"{folder}.{room}.{name}" for name in names.split()}
    return {ROOT + old: tuple(ROOT + new for new in homes.split()) for old, homes in moved.items()}


MOVED = _table()
"""Old module: the modules that hold its names now."""


class _Finder(MetaPathFinder, Loader):
    """Asked last, so only for modules that do not exist. The old module then holds the names of the new ones."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        homes = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} has moved to {homes[0]}", DeprecationWarning, stacklevel=2)
        for home in reversed(homes):
            names = vars(importlib.import_module(home))
            vars(module).update({name: value for name, value in names.items() if not name.startswith("__")})


def install() -> None:
    """Make the old paths importable in this process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def moved_imports(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The old modules that a file imports, and for each the names that it takes from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names if alias.name in MOVED)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = tuple(alias.name for alias in node.names)
            if node.module in MOVED:
                yield node.module, names
            yield from ((f"{node.module}.{name}", ()) for name in names if f"{node.module}.{name}" in MOVED)
