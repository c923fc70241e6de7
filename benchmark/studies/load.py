"""Read a study file: `extends`, `--set`, names of data sets and networks, `--only`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..api.errors import UserError, unknown
from ..runs.plugins import add_plugin
from ..runs.run import Run
from .budget import check_budget
from .claims import read_claim
from .controls import check_controls
from .expand import Part, expand
from .names import Named
from .pairs import check_pairs, check_retrainings
from .regime_rows import regime_parts
from .rows import Row, choose, distinct
from .schema import Entry, StudyFile
from .trials import Search, named_rows, searches
from .tune_checks import check_tuning
from .yaml_source import Source, override, read_yaml, validate

FOLDERS = (Path(__file__).parent, Path(__file__).parent / "smoke")
"""Of the suite's studies, and of their smoke versions: the same grid on a few made-up samples."""
MAX_EXTENDS = 16


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

    @cached_property
    def searches(self) -> list[Search]:
        """As `trials.searches`: each trial has values that are drawn, and ids of its runs, so they are made once."""
        return searches(self.file, self.rows)

    @cached_property
    def labels_of_runs(self) -> dict[str, str]:
        """The label of each run by its id; of a run in several rows, that of the first."""
        return {row.run.id: row.label for row in reversed(self.rows) if row.run is not None}

    @property
    def plugins(self) -> tuple[str, ...]:
        """Absolute paths of its plug-in files."""
        return tuple(str(Path(path).resolve()) for path in self.file.plugins)

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(row.label for row in self.rows))


def study_names() -> list[str]:
    """The suite's studies, their smoke versions last."""
    return [name for folder in FOLDERS for name in sorted(path.stem for path in folder.glob("*.yaml"))]


def study_source(name_or_path: str, assignments: Sequence[str] = ()) -> Source:
    """The plain data of a study with `--set` applied. A name is looked up in the suite's studies, a path is read."""
    source = _read(name_or_path, ())
    for assignment in assignments:
        _write_out(source, assignment.partition(".")[0])
        override(source, assignment)
    return source


def _write_out(source: Source, key: str) -> None:
    """`dataset: digits` is `dataset: {name: digits}`, where `--set dataset.options.limit=100` can add to it."""
    if key in ("dataset", "model") and isinstance(source.data.get(key), str):
        source.data[key] = {"name": source.data[key]}


def _read(name_or_path: str, extending: tuple[Path, ...]) -> Source:
    """`extending`: the files that led here, each of which extends the next."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if name_or_path not in study_names():
            raise unknown(
                "study", name_or_path, study_names(), "a study of your own is given as a path that ends in .yaml"
            )
        path = next(path for folder in FOLDERS if (path := folder / f"{name_or_path}.yaml").exists())
    if path.absolute() in extending:
        raise UserError(f"{extending[-1]}: extends {name_or_path!r}, which extends this file in turn")
    if len(extending) == MAX_EXTENDS:
        raise UserError(f"{extending[0]}: extends more than {MAX_EXTENDS} studies, one after the other")
    source = read_yaml(path, path.name if path.parent in FOLDERS else None)
    _locate_plugins(source, path.parent)
    return _extend(source, path, (*extending, path.absolute()))


def _locate_plugins(source: Source, folder: Path) -> None:
    """Paths of `plugins` are relative to the study's folder; those of `--set plugins=...` are to the working folder."""
    if "plugins" in source.data:
        given = source.data["plugins"]
        paths = given if isinstance(given, list) else [given]
        folder = folder.resolve()
        source.data["plugins"] = [str(folder / path) if isinstance(path, str) else path for path in paths]


