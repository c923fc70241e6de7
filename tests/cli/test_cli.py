"""The command line as a user meets it: in a process of its own, with exit codes, one-line errors and no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = (
    "import sys\n"
    "from prunebench.benchmark.cli import main\n"
    "sys.argv = ['prunebench', *{arguments!r}]\n"
    "code = 0\n"
    "try:\n    main()\nexcept SystemExit as error:\n    code = error.code or 0\n"
    "print('torch' in sys.modules, code, file=sys.stderr)\n"
)


def prunebench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=240)


def run_probe(*arguments: str, cwd: Path) -> tuple[bool, int, str]:
    """Whether torch was loaded, the exit code, and stdout."""
    script = PROBE.format(arguments=list(arguments))
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=False)
    loaded, code = done.stderr.strip().splitlines()[-1].split()
    return loaded == "True", int(code), done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("list",),
        ("list", "models"),
        ("list", "datasets"),
        ("list", "studies"),
        ("list", "profiles"),
        ("show", "demo"),
        ("plan", "demo"),
        ("plan", "demo", "--json"),
        ("status", "demo"),
        ("status", "demo", "--json"),
    ],
    ids=" ".join,
)
def test_reading_commands_load_no_torch(arguments: tuple[str, ...], tmp_path: Path) -> None:
    loaded, code, output = run_probe(*arguments, cwd=tmp_path)
    assert code == 0
    assert not loaded
    assert output
    if "--json" in arguments:
        assert json.loads(output)["schema"] == 1
    assert list(tmp_path.iterdir()) == [], "reading commands write nothing"


BASE = """\
name: bad
dataset: digits
model: convnet-small
train: {epochs: 1}
runs:
  - method: global_mp
    sparsity: [0.9]
