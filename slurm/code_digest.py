"""A digest of all code, to tell whether it changed between the submission of a job and its start."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

FOLDERS = ("benchmark", "methods", "datasets", "slurm")


def code_digest(plugins: Iterable[str] = ()) -> str:
    """Twelve hex digits over the project's Python files and the plug-ins, by relative name and content."""
    root = Path(__file__).resolve().parent.parent
    found = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            _add(found, str(path.relative_to(root)), path)
    for plugin in sorted(plugins):
        _add(found, Path(plugin).name, Path(plugin))
    return found.hexdigest()[:12]


def _add(found: hashlib._Hash, name: str, path: Path) -> None:
    found.update(f"{name}\0{path.stat().st_size}\0".encode())
    found.update(path.read_bytes())
