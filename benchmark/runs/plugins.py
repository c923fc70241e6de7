"""Plug-in files: methods, networks and data sets of the user's own, registered for this process. Imports no torch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ...datasets import registry as datasets
from ...methods import registry as methods
from ..api.errors import UserError
from ..api.plugin_files import TABLES, no_table, plugin_source, plugin_table, source_digest
from ..models import registry as models


def add_plugin(path: str | Path) -> None:
    """Register what a file offers in its tables METHODS, MODELS and DATASETS; its code runs when that is used.

    Raises UserError where the file or a table cannot be read, a name is taken, or a function or class is not there.
    """
    source = plugin_source(path)
    tables = {name: table for name in TABLES if (table := plugin_table(source, name)) is not None}
    if not tables:
        raise no_table(source)
    _check_distinct(path, source, [name for table in tables.values() for name in table])
    if "MODELS" in tables:
        models.add_models(path, source, tables["MODELS"])
    if "DATASETS" in tables:
        datasets.add_datasets(path, source, tables["DATASETS"])
    if "METHODS" in tables:
        methods.add_plugin(path)


def _check_distinct(path: str | Path, source: Path, names: list[str]) -> None:
    """Commands take a name of any kind, so no two kinds may share one."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"plug-in {path}: {twice[0]!r} stands in two tables; choose another name for one of them")
    for kind, known, origin in (
        ("method", methods.method_names(), lambda name: methods.origin(name)[0]),
        ("model", models.model_names(), lambda name: models.origin(name).source),
        ("data set", datasets.all_names(), lambda name: datasets.origin(name).source),
    ):
        for name in names:
            if name in known and (other := origin(name)) != source:
                raise UserError(f"plug-in {path}: {kind} {name!r} exists already, in {other}")


def plugin_sources() -> dict[str, str]:
    """The plug-in files in use and the SHA-256 of the contents that were loaded: recorded with every result."""
    files = methods.plugin_files() | models.plugin_files() | datasets.plugin_files()
    return {str(path): source_digest(path) for path in sorted(files)}
