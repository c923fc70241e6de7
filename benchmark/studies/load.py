"""A study file: what is compared, on what, with which recipes. Read through a typed model and expanded to runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ...methods.registry import borrowed_versions, check_options, describe, method_names, unknown_method
from ..api.errors import UserError, unknown
from ..runs.run import DENSE, Precision, Recipe, Run, frozen_options, protocol_of
from ..runs.store import RESERVED
from .rows import Row, choose, distinct
from .yaml_source import Source, override, read_yaml, validate

STUDIES = Path(__file__).parent
MAX_EXTENDS = 16


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _fraction(value: Any) -> Any:
    """`90%` is 0.9."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return round(float(value.strip()[:-1]) / 100, 12)
    return value


def _label_text(value: str) -> str:
    if not value.strip() or len(value.splitlines()) > 1:
        raise ValueError(f"a label is one line of text, not {value!r}")
    return value


Sparsity = Annotated[float, BeforeValidator(_fraction), Field(ge=0, lt=1)]

Seed = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class RecipeFile(_Strict):
    """The keys of a recipe, all optional: what is absent comes from the recipe that this one builds on."""

    epochs: int | None = Field(default=None, ge=0)
    batch_size: int | None = Field(default=None, ge=1)
    optimizer: Literal["sgd", "adam"] | None = None
    lr: float | None = Field(default=None, gt=0)
    momentum: float | None = Field(default=None, ge=0, lt=1)
    nesterov: bool | None = None
    weight_decay: float | None = Field(default=None, ge=0)
    decay_norm: bool | None = None
    schedule: Literal["cosine", "step", "linear", "constant"] | None = None
    step_epochs: int | None = Field(default=None, ge=1)
    step_factor: float | None = Field(default=None, gt=0, le=1)
    milestones: list[int] | None = None
    warmup_epochs: int | None = Field(default=None, ge=0)
    lr_update: Literal["epoch", "step"] | None = None
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    clip_norm: float | None = Field(default=None, ge=0)
    precision: Precision | None = None
    sync_batch_norm: bool | None = None


class Named(_Strict):
    """A name with options: a data set or a model. A bare string is a name without options."""

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Entry(_Strict):
    """One line of the study's grid: methods x grid of options x sparsities x seeds.

    `model_options` add to those of the study; an entry with `not_run` is listed in the tables with that reason.
    """

    method: Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]
    sparsity: Annotated[list[Sparsity], BeforeValidator(_as_list), Field(min_length=1)] = [0.0]
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    options: dict[str, Any] = {}
    model_options: dict[str, Any] = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    finetune: RecipeFile = RecipeFile()
    scratch: RecipeFile = RecipeFile()
    label: Annotated[str, AfterValidator(_label_text)] | None = None
    not_run: str | None = None

    @model_validator(mode="after")
    def _options_once(self) -> Entry:
        if both := sorted(self.options.keys() & self.grid.keys()):
            raise ValueError(f"{both[0]!r} stands in options and in grid")
        return self


class StudyFile(_Strict):
    """The keys of a study file.

    `train` is the dense recipe. `finetune` (methods that start from trained weights) and `scratch` (methods that start
    from initialisation) change what they name of it, and an entry's own what it names of those. `override` wins over
    all of them: a smoke test of a study sets its epochs there.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)
    title: str = ""
    question: str = ""
    dataset: Named
    model: Named
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1)
    validation: float = Field(default=0.1, ge=0, lt=1)
    train: RecipeFile
    finetune: RecipeFile = RecipeFile()
    scratch: RecipeFile = RecipeFile()
    override: RecipeFile = RecipeFile()
    runs: list[Entry] = Field(min_length=1)
    published: int | None = None

    @model_validator(mode="after")
    def _not_reserved(self) -> StudyFile:
        if self.name in RESERVED:
            raise ValueError(f"name {self.name!r} is reserved; choose another")
        if self.train.epochs is None:
            raise ValueError("train.epochs is missing")
        return self


@dataclass(frozen=True)
class Study:
    """A validated study: its file, and the rows it expands to."""

    file: StudyFile
    source: Source
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        return self.file.name

    @cached_property
    def runs(self) -> list[Run]:
        """Each run once, in the order of the file."""
        return list({row.run.id: row.run for row in self.rows if row.run is not None}.values())

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(row.label for row in self.rows))


def study_names() -> list[str]:
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def study_source(name_or_path: str, assignments: Sequence[str] = ()) -> Source:
    """The plain data of a study with `--set` applied. A name is looked up in the suite's studies, a path is read."""
    source = _read(name_or_path, ())
    for assignment in assignments:
        override(source, assignment)
    return source


