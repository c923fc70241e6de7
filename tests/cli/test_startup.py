"""What the quick commands load: each package in this list takes longer to load than the whole command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("torch", "torchvision", "pandas", "numpy", "scipy", "sklearn", "matplotlib", "seaborn", "jinja2", "submitit",
        "safetensors", "multiprocessing", "prunebench.benchmark.studies.load")  # fmt: skip

PROBE = (
    "import sys\n"
    "from prunebench.benchmark.cli import main\n"
    "sys.argv = ['prunebench', *{arguments!r}]\n"
    "code = 0\n"
    "try:\n    main()\nexcept SystemExit as error:\n    code = error.code or 0\n"
    "print(code, *(name for name in {slow!r} if name in sys.modules), file=sys.stderr)\n"
)


def probe(*arguments: str, cwd: Path) -> tuple[str, list[str], str, list[str]]:
    """Exit code, which of SLOW were loaded, stdout, and the lines of stderr before."""
    script = PROBE.format(arguments=list(arguments), slow=SLOW)
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=True)
    *errors, last = done.stderr.strip().splitlines()
    code, *loaded = last.split()
    return code, loaded, done.stdout, errors


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("list",), ("list", "methods"), ("list", "models"), ("list", "datasets"),
     ("list", "profiles"), ("table", "--help"), ("submit", "--help")],
    ids=" ".join,
)  # fmt: skip
def test_quick_commands_load_nothing_slow(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code, loaded, output, errors = probe(*arguments, cwd=tmp_path)
    assert (code, loaded, errors) == ("0", [], [])
    assert output


def test_a_mistake_is_reported_as_quickly_and_in_one_line(tmp_path: Path) -> None:
    code, loaded, output, errors = probe("list", "method", cwd=tmp_path)
    assert (code, loaded, output) == ("2", [], "")
    assert errors == [
        "prunebench: unknown kind 'method'; did you mean 'methods'? known: datasets, methods, models, profiles, studies"
    ]


def test_the_probe_sees_what_is_loaded(tmp_path: Path) -> None:
    assert "prunebench.benchmark.studies.load" in probe("show", "demo", cwd=tmp_path)[1]


def test_what_computes_a_study_leaves_torch_to_its_workers(tmp_path: Path) -> None:
    first = ("--only", "method=dense", "--only", "seed=0", "--set", "train.epochs=1", "--jobs", "1")
    for announced in ("demo: 1 runs to compute, 0 are stored", "demo: all 1 finished runs are stored"):
        code, loaded, _, errors = probe("run", "demo", *first, cwd=tmp_path)
        assert (code, set(loaded) & {"torch", "numpy", "sklearn"}) == ("0", set())
        assert errors[0].startswith(announced)


def test_status_with_its_estimate_loads_no_torch(tmp_path: Path) -> None:
    code, loaded, output, _ = probe("status", "demo", cwd=tmp_path)
    assert (code, set(loaded) & {"torch", "numpy", "pandas", "submitit"}) == ("0", set())
    assert "time left" in output
