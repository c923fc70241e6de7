"""Bad input of any kind gives one line and exit code 2 before anything runs; good input does what was meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.studies.load import load_study

COMMAND = (sys.executable, "-m", "prunebench.benchmark.cli")
STUDY = """\
name: study
dataset: digits
model: convnet-small
train: &recipe {epochs: 1}
finetune: *recipe
seeds: [0]
runs:
  - {method: dense}
  - method: global_mp
    sparsity: [90%, 95%]
    grid: {minimum_threshold: [0.1, 0.2], minimum_threshold_mode: [rescale, protect]}
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(STUDY, encoding="utf-8")
    return "study.yaml"


def refused(text: str, *arguments: str) -> str:
    """The error message for a study file with this text."""
    Path("bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_study("bad.yaml", arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_set_changes_one_place_of_an_anchor(study: str) -> None:
    file = load_study(study, ["finetune.epochs=5"]).file
    assert (file.train.epochs, file.finetune.epochs) == (1, 5)


@pytest.mark.parametrize(
    ("only", "number"),
    [
        ("sparsity=0.90", 4), ("sparsity=90%", 4), ("sparsity=90%,0.950", 8), ("seed=0", 9),
        ("label=Global MP (minimum_threshold=0.1, minimum_threshold_mode=protect)", 2),
        ("label=Dense, Global MP (minimum_threshold=0.1, minimum_threshold_mode=protect)", 3),
        ("method=dense,global_mp", 9),
    ],
)  # fmt: skip
def test_only_takes_values_as_they_are_shown_and_as_they_are_written(study: str, only: str, number: int) -> None:
    assert len(load_study(study, only=[only]).rows) == number


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("method=dense,snp", "'snp'; method is one of dense, global_mp"),
        ("sparsity=0.9,most", "'most'; sparsity is one of 0%, 90%, 95%"),
        ("seed=-1", "seed is one of 0"),
        ("label=Dense,", "'';"),
    ],
)
def test_a_value_of_only_that_matches_nothing_is_refused(study: str, only: str, message: str) -> None:
    with pytest.raises(UserError, match=f"matches no run.*{message}"):
        load_study(study, only=[only])


DENSE = "  - {method: dense}\n"


@pytest.mark.parametrize(
    ("entries", "difference"),
    [
        ("  - {method: [snip, grasp], sparsity: 90%, label: both}\n", "method: snip and grasp"),
        ("  - {method: snip, sparsity: 90%, grid: {mode: [train, eval]}, label: a}\n", "method_options: "),
        (
            "  - {method: snip, sparsity: 90%}\n  - {method: snip, sparsity: [80%, 90%], model_options: {width: 4}}\n",
            "model_options: none and width=4",
        ),
        (
            "  - {method: snip, sparsity: 90%}\n  - {method: snip, sparsity: 90%, scratch: {epochs: 3}}\n",
            "recipe.epochs: 1 and 3",
        ),
        ("  - {method: dense, model_options: {width: 4}}\n", "model_options: none and width=4"),
    ],
)
def test_two_different_runs_in_one_cell_are_refused(study: str, entries: str, difference: str) -> None:
    text = STUDY.split("  - method")[0] + entries
    message = refused(text)
    line = text.rstrip().count("\n") + 1
    assert message.startswith(f"bad.yaml:{line}: label ")
    assert difference in message


def test_a_pruned_row_with_the_label_of_the_dense_one_is_refused(study: str) -> None:
    head = STUDY.split("  - method")[0]
    # also where the dense training that runs start from appears in tables only
    for listed in (head, head.split("runs:")[0] + "runs:\n"):
        message = refused(listed + "  - {method: snip, sparsity: 90%, label: Dense}\n")
        assert "label 'Dense' of method 'snip' is that of the dense row" in message


