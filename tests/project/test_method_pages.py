"""The page of each method: its class, what was measured, and an entry that a study takes; `show` prints the same."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from prunebench.benchmark.cli.method_facts import method_facts
from prunebench.benchmark.cli.show import show, spelled
from prunebench.benchmark.studies.load import load_study
from prunebench.methods.registry import describe, method_names
from rooms import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from method_pages import method_page, methods_by_family


def test_every_method_has_a_page_in_one_family() -> None:
    assert sorted(name for names in methods_by_family().values() for name in names) == sorted(method_names())


@pytest.mark.parametrize("name", method_names())
def test_a_page_has_all_that_its_class_says(name: str) -> None:
    info, page = describe(name), method_page(name)
    assert page.startswith(f"# {info.label}\n\n{info.summary}\n")
    assert method_facts(name)["description"] in page
    assert info.uncertain in page
    assert f"| source | {info.paper or '–'} |" in page
    for option, facts in method_facts(name)["options"].items():
        assert f"| `{option}` | {facts['type']} | `{spelled(facts['default'])}` | {facts['meaning'][:9]}" in page
    assert set(info.options) == set(method_facts(name)["options"])


@pytest.mark.parametrize("name", method_names())
def test_its_entry_and_its_command_are_those_of_a_study(name: str, tmp_path: Path) -> None:
    facts = method_facts(name)
    study = re.fullmatch(rf"prunebench run (\S+) --only method={name}", facts["run"])
    base = study[1] if study else "demo"
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: {base}\nname: mine\nruns:\n  {facts['example']}\n", encoding="utf-8")
    assert {run.method for run in load_study(str(path)).runs} == {name}
    assert study is None or name in {run.method for run in load_study(base).runs}


def test_costs_are_looked_up_in_what_was_measured() -> None:
    upkeep = (ROOT / "benchmark" / "perf" / "mask_upkeep.md").read_text(encoding="utf-8")
    row = next(line for line in upkeep.splitlines() if line.startswith("| RigL |"))
    _, hooks, share, _ = (cell.strip() for cell in row.strip("|").split("|"))
    before_and_after, step = method_facts("rigl")["costs"]
    assert step.startswith(f"ConvNet-small on one core: {hooks} ms in its hooks in each training step, {share} of")
    assert before_and_after.startswith("ResNet-50 on two cores: ")
    assert "57.52 s before training" in method_facts("force")["costs"][0]  # its label has a mark in the table
    assert method_facts("global_mp_columns")["costs"] == []  # a row that says why it was not measured


def test_show_prints_the_facts_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    show.main(["snip"], standalone_mode=False)
    printed = " ".join(capsys.readouterr().out.split())
    facts = method_facts("snip")
    for said in (facts["description"], *facts["costs"], facts["example"], facts["run"]):
        assert " ".join(said.split()) in printed