def _read(name_or_path: str, extending: tuple[Path, ...]) -> Source:
    """`extending` are the files on the way here, each of which extends the next."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if name_or_path not in study_names():
            raise unknown(
                "study", name_or_path, study_names(), "a study of your own is given as a path that ends in .yaml"
            )
        path = STUDIES / f"{name_or_path}.yaml"
    if path.absolute() in extending:
        raise UserError(f"{extending[-1]}: extends {name_or_path!r}, which extends this file in turn")
    if len(extending) == MAX_EXTENDS:
        raise UserError(f"{extending[0]}: extends more than {MAX_EXTENDS} studies, one after the other")
    source = read_yaml(path, path.name if path.parent == STUDIES else None)
    return _extend(source, path, (*extending, path.absolute()))


def _extend(source: Source, path: Path, extending: tuple[Path, ...]) -> Source:
    """`extends: other` takes everything from another study; what stands here replaces it, recipes key by key."""
    if "extends" not in source.data:
        return source
    base_name = source.data.pop("extends")
    if not isinstance(base_name, str):
        raise UserError(f"{source.place(['extends'])}: extends must be the name of a study, not {base_name!r}")
    beside = path.parent / f"{base_name}.yaml"
    base = _read(str(beside) if beside.exists() and path.parent != STUDIES else base_name, extending)
    merged = dict(base.data)
    for key, value in source.data.items():
        below = merged.get(key)
        is_recipe = key in ("train", "finetune", "scratch", "override")
        merged[key] = {**below, **value} if is_recipe and isinstance(below, dict) and isinstance(value, dict) else value
    return Source(source.name, merged, {**base.places, **source.places})


def load_study(name_or_path: str, assignments: Sequence[str] = (), only: Sequence[str] = ()) -> Study:
    """Read, validate and expand a study. Raises UserError naming the place of the first problem."""
    source = study_source(name_or_path, assignments)
    file = validate(StudyFile, source)
    _check_names(file, source)
    rows = (
        (source.place(["runs", index]), row)
        for index, entry in enumerate(file.runs)
        for row in _expand(file, entry, index, source)
    )
    return Study(file, source, tuple(choose(distinct(rows), only)))


def _check_names(file: StudyFile, source: Source) -> None:
    """Names of data set and model, before anything runs and without torch."""
    from ...datasets.registry import all_names, create
    from ..models.registry import model_names, option_names

    if file.dataset.name not in all_names():
        raise UserError(f"{source.place(['dataset'])}: {unknown('data set', file.dataset.name, all_names())}")
    try:
        create(file.dataset.name, **file.dataset.options)
    except (UserError, TypeError) as error:
        raise UserError(f"{source.place(['dataset', 'options'])}: {error}") from error
    if file.model.name not in model_names():
        raise UserError(f"{source.place(['model'])}: {unknown('model', file.model.name, model_names())}")
    known = option_names(file.model.name)
    given: list[tuple[tuple[str | int, ...], dict[str, Any]]] = [(("model", "options"), file.model.options)]
    given += [(("runs", index, "model_options"), entry.model_options) for index, entry in enumerate(file.runs)]
    for key, options in given:
        for option in options.keys() - known:
            error = unknown(f"option of model {file.model.name!r}", option, known)
            raise UserError(f"{source.place([*key, option])}: {error}")


def merge_recipes(*parts: RecipeFile) -> Recipe:
    """Later parts win; what none of them says has the default of Recipe."""
    values: dict[str, Any] = {}
    for part in parts:
        values |= part.model_dump(exclude_none=True)
    values["milestones"] = tuple(values.get("milestones", ()))
    if values.get("schedule") == "step" and not (values.get("step_epochs") or values["milestones"]):
        raise ValueError("schedule: step needs step_epochs or milestones")
    if values.get("step_epochs") and values["milestones"]:
        raise ValueError("step_epochs and milestones exclude each other")
    if values.get("schedule", "cosine") != "step" and (values.get("step_epochs") or values["milestones"]):
        raise ValueError(f"step_epochs and milestones have no effect with schedule: {values.get('schedule', 'cosine')}")
    if values.get("nesterov") and values.get("momentum", 0.9) == 0:
        raise ValueError("nesterov needs momentum > 0")
    if values.get("optimizer") == "adam" and (values.get("nesterov") or "momentum" in values):
        raise ValueError("momentum and nesterov have no effect with optimizer: adam")
    if values.get("warmup_epochs", 0) > values["epochs"]:
        raise ValueError(f"warmup_epochs = {values['warmup_epochs']} is more than epochs = {values['epochs']}")
    return Recipe(**values)


def _expand(file: StudyFile, entry: Entry, index: int, source: Source) -> Iterable[Row]:
    place = source.place(["runs", index])
    if entry.not_run is not None:
        for method, sparsity in itertools.product(entry.method, entry.sparsity):
            yield Row(entry.label or method, method, (), sparsity, -1, None, entry.not_run)
        return
    recipes: set[str] = set()
    for method in entry.method:
        if method not in method_names():
            raise UserError(f"{source.place(['runs', index, 'method'])}: {unknown_method(method)}")
        for values in itertools.product(*entry.grid.values()):
            options = {**entry.options, **dict(zip(entry.grid, values, strict=True))}
            try:
                check_options(method, options)
                recipes.add(_recipe_of(method, options))
                yield from _rows_of(file, entry, method, options)
            except (UserError, ValueError) as error:
                raise UserError(f"{place}: {error}") from error
    for name, reason in _UNUSED.items():
        if getattr(entry, name) != RecipeFile() and name not in recipes:
            raise UserError(f"{source.place(['runs', index, name])}: {name} has no effect here: {reason}")


_UNUSED = {
    "finetune": "it is for methods that start from trained weights, and none of this entry does",
    "scratch": "it is for methods that start from initialisation; a dense row trains as `train` says, since others "
    "start from it (`method: dense_longer` is a dense training with a recipe of its own)",
}
"""Why an entry's own recipe may not be used by any of its methods."""


