"""docs/options.md: every key of study files and profiles, and every option of methods, networks and data sets.

Types, defaults and bounds are those of the typed models that check the files; what a key means is the text below it.
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from prunebench.benchmark.api.options import SIGNS, allowed
from prunebench.benchmark.cli.option_facts import KINDS_WITH_OPTIONS
from prunebench.benchmark.cli.show import spelled
from prunebench.benchmark.launch.durations import seconds_of
from prunebench.benchmark.models.registry import model_names
from prunebench.benchmark.runs.run import Recipe
from prunebench.benchmark.studies.names import Named
from prunebench.benchmark.studies.recipe_schema import RecipeFile, TrainFile
from prunebench.benchmark.studies.schema import (
    Budget,
    Controls,
    Entry,
    StudyFile,
    ThreeRegime,
    ThresholdsFile,
)
from prunebench.benchmark.studies.tune_schema import OtherScenario, SharedSpace, TuneFile
from prunebench.datasets.registry import all_names
from prunebench.methods.registry import describe, method_names
from prunebench.slurm.cluster_profile import Profile
from prunebench.slurm.container import Container
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_SECTIONS = (
    ("Study files", StudyFile, "`extends: NAME` takes all other keys from another study."),
    ("Entries of `runs`", Entry, "An entry is a run for each method, sparsity, seed and combination of `grid`."),
    (
        "Recipes",
        TrainFile,
        "Of `train`, `finetune`, `scratch` and `override`. Keys that are not given: see README.md.",
    ),
    ("`budget`", Budget, "[fair.md](fair.md) says what follows from it."),
    ("`controls`", Controls, "Kinds of controls are explained in [fair.md](fair.md)."),
    ("`three_regime`", ThreeRegime, "What the study is: [three-regime.md](three-regime.md)."),
    ("Its `thresholds`", ThresholdsFile, "Each has a default, which is no number of the paper's."),
    (
        "`tune`",
        TuneFile,
        "Trials for every row: [tuning.md](tuning.md). Values to try are a range, `{low: 0.01, high: 1, log: true}`, "
        "or a list of choices.",
    ),
    ("Its `train`", SharedSpace, "Knobs that every method has."),
    ("Its `on`", OtherScenario, "Where track B tunes."),
    ("`dataset` and `model`", Named, "A bare name is a name without options."),
    ("Profiles of clusters", Profile, "Files for `submit --profile`; [slurm/README.md](../slurm/README.md)."),
    ("Their `container`", Container, "Jobs in an image; [slurm/README.md](../slurm/README.md) says what is needed."),
)


def page() -> str:
    """The whole page as Markdown."""
    parts = ["# Options", "Made by `python tools/update_readme.py` from the models that check the files."]
    for title, model, said in _SECTIONS:
        parts += [f"## {title}", said, "\n".join(keys_table(model))]
    for title, kind, names in (
        ("Methods", "methods", method_names()),
        ("Networks", "models", model_names()),
        ("Data sets", "datasets", all_names()),
    ):
        parts += [f"## {title}", f"`prunebench show NAME` prints these, `prunebench list {kind} --json` all of them."]
        for name in names:
            heading = f"### {name}" + (f": {describe(name).label}" if kind == "methods" else "")
            parts += [heading, "\n".join(options_table(KINDS_WITH_OPTIONS[kind](name)))]
    return "\n\n".join(parts) + "\n"


def keys_table(model: type[BaseModel]) -> Iterator[str]:
    """One row a key of a typed model."""
    yield "| key | takes | default | meaning |"
    yield "|---|---|---|---|"
    said = meanings_below(model)
    recipe = {field.name: field.default for field in vars(Recipe)["__dataclass_fields__"].values()}
    for name, info in model.model_fields.items():
        default = recipe.get(name, info.default) if model is TrainFile else info.default
        is_required = info.is_required() or (model is TrainFile and name == "epochs")
        shown = "required" if is_required else _default(default)
        yield f"| `{name}` | {_takes(info)} | {shown} | {said.get(name, '')} |"


def meanings_below(model: type[BaseModel]) -> dict[str, str]:
    """The text below each key of the model's source."""
    found = meanings_below(model.__base__) if model.__base__ and issubclass(model.__base__, RecipeFile) else {}
    body = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(body, ast.ClassDef)
    for statement, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[ast.unparse(statement.target)] = " ".join(str(below.value.value).split())
    return found


def _takes(info: FieldInfo) -> str:
    """In words what values a key takes."""
    if any(getattr(each, "func", None) is seconds_of for each in info.metadata):
        return "a duration"
    limits = {key: getattr(each, key) for each in info.metadata for key in SIGNS if hasattr(each, key)}
    return _words(info.annotation) + " and".join(f" {SIGNS[key]} {bound}" for key, bound in limits.items())


def _words(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(each) for each in arguments if each is not type(None))
    if origin is list:
        return f"a list, each {_words(arguments[0])}"
    if origin is dict:
        return "a mapping"
    if hint is Any:
        return "a range or a list"
    if origin is Annotated:
        inner = [extra for extra in arguments[1:] if isinstance(extra, FieldInfo)]
        return _words(arguments[0]) + "".join(allowed(Annotated[int, extra])[len("an integer") :] for extra in inner)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _MODELS[hint]
    return allowed(hint)


_MODELS = {
    RecipeFile: "a recipe",
    TrainFile: "a recipe",
    Entry: "an entry",
    Budget: "a mapping",
    Controls: "a mapping",
    Named: "a name with options",
    Container: "a mapping",
    ThreeRegime: "a mapping",
    ThresholdsFile: "a mapping",
    TuneFile: "a mapping",
    SharedSpace: "a mapping",
    OtherScenario: "a mapping",
}


def _default(value: Any) -> str:
    if value is None or value == {} or value == [] or isinstance(value, BaseModel):
        return "–"
    return f"`{spelled(value)}`"


def options_table(options: dict[str, dict[str, Any]]) -> Iterator[str]:
    if not options:
        yield "No options."
        return
    yield "| option | takes | default | meaning |"
    yield "|---|---|---|---|"
    for name, facts in options.items():
        searched = f" Tuned over: {facts['searched']}." if facts.get("searched") else ""
        meaning = (facts["meaning"] + searched).replace("|", "\\|")
        yield f"| `{name}` | {facts['type']} | `{spelled(facts['default'])}` | {meaning} |"
