"""Who may import whom, and what must not be named where: read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from prunebench.methods import METHODS

ROOT = Path(__file__).parents[2]
ROOMS = ("benchmark", "methods", "datasets", "slurm")


def imports(path: Path) -> set[str]:
    """The project's rooms and modules that a file imports, e.g. {"benchmark.pruning"}."""
    found = set()
    depth = len(path.relative_to(ROOT).parts) - 1
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = list(path.relative_to(ROOT).parts[: depth - node.level + 1])
            parts += (node.module or "").split(".") if node.module else []
            if node.level == depth + 1 or parts:
                found |= {
                    ".".join([*parts, alias.name]) if not node.module else ".".join(parts) for alias in node.names
                }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prunebench."):
            found.add((node.module or "").removeprefix("prunebench."))
    return found


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ["methods", "datasets"])
def test_methods_and_data_sets_know_only_the_vocabulary(room: str) -> None:
    for path in sources(room):
        foreign = {name for name in imports(path) if name.split(".")[0] in ROOMS and name.split(".")[0] != room}
        known = ("benchmark.api.", "benchmark.training.") if "checks" in path.parts else "benchmark.api."
        assert all(name.startswith(known) for name in foreign), (path, foreign)


def test_the_suite_imports_the_launcher_only_where_a_command_needs_it() -> None:
    """At module level only commands about the cluster may; anything else looks it up when it is asked for."""
    for path in sources("benchmark"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = {n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.level and n.module}
        assert not any(module.split(".")[0] == "slurm" for module in top), path


def test_the_harness_never_names_a_method() -> None:
    """Words such as 'snip' as literals would be the start of `if method == ...`."""
    names = set(METHODS) - {"dense", "random", "set", "str", "shuffled"}
    for path in sources("benchmark"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in names, (path, node.lineno, node.value)


def test_relative_imports_between_our_folders() -> None:
    for room in ROOMS:
        for path in sources(room):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    assert not node.module.startswith("prunebench"), (path, node.lineno)


def test_the_well_known_package_datasets_is_not_shadowed(tmp_path: Path) -> None:
    """From the project's folder, `import datasets` must not find ours."""
    assert not (ROOT / "datasets" / "__init__.py").exists()
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("NAME = 'the other one'\n", encoding="utf-8")
    script = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "import datasets, prunebench.datasets.registry\n"
        "assert datasets.NAME == 'the other one'"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_table_of_methods_in_the_readme_is_that_of_the_registry() -> None:
    done = subprocess.run(
        [sys.executable, "tools/update_readme.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
