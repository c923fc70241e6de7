"""Settings: which results stand in one table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...datasets.registry import dataset_title
from ..models.titles import model_title
from ..runs.run import DENSE, Recipe, Run, from_dict
from .schema import Published
from .tracks import TRACKS, has_own_network, track_of

SAME_SETTING = (
    "Two rows stand in one table only if they have the same data (name, options, validation split and fingerprint of "
    "the content), the same network with the same options, the same track, the same recipe of the training that "
    "begins at initialisation (optimiser, learning rate and its schedule, batch size, weight decay, epochs), and the "
    "same number of epochs in all, dense training included."
)
"""What the page says of it."""

LENGTH = ("epochs", "stop_epoch")


@dataclass(frozen=True)
class Row:
    """A row of a table: the results of one label of one source. `label` is unique in the table."""

    label: str
    results: tuple[Published, ...]

    @property
    def first(self) -> Published:
        return self.results[0]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        return tuple(from_dict(result.run) for result in self.results)


@dataclass(frozen=True)
class Setting:
    """What the rows of a table share. `recipe` is that of the first training, `epochs` those in all."""

    dataset: str
    data: str
    network: str
    track: str
    recipe: Recipe
    epochs: int
    rows: list[Row] = field(default_factory=list, compare=False)
    dense: list[Row] = field(default_factory=list, compare=False)
    apart: list[str] = field(default_factory=list, compare=False)

    @property
    def place(self) -> str:
        """The heading that tables of one network and data set share."""
        return f"{self.network} on {self.data}"

    @property
    def title(self) -> str:
        """Track and epochs, the first training apart; what else tells it from tables with the same title."""
        first = self.recipe.trained_epochs
        epochs = f"{first} + {self.epochs - first}" if 0 < first < self.epochs else f"{self.epochs}"
        return ", ".join([f"{TRACKS[self.track][0]}, {epochs} epochs", *self.apart])

    @property
    def facts(self) -> dict[str, object]:
        """What may tell two settings apart that have one network, track and number of epochs."""
        _, _, validation, fingerprint = json.loads(self.dataset)
        return {"validation": validation, "data": fingerprint and fingerprint[:8], **vars(self.recipe)}


def settings_of(results: Sequence[Published]) -> list[Setting]:
    """The tables, those of one network and data set together, places and tables with many rows first."""
    found: dict[tuple[Any, ...], Setting] = {}
    members: dict[tuple[Any, ...], dict[tuple[str, ...], list[Published]]] = {}
    for cell in _cells(results):
        track = track_of(cell[0])
        if not track:
            continue
        setting = _setting(cell, track)
        key = (setting.dataset, setting.data, setting.network, track, setting.recipe, setting.epochs)
        found.setdefault(key, setting)
        row = (cell[0].source, cell[0].study, cell[0].label)
        members.setdefault(key, {}).setdefault(row, []).extend(cell)
    for key, rows in members.items():
        found[key].rows.extend(_named(rows.values()))
    own = {key: tuple(row for row in found[key].rows if has_own_network(row.first)) for key in found}
    for setting in found.values():
        setting.dense.extend(_dense_of(setting, results))
        if setting.track != "post-training":
            setting.rows.extend(row for key, rows in own.items() if _is_alike(found[key], setting) for row in rows)
    _tell_apart(found.values())
    counts: dict[str, int] = {}
    for setting in found.values():
        counts[setting.place] = counts.get(setting.place, 0) + len(setting.rows)
    order = list(TRACKS)
    return sorted(
        found.values(), key=lambda s: (-counts[s.place], s.place, -len(s.rows), order.index(s.track), s.epochs)
    )


def _tell_apart(settings: Iterable[Setting]) -> None:
    """Give tables with one heading what differs between them, such as `batch_size 64`."""
    alike: dict[tuple[str, str], list[Setting]] = {}
    for setting in settings:
        alike.setdefault((setting.place, setting.title), []).append(setting)
    for group in alike.values():
        facts = [setting.facts for setting in group]
        differing = [key for key in facts[0] if any(each[key] != facts[0][key] for each in facts)]
        for setting, known in zip(group, facts, strict=True):
            setting.apart.extend(f"{key} {_spelled(known[key])}" for key in differing)


def _spelled(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _cells(results: Iterable[Published]) -> list[list[Published]]:
    """Results of one row at one sparsity, finished ones first: a failed run has the setting of the others."""
    found: dict[tuple[Any, ...], list[Published]] = {}
    for result in results:
        key = (result.source, result.study, result.label, result.run.get("sparsity", 0.0))
        found.setdefault(key, []).append(result)
    return [sorted(cell, key=lambda each: each.state) for cell in found.values()]


def _setting(cell: Sequence[Published], track: str) -> Setting:
    first = cell[0]
    run = from_dict(first.run)
    return Setting(
        dataset=_dataset_key(cell), data=_data_title(first, run), network=network_title(run), track=track,
        recipe=(run.parent or run).recipe, epochs=_epochs(first, run),
    )  # fmt: skip


def _dataset_key(cell: Sequence[Published]) -> str:
    """Name, options, validation and fingerprint of the data; of failed runs alone without the last."""
    run, measured = from_dict(cell[0].run), cell[0].measured
    options = cell[0].run.get("dataset_options", {})
    return json.dumps([run.dataset, options, run.validation, measured and measured.data.fingerprint], sort_keys=True)


def _data_title(result: Published, run: Run) -> str:
    title = dataset_title(result.measured.data.title if result.measured else run.dataset)
    limit = dict(run.dataset_options).get("limit")
    return f"{title} ({limit:,} training images)" if isinstance(limit, int) else title


def network_title(run: Run) -> str:
    options = ", ".join(f"{key} = {value}" for key, value in run.model_options)
    return f"{model_title(run.model)} ({options})" if options else model_title(run.model)


def _epochs(result: Published, run: Run) -> int:
    """Epochs in all; of a run that failed those that one round of its recipe has."""
    if result.measured is not None:
        parent = result.measured.cost.parent
        return result.measured.cost.epochs + (parent.epochs if parent else 0)
    return run.recipe.trained_epochs + (run.parent.recipe.trained_epochs if run.parent else 0)


def _named(rows: Iterable[Sequence[Published]]) -> list[Row]:
    """Rows with a label each: of equal labels, each names its study or its contribution. Copies are left out."""
    kept: list[Sequence[Published]] = []
    for row in rows:
        if not any(_values(row) <= _values(other) for other in kept):
            kept.append(row)
    labels = [shown_label(row[0]) for row in kept]
    return [
        Row(label if labels.count(label) == 1 else f"{label} [{origin(row[0])}]", tuple(row))
        for label, row in zip(labels, kept, strict=True)
    ]


def shown_label(result: Published) -> str:
    """The label in its study, with that of the method where they share no word: `epochs 4 (Layerwise MP)`."""
    own, method = (set(text.lower().split()) for text in (result.label, result.method.label))
    return result.label if own & method or result.method.name == DENSE else f"{result.label} ({result.method.label})"


def _values(row: Sequence[Published]) -> set[tuple[str, str, float | None]]:
    """Of the project's own studies one run may stand in two; a repetition by somebody else is a row of its own."""
    return {(each.source, each.id, each.measured and each.measured.accuracy.last) for each in row}


