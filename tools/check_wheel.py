"""Build the wheel and the source distribution, compare them with the tree, and run the demo from the wheel.

    python tools/check_wheel.py             the whole demo
    python tools/check_wheel.py --quick     one seed and one sparsity of it

Nothing of the clone is used after the build: commands run in another folder, in a new environment into which pip has
installed the wheel. Only torch and the other dependencies, several gigabytes, are those of this Python: a .pth file
names their folder, in which an editable install of the suite takes no effect. So this does not show that the
dependencies of the wheel suffice; a test of packaging compares them with what is imported. Builds use the setuptools
that is here (`--no-isolation`), so that no network is needed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("api", "benchmark", "datasets", "methods", "slurm", "results/published")
BESIDE = ("pyproject.toml", "README.md", "LICENSE")

Contents = dict[str, str]
"""SHA-256 by path."""


def tracked() -> list[str]:
    """Files of the package's folders that git knows, and those beside them which a build reads."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", *FOLDERS, "typings", *BESIDE]
    return [name for name in subprocess.check_output(command, text=True).split("\0") if name]


READ = ("results/published/", "benchmark/perf/score_methods.md", "benchmark/perf/mask_upkeep.md")
"""Markdown that the wheel has: of the published numbers, and the measured costs that `show METHOD` prints."""


def expected(names: Iterable[str]) -> set[str]:
    """What the wheel has to hold of these files: all but Markdown, of which it has that of READ."""
    found = {name.removeprefix("typings/prunebench/") for name in names if not (ROOT / name).is_symlink()}
    left_out = {name for name in found if name.endswith(".md") and not name.startswith(READ)}
    return {f"prunebench/{name}" for name in found - left_out - set(BESIDE)}


def wheel_contents(wheel: Path) -> Contents:
    """Without the folder of metadata."""
    with zipfile.ZipFile(wheel) as file:
        names = [name for name in file.namelist() if ".dist-info/" not in name]
        return {name: hashlib.sha256(file.read(name)).hexdigest() for name in names}


def sdist_names(sdist: Path) -> set[str]:
    """Files without the folder that all are in. Exits for a link: not every system can make one."""
    with tarfile.open(sdist) as file:
        members = file.getmembers()
    links = [member.name for member in members if member.issym() or member.islnk()]
    if links:
        sys.exit(f"{sdist.name} has links: {', '.join(links)}")
    return {member.name.split("/", 1)[1] for member in members if member.isfile()}


def check_same(what: str, found: set[str], wanted: set[str]) -> None:
    """Exits with what is missing and what is too much."""
    lines = [f"missing: {name}" for name in sorted(wanted - found)]
    lines += [f"not of the package: {name}" for name in sorted(found - wanted)]
    if lines:
        sys.exit("\n".join([f"{what}:", *lines]))


def copy_of_tree(folder: Path) -> Path:
    """The files as a clone has them, links included, and nothing else."""
    for name in tracked():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return folder


def build(source: Path, into: Path, *options: str) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(into), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def build_and_compare(folder: Path) -> Path:
    """The wheel, which is the same whether it was built from the tree or from the source distribution."""
    source = copy_of_tree(folder / "source")
    build(source, folder / "dist")  # the source distribution, and a wheel of it
    build(source, folder / "direct", "--wheel")
    (wheel,), (direct,) = (folder / "dist").glob("*.whl"), (folder / "direct").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    contents, wanted = wheel_contents(wheel), expected(tracked())
    check_same(wheel.name, set(contents), wanted)
    if contents != wheel_contents(direct):
        sys.exit(f"{wheel.name}: the source distribution gives other files than the tree")
    names = {name for name in sdist_names(sdist) if ".egg-info/" not in name}
    check_same(sdist.name, names, {f"typings/{name}" for name in wanted} | {*BESIDE, "PKG-INFO", "setup.cfg"})
    print(f"{wheel.name}: {len(contents)} files, {wheel.stat().st_size:,} bytes; {sdist.name}: the same package")
    return wheel


def without_python() -> dict[str, str]:
    """The variables of the environment but Python's: a PYTHONPATH would show pip a package that is not installed."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def install(wheel: Path, environment: Path) -> Path:
    """A new environment with the wheel; its Python."""
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--disable-pip-version-check", str(wheel)], check=True, env=without_python())
    place = Path(subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                                         text=True).strip())  # fmt: skip
    (place / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return python


def run(python: Path, cwd: Path, *arguments: str, is_strict: bool = False) -> str:
    """What a command prints. `is_strict`: warnings are errors, and nothing may be printed to stderr."""
    variables = without_python() | ({"PYTHONWARNINGS": "error"} if is_strict else {})
    done = subprocess.run(
        [str(python.with_name(arguments[0])), *arguments[1:]], cwd=cwd, env=variables, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode or (is_strict and done.stderr):
        sys.exit(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed and one sparsity of the demo")
    only = ["--only", "seed=0", "--only", "sparsity=0,90%"] if parser.parse_args().quick else []
    with tempfile.TemporaryDirectory(prefix="prunebench-wheel-") as temporary:
        folder = Path(temporary)
        python = install(build_and_compare(folder), folder / "environment")
        (cwd := folder / "elsewhere").mkdir()
        place = Path(run(python, cwd, "python", "-c", "import prunebench; print(prunebench.__file__)").strip())
        if not place.is_relative_to(folder / "environment"):
            sys.exit(f"the package is not the installed one: {place}")
        shown = run(python, cwd, "prunebench", "--help", is_strict=True)
        shown += run(python, cwd, "prunebench", "list", is_strict=True)
        run(python, cwd, "prunebench", "run", "demo", *only)
        shown += run(python, cwd, "prunebench", "table", "demo", *only)
        for word in ("Commands:", "global_mp", "Test accuracy (%) of ConvNet-small on Digits (8x8)", "| Global MP "):
            if word not in shown:
                sys.exit(f"{word!r} is missing in what the commands print:\n{shown}")
        print("help, list, run demo and table demo work from the wheel")


if __name__ == "__main__":
    main()
