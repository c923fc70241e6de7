"""The four examples of methods/README.md are methods: each passes the contract as a plug-in."""

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