"""

BAD_STUDIES = [
    ("method: global_mp", "method: globalmp", "bad.yaml:6: unknown method 'globalmp'; did you mean 'global_mp'?"),
    (
        "method: global_mp",
        "label: mine\n    method: [global_mp, snip]",
        "; leave the label out, so that rows are named by method and options, or write one entry for each",
    ),
    ("dataset: digits", "dataset: digit", "bad.yaml:2: unknown data set 'digit'; did you mean 'digits'?"),
    (
        "dataset: digits",
        "dataset: {name: digits, options: {limt: 3}}",
        "option of data set 'digits' 'limt'; did you mean",
    ),
    ("dataset: digits", "dataset: {name: digits, options: {limit: -3}}", "limit"),
    ("model: convnet-small", "model: convnet", "unknown model 'convnet'; did you mean"),
    ("sparsity: [0.9]", "sparsity: [1.0]", "bad.yaml:7: 'runs.0.sparsity.0' is 1.0: input should be less than 1"),
    ("sparsity: [0.9]", "sparsity: [-10%]", "input should be greater than or equal to 0"),
    ("sparsity: [0.9]", "sparsty: [0.9]", "bad.yaml:7: unknown key 'sparsty'; did you mean 'sparsity'?"),
    ("epochs: 1", "epochs: 1, learning_rate: 0.1", "unknown key 'learning_rate'"),
    ("epochs: 1", "epochs: two", "'train.epochs' is 'two'"),
    ("epochs: 1", "epochs: 1, lr: -1", "'train.lr' is -1"),
    ("epochs: 1", "epochs: 1, schedule: cosin", "'train.schedule' is 'cosin': input should be 'cosine', 'step'"),
    ("epochs: 1", "epochs: 1, schedule: step", "schedule: step needs step_epochs or milestones"),
    ("epochs: 1", "epochs: 1, step_epochs: 3", "have no effect with schedule: cosine"),
    ("epochs: 1", "epochs: 1, warmup_epochs: 5", "warmup_epochs = 5 is more than epochs = 1"),
    ("epochs: 1", "lr: 0.1", "train.epochs is missing"),
    ("name: bad", "name: dense", "name 'dense' is reserved"),
    ("name: bad", "name: Bad Name", "'name' is 'Bad Name'"),
    ("name: bad", "name: bad\nname: bad", "bad.yaml:2: key 'name' stands twice"),
    ("model: convnet-small\n", "", "'model' is missing"),
    ("sparsity: [0.9]", "options: {minimum_treshold: 1}", "did you mean 'minimum_threshold'?"),
    ("sparsity: [0.9]", "options: {scope: globl}", "scope is 'globl'; it must be one of global, layerwise"),
    ("runs:", "runs: []\nextra:", "bad.yaml:"),
    ("train: {epochs: 1}", "train: {epochs: 1", "is not valid YAML"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD_STUDIES, ids=[new[:40] for _, new, _ in BAD_STUDIES])
def test_a_bad_study_is_one_line_and_exit_code_2(old: str, new: str, message: str, tmp_path: Path) -> None:
    from prunebench.benchmark.api.errors import UserError
    from prunebench.benchmark.studies.load import load_study

    assert old in BASE
    path = tmp_path / "bad.yaml"
    path.write_text(BASE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_study(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_numbers_without_a_dot_are_numbers(tmp_path: Path) -> None:
    """Plain YAML reads 1e-4 as text."""
    from prunebench.benchmark.studies.load import load_study

    path = tmp_path / "s.yaml"
    path.write_text(BASE.replace("epochs: 1", "epochs: 1, lr: 1e-4, weight_decay: 5e-4"), encoding="utf-8")
    recipe = load_study(str(path)).runs[0].recipe
    assert (recipe.lr, recipe.weight_decay) == (1e-4, 5e-4)


def test_an_option_with_its_default_value_is_the_same_run(tmp_path: Path) -> None:
    from prunebench.benchmark.studies.load import load_study

    path = tmp_path / "s.yaml"
    path.write_text(BASE, encoding="utf-8")
    plain = load_study(str(path)).runs[0].id
    path.write_text(BASE + "    options: {minimum_threshold: 0.0, scope: global}\n", encoding="utf-8")
    assert load_study(str(path)).runs[0].id == plain


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "demoo"), 2, "unknown study 'demoo'; did you mean 'demo'?"),
        (("run", "mine"), 2, "; a study of your own is given as a path that ends in .yaml"),
        (("check", "mine"), 2, "; a method of your own needs --plugin FILE"),
        (("run", "missing.yaml"), 2, "cannot read missing.yaml"),
        (("plan", "demo", "--set", "train.lr"), 2, "must look like key=value"),
        (("plan", "demo", "--set", "train.epoch=3"), 2, "--set train.epoch=3: unknown key 'epoch'"),
        (("plan", "demo", "--only", "method=nothing"), 2, "matches no run; method is one of"),
        (("plan", "demo", "--plugin", "none.py"), 2, "no such file"),
        (("list", "method"), 2, "unknown kind 'method'; did you mean 'methods'?"),
        (("retry", "abc"), 2, "no such run"),
        (
            (
                "run",
                "demo",
                "--set",
                "dataset=cifar10",
                "--set",
                "model=resnet-20",
                "--only",
                "method=dense",
                "--data-root",
                "nowhere",
            ),
            4,
            "cifar10",
        ),
        (("run", "demo", "--jobs", "-1"), 2, "jobs"),
        (("tabel", "demo"), 2, "unknown command 'tabel'; did you mean 'table'?"),
        (("table",), 2, "Missing argument 'STUDY...' (see prunebench table --help)"),
        (("table", "demo", "--knd", "cost"), 2, "--kind"),
        (("submit", "demo"), 2, "Missing option '--profile' (see prunebench submit --help)"),
        (("run", "demo", "--cuda-graph", "on"), 2, "'on' is not one of 'off', 'auto'"),
        (("run", "demo", "--compile", "fast"), 2, "'fast' is not one of 'none', 'default', 'reduce-overhead',"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_bad_arguments(arguments: tuple[str, ...], code: int, message: str, tmp_path: Path) -> None:
    done = prunebench(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.startswith("prunebench: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "offered"),
    [("plan table", {"table2", "table8-smoke"}), ("check gl", {"global_mp"}), ("list st", {"studies"}),
     ("tab", {"table"}), ("run demo --mem", {"--memory-format"})],
)  # fmt: skip
def test_a_shell_completes_names(words: str, offered: set[str], tmp_path: Path) -> None:
    count = str(len(words.split()))
    variables = {"_PRUNEBENCH_COMPLETE": "bash_complete", "COMP_WORDS": f"prunebench {words}", "COMP_CWORD": count}
    command = [sys.executable, "-m", "prunebench.benchmark.cli"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    names = {line.removeprefix("plain,") for line in done.stdout.splitlines()}
    assert offered <= names
    assert all(name.startswith(words.split()[-1]) for name in names)


def test_a_reader_that_leaves_early_is_no_error_to_read_about(tmp_path: Path) -> None:
    seeds = f"seeds={list(range(200))}"
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "plan", "demo", "--set", seeds, "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        errors = process.stderr.read()
    assert errors == ""
    assert process.returncode == 1


def test_plan_of_ten_thousand_runs_is_quick(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    seeds = list(range(1000))
    path.write_text(
        BASE.replace("sparsity: [0.9]", f"sparsity: {[round(x / 11, 3) for x in range(10)]}\n    seeds: {seeds}")
    )
    done = prunebench("plan", str(path), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == 11000


def test_new_method_is_a_plugin_that_passes_the_contract(tmp_path: Path) -> None:
    made = prunebench("new-method", "my_method", cwd=tmp_path)
    assert made.stdout.splitlines() == ["my_method.py", "try-my_method.yaml"]
    assert "then: prunebench run try-my_method.yaml --plugin my_method.py" in made.stderr
    assert "exists already" in prunebench("new-method", "my_method", cwd=tmp_path).stderr
    for refused in ("My-Method", "méthode", "m" * 61):
        assert "lower case" in prunebench("new-method", refused, cwd=tmp_path).stderr
    listed = prunebench("list", "--plugin", "my_method.py", cwd=tmp_path)
    assert "My Method" in listed.stdout
    checked = prunebench("check", "my_method", "--plugin", "my_method.py", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "FAILED" not in checked.stdout
    shown = prunebench("plan", "try-my_method.yaml", "--plugin", "my_method.py", "--json", cwd=tmp_path)
    assert json.loads(shown.stdout)["runs"] == 15


def test_doctor_tells_what_is_there(tmp_path: Path) -> None:
    done = prunebench("doctor", "--json", cwd=tmp_path)
    findings = json.loads(done.stdout)["findings"]
    assert findings["torch"][0].isdigit()
    assert findings["data digits"] == "present"
    assert "writable" in findings["results folder"]


def test_plan_measures_the_throughput_when_asked(tmp_path: Path) -> None:
    asked = json.loads(prunebench("plan", "demo", "--json", "--throughput", "1000", cwd=tmp_path).stdout)
    measured = json.loads(prunebench("plan", "demo", "--json", "--calibrate", cwd=tmp_path).stdout)
    unknown = json.loads(prunebench("plan", "demo", "--json", cwd=tmp_path).stdout)
    assert asked["device_hours"] == pytest.approx(asked["images_to_do"] / 1000 / 3600)
    assert measured["images_per_second"] > 0
    assert "measured here" in measured["throughput_source"]
    assert unknown["device_hours"] is None, "not known, so not invented"
