"""Studies and profiles are plain data of bounded size; anything else in a file is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.studies.yaml_nodes import MAX_DEPTH, parse
from prunebench.benchmark.studies.yaml_source import Source, override, read_yaml


def test_numbers_dates_and_words_are_what_a_reader_takes_them_for() -> None:
    text = "[1e-4, 5E-4, 1e5, +1.5e3, -.5e1, 2., 1_000, 7, '1e5', 2024-02-30, 1e, e5, ~, true]"
    found = parse(text, "f").value
    assert found == [1e-4, 5e-4, 1e5, 1.5e3, -5.0, 2.0, 1000, 7, "1e5", "2024-02-30", "1e", "e5", None, True]
    assert [type(value) for value in found[:8]] == [float] * 6 + [int] * 2


def test_aliases_are_copies_and_merges_can_be_overridden() -> None:
    parsed = parse("base: &b {epochs: 1, lr: 2}\nsame: *b\nmore: {<<: *b, lr: 3}\nboth: {<<: [{lr: 9}, *b]}\n", "f")
    recipe = {"epochs": 1, "lr": 2}
    assert parsed.value == {
        "base": recipe,
        "same": recipe,
        "more": {"epochs": 1, "lr": 3},
        "both": {"epochs": 1, "lr": 9},
    }
    assert parsed.places[("same",)] == "f:2"
    parsed.value["same"]["epochs"] = 5
    assert parsed.value["base"]["epochs"] == 1


def _chain(line: str) -> str:
    return "a0: &a0 {x: 1}\n" + "".join(line.format(i=i, j=i - 1) + "\n" for i in range(1, 400))


def _bomb(line: str) -> str:
    return "a0: &a0 {x: 1}\n" + "".join(
        line.format(i=i, many=", ".join([f"*a{i - 1}"] * 9)) + "\n" for i in range(1, 30)
    )


BAD = {
    "alias bomb": (_bomb("a{i}: &a{i} [{many}]"), "f holds more than 200,000 values, aliases written out"),
    "merge bomb": (_bomb("a{i}: &a{i} {{<<: [{many}]}}"), "f holds more than 200,000 values, aliases written out"),
    "alias chain": (_chain("a{i}: &a{i} [*a{j}]"), "levels deep through aliases"),
    "merge chain": (_chain("a{i}: &a{i} {{<<: *a{j}}}"), "levels deep through aliases"),
    "list in itself": ("a: 1\nb: &b [*b]", "f:2: a value contains itself through an alias"),
    "mapping in itself": ("a: &a {b: *a}", "contains itself"),
    "merge of itself": ("a: &a {<<: *a}", "contains itself"),
    "tag": ("a: 1\nx: !!python/object:os.system 1", "f:2: tag !!python/object:os.system is not allowed"),
    "tag of a list": ("x: !!set {a}", "f:1: tag !!set is not allowed"),
    "impossible date": ("x: !!timestamp 2024-02-30", "tag !!timestamp is not allowed"),
    "own tag": ("x: !mine 3", "tag !mine is not allowed"),
    "wrong tag": ("x: !!int many", "f:1: 'many' cannot be read as int"),
    "no number at all": ('x: !!int ""', "cannot be read as int"),
    "huge integer": (f"x: {'9' * 5000}", "cannot be read as int"),
    "large integer": (f"a: 1\nx: {2**63}", f"f:2: the number {2**63} is beyond 64 bits"),
    "infinity": ("x: .inf", "f:1: .inf is not a finite number"),
    "overflow": ("x: 1e999", "f:1: 1e999 is not a finite number"),
    "no number": ("x: .nan", "f:1: .nan is not a finite number"),
    "deep flow": ("[" * 100_000, "not valid YAML"),
    "deep mapping": ("{a: " * (MAX_DEPTH + 1), f"f:1: nested more than {MAX_DEPTH} levels deep"),
    "key twice": ("x: 1\nx: 2", "f:2: key 'x' stands twice"),
    "list as key": ("? [a]\n: b", "f:1: a key must be a word"),
    "merge of a number": ("<<: 5", "`<<` merges mappings only"),
    "open list": ("[1,2\n", "sequence at line 1, column 1"),
    "two documents": ("a: 1\n---\nb: 2", "f is not valid YAML"),
    "control character": ("x: \x00", "f is not valid YAML"),
    "half a character": ("x: \ud800", "f is not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_plain_data_is_one_line(name: str) -> None:
    text, message = BAD[name]
    with pytest.raises(UserError) as caught:
        parse(text, "f")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(item) for key, item in value.items())
    return all(map(_plain, value)) if isinstance(value, list) else isinstance(value, str | int | float | None)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab01:-[]{}&*!<?|>%@'\" \n,.e~#"), max_size=40) | st.text(max_size=20))
@example("&a [*a]")
@example("!!")
def test_any_text_is_plain_data_or_one_line(text: str) -> None:
    message, value = "", None
    try:
        value = parse(text, "f").value
    except UserError as error:
        message = str(error)
    assert "\n" not in message
    assert _plain(value)


@settings(max_examples=200, deadline=None)
@example("\n")
@example("0=")
@given(st.text(max_size=30) | st.from_regex(r"[a-z0-9.]{1,12}=[\[\]{}a0&*!:, ]{0,9}", fullmatch=True))
def test_any_assignment_changes_one_value_or_is_one_line(assignment: str) -> None:
    source = Source("f", {"a": {"b": [1, 2]}, "c": 3})
    message = ""
    try:
        override(source, assignment)
    except UserError as error:
        message = str(error)
    assert "\n" not in message
    assert _plain(source.data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\ntitle: M\xfcller\n", "s.yaml:2: not UTF-8 text"),
        (b"[1, 2]", "must hold a mapping"),
        (b"", "must hold a mapping"),
        (b"a: " + b"x" * 4_000_000, "is larger than 4 MB"),
    ],
)
def test_files_that_are_no_study(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_yaml(path)
