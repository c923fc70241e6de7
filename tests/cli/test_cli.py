"""The command line as a user meets it: in a process of its own, with exit codes, one-line errors and no torch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prunebench.benchmark.studies.load import load_study

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
        ("show", "rigl"),
        ("show", "resnet-50", "--json"),
        ("show", "arrays"),
        ("list", "models", "--json"),
        ("list", "datasets", "--json"),
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
    (
        "sparsity: [0.9]",
        "sparsity: [1.0]",
        "bad.yaml:7: runs.0.sparsity.0: a sparsity is a share >= 0 and < 1, or a percentage such as 90%, not 1",
    ),
    ("sparsity: [0.9]", "sparsity: 80", "not 80; write 80% or 0.8"),
    ("sparsity: [0.9]", "sparsity: [-10%]", "not -0.1"),
    ("sparsity: [0.9]", "sparsty: [0.9]", "bad.yaml:7: unknown key 'sparsty'; did you mean 'sparsity'?"),
    ("epochs: 1", "epochs: 1, learning_rate: 0.1", "unknown key 'learning_rate'"),
    ("epochs: 1", "epochs: two", "'train.epochs' is 'two'"),
    ("epochs: 1", "epochs: 1, lr: -1", "'train.lr' is -1"),
    ("epochs: 1", "epochs: 1, schedule: cosin", "'train.schedule' is 'cosin': input should be 'cosine', 'step'"),
    ("epochs: 1", "epochs: 1, schedule: step", "schedule: step needs step_epochs or milestones"),
    ("epochs: 1", "epochs: 1, optimizer: adamw, momentum: 0.5", "have no effect with optimizer: adamw"),
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
    path = tmp_path / "s.yaml"
    path.write_text(BASE.replace("epochs: 1", "epochs: 1, lr: 1e-4, weight_decay: 5e-4"), encoding="utf-8")
    recipe = load_study(str(path)).runs[0].recipe
    assert (recipe.lr, recipe.weight_decay) == (1e-4, 5e-4)


def test_an_option_with_its_default_value_is_the_same_run(tmp_path: Path) -> None:
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
        (("check", "mine"), 2, "; code of your own needs --plugin FILE, or plugins: in its study"),
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
        (("show", "rigle"), 2, "unknown name 'rigle'; did you mean 'rigl'?"),
        (("show", "rigl", "--set", "every=1"), 2, "--set and --only select values and runs of a study; 'rigl' is none"),
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


@pytest.mark.parametrize(("shape", "other"), [("score", "global_mp"), ("gradual", "gmp"), ("dynamic", "set")])
def test_new_method_is_a_plugin_that_passes_the_contract(shape: str, other: str, tmp_path: Path) -> None:
    made = prunebench("new-method", "my_method", "--shape", shape, cwd=tmp_path)
    assert made.stdout.splitlines() == ["my_method.py", "try-my_method.yaml"]
    assert "then: prunebench run try-my_method.yaml\n" in made.stderr
    listed = prunebench("list", "--plugin", "my_method.py", cwd=tmp_path)
    assert "My Method" in listed.stdout
    checked = prunebench("check", "my_method", "--plugin", "my_method.py", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "FAILED" not in checked.stdout
    assert ("skipped" in checked.stdout) == (shape == "dynamic"), "it ranks no weights by scores"
    shown = json.loads(prunebench("plan", "try-my_method.yaml", "--json", cwd=tmp_path).stdout)
    assert shown["runs"] == 15
    assert {job["method"] for job in shown["jobs"]} == {"dense", other, "my_method"}
    text = (tmp_path / "my_method.py").read_text(encoding="utf-8")
    assert all(word in text for word in ("version", "prunebench.api.Context", "generator"))
    assert ("random_draw" in text) == (shape == "dynamic")


@pytest.mark.parametrize(
    ("name", "message"),
    [("My-Method", "lower case"), ("méthode", "lower case"), ("m" * 61, "lower case"), ("class", "a keyword of Python"),
     ("torch", "that of a Python module"), ("json", "that of a Python module"), ("there", "there.py exists already"),
     ("rigl", "method 'rigl' exists already")],
)  # fmt: skip
def test_new_method_refuses_a_name_that_something_has(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "there.py").touch()
    done = prunebench("new-method", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.py"]


CRASHING = """\
from dataclasses import dataclass
from typing import ClassVar

from prunebench.api import MaskPruner

METHODS = {"crashing": "Crashing"}


@dataclass(kw_only=True)
class Crashing(MaskPruner):
    label: ClassVar[str] = "Crashing"
    needs: ClassVar[str] = "nothing"

    def attach(self, context):
        return super().attach(context).no_such_attribute

    def score(self, name, weight):
        return weight.abs()