def _recipe_of(method: str, options: Mapping[str, Any]) -> str:
    """The recipe beside `train` that a method takes: `finetune`, `scratch`, or none (the dense training)."""
    start = options.get("start", describe(method).start)
    if start == "trained":
        return "finetune"
    return "train" if method == DENSE else "scratch"


def _rows_of(file: StudyFile, entry: Entry, method: str, options: Mapping[str, Any]) -> Iterable[Row]:
    info = describe(method)
    # An option that has its default is the same run as one without it.
    given = frozen_options({key: value for key, value in options.items() if value != info.options[key].default})
    label = entry.label or _label(info.label, given)
    starts_trained = _recipe_of(method, options) == "finetune"
    parts = (file.finetune, entry.finetune) if starts_trained else (file.scratch, entry.scratch)
    dense_recipe = merge_recipes(file.train, file.override)
    recipe = merge_recipes(file.train, *parts, file.override)
    seeds = entry.seeds or file.seeds
    # One dense run object a seed: ids are cached on the object
    model_options = frozen_options({**file.model.options, **entry.model_options})
    dense_runs = {seed: _make_run(file, DENSE, dense_recipe, seed, model_options=model_options) for seed in seeds}
    for sparsity, seed in itertools.product(entry.sparsity, seeds):
        dense = dense_runs[seed]
        if method == DENSE and not given:
            yield Row(label, method, given, 0.0, seed, dense)
            continue
        run = _make_run(
            file,
            method,
            recipe,
            seed,
            model_options=model_options,
            sparsity=sparsity,
            method_options=given,
            method_version=info.version,
            borrowed_versions=borrowed_versions(method, options),
            parent=dense if starts_trained else None,
        )
        yield Row(label, method, given, sparsity, seed, run)


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


def _label(label: str, options: tuple[tuple[str, Any], ...]) -> str:
    return f"{label} ({', '.join(f'{key}={value}' for key, value in options)})" if options else label
