"""Names to methods: the built-in table, installed entry points, and files given by the user. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..benchmark.api.errors import UserError, unknown
from ..benchmark.api.offers import Offer, Offers
from ..benchmark.api.options import WrongOption, checked
from ..benchmark.api.plugin_files import no_table, plugin_source, plugin_table
from . import METHODS
from .listing import old_imports
from .listing.agreement import check_agreement
from .listing.annotations import type_of
from .listing.describe import MethodInfo, describe_class
from .listing.old_paths import install

if TYPE_CHECKING:
    from ..benchmark.api.pruner import Pruner

OFFERS = Offers("method", METHODS, Path(__file__).parent, __package__ or "", "prunebench.methods")


def add_plugin(path: str | Path) -> list[str]:
    """Register the methods of a user's file and return their names.

    The file holds a table `METHODS = {"name": "ClassName"}`, like this folder's. Its code runs only when one of its
    methods is used. Raises UserError where the file or its table cannot be read, or a name is taken.
    """
    source = plugin_source(path)
    table = plugin_table(source, "METHODS")
    if table is None:
        raise no_table(source)
    for name, class_name in table.items():
        OFFERS.check_free(path, name, source)
        info = describe_class(name, source, None, class_name)
        _refuse_taken_label(info, {**OFFERS.all(), **{each: Offer(source, None, table[each]) for each in table}})
    OFFERS.add(source, table)
    return list(table)


def _refuse_taken_label(info: MethodInfo, targets: Mapping[str, Offer]) -> None:
    """Rows of tables are labels: two methods with one label would be averaged."""
    for name, target in targets.items():
        if name != info.name and _described(name, target).label == info.label:
            raise UserError(
                f"method {info.name!r} of {info.origin} has the label of method {name!r}: {info.label!r}; change it"
            )


def method_names() -> list[str]:
    return sorted(OFFERS.all())


def unknown_method(name: str) -> UserError:
    """A name that no table, entry point or plug-in has."""
    return OFFERS.unknown(name)


def describe(name: str) -> MethodInfo:
    """The description of a method. Raises UserError for an unknown name."""
    info = _described(name, OFFERS.find(name))
    if name in OFFERS.of_packages:
        _refuse_taken_label(info, OFFERS.all())
    return info


def _described(name: str, target: Offer) -> MethodInfo:
    return describe_class(name, target.source, target.module, target.attribute)


def origin(name: str) -> tuple[Path, str | None, tuple[str, str] | None]:
    """The file of a method, its module (None: a plug-in's file), and the package that offers it with its version."""
    describe(name)
    target = OFFERS.all()[name]
    return target.source, target.module, target.package


def borrowed(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The method that a control borrows from, and that one's options; None for a method that stands alone."""
    info = describe(name)
    if not info.borrows:
        return None
    other = options.get(info.borrows, info.options[info.borrows].default)
    # A study file gives nested options as a mapping, a stored run as pairs.
    given = options.get(f"{info.borrows}_options", ())
    if not isinstance(other, str) or not isinstance(given, Mapping | tuple):
        what = f"{info.borrows}: {other!r}, {info.borrows}_options: {given!r}"
        raise UserError(f"method {name!r} needs the name of a method and a mapping of its options, not {what}")
    return other, dict(given)


def borrowed_chain(name: str, options: Mapping[str, Any]) -> list[str]:
    """The method that a control borrows from, the one that this borrows from, and so on; empty for most methods."""
    found, next_one = list[str](), borrowed(name, options)
    while next_one is not None:
        other, other_options = next_one
        if other in found and not other_options:
            raise UserError(f"method {name!r} borrows from {other!r}, which borrows from itself")
        check_options(other, other_options)
        found.append(other)
        next_one = borrowed(other, other_options)
    return found


def borrowed_versions(name: str, options: Mapping[str, Any]) -> tuple[int, ...]:
    """Versions of the methods of `borrowed_chain`; empty where all are 1, so that ids from before stay."""
    versions = tuple(describe(other).version for other in borrowed_chain(name, options))
    return versions if any(version != 1 for version in versions) else ()


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Names and values of options, without importing the method. How two of them go together its constructor checks."""
    known = describe(name).options
    for key, value in options.items():
        if key not in known:
            raise unknown(f"option of method {name!r}", key, known)
        try:
            checked(key, type_of(known[key].declared), value)
        except WrongOption as error:
            raise UserError(f"method {name!r}: {error}") from None


def method_class(name: str) -> type[Pruner]:
    """Import and return the class.

    Raises UserError for an unknown name, a plug-in that does not load, or a class that is not what its file says.
    """
    target = OFFERS.find(name)
    install()
    found = target.load()
    check_agreement(found, _described(name, target))
    return found


def create(name: str, sparsity: float, options: Mapping[str, Any]) -> Pruner:
    """A method with its options. Raises UserError naming the option for a name or a value it does not take."""
    check_options(name, options)
    try:
        return method_class(name)(sparsity=sparsity, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"method {name!r}: {error}") from error


def plugin_files() -> set[Path]:
    """The plug-in files that methods are from."""
    return OFFERS.plugin_files()


def old_import_lines() -> list[str]:
    """A line for each old import path in plug-in files and installed methods."""
    sources = {target.source for target in (*OFFERS.plugins.values(), *OFFERS.of_packages.values())}
    return [line for source in sorted(sources) for line in old_imports.old_import_lines(source)]