"""


def test_check_tells_a_crash_once_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text(CRASHING, encoding="utf-8")
    done = prunebench("check", "crashing", "--plugin", "crashing.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    first, *others = done.stdout.splitlines()
    assert first.startswith("FAILED   scores are finite floats  AttributeError: ")
    assert first.endswith(f"({tmp_path.resolve()}/crashing.py:15)")
    assert [line.split("  ", 1)[0] for line in others].count("FAILED") == 10
    assert all("the error of 'scores are finite floats'" in line for line in others if line.startswith("FAILED"))


def test_a_study_names_its_plugins_relative_to_its_folder(tmp_path: Path) -> None:
    """Workers in another folder and a study that extends this one find the file too; a failure says what helps."""
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "crashing.py").write_text(CRASHING, encoding="utf-8")
    text = BASE.replace("name: bad\n", "name: mine\nplugins: crashing.py\nseeds: [0]\n")
    text = text.replace("global_mp", "crashing")
    (folder / "mine.yaml").write_text(text.replace("dataset: digits", "dataset: {name: digits, options: {limit: 99}}"))
    (tmp_path / "other.yaml").write_text("extends: studies/mine\nname: other\n")
    assert load_study(str(tmp_path / "other.yaml")).plugins == (str(folder.resolve() / "crashing.py"),)
    done = prunebench("run", "studies/mine.yaml", "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    (failed,) = [run.id for run in load_study(str(folder / "mine.yaml")).runs]
    hint = [f"why: prunebench logs {failed}", "again: the same command with --retry-failed"]
    assert done.stderr.splitlines()[-2:] == hint
    shown = prunebench("status", "studies/mine.yaml", cwd=tmp_path).stdout.splitlines()
    assert f"  why: prunebench logs {failed}" in shown
    assert "  again: prunebench run studies/mine.yaml --retry-failed" in shown
    again = prunebench("run", "studies/mine.yaml", cwd=tmp_path)
    assert again.stderr.splitlines()[-2:] == hint
    assert "line 15, in attach" in prunebench("logs", failed, cwd=tmp_path).stdout
    shown = prunebench("plan", "other.yaml", "--set", "plugins=[none.py]", cwd=tmp_path)
    assert shown.stderr == "prunebench: --set plugins=[none.py]: plug-in none.py: no such file\n"
    (folder / "mine.yaml").write_text(text.replace("crashing.py", "[none.py]"))
    shown = prunebench("plan", "studies/mine.yaml", cwd=tmp_path)
    assert shown.stderr.startswith("prunebench: studies/mine.yaml:2: plug-in ")


def test_without_a_terminal_each_run_is_told_with_its_accuracy(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        BASE.replace("dataset: digits", "dataset: {name: digits, options: {limit: 99}}").replace("bad", "mine")
    )
    done = prunebench("run", "mine.yaml", "--jobs", "1", "--set", "seeds=[0]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stored = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("results/**/result.json")}
    told = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert len(told) == len(stored) == 2
    for line in told:
        accuracy = stored[line.split()[1]]["accuracy"]["last"]
        assert line.endswith(f": test accuracy {accuracy:.2%}")


def test_show_prints_the_options_of_a_method(tmp_path: Path) -> None:
    shown = json.loads(prunebench("show", "rigl", "--json", cwd=tmp_path).stdout)
    assert (shown["kind"], shown["label"], shown["start"]) == ("method", "RigL", "init")
    assert shown["options"]["drop_fraction"] == {
        "default": 0.3, "type": "a finite number > 0 and < 1", "bounds": {"gt": 0, "lt": 1}, "choices": [],
        "searched": "0.1 to 0.5",
        "meaning": "share of a layer's weights that is replaced in an update, annealed by a cosine from the first to "
        "the second; equal values keep it constant.",
    }  # fmt: skip
    listed = json.loads(prunebench("list", "--json", cwd=tmp_path).stdout)["methods"]
    assert next(row for row in listed if row["name"] == "rigl")["options"] == shown["options"]
    text = prunebench("show", "convnet-small", cwd=tmp_path).stdout
    assert "  stem_stride = 1    # one of 1, 2, 4\n      Stride of the first convolution.\n" in text


def test_doctor_tells_what_is_there(tmp_path: Path) -> None:
    done = prunebench("doctor", "--json", cwd=tmp_path)
    findings = json.loads(done.stdout)["findings"]
    assert findings["torch"][0].isdigit()
    assert findings["data digits"] == "present"
    assert "writable" in findings["results folder"]


@pytest.mark.parametrize(
    ("is_running", "text"),
    [
        (True, "running: runs that share a GPU compute on it at the same time"),
        (False, "not running: runs that share a GPU take turns on it"),
    ],
)
def test_doctor_counts_instances_of_a_gpu_and_asks_for_mps(
    is_running: bool, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-c6d4,MIG-cba6")
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    with socket.socket(socket.AF_UNIX) as service:
        if is_running:
            service.bind(str(tmp_path / "control"))
            service.listen()
        findings = json.loads(prunebench("doctor", "--json", cwd=tmp_path).stdout)["findings"]
    assert findings["gpus visible"] == "2: MIG-c6d4, MIG-cba6"
    assert findings["mps"] == text


def test_plan_measures_the_throughput_when_asked(tmp_path: Path) -> None:
    asked = json.loads(prunebench("plan", "demo", "--json", "--throughput", "1000", cwd=tmp_path).stdout)
    measured = json.loads(prunebench("plan", "demo", "--json", "--calibrate", cwd=tmp_path).stdout)
    unknown = json.loads(prunebench("plan", "demo", "--json", cwd=tmp_path).stdout)
    assert asked["device_hours"] == pytest.approx(asked["images_to_do"] / 1000 / 3600)
    assert measured["images_per_second"] > 0
    assert "measured here" in measured["throughput_source"]
    assert unknown["device_hours"] is None, "not known, so not invented"
