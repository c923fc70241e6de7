"""A study file that repeats a row: what `prunebench run` takes, with the ids of the results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..runs.run import DENSE, Recipe, Run, to_dict
from .schema import Published
from .settings import Row


def study_files(row: Row) -> list[dict[str, Any]]:
    """The content of one file, or of several where the runs of a row start from different dense recipes."""
    groups: dict[tuple[Any, ...], list[Published]] = {}
    for result, run in zip(row.results, row.runs, strict=True):
        key = (run.dataset, run.dataset_options, run.model, run.model_options, run.validation, _first(run))
        groups.setdefault(key, []).append(result)
    names = [_name(row)] if len(groups) == 1 else [f"{_name(row)}-{number}" for number in range(1, len(groups) + 1)]
    return [_study(name, row, members) for name, members in zip(names, groups.values(), strict=True)]


def _first(run: Run) -> Recipe:
    return (run.parent or run).recipe


def _name(row: Row) -> str:
    """Letters and digits of the label, as names of studies are."""
    return f"row-{re.sub(r'[^a-z0-9]+', '-', row.label.lower()).strip('-')[:50]}".rstrip("-")


def _study(name: str, row: Row, results: Sequence[Published]) -> dict[str, Any]:
    runs = [run for result, run in zip(row.results, row.runs, strict=True) if result in results]
    first = runs[0]
    title = {"title": results[0].measured.data.title} if results[0].measured and first.dataset in _OWN else {}
    retrainings = sorted({run.retrain_seed for run in runs})
    return {
        "name": name,
        "title": f"{row.label}, as published",
        **_plugins(results[0]),
        "dataset": _named(first.dataset, {**_plain(first.dataset_options), **title}),
        "model": _named(first.model, _plain(first.model_options)),
        "seeds": sorted({run.seed for run in runs}),
        **({"retrain_seeds": retrainings} if retrainings != [0] else {}),
        "validation": first.validation,
        "train": _recipe(_first(first)),
        "runs": _entries(runs, row.first.label),
    }


_OWN = ("image-folder", "arrays")


PLUGIN = "plugin.py"


def _plugins(result: Published) -> dict[str, Any]:
    """The name under which code that is not the suite's is to be saved; the row says where it is from."""
    return {"plugins": [PLUGIN]} if result.method.source else {}


def _entries(runs: Sequence[Run], label: str) -> list[dict[str, Any]]:
    """One entry for the sparsities and seeds that differ in nothing else."""
    every_seed = sorted({run.seed for run in runs})
    groups: dict[tuple[Any, ...], dict[float, set[int]]] = {}
    for run in runs:
        groups.setdefault((run.method, run.method_options, run.recipe, run.parent is None), {}).setdefault(
            run.sparsity, set()
        ).add(run.seed)
    entries = []
    for (method, options, recipe, is_first), sparsities in groups.items():
        by_seeds: dict[tuple[int, ...], list[float]] = {}
        for sparsity, seeds in sorted(sparsities.items()):
            by_seeds.setdefault(tuple(sorted(seeds)), []).append(sparsity)
        for seeds, targets in by_seeds.items():
            entry: dict[str, Any] = {"method": method, "label": label}
            if targets != [0.0]:
                entry["sparsity"] = targets
            if list(seeds) != every_seed:
                entry["seeds"] = list(seeds)
            if options:
                entry["options"] = _plain(options)
            changes = _changes(_first(runs[0]), recipe)
            if changes and method != DENSE:
                entry["scratch" if is_first else "finetune"] = changes
            entries.append(entry)
    return entries


def _recipe(recipe: Recipe) -> dict[str, Any]:
    plain: dict[str, Any] = {"epochs": recipe.epochs}
    return plain | to_dict(recipe)


def _changes(first: Recipe, own: Recipe) -> dict[str, Any]:
    """The keys in which a recipe differs from the first one."""
    there = vars(own)
    changed = {key: value for key, value in vars(first).items() if there[key] != value and key != "stop_epoch"}
    return {key: list(value) if isinstance(value := there[key], tuple) else value for key in changed}


def _named(name: str, options: Mapping[str, Any]) -> Any:
    return {"name": name, "options": dict(options)} if options else name


def _plain(options: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Frozen options as a file writes them."""
    return {key: _thawed(value) for key, value in options}


def _thawed(value: Any) -> Any:
    if isinstance(value, tuple):
        is_mapping = bool(value) and all(
            isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) for item in value
        )
        return _plain(value) if is_mapping else [_thawed(item) for item in value]
    return value


def as_yaml(content: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=110)
