"""Contributions: a good one is written, a bad one is named line by line and writes nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import accuracy, store_exact, stored
from click.testing import CliRunner, Result
from prunebench.benchmark.cli import app
from prunebench.benchmark.exchange.records import write_records
from prunebench.benchmark.leaderboard.checks import mask_counts
from prunebench.benchmark.leaderboard.collect import read_contribution
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.studies.plan import with_parents
from safetensors.numpy import save
from synthetic_results import STUDY, store_failure

Made = tuple[Study, Store]


def submit(folder: Path, study: Path, *others: str) -> Result:
    return CliRunner().invoke(
        app, ["submit-result", str(folder), "--study", str(study), "--into", str(study.parent / "into"), *others]
    )


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return stored(tmp_path / "study")


def run_of(study: Study, method: str, sparsity: float = 0.9, seed: int = 0) -> Run:
    return next(run for run in study.runs if (run.method, run.sparsity, run.seed) == (method, sparsity, seed))


def problems(made: Made, *others: str) -> list[str]:
    """The lines of a contribution that is refused, without the last, which counts them."""
    root = made[1].root
    result = submit(root, root.parent / "study.yaml", *others)
    assert result.exit_code == 2, result.output
    assert not (root.parent / "into").exists()
    *lines, last = result.output.strip().splitlines()
    assert last == f"{len(lines)} problem{'s' * (len(lines) != 1)}; nothing was written"
    return lines


def test_a_whole_study_becomes_one_file(made: Made) -> None:
    study, store = made
    store_failure(store, study.name, run_of(study, "snip"), "Diverged: loss is nan")
    shutil.rmtree(store.folder(study.name, run_of(study, "snip")).path)
    store_failure(store, study.name, run_of(study, "snip"), "Diverged: loss is nan")
    result = submit(store.root, store.root.parent / "study.yaml", "--name", "lab", "--by", "A. Person")
    assert (result.exit_code, len(result.output.splitlines())) == (0, 1), result.output
    path = store.root.parent / "into" / "lab.json"
    found = read_contribution(path)
    assert (found.name, found.by, len(found.results)) == ("lab", "A. Person", 21)
    assert [each.reason for each in found.results if each.state == "failed"] == ["Diverged: loss is nan"]
    assert "here" not in path.read_text(encoding="utf-8")  # names of machines and folders stay there
    again = submit(store.root, store.root.parent / "study.yaml", "--name", "lab")
    assert (again.exit_code, "exists already" in str(again.exception)) == (1, True)


def test_records_do_as_well(made: Made, tmp_path: Path) -> None:
    study, store = made
    write_records(study.name, with_parents(study.runs), store, tmp_path / "records")
    result = submit(tmp_path / "records", store.root.parent / "study.yaml")
    assert result.exit_code == 0, result.output
    assert len(read_contribution(store.root.parent / "into" / "small.json").results) == 21


def test_the_folder_of_a_study_brings_its_dense_trainings(made: Made) -> None:
    study, store = made
    other = store_exact(store, "other", run_of(study, "snip"), 0.9)
    other.write_text("{", encoding="utf-8")  # of another study, so none of this contribution
    result = submit(store.root / study.name, store.root.parent / "study.yaml")
    assert result.exit_code == 0, result.output


def test_a_run_that_is_left_out_is_named(made: Made) -> None:
    study, store = made
    run = run_of(study, "snip", 0.95, 2)
    shutil.rmtree(store.folder(study.name, run).path)
    assert problems(made) == [
        f"run {run.id} (SNIP, 95 %, seed 2) is missing: failed runs count, so none may be left out"
    ]


def test_a_damaged_result_is_named_once(made: Made) -> None:
    study, store = made
    path = store.folder(study.name, run_of(study, "snip")).result_path
    path.write_text("{", encoding="utf-8")
    (line,) = problems(made)
    assert line.startswith(f"{path} is damaged: ")


def test_too_few_seeds_are_named(tmp_path: Path) -> None:
    made = stored(tmp_path / "study", STUDY.replace("    sparsity: [90%, 95%]", "    sparsity: 90%\n    seeds: [0]"))
    assert problems(made) == [
        f"{label} at 90 % has 1 seeds, the study has 3" for label in ("Global MP", "SNIP", "Random")
    ]


def _more_weights(result: dict[str, Any]) -> None:
    for place in (result["layers"][0], result["sparsity"]):
        place["kept"] += 1
    result["sparsity"]["achieved"] = 1 - result["sparsity"]["kept"] / result["sparsity"]["prunable"]


def _other_layers(result: dict[str, Any]) -> None:
    result["layers"][0]["kept"] += 1


def _claims_more(result: dict[str, Any]) -> None:
    result["sparsity"]["achieved"] = 0.95


def _best_epoch(result: dict[str, Any]) -> None:
    result["accuracy"]["last"] = 0.99


def _best_on_test(result: dict[str, Any]) -> None:
    result["accuracy"]["selected"] = 0.99


def _no_code(result: dict[str, Any]) -> None:
    result["provenance"]["code"] = None


def _other_code(result: dict[str, Any]) -> None:
    result["provenance"]["code"]["method"] = "0" * 16


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_more_weights, "140 of 1,384 weights are kept, a sparsity of 90 % keeps 139"),
        (_other_layers, "the layers keep 140 weights, sparsity.kept says 139"),
        (_claims_more, r"sparsity.achieved is 0.95, its layers have 0.899566474"),
        (_best_epoch, "accuracy.last is 0.99, and its last epoch has 0.94"),
        (_best_on_test, "accuracy.selected is 0.99, and the epoch that validation picks has 0.94"),
        (_no_code, "it does not record its code; compute it with this version"),
        (_other_code, r"it is neither of the present code nor of a commit of the project \(method differ\)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_result_says_is_compared_with_what_is_stored(
    made: Made, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    study, store = made
    run = run_of(study, "snip")
    path = store.folder(study.name, run).result_path
    result = json.loads(path.read_text(encoding="utf-8"))
    change(result)
    path.write_text(json.dumps(result), encoding="utf-8")
    (line,) = problems(made)
    assert re.search(rf"run {run.id} \(SNIP, 90 %, seed 0\): .*{said}", line), line


def test_a_training_that_ended_early_is_refused(made: Made) -> None:
    """Its last epoch would be chosen, perhaps on the test set."""
    study, store = made
    run = run_of(study, "global_mp")
    folder = store.folder(study.name, run)
    lines = folder.history_path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]
    folder.history_path.write_text("".join(lines), encoding="utf-8")
    result = json.loads(folder.result_path.read_text(encoding="utf-8"))
    result["cost"]["epochs"] -= 1
    folder.result_path.write_text(json.dumps(result), encoding="utf-8")
    (line,) = problems(made)
    assert "it has 2 epochs, its recipe 3: a training that ends early chooses its last epoch" in line


def test_masks_are_counted(made: Made) -> None:
    study, store = made
    run = run_of(study, "global_mp")
    folder = store.folder(study.name, run)
    content = save({"conv.weight": np.array([0b1110_0001], dtype=np.uint8)}, metadata={"shapes": "{}"})
    folder.masks_path.write_bytes(content)
    assert mask_counts(content) == {"conv.weight": 4}
    facts = {"masks.safetensors": {"sha256": "0", "bytes": len(content)}}
    store_exact(store, study.name, run, accuracy(run), files=facts)
    folder.masks_path.write_bytes(content)
    (line,) = problems(made)
    assert "its mask keeps 4 weights of conv.weight, its layers say 7" in line


def test_an_older_version_of_a_method_is_refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from prunebench.benchmark.leaderboard import contribute

    known = contribute.describe
    monkeypatch.setattr(contribute, "describe", lambda name: replace(known(name), version=2 if name == "snip" else 1))
    lines = problems(made)
    assert len(lines) == 6
    assert all(line.endswith("method 'snip' has version 1, and 2 is the present one") for line in lines)


PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar
from prunebench.api import MaskPruner

METHODS = {"mine": "Mine"}


@dataclass(kw_only=True)
class Mine(MaskPruner):
    """Mine."""

    label: ClassVar[str] = "Mine"
    paper: ClassVar[str] = "arXiv 2501.00001"
    needs: ClassVar[str] = "weights"

    def score(self, name, weight):
        return weight.abs()
'''


def test_a_plugin_names_its_source(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.py").write_text(PLUGIN, encoding="utf-8")
    made = stored(tmp_path / "study", STUDY.replace("[global_mp, snip, random]", "[mine]") + "plugins: [mine.py]\n")
    lines = problems(made)
    assert len(lines) == 6
    assert all("a plug-in computed it; say where its code can be read with --source" in line for line in lines)
    done = submit(made[1].root, tmp_path / "study" / "study.yaml", "--source", "https://example.org/mine")
    assert done.exit_code == 0, done.output
    found = read_contribution(tmp_path / "study" / "into" / "small.json")
    methods = {(each.method.name, each.method.source, each.method.year) for each in found.results}
    assert methods == {("mine", "https://example.org/mine", 2025), ("dense", "", None)}


@pytest.mark.parametrize("name", ["reference", "A B", "../x"])
def test_a_name_that_no_contribution_can_have(made: Made, name: str) -> None:
    result = submit(made[1].root, made[1].root.parent / "study.yaml", "--name", name)
    assert str(result.exception).startswith(f"name {name!r}: ")


def test_a_folder_of_several_studies_names_none(made: Made, tmp_path: Path) -> None:
    study, store = made
    for run in study.runs:
        if not run.is_dense:
            store_exact(store, "other", run, 0.9)
    result = CliRunner().invoke(app, ["submit-result", str(store.root)])
    assert "of 2 studies (other, small); name the study with --study" in str(result.exception)
    shutil.rmtree(store.root / "other")
    result = CliRunner().invoke(app, ["submit-result", str(store.root)])
    assert "results of study 'small', which is not the suite's; give --study FILE" in str(result.exception)
