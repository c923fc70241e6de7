"""The walk-through of CONTRIBUTING.md is executed: its file is a method that passes the contract and a study."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from installed_package import install, printed_with
from prunebench.benchmark.studies.load import load_study

ROOT = Path(__file__).parents[2]
STUDY = """\
name: mine
plugins: [row_scaled.py]
dataset: {name: digits, options: {limit: 200}}
model: convnet-small
seeds: [0]
train: {epochs: 1, batch_size: 50}
runs:
  - method: [row_scaled, global_mp]
    sparsity: [90%]
"""


def prunebench(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)


def example() -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    match = re.search(r"<!-- file: row_scaled.py -->\n```python\n(.*?)```", text, re.DOTALL)
    assert match is not None
    return match.group(1)


def test_the_study_of_the_readme_is_one(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    match = re.search(r"<!-- file: my_study.yaml -->\n```yaml\n(.*?)```", text, re.DOTALL)
    assert match is not None
    (tmp_path / "my_study.yaml").write_text(match.group(1), encoding="utf-8")
    study = load_study(str(tmp_path / "my_study.yaml"))
    assert study.labels == ["Dense", "Global MP", "SNIP", "Global MP (scope=layerwise)", "Global MP (scope=erk)"]
    assert len(study.runs) == 21


def test_the_example_is_a_method(tmp_path: Path) -> None:
    (tmp_path / "row_scaled.py").write_text(example(), encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    assert "Row-scaled MP" in prunebench(tmp_path, "list", "--plugin", "row_scaled.py").stdout
    checked = prunebench(tmp_path, "check", "row_scaled", "--plugin", "row_scaled.py")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done = prunebench(tmp_path, "run", "study.yaml")
    assert done.returncode == 0, done.stderr
    table = prunebench(tmp_path, "table", "study.yaml")
    assert "Row-scaled MP" in table.stdout


def test_the_tool_that_renews_lists_is_named() -> None:
    assert "python tools/update_readme.py" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_an_installed_package_offers_methods_by_entry_point(tmp_path: Path) -> None:
    module = example().replace('METHODS = {"row_scaled": "RowScaled"}', "")
    package = install(tmp_path, {"row_scaled": module}, "[prunebench.methods]\nrow_scaled = row_scaled:RowScaled\n")
    script = (
        "from prunebench.methods.registry import create, describe\n"
        "assert describe('row_scaled').label == 'Row-scaled MP'\n"
        "assert 'torch' not in sys.modules\n"
        "print(create('row_scaled', 0.5, {'scope': 'layerwise'}))\n"
    )
    assert "RowScaled(sparsity=0.5" in printed_with(package, script)
