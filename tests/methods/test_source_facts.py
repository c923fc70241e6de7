"""The year of a method and what is uncertain of it, read from its source, and where both are shown."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from prunebench.benchmark.cli.browse import list_names
from prunebench.benchmark.cli.show import show
from prunebench.methods import METHODS, registry
from prunebench.methods.listing.source_facts import uncertain_of, year_of
from prunebench.methods.registry import describe

WITHOUT_YEAR = {
    "dense", "dense_longer", "random", "random_columns", "random_filters", "random_init", "small_dense",
}  # fmt: skip
"""Dense training and controls, which are of no paper."""

PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar
from prunebench.api import MaskPruner
METHODS = {"mine": "Mine"}

@dataclass(kw_only=True)
class Mine(MaskPruner):
    """Keep the largest.

    Uncertain: whether the authors
    keep ties.

    The rest is known.
    """

    label: ClassVar[str] = "Mine"
    paper: ClassVar[str] = "Somebody 1993"
    def score(self, name, weight): return weight.abs()
'''


@pytest.mark.parametrize(
    ("paper", "year"),
    [
        ("arXiv 1911.11134", 2019),
        ("arXiv 2010.07611", 2020),
        ("LeCun et al. 1990 (arXiv 1801.05787)", 1990),
        ("control (arXiv 2306.11695)", 2023),
        ("arXiv 2209.14624, extended", 2022),
        ("control", None),
        ("arXiv 1913.00001", None),
        ("", None),
    ],
)
def test_the_year_is_that_of_the_paper(paper: str, year: int | None) -> None:
    assert year_of(paper) == year


def test_every_method_of_a_paper_has_a_year() -> None:
    assert {name for name in METHODS if describe(name).year is None} == WITHOUT_YEAR


def test_only_paragraphs_that_say_so_are_uncertain() -> None:
    assert uncertain_of("Prune.\n\n    Uncertain: the\n    scale.\n\n    Known.\n\n    Uncertain: the end.") == (
        "the scale. the end."
    )
    assert uncertain_of("Prune. Uncertain: no paragraph.\n\nIt is Uncertain: neither.") == ""


def test_list_and_show_say_what_is_uncertain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.OFFERS, "plugins", {})
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN, encoding="utf-8")

    def printed(command: click.Command, *words: str) -> Result:
        return CliRunner().invoke(command, [*words, "--plugin", str(path)], catch_exceptions=False)

    listed = printed(list_names)
    rows = {line.split("  ")[0]: line for line in listed.stdout.splitlines()}
    assert "1993" in rows["mine ?"]
    assert "2019" in rows["rigl"]
    assert listed.stdout.splitlines()[-1].startswith("?: something of it could not be checked")
    facts = {row["name"]: row for row in json.loads(printed(list_names, "--json").stdout)["methods"]}
    assert (facts["mine"]["uncertain"], facts["mine"]["year"]) == ("whether the authors keep ties.", 1993)
    assert (facts["rigl"]["uncertain"], facts["rigl"]["year"]) == ("", 2019)
    assert "  uncertain: whether the authors keep ties." in printed(show, "mine").stdout.splitlines()
    assert "uncertain" not in printed(show, "rigl").stdout
