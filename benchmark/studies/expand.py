"""From the entries of a study file to rows: methods x grid of options x sparsities x seeds, each with its recipe."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...methods.listing.describe import MethodInfo
from ...methods.registry import borrowed_versions, check_options, describe, method_names, unknown_method
from ..api.errors import UserError
from ..runs.run import DENSE, Recipe, Run, frozen_options, protocol_of, with_options
from .budget import epoch_share, fitting_epochs
from .recipe_schema import RecipeFile, TrainFile
from .rows import Row
from .schema import Entry, StudyFile
from .yaml_source import Source


@dataclass(frozen=True)
class Part:
    """One entry, its place in the study file, and what it changes in the dense recipe."""

    entry: Entry
    key: tuple[str | int, ...]
    train: TrainFile = field(default_factory=TrainFile)


def expand(file: StudyFile, part: Part, source: Source) -> Iterable[Row]:
    """The rows of one entry. Raises UserError naming its place for a method or options that do not exist."""
    entry = part.entry
    place = source.place(part.key)
    if entry.not_run is not None:
        for method, sparsity in itertools.product(entry.method, entry.sparsity):
            yield Row(entry.label or method, method, (), sparsity, -1, None, entry.not_run)
        return
    recipes: set[str] = set()
    for method in entry.method:
        if method not in method_names():
            raise UserError(f"{source.place([*part.key, 'method'])}: {unknown_method(method)}")
        for values in itertools.product(*entry.grid.values()):
            options = {**entry.options, **dict(zip(entry.grid, values, strict=True))}
            try:
                check_options(method, options)
                recipes.add(_recipe_of(method, options))
                yield from _rows_of(file, part, method, options)
            except (UserError, ValueError) as error:
                raise UserError(f"{place}: {error}") from error
    for name, reason in _UNUSED.items():
        if getattr(entry, name) != RecipeFile() and name not in recipes:
            raise UserError(f"{source.place([*part.key, name])}: {name} has no effect here: {reason}")


_UNUSED = {
    "finetune": "it is for methods that start from trained weights, and none of this entry does",
    "scratch": "it is for methods that start from initialisation; a dense row trains as `train` says, since others "
    "start from it (`method: dense_longer` is a dense training with a recipe of its own)",
}
"""Why none of an entry's methods uses its own recipe."""


def _recipe_of(method: str, options: Mapping[str, Any]) -> str:
    """The recipe beside `train` that a method takes: `finetune`, `scratch`, or none (the dense training)."""
    start = options.get("start", describe(method).start)
    if start == "trained":
        return "finetune"
    return "train" if method == DENSE else "scratch"


def _rows_of(file: StudyFile, part: Part, method: str, options: Mapping[str, Any]) -> Iterable[Row]:
    entry = part.entry
    info = describe(method)
    # An option that has its default is the same run as one without it.
    given = frozen_options({key: value for key, value in options.items() if value != info.options[key].default})
    label = entry.label or with_options(info.label, given)
    starts_trained = _recipe_of(method, options) == "finetune"
    if part.train.model_fields_set and method != DENSE and not starts_trained:
        raise ValueError(f"method {method!r} does not start from trained weights, so the knob has no effect on it")
    parts = [file.finetune, entry.finetune] if starts_trained else [file.scratch, entry.scratch]
    dense_recipe = _stopped(
        _merged(file.train, part.train, file.override), part.train.stop_epoch or file.train.stop_epoch
    )
    lengths = {
        s: _length(file, entry, info, s, given, dense_recipe if starts_trained else None) for s in entry.sparsity
    }
    recipes = {s: _merged(file.train, *parts, length, file.override) for s, (length, _) in lengths.items()}
    is_once = not starts_trained and info.epochs_rule == ""
    if any(recipe.schedule == "adaptive_linear" for recipe in (dense_recipe, *(recipes.values() if is_once else ()))):
        raise ValueError("schedule: adaptive_linear is for retraining; it has no effect on a training from the start")
    seeds = entry.seeds or file.seeds
    # One dense run object per seed, since ids are cached on the object
    model_options = frozen_options({**file.model.options, **entry.model_options})
    dense_runs = {seed: _make_run(file, DENSE, dense_recipe, seed, model_options=model_options) for seed in seeds}
    for sparsity, seed, retraining in itertools.product(entry.sparsity, seeds, file.retrain_seeds):
        dense = dense_runs[seed]
        if method == DENSE and not given:
            yield Row(label, method, given, 0.0, seed, dense)
            continue
        run = _make_run(
            file,
            method,
            recipes[sparsity],
            seed,
            model_options=model_options,
            sparsity=sparsity,
            method_options=given,
            method_version=info.version,
            borrowed_versions=borrowed_versions(method, options),
            parent=dense if starts_trained else None,
            retrain_seed=retraining,
        )
        yield Row(label, method, given, sparsity, seed, run, epoch_share=lengths[sparsity][1])


