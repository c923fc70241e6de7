"""The command show: what a study resolves to, and the options of a method, a network or a data set."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import click

from ..analysis.plain_text import one_line
from ..api.errors import UserError, unknown
from ..runs.run import to_dict
from .options import Selection, add_plugins, json_option, print_json, selection_options

_WIDTH = 100
_BELOW = ("description", "costs", "example", "run")
"""Facts of a method that stand below the others, in lines of their own."""


def _complete_name(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in sorted(_kinds()) if name.startswith(incomplete)]


@click.command
@click.argument("name", metavar="STUDY|METHOD|MODEL|DATASET", shell_complete=_complete_name)
@selection_options
@json_option
def show(name: str, selection: Selection, as_json: bool) -> None:
    """Print a study's resolved configuration, or the options of a method, model or data set.

    Of a study: each value and where it comes from. Of the others: type, default, bounds and meaning of each option.
    """
    if name.endswith((".yaml", ".yml")):
        _show_study(name, selection, as_json)
        return
    add_plugins(selection.plugins)
    kinds = _kinds()
    if name not in kinds:
        raise unknown("name", name, kinds, "a study of your own is given as a path that ends in .yaml")
    if kinds[name] == "studies":
        _show_study(name, selection, as_json)
        return
    if selection.assignments or selection.only:
        raise UserError(f"--set and --only select values and runs of a study; {name!r} is none")
    shown = _described(kinds[name], name)
    if as_json:
        print_json(shown)
        return
    for line in _lines(shown):
        print(one_line(line))


def _kinds() -> dict[str, str]:
    """What each name is: a kind of `list`. No two kinds share a name."""
    from ...datasets.registry import all_names
    from ...methods.registry import method_names
    from ..models.registry import model_names
    from ..studies.load import study_names

    kinds = {"methods": method_names(), "models": model_names(), "datasets": all_names(), "studies": study_names()}
    return {name: kind for kind, names in kinds.items() for name in names}


def _described(kind: str, name: str) -> dict[str, Any]:
    from .method_facts import method_facts
    from .option_facts import KINDS_WITH_OPTIONS

    facts = {"methods": method_facts, "models": _model, "datasets": _dataset}[kind](name)
    return {"name": name, "kind": kind.removesuffix("s"), **facts, "options": KINDS_WITH_OPTIONS[kind](name)}


def _model(name: str) -> dict[str, Any]:
    import ast

    from ..models.registry import builder_source, source_file

    summary = (ast.get_docstring(builder_source(name)) or "").split("\n")[0]
    return {"summary": summary, "file": str(source_file(name))}


def _dataset(name: str) -> dict[str, Any]:
    from ...datasets.registry import dataset_class, describe, is_own

    summary = (dataset_class(name).__doc__ or "").split("\n")[0]
    if is_own(name):
        return {"summary": summary, "licence": "your own"}
    info = describe(name)
    return {
        "summary": summary, "title": info.title, "input": "x".join(map(str, info.input_shape)),
        "classes": info.num_classes, "train": info.num_train, "test": info.num_test, "licence": info.licence,
        "source": info.source,
    }  # fmt: skip


def _lines(shown: dict[str, Any]) -> Iterator[str]:
    """Facts, then a line for each option with its default and what it takes, and its meaning below it."""
    yield f"{shown['name']} ({shown['kind']})"
    for key, value in shown.items():
        if key == "uncertain":
            yield from textwrap.wrap(value, _WIDTH, initial_indent="  uncertain: ", subsequent_indent=" " * 13)
        elif key not in ("name", "kind", "options", *_BELOW):
            yield f"  {key:<8} {'-' if value is None else value}"
    if shown["kind"] == "method":
        yield from _about_method(shown)
    yield "options, as a study gives them:" if shown["options"] else "no options"
    for name, facts in shown["options"].items():
        yield f"  {name} = {spelled(facts['default'])}    # {facts['type']}"
        yield from _wrapped(facts["meaning"])
        if facts.get("searched"):
            yield f"      tuned over: {facts['searched']}"


def _about_method(shown: dict[str, Any]) -> Iterator[str]:
    """The rest of the docstring, the measured cost, and how a study asks for the method."""
    for paragraph in shown["description"].split("\n\n") if shown["description"] else ():
        yield from _wrapped(" ".join(paragraph.split()))
    yield "cost:"
    for cost in shown["costs"] or ["not measured"]:
        yield from _wrapped(cost)
    yield "in a study, under `runs`:"
    yield f"      {shown['example']}"
    if shown["run"]:
        yield f"      {shown['run']}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def spelled(value: Any) -> str:
    """A value as a study file spells it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(spelled, value))}]"
    words = {None: "null", True: "true", False: "false", "": "''"}
    return words[value] if value is None or isinstance(value, bool) or value == "" else str(value)


def _show_study(study: str, selection: Selection, as_json: bool) -> None:
    opened = selection.open(study)
    if as_json:
        print_json({"study": opened.name, "runs": [{"id": r.id, **to_dict(r)} for r in opened.runs]})
        return
    for key, value in _flatten(opened.source.data):
        place = opened.source.place(tuple(int(part) if part.isdecimal() else part for part in key))
        print(f"{'.'.join(key)} = {value!r}    # {place}")
    recipes = {repr(run.recipe): run.recipe for run in opened.runs}
    for recipe in recipes.values():
        used = sorted({run.method for run in opened.runs if run.recipe == recipe})
        print(f"\nrecipe of {', '.join(used)} (defaults included):")
        for key, value in vars(recipe).items():
            print(f"  {key} = {value!r}")


def _flatten(data: Any, key: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    if isinstance(data, dict) and data:
        return [item for name, value in data.items() for item in _flatten(value, (*key, str(name)))]
    if isinstance(data, list) and any(isinstance(value, dict) for value in data):
        return [item for index, value in enumerate(data) for item in _flatten(value, (*key, str(index)))]
    return [(key, data)]


COMMANDS = (show,)
