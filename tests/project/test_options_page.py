"""Every key and every option says what it means; the page itself is compared by `tools/update_readme.py --check`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from options_page import keys_table, meanings_below
from prunebench.benchmark.cli.option_facts import KINDS_WITH_OPTIONS
from prunebench.benchmark.models.registry import model_names
from prunebench.benchmark.studies.load import study_names
from prunebench.benchmark.studies.names import Named
from prunebench.benchmark.studies.recipe_schema import TrainFile
from prunebench.benchmark.studies.schema import Budget, Controls, Entry, StudyFile
from prunebench.benchmark.studies.tune_schema import OtherScenario, SharedSpace, TuneFile
from prunebench.datasets.registry import all_names
from prunebench.methods.registry import method_names
from prunebench.slurm.cluster_profile import Profile

NAMES = {"methods": method_names(), "models": model_names(), "datasets": all_names()}


FILES = [StudyFile, Entry, TrainFile, Named, Budget, Controls, Profile, TuneFile, SharedSpace, OtherScenario]


@pytest.mark.parametrize("model", FILES)
def test_every_key_of_a_file_says_what_it_means(model: type) -> None:
    assert [name for name in model.model_fields if not meanings_below(model).get(name)] == []


@pytest.mark.parametrize("kind", NAMES)
def test_every_option_says_what_it_means(kind: str) -> None:
    silent = [
        f"{name}: {option}"
        for name in NAMES[kind]
        for option, facts in KINDS_WITH_OPTIONS[kind](name).items()
        if not facts["meaning"]
    ]
    assert silent == []


def test_a_key_has_its_bounds_and_its_default() -> None:
    rows = dict(row.split(" | ", 1) for model in (TrainFile, Profile) for row in list(keys_table(model))[2:])
    assert rows["| `lr`"] == "a finite number > 0 | `0.1` | Learning rate after warm-up. |"
    assert rows["| `signal_before`"].startswith("a duration | `120` | ")
    assert rows["| `device`"].startswith("one of auto, cpu, cuda | `auto` | ")


def test_no_name_has_two_meanings() -> None:
    """`show NAME` finds out what a name is."""
    names = [name for kind in (*NAMES.values(), study_names()) for name in kind]
    assert len(names) == len(set(names))