def _length(
    file: StudyFile,
    entry: Entry,
    info: MethodInfo,
    sparsity: float,
    given: tuple[tuple[str, Any], ...],
    dense: Recipe | None,
) -> tuple[RecipeFile, float]:
    """The epochs that the study's budget leaves a row, and what each counts; nothing and 1 without a budget."""
    if file.budget is None or (info.name == DENSE and not given):
        return RecipeFile(), 1.0
    share = epoch_share(file.budget, entry, info, sparsity, dict(given))
    before = 0 if dense is None else dense.trained_epochs
    epochs = fitting_epochs(file.budget, info, sparsity, dict(given), before, share)
    return RecipeFile(epochs=epochs), share


def _make_run(file: StudyFile, method: str, recipe: Recipe, seed: int, **rest: Any) -> Run:
    from ...datasets.registry import determining

    return Run(
        dataset=file.dataset.name,
        dataset_options=frozen_options(determining(file.dataset.name, file.dataset.options)),
        model=file.model.name,
        validation=file.validation,
        method=method,
        recipe=recipe,
        protocol=protocol_of(recipe),
        seed=seed,
        **rest,
    )


def _merged(*parts: RecipeFile) -> Recipe:
    """Keys of later parts replace those of earlier ones; other keys have the defaults of Recipe."""
    values: dict[str, Any] = {}
    for part in parts:
        values |= part.model_dump(exclude_none=True, exclude={"stop_epoch"})
    values["milestones"] = tuple(values.get("milestones", ()))
    if values.get("schedule") == "step" and not (values.get("step_epochs") or values["milestones"]):
        raise ValueError("schedule: step needs step_epochs or milestones")
    if values.get("step_epochs") and values["milestones"]:
        raise ValueError("step_epochs and milestones exclude each other")
    if values.get("schedule", "cosine") != "step" and (values.get("step_epochs") or values["milestones"]):
        raise ValueError(f"step_epochs and milestones have no effect with schedule: {values.get('schedule', 'cosine')}")
    if values.get("nesterov") and values.get("momentum", 0.9) == 0:
        raise ValueError("nesterov needs momentum > 0")
    if values.get("optimizer", "sgd") != "sgd" and (values.get("nesterov") or "momentum" in values):
        raise ValueError(f"momentum and nesterov have no effect with optimizer: {values['optimizer']}")
    if values.get("warmup_epochs", 0) > values["epochs"]:
        raise ValueError(f"warmup_epochs = {values['warmup_epochs']} is more than epochs = {values['epochs']}")
    return Recipe(**values)


def _stopped(recipe: Recipe, stop_epoch: int | None) -> Recipe:
    """A dense recipe that ends early. Raises ValueError for an epoch that it does not have."""
    if stop_epoch is None or stop_epoch == recipe.epochs:
        return recipe
    if stop_epoch > recipe.epochs:
        raise ValueError(f"stop_epoch = {stop_epoch} is more than epochs = {recipe.epochs}")
    return replace(recipe, stop_epoch=stop_epoch)