def origin(result: Published) -> str:
    """Where a row is from: the study, or the contribution."""
    return result.study if result.source == "reference" else result.source


def _dense_of(setting: Setting, results: Sequence[Published]) -> list[Row]:
    """The dense trainings that the rows start from; where none does, those of the same recipe, of any length."""
    parents = {run.parent.id for row in setting.rows for run in row.runs if run.parent is not None}
    dense: dict[tuple[str, ...], list[Published]] = {}
    for result in results:
        if result.method.name == DENSE and (not parents or result.id in parents):
            run = from_dict(result.run)
            same = (_dataset_key([result]), network_title(run)) == (setting.dataset, setting.network)
            if same and _without_length(run.recipe) == _without_length(setting.recipe):
                dense.setdefault((result.source, result.study, result.label), []).append(result)
    return _named(dense.values())


def _is_alike(one: Setting, other: Setting) -> bool:
    """Whether controls with a network of their own, in the table `one`, answer rows of another track as well."""
    if one.track == other.track:
        return False
    same = (one.dataset, one.network, one.epochs) == (other.dataset, other.network, other.epochs)
    return same and _without_length(one.recipe) == _without_length(other.recipe)


def _without_length(recipe: Recipe) -> dict[str, Any]:
    return {key: value for key, value in vars(recipe).items() if key not in LENGTH}


def own_recipe(run: Run, setting: Setting) -> Mapping[str, Any]:
    """What the run's own training does otherwise than the first training, without its length."""
    first = _without_length(setting.recipe)
    return {key: value for key, value in _without_length(run.recipe).items() if first[key] != value}
