"""methods/README.md: each of its four examples passes the contract as a plug-in, and its table has all families."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prunebench.methods import registry
from prunebench.methods.checks.run_checks import check_method

README = Path(__file__).parents[2] / "methods" / "README.md"
EXAMPLES = dict(
    re.findall(r"<!-- file: (\w+)\.py -->\n```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
)


def test_there_are_four() -> None:
    assert list(EXAMPLES) == ["centred", "input_norm", "running_saliency", "grow_signed"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_passes_the_contract(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.OFFERS, "plugins", {})
    path = tmp_path / f"{name}.py"
    path.write_text(EXAMPLES[name], encoding="utf-8")
    assert registry.add_plugin(path) == [name]
    failed = [result for result in check_method(name) if result.passed is False]
    assert failed == []


def test_every_family_is_explained() -> None:
    table = README.read_text(encoding="utf-8").split("## Families")[1].split("## ")[0]
    explained = re.findall(r"^\| ([\w -]+) \| [^|]+ \|$", table, re.MULTILINE)[1:]
    assert sorted(explained) == sorted({registry.describe(name).family for name in registry.method_names()})


def test_families_follow_the_start() -> None:
    """One-shot and post-training methods start from trained weights, those at initialisation do not."""
    infos = [registry.describe(name) for name in registry.method_names()]
    assert {info.start for info in infos if info.family in ("one-shot", "post-training")} == {"trained"}
    assert {info.start for info in infos if info.family == "at initialisation"} == {"init"}
