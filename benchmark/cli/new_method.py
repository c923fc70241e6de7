"""The command new-method: a method file to start from, and a small study."""

from __future__ import annotations

import importlib.util
import keyword
import sys
from pathlib import Path

import click

from ..api.errors import UserError
from .options import say
from .output import write

_MAX_NAME = 60
"""`try-NAME` must be a valid study name."""


@click.command("new-method")
@click.argument("name")
@click.option(
    "--shape", type=click.Choice(["score", "gradual", "dynamic"]), default="score",
    help="score: how important is a weight? gradual: masks move during training. dynamic: drop and grow.",
)  # fmt: skip
@click.option(
    "--output", "folder", type=click.Path(path_type=Path), default=Path(), metavar="DIR", help="Where the files go."
)
def new_method(name: str, shape: str, folder: Path) -> None:
    """Write a method file to start from, and a small study that compares it with a method of the suite.

    NAME is its name in studies, e.g. my_method. The study names the file as its plug-in, so both work at once.
    """
    from ...methods.templates import BESIDE, SHAPES, STUDY

    path, study = folder / f"{name}.py", folder / f"try-{name}.yaml"
    _check_name(name, (path, study))
    words = name.split("_")
    content = SHAPES[shape].substitute(
        name=name, class_name="".join(word.title() for word in words), title=" ".join(words).title()
    )
    write(path, content)
    write(study, STUDY.substitute(name=name, beside=BESIDE[shape]))
    print(path)
    print(study)
    say(f"next: prunebench check {name} --plugin {path}")
    say(f"then: prunebench run {study}")
    say(f"      prunebench table {study}")


def _check_name(name: str, files: tuple[Path, ...]) -> None:
    """Raises UserError for a name that a method, a file or a Python module has already, or that Python cannot take."""
    from ...methods.registry import method_names

    if not (name.isidentifier() and name.isascii() and name == name.lower() and len(name) <= _MAX_NAME):
        allowed = f"at most {_MAX_NAME} lower case letters, digits and underscores, not a digit first"
        raise UserError(f"method name {name!r} must be {allowed}")
    if name in method_names():
        raise UserError(f"method {name!r} exists already; choose another name")
    for file in files:
        if file.exists():
            raise UserError(f"{file} exists already")
    if keyword.iskeyword(name):
        raise UserError(f"method name {name!r} is a keyword of Python; choose another name")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise UserError(f"method name {name!r} is that of a Python module, which {name}.py would hide; choose another")


COMMANDS = (new_method,)
