"""Which room may import which, and what must not be named where: read from the sources."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest
from prunebench.methods import METHODS
from rooms import ALLOWED, EVERYTHING, EXCEPTIONS, FOLDERS, MODULES, ROOT, arrows, imports, room_of, sources


def allowed() -> dict[str, set[str]]:
    """The table with its exceptions, and what may import everything."""
    table = {room: set(targets.split()) for room, targets in ALLOWED.items()}
    for room, target in EXCEPTIONS:
        table[room].add(target)
    return {**table, **{room: {*ALLOWED} - without for room, without in EVERYTHING.items()}}


def test_rooms_import_only_what_the_table_allows() -> None:
    table = allowed()
    wrong = {arrow: who for arrow, who in arrows().items() if arrow[1] not in table[arrow[0]]}
    assert wrong == {}


def test_the_table_has_no_circle() -> None:
    table = allowed()
    order = list(graphlib.TopologicalSorter(table).static_order())  # raises CycleError
    assert set(order) == set(table)


def test_commands_load_the_launcher_only_when_they_need_it() -> None:
    """At the top of a file it would be loaded by `prunebench --help`."""
    for path in sources("benchmark"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = {n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.level and n.module}
        assert not any(module.split(".")[0] == "slurm" for module in top), path


def test_every_room_is_in_the_table_and_every_exception_is_used() -> None:
    rooms = {room_of(module) for module in MODULES} - {"benchmark"}
    assert rooms == set(allowed())
    assert EXCEPTIONS.keys() <= arrows().keys()


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("from ...slurm import status", "slurm.status"),
        ("def late():\n    from ..training.loop import train", "benchmark.training.loop"),
        ("if TYPE_CHECKING:\n    from ..cli.options import Selection", "benchmark.cli.options"),
        ("from prunebench.benchmark.cli import output", "benchmark.cli.output"),
        ("from . import store", "benchmark.runs.store"),
    ],
)
def test_every_kind_of_import_is_seen(line: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.py"
    path.write_text(line, encoding="utf-8")
    monkeypatch.setitem(MODULES, "benchmark.runs.run", path)
    assert list(imports("benchmark.runs.run")) == [target]


def test_a_room_says_in_one_sentence_what_it_is_for() -> None:
    for module, path in MODULES.items():
        if path.name == "__init__.py":
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            assert said.split("\n")[0].endswith((".", "?")), (module, said)


def test_the_harness_never_names_a_method() -> None:
    """Words such as 'snip' as literals would be the start of `if method == ...`."""
    names = set(METHODS) - {"dense", "random", "set", "str", "shuffled"}
    for path in sources("benchmark"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in names, (path, node.lineno, node.value)


def test_no_two_test_files_share_a_name() -> None:
    """pytest imports them by their names alone, and refuses the second one."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_relative_imports_between_our_folders() -> None:
    for room in FOLDERS:
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
