"""The package works from a wheel, from a source distribution, from an editable install, and from its links."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import prunebench
import pytest
from rooms import MODULES

ROOT = Path(__file__).parents[2]
PACKAGES = sysconfig.get_path("purelib")
"""Where torch and the others are: a new environment finds them there, so that nothing large is copied."""

PROBE = """\
import sys
from importlib import resources
from pathlib import Path

import prunebench
from prunebench import prune, wrap
assert prunebench.run.__module__ == 'prunebench.benchmark.library.run'
import prunebench.datasets.registry as registry
assert registry.describe('digits').num_classes == 10
assert resources.files('prunebench').joinpath('py.typed').is_file()
assert resources.files('prunebench.slurm').joinpath('profiles', 'cpu.yaml').is_file()
assert resources.files('prunebench.benchmark.perf').joinpath('score_methods.md').is_file()
assert resources.files('prunebench.results.published').joinpath('README.md').is_file()
assert resources.files('prunebench.benchmark.report').joinpath('assets', 'report.css').is_file()
assert resources.files('prunebench.benchmark.studies').joinpath('smoke', 'table2-smoke.yaml').is_file()
print(Path(prunebench.__file__).parent)
"""


def run(*command: str | Path, cwd: Path, path: str = PACKAGES) -> str:
    environment = {**os.environ, "PYTHONPATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(python: Path | str, *arguments: str | Path, cwd: Path) -> None:
    """pip of this environment, for another one; the build uses the setuptools that is here."""
    run(python, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--quiet", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without what is computed, since a build writes beside the sources."""
    place = tmp_path_factory.mktemp("source") / "prunebench"
    left_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", "build", "reference", "tests")
    place.mkdir()
    for name in ("api", "benchmark", "datasets", "methods", "slurm", "typings", "results/published"):
        shutil.copytree(ROOT / name, place / name, symlinks=True, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / name)
    return place


def environment_in(folder: Path) -> Path:
    """The Python of a new and empty environment."""
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


def built(source: Path, folder: Path, function: str) -> Path:
    script = f"from setuptools import build_meta\nprint(build_meta.{function}({str(folder)!r}))"
    return folder / run(sys.executable, "-c", script, cwd=source).splitlines()[-1]


def check_works(python: Path, cwd: Path) -> Path:
    """The package is whole; returns where it was found."""
    assert "global_mp" in run(python.with_name("prunebench"), "list", "methods", cwd=cwd)
    return Path(run(python, "-c", PROBE, cwd=cwd).strip())


def test_a_wheel_and_a_source_distribution_hold_the_whole_package(source: Path, tmp_path: Path) -> None:
    archive = built(source, tmp_path, "build_sdist")
    with tarfile.open(archive) as file:
        assert not [member.name for member in file.getmembers() if member.issym() or member.islnk()]
        file.extractall(tmp_path, filter="data")
    for number, place in enumerate((source, tmp_path / f"prunebench-{prunebench.__version__}")):
        folder = tmp_path / f"wheel-{number}"
        folder.mkdir()
        wheel, python = built(place, folder, "build_wheel"), environment_in(tmp_path / f"environment-{number}")
        pip(python, wheel, cwd=tmp_path)
        found = check_works(python, tmp_path)
        assert found.is_relative_to(tmp_path / f"environment-{number}")
        assert {each.name for each in found.iterdir() if each.is_dir() and each.name != "__pycache__"} == {
            "api", "benchmark", "datasets", "methods", "results", "slurm"
        }  # fmt: skip


def test_an_editable_install_is_the_sources(source: Path, tmp_path: Path) -> None:
    python = environment_in(tmp_path / "environment")
    pip(python, "--editable", source, cwd=tmp_path)
    assert check_works(python, tmp_path) == source / "typings" / "prunebench"
    with (source / "methods" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write("CHANGED = True\n")
    run(python, "-c", "import prunebench.methods; assert prunebench.methods.CHANGED", cwd=tmp_path)


def test_importing_it_loads_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys, prunebench\n"
        "assert {*prunebench.__all__} <= {*dir(prunebench)}\n"
        "prunebench.UserError, prunebench.run, prunebench.__version__\n"
        "assert not {'torch', 'numpy', 'pandas'} & {*sys.modules}, sys.modules.keys()\n"
        "prunebench.prune\n"
        "assert 'torch' in sys.modules\n"
    )
    run(sys.executable, "-c", script, cwd=tmp_path, path=os.environ.get("PYTHONPATH", ""))


def test_public_names_are_those_that_type_checkers_see() -> None:
    """`__all__`, the table of homes and the imports for type checkers name the same."""
    tree = ast.parse(Path(prunebench.__file__).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    assert seen == prunebench._HOMES
    assert sorted(seen) == sorted(prunebench.__all__)
    for name in prunebench.__all__:
        assert name == "__version__" or getattr(prunebench, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'prunee'"):
        _ = prunebench.prunee


def test_what_is_imported_is_declared() -> None:
    """A package that only the tests bring would be missing where the wheel is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for name, lines in project["optional-dependencies"].items() if name != "dev" for line in lines]
    required, declared = with_theirs(project["dependencies"]), with_theirs([*project["dependencies"], *extras])
    distributions = metadata.packages_distributions()
    for path in MODULES.values():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for nodes, known in ((ast.walk(tree), declared), (iter(tree.body), required)):
            for name in imported(nodes):
                assert {normal(each) for each in distributions.get(name, [name])} & known, (path, name)


def with_theirs(requirements: list[str]) -> set[str]:
    """The names of distributions, and of what those that are here require themselves: torchvision brings Pillow."""
    names = {normal(line) for line in requirements}
    here = {normal(each) for places in metadata.packages_distributions().values() for each in places}
    for name in sorted(names & here):
        names |= {normal(line) for line in metadata.requires(name) or () if "extra ==" not in line}
    return names


def normal(requirement: str) -> str:
    return re.sub("[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Packages of others that these statements import."""
    for node in nodes:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        yield from {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"prunebench", "_typeshed"}
