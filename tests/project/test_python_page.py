"""docs/python.md: its examples run, and its table of columns is that of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from prunebench.benchmark.analysis.export import describe_columns
from prunebench.benchmark.analysis.frame import COLUMNS

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_every_example_runs(tmp_path: Path) -> None:
    """One after the other, as cells of a notebook: a script without a main guard."""
    assert len(examples()) == 6
    (tmp_path / "page.py").write_text("\n".join(examples()), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_columns_are_those_of_the_frame() -> None:
    table = PAGE.read_text(encoding="utf-8").split("<!-- columns -->")[1].split("<!-- /columns -->")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.strip().splitlines()[2:]]
    assert rows == [(f"`{name}`", kind, text) for name, kind, text in describe_columns(COLUMNS) if name != "schema"]
