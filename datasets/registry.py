"""The data sets by name. Importing this, listing names and describing them need no torch."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ..benchmark.api.errors import UserError, unknown
from ..benchmark.api.offers import Offer, Offers
from ..benchmark.api.options import WrongOption, _field_types, checked
from ..benchmark.api.plugin_files import parse_source
from .parts.info import DataSet, DataSetInfo, Report
from .parts.roots import data_root

if TYPE_CHECKING:
    from ..benchmark.api.data import Data

DATASETS = {
    "cifar10": "cifar10:Cifar10",
    "cifar100": "cifar100:Cifar100",
    "digits": "digits:Digits",
    "fashion_mnist": "fashion_mnist:FashionMnist",
    "har2": "har2:Har2",
    "imagenet": "imagenet:ImageNet",
    "mnist": "mnist:Mnist",
    "python-text": "python_text:PythonText",
    "synthetic": "synthetic:Synthetic",
}
OWN = {
    "arrays": "arrays:OwnArrays",
    "image-folder": "image_folder:OwnImages",
    "text": "text:OwnText",
}
"""The user's own data sets: nothing is known of them before a study gives their options."""

NO_EFFECT = ("title",)
"""Options that only name the data in tables: no part of a run."""

OFFERS = Offers(
    "data set", {**DATASETS, **OWN}, Path(__file__).resolve().parent, __package__ or "", "prunebench.datasets"
)


def add_datasets(path: str | Path, source: Path, table: Mapping[str, str]) -> None:
    """Register the data sets of a plug-in file: names and classes. Raises UserError for a name that is taken."""
    classes = {node.name for node in parse_source(source).body if isinstance(node, ast.ClassDef)}
    for name, class_name in table.items():
        OFFERS.check_free(path, name, source)
        if class_name not in classes:
            raise UserError(f"{source}: data set {name!r}: there is no class {class_name!r}")
    OFFERS.add(source, table)


def plugin_files() -> set[Path]:
    """The plug-in files that data sets are from."""
    return OFFERS.plugin_files()


def dataset_names() -> list[str]:
    """All names of published and made-up data and of plug-ins, sorted: those that are known without options."""
    return sorted(name for name in OFFERS.all() if not is_own(name))


def all_names() -> list[str]:
    """The same with the kinds of the user's own data."""
    return sorted(OFFERS.all())


def is_own(name: str) -> bool:
    """Whether only files of the user's own tell shape and classes."""
    return name in OWN


def is_text(name: str) -> bool:
    """Whether a network predicts the next symbol at each place, so that results have bits per byte."""
    return bool(getattr(dataset_class(name), "is_text", False))


def is_of_suite(name: str) -> bool:
    """Whether the suite has the data set itself; code of others is recorded with results."""
    return name in OFFERS.table


def origin(name: str) -> Offer:
    """Where the class of a data set is. Raises UserError for an unknown name."""
    return OFFERS.find(name)


def unknown_dataset(name: str) -> UserError:
    """A name that no table, entry point or plug-in has."""
    return OFFERS.unknown(name)


def determining(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are part of a run's id: of data that are not the suite's, those that differ from defaults."""
    if name in DATASETS:
        return dict(options)
    defaults = {field.name: field.default for field in fields(dataset_class(name))}
    given = {key: value for key, value in options.items() if value != defaults.get(key)}
    return {key: value for key, value in given.items() if not (is_own(name) and key in NO_EFFECT)}


def shown_name(name: str, options: Mapping[str, Any]) -> str:
    """The name in tables: the user's own data by their title, else by their path."""
    return (options.get("title") or options["path"]) if name in OWN else name


def dataset_title(shown: str) -> str:
    """The title for a name of `shown_name`: `CIFAR-10`. Made-up data and the user's own keep what they are called."""
    has_title = shown in OFFERS.all() and not is_own(shown)
    return dataset_class(shown)().describe().title if has_title and shown != "synthetic" else shown


def dataset_class(name: str) -> Any:
    """The class whose fields are the options of a data set. Raises UserError for an unknown name."""
    found = origin(name).load()
    if not is_dataclass(found):
        raise UserError(f"data set {name!r}: {found!r} must be a dataclass, whose fields are its options")
    return found


def create(name: str, **options: object) -> DataSet:
    """The data set with its options set; a misspelt name or option is a `UserError`."""
    for option, value in options.items():
        check_option(name, option, value)
    try:
        return dataset_class(name)(**options)
    except WrongOption as error:
        raise UserError(f"data set {name!r}: {error}") from None


def field_types(name: str) -> dict[str, Any]:
    """The declared type of each option of a data set. Imports pydantic."""
    return _field_types(dataset_class(name))


def check_option(name: str, option: str, value: object) -> None:
    """Raises UserError for an option that the data set does not have, or a value that is not of its type."""
    kind = dataset_class(name)
    known = [field.name for field in fields(kind)]
    if option not in known:
        raise unknown(f"option of data set {name!r}", option, known)
    try:
        checked(option, field_types(name)[option], value)
    except WrongOption as error:
        raise UserError(f"data set {name!r}: {error}") from None


def describe(name: str, **options: object) -> DataSetInfo:
    """Title, shape, classes, sizes, licence and source.

    Only `synthetic` and the user's own data have options that change them. Those of the latter are read from the files
    under the data root of `roots.data_root()`; raises DataMissing where they are not there.
    """
    return create(name, **options).describe()


def train_size(name: str, validation: float, **options: object) -> int | None:
    """Training samples an epoch goes over, besides validation; None where only the files tell."""
    return create(name, **options).train_size(validation)


def load(name: str, *, root: Path | str | None = None, validation: float = 0.1, **options: object) -> Data:
    """Read a data set that is on this machine. Nothing is downloaded.

    Args:
        root: Data root; see `roots.data_root` for the default.
        validation: Fraction of the training set that is held out, 0 <= validation < 1.
        options: Fields of the data set's class; all have `limit`, the number of training samples to keep.

    Raises:
        DataMissing: A file is not there.
        UserError: A file is damaged or not what it should be, or an option is wrong.
    """
    from pydantic import Field

    checked("validation", Annotated[float, Field(ge=0, lt=1)], validation)
    return create(name, **options).load(data_root(root), float(validation))


def prepare(
    name: str,
    *,
    root: Path | str | None = None,
    archive: Path | None = None,
    report: Report | None = None,
    **options: object,
) -> Path:
    """Bring a data set to this machine and return its place; does nothing if it is already there.

    Args:
        archive: A file or folder fetched by hand; it must hold the published bytes. Without it: a download.
        report: Gets lines of progress.
    """
    return create(name, **options).prepare(data_root(root), archive, report or (lambda line: None))


def check(name: str, *, root: Path | str | None = None, **options: object) -> list[str]:
    """Read the data set and say, line by line, what was found to be right; raises what `load` raises."""
    return create(name, **options).check(data_root(root))