def test_one_label_may_hold_several_sparsities_seeds_and_the_same_run_twice(study: str) -> None:
    entries = (
        "  - {method: snip, sparsity: 90%, label: mine}\n  - {method: grasp, sparsity: 80%, label: mine}\n"
        "  - {method: snip, sparsity: [90%, 95%], seeds: [0, 1], label: mine}\n"
    )
    Path(study).write_text(STUDY.split("  - method")[0] + entries, encoding="utf-8")
    rows = [(row.label, row.sparsity, row.seed) for row in load_study(study).rows if row.method != "dense"]
    assert sorted(rows) == [("mine", 0.8, 0), ("mine", 0.9, 0), ("mine", 0.9, 1), ("mine", 0.95, 0), ("mine", 0.95, 1)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sparsity: [90%, 95%]", "sparsity: []", "bad.yaml:10: 'runs.1.sparsity' is []"),
        ("method: global_mp", "method: []", "bad.yaml:9: 'runs.1.method' is []"),
        ("[0.1, 0.2]", "[]", "bad.yaml:11: 'runs.1.grid.minimum_threshold' is []"),
        ("method: global_mp", "method: global_mp\n    seeds: []", "'runs.1.seeds' is []"),
        ("method: global_mp", "method: global_mp\n    label: ' '", "a label is one line of text"),
        ("[0.1, 0.2]", "[0.1, true]", "minimum_threshold is True; it must be a finite number"),
        ("[0.1, 0.2]", "[0.1, 1.e]", "minimum_threshold is '1.e'; it must be a finite number"),
        (
            "method: global_mp",
            "method: global_mp\n    options: {dense: [1]}",
            "dense is [1]; it must be a list, each a text",
        ),
        (
            "method: global_mp",
            "method: global_mp\n    options: {minimum_threshold: 1}",
            "is in options and in grid",
        ),
        ("convnet-small", "{name: convnet-small, options: {widht: 8}}", "bad.yaml:3: unknown option of model"),
        ("{method: dense}", "{method: dense, scratch: {lr: 1.0}}", "bad.yaml:8: scratch has no effect here"),
        ("method: global_mp", "method: global_mp\n    scratch: {lr: 1.0}", "bad.yaml:10: scratch has no effect here"),
        ("{method: dense}", "{method: [dense, snip], finetune: {lr: 1.0}}", "finetune has no effect here"),
        ("{method: dense}", "{method: dense, model_options: {widht: 8}}", "bad.yaml:8: unknown option of model"),
    ],
)
def test_what_would_drop_an_entry_or_fail_a_run_is_refused_with_its_line(
    study: str, old: str, new: str, message: str
) -> None:
    assert old in STUDY
    assert message in refused(STUDY.replace(old, new, 1))


def test_a_number_without_a_dot_is_one_for_options_as_well(study: str) -> None:
    options = load_study(study, ["runs.1.grid={}", "runs.1.options.minimum_threshold=1e-2"]).runs[1].method_options
    assert options == (("minimum_threshold", 0.01),)


@pytest.mark.parametrize("chain", ["a", "ab", "abc"])
def test_studies_that_extend_each_other_in_a_circle(study: str, chain: str) -> None:
    for name, base in zip(chain, chain[1:] + chain[0], strict=True):
        Path(f"{name}.yaml").write_text(f"extends: {base}\n", encoding="utf-8")
    with pytest.raises(UserError, match="which extends this file in turn"):
        load_study("a.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("logs", "/etc"), "run '/etc' is not a run id"),
        (("retry", "/"), "run '/' is not a run id"),
        (("retry", ""), "run '' is not a run id"),
        (("table", "study.yaml", "--results", "study.yaml"), "--results study.yaml is a file, not a folder"),
        (("plan", "study.yaml", "--results", "study.yaml/x"), "study.yaml/x/dense: Not a directory"),
        (("run", "study.yaml", "--results", "study.yaml/x"), "the results folder study.yaml/x cannot be written"),
        (
            ("submit", "study.yaml", "--profile", "cpu", "--results", "study.yaml/x", "--no-data-check"),
            "the results folder study.yaml/x cannot be written",
        ),
        (("run", "study.yaml", "--device", "foo"), "device 'foo' must be auto, cpu, cuda or cuda:N"),
        (("run", "study.yaml", "--threads", "9" * 20), "is not in the range 1<=x<=1024"),
        (("run", "study.yaml", "--device", "cuda:99"), "device 'cuda:99' asked for, but torch sees"),
        (("run", "study.yaml", "--set", "runs.1.options.dense=frist"), "dense: 'frist' matches no layer"),
        (("new-method", "mine", "--output", "study.yaml"), "cannot write study.yaml/mine.py: "),
        (("new-method", "snip"), "method 'snip' exists already"),
        (("plan", "study.yaml", "--set", "model=&a [*a]"), "a value contains itself"),
        (("plan", "study.yaml", "--set", "train.lr=!!python/name:os.system"), "tag !!python/name:os.system"),
        (("plan", "study.yaml", "--set", "." * 100 + "=1"), "levels deep"),
        (("list", "--plugin", "study.yaml"), "is not valid Python"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_one_line_and_exit_code_2(study: str, arguments: tuple[str, ...], message: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("prunebench: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["study.yaml"], "nothing is half-written"


def test_letters_that_a_terminal_lacks_are_replaced(study: str) -> None:
    Path(study).write_text(STUDY.replace("{method: dense}", "{method: dense, label: Größe}"), encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*COMMAND, "show", study], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "label = 'Gr??e'" in done.stdout


def test_ctrl_c_while_the_commands_load_is_one_line() -> None:
    """Interrupt as soon as our first line runs; before that Python itself handles Ctrl-C."""
    # At the n-th import: at a time after the start, the command of a fast machine may have ended. Python's own handler
    # is set, because a background process inherits that Ctrl-C is ignored.
    script = (
        "import itertools, os, signal, sys, prunebench.benchmark.cli as cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "imports = itertools.count(1)\n"
        "def hook(event, arguments):\n"
        "    if event == 'import' and next(imports) == {number}:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(hook)\n"
        "sys.argv = ['prunebench', 'list', 'studies']\n"
        "cli.main()\n"
    )
    for number in (1, 40, 100):
        command = [sys.executable, "-c", script.format(number=number)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (130, "prunebench: interrupted\n"), number
