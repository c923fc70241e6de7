"""The commands new-method, new-model and new-dataset: a file of code to start from, and a small study."""

from __future__ import annotations

import importlib.util
import keyword
import sys
from pathlib import Path
from string import Template

import click

from ..api.errors import UserError
from .options import say
from .output import write

_MAX_NAME = 60
"""`try-NAME` must be a valid study name."""


_STUDY = Template("""\
extends: demo        # its $shared, shortened; see README.md, Running a study
name: try-$name
plugins: [$name.py]
${subject}seeds: [0, 1, 2]
train: {epochs: 3}
finetune: {epochs: 2}
scratch: {epochs: 5}
runs:
  - method: dense
  - method: [$methods]
    sparsity: [$sparsities]
""")
"""`subject` is the line of the network or data set that the demo does not have."""
_OF_SUITE = {"methods": "global_mp, snip", "sparsities": "80%, 90%"}
"""What prunes a new network, or on new data."""

_folder_option = click.option(
    "--output", "folder", type=click.Path(path_type=Path), default=Path(), metavar="DIR", help="Where the files go."
)


@click.command("new-method")
@click.argument("name")
@click.option(
    "--shape", type=click.Choice(["score", "gradual", "dynamic"]), default="score",
    help="score: how important is a weight? gradual: masks move during training. dynamic: drop and grow.",
)  # fmt: skip
@_folder_option
def new_method(name: str, shape: str, folder: Path) -> None:
    """Write a method file to start from, and a small study that compares it with a method of the suite.

    NAME is its name in studies, e.g. my_method. The study names the file as its plug-in, so both work at once.
    """
    from ...methods.templates import BESIDE, SHAPES

    path, study = folder / f"{name}.py", folder / f"try-{name}.yaml"
    check_name("method", name, (path, study))
    shared, methods = "network, data set and recipes", f"{BESIDE[shape]}, {name}"
    write_both(name, path, SHAPES[shape], study, shared=shared, subject="", methods=methods, sparsities="90%, 95%")


@click.command("new-model")
@click.argument("name")
@_folder_option
def new_model(name: str, folder: Path) -> None:
    """Write a file with a network to start from, and a small study that prunes it.

    NAME is its name in studies, e.g. my_net. The study names the file as its plug-in, so both work at once.
    """
    from ..models.template import MODEL

    path, study = folder / f"{name}.py", folder / f"try-{name}.yaml"
    check_name("model", name, (path, study))
    subject = f"model: {name}         # with options: {{name: {name}, options: {{width: 8}}}}\n"
    write_both(name, path, MODEL, study, shared="data set and recipes", subject=subject, **_OF_SUITE)


@click.command("new-dataset")
@click.argument("name")
@_folder_option
def new_dataset(name: str, folder: Path) -> None:
    """Write a file with a data set to start from, and a small study on it.

    NAME is its name in studies, e.g. my_data. Images and arrays in files need no code: see docs/own-data.md.
    """
    from ...datasets.parts.template import DATASET

    path, study = folder / f"{name}.py", folder / f"try-{name}.yaml"
    check_name("data set", name, (path, study))
    subject = f"dataset: {name}       # with options: {{name: {name}, options: {{noise: 30}}}}\n"
    write_both(name, path, DATASET, study, shared="network and recipes", subject=subject, **_OF_SUITE)


def write_both(name: str, path: Path, code: Template, study: Path, **words_of_study: str) -> None:
    """Write the file and its study, and say what comes next."""
    words = name.split("_")
    names = {"name": name, "class_name": "".join(word.title() for word in words), "title": " ".join(words).title()}
    write(path, code.substitute(names))
    write(study, _STUDY.substitute(name=name, **words_of_study))
    print(path)
    print(study)
    say(f"next: prunebench check {name} --plugin {path}")
    say(f"then: prunebench run {study}")
    say(f"      prunebench table {study}")


def check_name(kind: str, name: str, files: tuple[Path, ...]) -> None:
    """Raises UserError for a name that something of the suite, a file or a Python module has, or Python cannot take."""
    from ...datasets.registry import all_names
    from ...methods.registry import method_names
    from ..models.registry import model_names

    if not (name.isidentifier() and name.isascii() and name == name.lower() and len(name) <= _MAX_NAME):
        allowed = f"at most {_MAX_NAME} lower case letters, digits and underscores, not a digit first"
        raise UserError(f"{kind} name {name!r} must be {allowed}")
    for other, names in (("method", method_names()), ("model", model_names()), ("data set", all_names())):
        if name in names:
            raise UserError(f"{other} {name!r} exists already; choose another name")
    for file in files:
        if file.exists():
            raise UserError(f"{file} exists already")
    if keyword.iskeyword(name):
        raise UserError(f"{kind} name {name!r} is a keyword of Python; choose another name")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise UserError(f"{kind} name {name!r} is that of a Python module, which {name}.py would hide; choose another")


COMMANDS = (new_method, new_model, new_dataset)
