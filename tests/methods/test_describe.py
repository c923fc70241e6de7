"""What is read from a method's source is what runs, or it is refused with file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.methods import registry
from prunebench.methods.listing.agreement import check_agreement
from prunebench.methods.listing.budget import trained_epochs
from prunebench.methods.listing.describe import describe_class
from prunebench.methods.registry import add_plugin, create, describe, method_class, method_names

HEAD = """\
from __future__ import annotations
import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from prunebench.methods import magnitude
from prunebench.methods.bases.mask_pruner import MaskPruner
METHODS = {"mine": "Mine"}
"""
BODY = """
@dataclass(kw_only=True)
class Mine(MaskPruner):
    label: ClassVar[str] = "Mine"
    def score(self, name, weight): return weight.abs()
"""


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.OFFERS, "plugins", {})


def plugin(folder: Path, lines: str = "", head: str = "", body: str = BODY) -> Path:
    """A plug-in whose class has these additional lines; `head` is the text before the class."""
    path = folder / "mine.py"
    path.write_text(HEAD + head + body + "".join(f"    {line}\n" for line in lines.splitlines()), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("lines", "head", "name", "default"),
    [
        ("every: int = EVERY", "EVERY = 100\n", "every", 100),
        ("every: int = EVERY", "HALF = 50\nEVERY: int = 2 * HALF\n", "every", 100),
        ("share: float = 1 / 3", "", "share", 1 / 3),
        ("share: float = -(2 ** -4)", "", "share", -0.0625),
        ("share: float = field(default=0.5)", "", "share", 0.5),
        ("share: float = dataclasses.field(default=HALF, repr=False)", "HALF = 0.5\n", "share", 0.5),
        ("kept: tuple[float, ...] = (0.5, THIRD)", "THIRD = 1 / 3\n", "kept", (0.5, 1 / 3)),
        ("word: 'str' = 'a' + 'b'", "", "word", "ab"),
    ],
)
def test_a_default_is_read_as_python_computes_it(
    lines: str, head: str, name: str, default: Any, tmp_path: Path
) -> None:
    add_plugin(plugin(tmp_path, lines, head))
    read = describe("mine").options[name].default
    assert (type(read), read) == (type(default), default)
    assert getattr(create("mine", 0.5, {}), name) == default


@pytest.mark.parametrize(
    ("lines", "head", "message"),
    [
        ("every: int = int('3')", "", "the default of option 'every' must be a literal: int('3') is known only when"),
        ("every: int = EVERY", "", "EVERY is not a constant of this file"),
        ("every: int = EVERY", "EVERY = 1\nEVERY = 2\n", "EVERY is not a constant of this file"),
        ("every: int = EVERY", "if True:\n    EVERY = 1\n", "EVERY is not a constant of this file"),
        ("every: int = EVERY", "EVERY = 1\nfor EVERY in (2, 3): pass\n", "EVERY is not a constant of this file"),
        ("every: int = EVERY", "EVERY = 1\nEVERY += 1\n", "EVERY is not a constant of this file"),
        ("every: int = EVERY", "EVERY = 1\ndef f():\n    global EVERY\n    EVERY = 2\n", "EVERY is not a constant"),
        ("every: int = EVERY", "from math import e as EVERY\n", "EVERY is not a constant of this file"),
        ("every: int = score", "score = 1\n", "score is a name of the class"),
        ("every: int = A", "A = B\nB = A\n", "A is defined by itself"),
        ("every: int = 9 ** 9 ** 9", "", "too large a power"),
        ("every: int = 1 // 0", "", "1 // 0: integer division"),
        ("every: int", "", "option 'every' needs a default"),
        ("every: int = field()", "", "option 'every' needs a literal default: it has none"),
        ("every: tuple = field(default_factory=tuple)", "", "default_factory computes it"),
        ("every = 5", "", "option 'every' is set without an annotation"),
        ("every, power = 1, 2.0", "", "every must be set by a line of its own"),
        ("if True: every: int = 5", "", "every must be set by a line of its own"),
        ("mode: Literal[WORD] = 'a'", "", "a choice must be a literal"),
        ("version: ClassVar[int] = max(1, 2)", "", "version must be a literal"),
        ("version: ClassVar[int] = True", "", "version must be a whole number, not True"),
        ("family: ClassVar[str] = 3", "", "family must be a text, not 3"),
        ("paper: str = 'arXiv'", "", "paper must be annotated as ClassVar"),
        ("label: ClassVar[str] = f'{1}'", "", "label must be a literal"),
        ("label: ClassVar[str] = ' '", "", "method 'mine' has no label of its own"),
    ],
)
def test_what_is_known_only_when_the_file_runs_is_refused(lines: str, head: str, message: str, tmp_path: Path) -> None:
    path = plugin(tmp_path, lines, head)
    with pytest.raises(UserError) as caught:
        add_plugin(path)
    place = "class Mine" if "no label" in message else lines
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if text.strip().startswith(place))
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert message in str(caught.value)
    assert "mine" not in method_names(), "a refused plug-in leaves nothing behind"


@pytest.mark.parametrize("rule", ["no_such_module:count", "iterative_epochs", "iterative_epochs:no_such_function"])
def test_a_rule_of_epochs_that_is_not_there_is_named(rule: str, tmp_path: Path) -> None:
    add_plugin(plugin(tmp_path, f'epochs_rule: ClassVar[str] = "{rule}"'))
    with pytest.raises(UserError, match=f"epochs_rule '{rule}' must be a module of methods/"):
        trained_epochs(describe("mine"), 0.5, {}, 3)


def test_a_field_that_the_method_fills_itself_is_no_option(tmp_path: Path) -> None:
    add_plugin(plugin(tmp_path, "count: int = field(init=False, default=0)\n_seen: dict = field(init=False)"))
    assert "count" not in describe("mine").options
    assert create("mine", 0.5, {}).sparsity == 0.5


@pytest.mark.parametrize("base", ["magnitude.GlobalMagnitude", "MaskPruner"])
def test_bases_are_found_however_they_are_imported(base: str, tmp_path: Path) -> None:
    add_plugin(plugin(tmp_path, body=BODY.replace("MaskPruner", base)))
    assert describe("mine").options["scope"].default == "global"
    assert method_class("mine").label == "Mine"


def test_a_class_may_have_the_name_of_its_base(tmp_path: Path) -> None:
    path = plugin(tmp_path, body=BODY.replace("class Mine", "class MaskPruner"))
    path.write_text(path.read_text().replace('"mine": "Mine"', '"mine": "MaskPruner"'), encoding="utf-8")
    add_plugin(path)
    assert method_class("mine").label == describe("mine").label == "Mine"


SWAP = (
    "import copy\nMine.__dataclass_fields__['every'] = changed = copy.copy(Mine.__dataclass_fields__['every'])\nchanged"
)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ("Mine.version = 2", "version is 2 in the class and 1 in the file"),
        ("Mine.label = 'Other'", "label is 'Other' in the class and 'Mine' in the file"),
        (f"{SWAP}.default = 7", "option 'every' is 7 in the class and 0 in the file"),
        (f"{SWAP}.default = False", "option 'every' is False in the class and 0 in"),
    ],
)
def test_a_class_that_is_not_what_its_file_says_is_never_created(tail: str, message: str, tmp_path: Path) -> None:
    path = plugin(tmp_path)
    path.write_text(f"{path.read_text()}\n{tail}\n", encoding="utf-8")
    add_plugin(path)
    with pytest.raises(UserError, match=message):
        create("mine", 0.5, {})


def test_options_without_a_dataclass_are_none(tmp_path: Path) -> None:
    add_plugin(plugin(tmp_path, "share: float = 0.5", body=BODY.replace("@dataclass(kw_only=True)\n", "")))
    with pytest.raises(UserError, match="'share' is no option of the class"):
        create("mine", 0.5, {})


def test_every_method_of_the_suite_is_what_its_source_says() -> None:
    for name in method_names():
        check_agreement(method_class(name), describe(name))


def test_labels_are_of_one_method_each() -> None:
    labels = [describe(name).label for name in method_names()]
    assert len(set(labels)) == len(labels)
    assert all(label.strip() for label in labels)


def test_a_method_needs_a_label_of_its_own(tmp_path: Path) -> None:
    without = BODY.replace('    label: ClassVar[str] = "Mine"\n', "")
    for base in ("MaskPruner", "magnitude.GlobalMagnitude"):
        with pytest.raises(UserError, match=r"mine.py:\d+: method 'mine' has no label of its own"):
            add_plugin(plugin(tmp_path, body=without.replace("MaskPruner", base)))


def test_a_label_that_another_method_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has the label of method 'snip': 'SNIP'"):
        add_plugin(plugin(tmp_path, body=BODY.replace('"Mine"', '"SNIP"')))
    two = BODY + BODY.replace("class Mine", "class Other")
    path = plugin(tmp_path, body=two)
    path.write_text(path.read_text().replace('{"mine": "Mine"}', '{"mine": "Mine", "other": "Other"}'))
    with pytest.raises(UserError, match="has the label of method"):
        add_plugin(path)


def test_a_plugin_may_be_written_in_another_encoding(tmp_path: Path) -> None:
    path = plugin(tmp_path)
    path.write_bytes(b"# -*- coding: latin-1 -*-\n# M\xfcller\n" + path.read_bytes())
    assert add_plugin(path) == ["mine"]


@pytest.mark.parametrize(
    "content",
    [
        b"# M\xfcller\nMETHODS = {}",
        b"METHODS = {'a': ",
        b"a = " + b"(" * 500,
        b"x = 1\x00",
        b"x = " + b"-" * 100_000 + b"1",
    ],
)
def test_a_file_that_python_cannot_read_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not valid Python") as caught:
        add_plugin(path)
    assert "\n" not in str(caught.value)


def test_a_class_that_is_defined_twice_or_not_at_all(tmp_path: Path) -> None:
    path = plugin(tmp_path, body=BODY + BODY)
    with pytest.raises(UserError, match="class 'Mine' is defined twice"):
        describe_class("mine", path, None, "Mine")
    with pytest.raises(UserError, match="holds no class 'Other'"):
        describe_class("mine", path, None, "Other")


def test_a_description_is_the_docstring_without_its_first_line_and_its_options(tmp_path: Path) -> None:
    docstring = '''
    """Keep the large ones. Someone, 2020.

    Theirs keeps ties:
    ours does not.

    Options:
        every: steps between events,
            at least one.

    Biases stay dense.
    """
'''
    body = BODY.replace("(MaskPruner):\n", f"(MaskPruner):{docstring}", 1)
    add_plugin(plugin(tmp_path, body=body))
    info = describe("mine")
    assert info.summary == "Keep the large ones. Someone, 2020."
    assert info.description == "Theirs keeps ties:\nours does not.\n\nBiases stay dense."
    assert info.options["every"].meaning == "steps between events, at least one."
