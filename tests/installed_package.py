"""A package as pip installs one: modules and metadata in a folder, and a process that has the folder in its path."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, modules: Mapping[str, str], entry_points: str) -> Path:
    """The folder `site` with `my-package` 1.0: its modules, by name, and the text of its `entry_points.txt`."""
    package = folder / "site"
    info = package / "my_package-1.0.dist-info"
    info.mkdir(parents=True)
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    return package


def printed_with(package: Path, script: str) -> str:
    """What a script prints that finds the package; it must succeed."""
    path = f"import sys; sys.path.insert(0, {str(package)!r})\n"
    done = subprocess.run([sys.executable, "-c", path + script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
