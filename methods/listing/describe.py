"""Describe a method class from its source, without importing it: torch takes seconds to load.

Labels, papers and options are attributes of the class and nowhere else; listing and checking a study must stay fast.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...benchmark.api.errors import UserError
from ...benchmark.api.option_docs import meanings, prose
from ...benchmark.api.plugin_files import parse_source as parse_source
from .annotations import Option as Option
from .class_body import INFO_FIELDS, ClassBody, defines
from .literals import bindings
from .source_facts import uncertain_of, year_of
from .source_files import locate_base

_ROUNDS = ("rounds", "first_epoch")
"""What says how often, and from which epoch on, the recipe is run."""


@dataclass(frozen=True, kw_only=True)
class MethodInfo:
    """The description of a method; `start` is the default of its option of that name.

    `epochs_rule` is None for a class with rounds of its own that does not say how many epochs they train.
    `borrows`: the option that names another method, of whose mask this one makes a control; empty for most.
    `search_space`: options that a search may change, each with its values as a study file writes them.
    `summary` is the first line of the docstring, `description` what follows it but the options: defaults, differences.
    `uncertain`: what of the method could not be checked, from its docstring; empty for most.
    """

    name: str
    label: str
    family: str
    paper: str
    needs: str
    version: int
    reaches_target: bool
    keeps_network: bool
    epochs_rule: str | None
    borrows: str
    search_space: Mapping[str, Any]
    summary: str
    description: str
    uncertain: str
    options: Mapping[str, Option]
    origin: str

    @property
    def start(self) -> str:
        return self.options["start"].default

    @property
    def year(self) -> int | None:
        """Of the first publication; None for a control without a paper."""
        return year_of(self.paper)


@dataclass(frozen=True)
class _Class:
    """A class and its bases; `docstring` is its own, `line` that of the class.

    `meanings`: of the options, by name, from the docstrings of all of them.
    """

    facts: Mapping[str, Any]
    options: Mapping[str, Option]
    meanings: Mapping[str, str]
    docstring: str
    line: int
    has_label: bool


def describe_class(name: str, source: Path, module: str | None, class_name: str) -> MethodInfo:
    """Collect the attributes of a class and of its bases.

    Raises UserError with file and line where the source does not hold the class, or a label, another class attribute or
    an option's default that is not written there: ids and tables depend on them, so nothing is guessed.
    """
    found = _collect(source, module, class_name)
    missing = [key for key in INFO_FIELDS if key not in found.facts]
    place = f"{source}:{found.line}"
    if missing or "start" not in found.options:
        raise UserError(f"{place}: method {name!r}: class {class_name} must derive from Pruner or MaskPruner")
    if not (found.has_label and found.facts["label"].strip()):
        raise UserError(
            f"{place}: method {name!r} has no label of its own; give class {class_name} label: ClassVar[str]"
        )
    facts = {key: found.facts[key] for key in INFO_FIELDS}
    options = {key: replace(option, meaning=found.meanings.get(key, "")) for key, option in found.options.items()}
    first, uncertain = found.docstring.split("\n")[0], uncertain_of(found.docstring)
    said = {"summary": first, "description": prose(found.docstring), "uncertain": uncertain}
    return MethodInfo(name=name, options=options, origin=str(source), **said, **facts)


@functools.cache
def _collect(source: Path, module: str | None, class_name: str) -> _Class:
    """Base classes first, so that a subclass overrides; most methods share theirs, hence the cache."""
    tree = parse_source(source)
    node = _only_class(tree, source, class_name)
    reader = ClassBody(source, tree)
    means: dict[str, str] = {}
    for base in reversed(node.bases):
        location = locate_base(tree, source, module, base, node)
        if location is not None:
            inherited = _collect(*location)
            reader.facts.update(inherited.facts)
            reader.options.update(inherited.options)
            means.update(inherited.meanings)
    reader.own = set()
    reader.names = {name for statement in node.body for name, _ in bindings(statement)}
    for statement in node.body:
        reader.take(statement)
    # The rule of a base class counts the rounds of that class only.
    if node.bases and "epochs_rule" not in reader.own and any(defines(statement, _ROUNDS) for statement in node.body):
        reader.facts["epochs_rule"] = None
    docstring = ast.get_docstring(node) or ""
    means.update(meanings(docstring))
    return _Class(reader.facts, reader.options, means, docstring, node.lineno, "label" in reader.own)


def _only_class(tree: ast.Module, source: Path, name: str) -> ast.ClassDef:
    found = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name]
    if not found:
        raise UserError(f"{source} holds no class {name!r}")
    if len(found) > 1:
        raise UserError(f"{source}:{found[1].lineno}: class {name!r} is defined twice")
    return found[0]
