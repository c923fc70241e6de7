"""Methods, models or data sets by name: where their code is, and who offers it. Nothing here imports torch."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import UserError, unknown
from .plugin_files import load_file


@dataclass(frozen=True)
class Offer:
    """Where a class or a function is: in an importable module, or in a plug-in file (then `module` is None).

    `package`: name and version of the installed package that offers it.
    """

    source: Path
    module: str | None
    attribute: str
    package: tuple[str, str] | None = None

    def load(self) -> Any:
        """Import the code and return the class or the function. Raises UserError for a plug-in that does not load."""
        module = importlib.import_module(self.module) if self.module else load_file(self.source)
        if not hasattr(module, self.attribute):
            raise UserError(f"plug-in {self.source}: there is no {self.attribute!r}")
        return getattr(module, self.attribute)


@dataclass
class Offers:
    """All offers of one kind: those of the suite, of installed packages and of plug-in files.

    Attributes:
        kind: what messages call it, such as "method".
        table: of the suite, name -> "module:attribute"; the modules are in `folder`, which is the package `package`.
        group: the entry points of installed packages.
        plugins: of the plug-in files that were added.
    """

    kind: str
    table: Mapping[str, str]
    folder: Path
    package: str
    group: str
    plugins: dict[str, Offer] = field(default_factory=dict)

    @functools.cached_property
    def of_suite(self) -> dict[str, Offer]:
        found: dict[str, Offer] = {}
        for name, value in self.table.items():
            module, _, attribute = value.partition(":")
            found[name] = Offer(self.folder / f"{module}.py", f"{self.package}.{module}", attribute)
        return found

    @functools.cached_property
    def of_packages(self) -> dict[str, Offer]:
        """Raises UserError for a name that the suite has."""
        found: dict[str, Offer] = {}
        for point in importlib.metadata.entry_points(group=self.group):
            spec = importlib.util.find_spec(point.module)
            if spec is None or spec.origin is None:
                raise UserError(f"entry point {point.name!r}: module {point.module!r} is not installed")
            if point.name in self.table:
                raise UserError(
                    f"entry point {point.name!r} of {spec.origin} has the name of a {self.kind} of the suite"
                )
            package = (point.dist.name, point.dist.version) if point.dist else None
            found[point.name] = Offer(Path(spec.origin), point.module, point.attr, package)
        return found

    def all(self) -> dict[str, Offer]:
        return {**self.of_packages, **self.plugins, **self.of_suite}

    def find(self, name: str) -> Offer:
        """Raises UserError for an unknown name."""
        known = self.all()
        if name not in known:
            raise self.unknown(name)
        return known[name]

    def unknown(self, name: str) -> UserError:
        """A name that no table, entry point or plug-in has."""
        advice = f"a {self.kind} of your own needs --plugin FILE, or plugins: in its study"
        return unknown(self.kind, name, self.all(), advice)

    def check_free(self, path: str | Path, name: str, source: Path) -> None:
        """Raises UserError for a name that something else than this file has."""
        known = self.all().get(name)
        if known is not None and known.source != source:
            raise UserError(f"plug-in {path}: {self.kind} {name!r} exists already, in {known.source}")

    def add(self, source: Path, table: Mapping[str, str]) -> None:
        """Register what a plug-in file has in its table."""
        self.plugins.update({name: Offer(source, None, attribute) for name, attribute in table.items()})

    def plugin_files(self) -> set[Path]:
        return {offer.source for offer in self.plugins.values()}
