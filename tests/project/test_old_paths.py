"""A plug-in that imports from old paths runs as before; each command says once what to import instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import prunebench.api
import pytest
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.run_code import CodeReader
from prunebench.methods import registry
from prunebench.methods.listing.old_paths import MOVED
from prunebench.methods.listing.source_files import definition, module_file

HEAD = """\
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar
"""
BODY = """
METHODS = {"mine": "Mine"}
@dataclass(kw_only=True)
class Mine(MaskPruner):
    label: ClassVar[str] = "Mine"
    def score(self, name, weight): return weight.abs()
"""
OLD = """\
from prunebench.benchmark.pruning import Site, num_kept
from prunebench.methods.mask_pruner import MaskPruner
from prunebench.methods import schedule
"""
NEW = "from prunebench.api import MaskPruner\n"

# What the documentation told plug-ins to import, or what they could copy from the suite's own methods.
NAMES = {
    "prunebench.benchmark.errors": "UserError DataMissing unknown",
    "prunebench.benchmark.pruning": "Site Masks find_sites num_kept keep_largest check_finite PRUNABLE_LAYERS",
    "prunebench.benchmark.run": "Run Recipe",
    "prunebench.benchmark.sites": "Site find_sites WEIGHTED_LAYERS",
    "prunebench.datasets.splits": "Split Data",
    "prunebench.methods.at_initialisation": "MagnitudeInit RandomInit",
    "prunebench.methods.base": "Pruner Context Batch Dense",
    "prunebench.methods.borrowed_mask": "BorrowedMask",
    "prunebench.methods.dynamic": "DynamicPruner",
    "prunebench.methods.fixed_mask": "FixedMask",
    "prunebench.methods.mask_pruner": "MaskPruner",
    "prunebench.methods.scoring": "mean_gradients hessian_gradient",
    "prunebench.methods.selection": "select",
}


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.OFFERS, "plugins", {})


def plugin(folder: Path, imports: str) -> Path:
    path = folder / "mine.py"
    path.write_text(HEAD + imports + BODY, encoding="utf-8")
    return path


def prunebench_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)


@pytest.mark.parametrize("old", sorted(MOVED))
def test_what_has_moved_is_there_and_nothing_stands_in_its_old_place(old: str) -> None:
    assert all(module_file(home) for home in MOVED[old])
    place = Path(registry.__file__).parents[1].joinpath(*old.split(".")[1:])
    assert not place.with_suffix(".py").exists()


@pytest.mark.parametrize(("old", "names"), NAMES.items())
def test_an_old_path_gives_the_same_objects_with_a_warning(
    old: str, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.method_class("global_mp")  # loading a method makes old paths importable
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old} has moved to prunebench."):
        module = __import__(old, fromlist=["name"])
    for name in names.split():
        place = definition(old, name)
        assert place is not None
        assert getattr(module, name) is getattr(sys.modules[place[1] or ""], name)
        assert getattr(prunebench.api, name, getattr(module, name)) is getattr(module, name)


def test_the_command_lists_and_checks_it_and_names_the_new_paths_once(tmp_path: Path) -> None:
    path = plugin(tmp_path, OLD)
    listed = prunebench_command("list", "--plugin", str(path))
    assert "\nmine " in listed.stdout
    what = "which works in this version only; import from"
    assert listed.stderr.splitlines() == [
        f"mine.py imports from prunebench.benchmark.pruning, {what} prunebench.api",
        f"mine.py imports from prunebench.methods.mask_pruner, {what} prunebench.api",
        f"mine.py imports from prunebench.methods.schedule, {what} prunebench.methods.parts.schedule",
    ]
    checked = prunebench_command("check", "mine", "--plugin", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stderr.count("prunebench.methods.mask_pruner") == 1


def test_a_name_that_is_gone_is_named(tmp_path: Path) -> None:
    path = plugin(tmp_path, OLD.replace("mask_pruner import MaskPruner", "mask_pruner import Gone, MaskPruner", 1))
    line = "mine.py imports Gone from prunebench.methods.mask_pruner, which no longer has it"
    assert line in prunebench_command("list", "--plugin", str(path)).stderr.splitlines()


def test_present_paths_are_silent(tmp_path: Path) -> None:
    assert prunebench_command("list", "--plugin", str(plugin(tmp_path, NEW))).stderr == ""


@pytest.mark.parametrize("imports", [OLD, NEW])
def test_the_code_of_a_plugin_holds_its_base_class(
    imports: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the base class marks results as older, wherever the class is imported from."""
    registry.add_plugin(plugin(tmp_path, imports))
    run = Run(dataset="digits", model="convnet-small", method="mine", recipe=Recipe(epochs=1), seed=0)
    before = CodeReader().read(run)["method"]
    base = module_file("prunebench.methods.bases.mask_pruner")
    assert base is not None
    read = Path.read_bytes
    changed = lambda path: read(path) + (b"\nCHANGED = 1\n" if path == base.resolve() else b"")  # noqa: E731
    monkeypatch.setattr(Path, "read_bytes", changed)
    assert CodeReader().read(run)["method"] != before


def test_every_public_name_is_found_without_torch() -> None:
    """Listings read base classes from `prunebench.api` without importing it."""
    script = (
        "import sys\n"
        "from prunebench.methods.listing.source_files import definition\n"
        f"places = [definition('prunebench.api', name) for name in {prunebench.api.__all__}]\n"
        "assert all(place and place[1] != 'prunebench.api' for place in places), places\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
