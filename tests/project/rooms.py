"""The rooms of the project, what each may import, and what each imports: read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("api", "benchmark", "methods", "datasets", "slurm")
SUB_ROOMS = {"methods": ("parts", "bases", "checks", "listing"), "datasets": ("parts",)}
REGISTRIES = {"methods": "methods.registry", "methods.registry": "methods.registry",
              "datasets.registry": "datasets.registry"}  # fmt: skip

ALLOWED: dict[str, str] = {
    "benchmark.api": "",
    "methods.parts": "benchmark.api",
    "methods.bases": "benchmark.api methods.parts",
    "methods.listing": "benchmark.api",
    "methods.registry": "benchmark.api methods.listing",
    "methods": "benchmark.api methods.parts methods.bases",
    "datasets.parts": "benchmark.api",
    "datasets.registry": "benchmark.api datasets.parts",
    "datasets": "benchmark.api datasets.parts datasets.registry",
    "api": "benchmark.api methods.parts methods.bases datasets.parts",
    "benchmark.models": "benchmark.api datasets.parts datasets.registry",
    "benchmark.runs": "benchmark.api methods.listing",
    "benchmark.studies": (
        "benchmark.api benchmark.runs benchmark.models methods.registry methods.listing "
        "datasets.registry datasets.parts"
    ),
    "benchmark.tuning": "benchmark.api benchmark.runs benchmark.studies datasets.registry",
    "benchmark.training": (
        "benchmark.api benchmark.runs benchmark.models methods.registry datasets.registry datasets.parts"
    ),
    "benchmark.preflight": (
        "benchmark.api benchmark.runs benchmark.models benchmark.training methods.registry datasets.registry "
        "datasets.parts"
    ),
    "benchmark.latency": (
        "benchmark.api benchmark.runs benchmark.shrink benchmark.studies benchmark.training datasets.parts"
    ),
    "benchmark.shrink": "benchmark.api benchmark.models benchmark.runs methods.registry datasets.registry",
    "methods.checks": (
        "benchmark.api benchmark.runs benchmark.training methods.registry methods.listing methods.parts methods.bases"
    ),
    "benchmark.launch": (
        "benchmark.api benchmark.runs benchmark.studies benchmark.training benchmark.preflight "
        "methods.registry datasets.parts"
    ),
    "benchmark.analysis": (
        "benchmark.api benchmark.runs benchmark.models benchmark.studies benchmark.tuning methods.registry "
        "datasets.registry"
    ),
    "benchmark.library": (
        "benchmark.api benchmark.runs benchmark.models benchmark.studies benchmark.training benchmark.analysis "
        "benchmark.release methods.registry methods.parts methods.bases datasets.registry datasets.parts"
    ),
    "benchmark.exchange": "benchmark.api benchmark.runs benchmark.analysis",
    "benchmark.tables": (
        "benchmark.api benchmark.runs benchmark.models benchmark.studies benchmark.analysis "
        "benchmark.exchange datasets.registry"
    ),
    "benchmark.plots": "benchmark.api benchmark.runs benchmark.studies benchmark.analysis methods.registry",
    "benchmark.report": (
        "benchmark.api benchmark.runs benchmark.studies benchmark.analysis benchmark.tables benchmark.plots"
    ),
    "benchmark.leaderboard": (
        "benchmark.api benchmark.runs benchmark.models benchmark.studies benchmark.analysis benchmark.exchange "
        "benchmark.tables benchmark.report methods.registry methods.listing datasets.registry"
    ),
    "benchmark.release": (
        "benchmark.api benchmark.runs benchmark.studies methods.registry datasets.registry datasets.parts"
    ),
    "slurm": (
        "benchmark.api benchmark.runs benchmark.studies benchmark.training benchmark.launch "
        "methods.registry datasets.parts"
    ),
}
"""Each room and the rooms that it may import; for the command line and the measurements see EVERYTHING."""

EXCEPTIONS = {
    ("benchmark.runs", "methods.registry"): "a run's record holds a digest of its method's code",
    ("benchmark.runs", "benchmark.models"): "and of its network's",
    ("benchmark.runs", "datasets.registry"): "and of a data set's that is not the suite's",
    ("methods.bases", "methods.registry"): "a control builds the method that it borrows from",
}
EVERYTHING = {"benchmark.cli": set[str](), "benchmark.perf": {"benchmark.cli", "slurm"}}
"""Rooms that nothing imports and that may import all others, except these."""

Arrow = tuple[str, str]


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for folder in FOLDERS for path in sources(folder)}


def room_of(module: str) -> str:
    """The room of a module; `methods` and `datasets` are those of the single methods and data sets."""
    top, _, rest = module.partition(".")
    first = rest.split(".")[0]
    if top == "benchmark":
        return f"{top}.{first}" if first else top
    if first in SUB_ROOMS.get(top, ()):
        return f"{top}.{first}"
    return REGISTRIES.get(module, top)


def imports(module: str) -> Iterator[str]:
    """The project's modules that a module imports: at its top, in functions and under TYPE_CHECKING."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prunebench."):
            base = (node.module or "").removeprefix("prunebench.")
        else:
            continue
        for alias in node.names:
            name = f"{base}.{alias.name}".removeprefix(".")
            yield name if name in MODULES else base


def arrows() -> dict[Arrow, list[str]]:
    """Which room imports which, and the modules that do it."""
    found: dict[Arrow, list[str]] = {}
    for module in MODULES:
        for target in imports(module):
            arrow = room_of(module), room_of(target)
            if arrow[0] != arrow[1] and arrow[1] != "benchmark":  # benchmark/__init__.py holds the version only
                found.setdefault(arrow, []).append(module)
    return found