def _extend(source: Source, path: Path, extending: tuple[Path, ...]) -> Source:
    """`extends: other` takes all keys from another study; those given here replace them, recipes key by key.

    Other `runs` replace what is said of the rows as well, claims and controls.
    """
    if "extends" not in source.data:
        return source
    base_name = source.data.pop("extends")
    if not isinstance(base_name, str):
        raise UserError(f"{source.place(['extends'])}: extends must be the name of a study, not {base_name!r}")
    beside = path.parent / f"{base_name}.yaml"
    base = _read(str(beside) if beside.exists() and path.parent not in FOLDERS else base_name, extending)
    merged = dict(base.data)
    for key, other in (("runs", "three_regime"), ("three_regime", "runs")):
        if key in source.data:
            # The grid of this study replaces that of the other one, and with it what is said of its rows.
            for name in (other, "claims", "controls"):
                merged.pop(name, None)
    for key, value in source.data.items():
        below = merged.get(key)
        is_recipe = key in ("train", "finetune", "scratch", "override")
        merged[key] = {**below, **value} if is_recipe and isinstance(below, dict) and isinstance(value, dict) else value
    return Source(source.name, merged, {**base.places, **source.places})


def load_study(name_or_path: str, assignments: Sequence[str] = (), only: Sequence[str] = ()) -> Study:
    """Read, validate and expand a study. Raises UserError naming the place of the first problem."""
    source = study_source(name_or_path, assignments)
    file = validate(StudyFile, source)
    _add_plugins(file, source)
    _check_names(file, source)
    check_retrainings(file, source)
    check_budget(file, source)
    parts = regime_parts(file, source) if file.three_regime else map(_part, range(len(file.runs)), file.runs)
    rows = distinct((source.place(part.key), row) for part in parts for row in expand(file, part, source))
    if file.measure:
        check_pairs(rows, source)
    check_tuning(file, source, rows)
    _check_claims(file, source, rows)
    if file.controls is not None:
        check_controls(file.controls, source, rows)
    return Study(file, source, tuple(choose(rows, only)))


def _part(index: int, entry: Entry) -> Part:
    return Part(entry, ("runs", index))


def _check_claims(file: StudyFile, source: Source, rows: Sequence[Row]) -> None:
    for index, text in enumerate(file.claims):
        try:
            read_claim(text, named_rows(file, rows))
        except UserError as error:
            raise UserError(f"{source.place(['claims', index])}: {error}") from error


def _add_plugins(file: StudyFile, source: Source) -> None:
    """Register what the study's plug-in files offer."""
    for index, path in enumerate(file.plugins):
        try:
            add_plugin(path)
        except UserError as error:
            raise UserError(f"{source.place(['plugins', index])}: {error}") from error


def _check_names(file: StudyFile, source: Source) -> None:
    """Check the names of data sets and models and their options, without torch."""
    from .model_options import check_model_option

    on = file.tune.on if file.tune else None
    for dataset, model, key in ((file.dataset, file.model, ()), (on and on.dataset, on and on.model, ("tune", "on"))):
        if dataset is not None:
            _check_dataset(dataset, (*key, "dataset"), source)
        if model is not None:
            _check_model(model, (*key, "model"), source)
    for index, entry in enumerate(file.runs):
        for option, value in entry.model_options.items():
            with _placed(source, ("runs", index, "model_options", option)):
                check_model_option(file.model.name, option, value)


def _check_dataset(dataset: Named, key: tuple[str, ...], source: Source) -> None:
    from ...datasets.registry import all_names, check_option, create, unknown_dataset

    if dataset.name not in all_names():
        raise UserError(f"{source.place(key)}: {unknown_dataset(dataset.name)}")
    for option, value in dataset.options.items():
        with _placed(source, (*key, "options", option)):
            check_option(dataset.name, option, value)
    with _placed(source, (*key, "options")):
        create(dataset.name, **dataset.options)


def _check_model(model: Named, key: tuple[str, ...], source: Source) -> None:
    from ..models.registry import model_names, unknown_model
    from .model_options import check_model_option

    if model.name not in model_names():
        raise UserError(f"{source.place(key)}: {unknown_model(model.name)}")
    for option, value in model.options.items():
        with _placed(source, (*key, "options", option)):
            check_model_option(model.name, option, value)


@contextlib.contextmanager
def _placed(source: Source, key: tuple[str | int, ...]) -> Iterator[None]:
    """Errors within have the place of the key before them."""
    try:
        yield
    except (UserError, TypeError) as error:
        raise UserError(f"{source.place(key)}: {error}") from error
