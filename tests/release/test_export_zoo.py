"""What `export-zoo` writes: index, cards, names; and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import prunebench
import pytest
import yaml
from prunebench.benchmark.api.errors import Damaged, UserError
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.release.names import is_name, name_of
from prunebench.benchmark.runs.files import digest_of
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from released import BASE, DENSE, NAME, PRUNED, STUDY, export


def test_the_index_has_the_numbers_and_digests_of_what_is_there(release: Path, computed: Path) -> None:
    index = json.loads((release / "index.json").read_text(encoding="utf-8"))
    assert index["schema"] == 1
    assert [each["name"] for each in index["networks"]] == [f"{BASE}/dense/0/3", NAME]
    pruned = index["networks"][1]
    result = Store(computed / "results").folder("small", PRUNED).read_result()
    assert result is not None
    assert pruned["id"] == PRUNED.id
    assert (pruned["kept"], pruned["sparsity"]) == (result["sparsity"]["kept"], result["sparsity"]["achieved"])
    assert pruned["accuracy_last"] == result["accuracy"]["last"]
    assert pruned["macs_sparse"] == result["macs"]["sparse"]
    assert set(pruned["files"]) == {"result.json", "model.safetensors", "masks.safetensors", "README.md"}
    for each in index["networks"]:
        for file, facts in each["files"].items():
            path = release / each["name"] / file
            assert (digest_of(path), path.stat().st_size) == (facts["sha256"], facts["bytes"])
    page = (release / "README.md").read_text(encoding="utf-8")
    assert f"[{NAME}]({NAME}/README.md) | Global MP | 89.96 |" in page


def test_a_card_has_what_hubs_read_and_what_readers_ask(release: Path) -> None:
    _, front, text = (release / NAME / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    facts = yaml.safe_load(front)
    result = json.loads((release / NAME / "result.json").read_text(encoding="utf-8"))
    assert (facts["license"], facts["library_name"], facts["pipeline_tag"]) == (
        "mit", "prunebench", "image-classification"
    )  # fmt: skip
    (told,) = facts["model-index"]
    (found,) = told["results"]
    assert (told["name"], found["task"]["type"], found["dataset"]["type"]) == (NAME, "image-classification", "digits")
    assert found["metrics"][0]["value"] == result["accuracy"]["last"]
    kept, prunable = result["sparsity"]["kept"], result["sparsity"]["prunable"]
    for line in (
        f"| Test accuracy, last epoch | {100 * result['accuracy']['last']:.2f} % |",
        f"| Weights kept | {kept:,} of {prunable:,} that sparsity counts |",
        f"| Multiply-adds for one input | {result['macs']['sparse']:,.0f} of {result['macs']['dense']:,.0f} |",
        "| Epochs | 1, and 1 of the dense training |",
        f"* Run `{PRUNED.id}` of the study `small`; the id is a hash of what determines the run.",
        "* Method: arXiv 2209.14624.",
    ):
        assert line in text.splitlines()
    recipe = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert (recipe["sparsity"], recipe["recipe"]["momentum"], recipe["parent"]["method"]) == (0.9, 0.9, "dense")
    assert "No licence" not in text


@pytest.mark.parametrize(
    ("run", "label", "name"),
    [
        (PRUNED, "Global MP", NAME),
        (PRUNED, "Global MP (gradual)", f"{BASE}/global-mp-gradual/90/3"),
        (replace(PRUNED, sparsity=0.995), "SNIP + MT 0.1%", f"{BASE}/snip-mt-0.1/99.5/3"),
        (replace(PRUNED, sparsity=0.57, retrain_seed=1), "·", f"{BASE}/global_mp/57/3.1"),
        (DENSE, "Dense", f"{BASE}/dense/0/3"),
    ],
)
def test_names_come_from_the_row(run: Run, label: str, name: str) -> None:
    assert name_of(run, label) == name
    assert is_name(name)


@pytest.mark.parametrize(
    "text", ["a/b/c/90", "a/b/c/90/0/1", "a/b/../90/0", "/a/b/c/90", "a/b/c/90/", "A/b/c/90/0", "3f2a"]
)
def test_other_texts_are_no_names(text: str) -> None:
    assert not is_name(text)


def test_a_folder_that_is_there_is_refused_before_anything_runs(computed: Path, release: Path) -> None:
    before = sorted(release.rglob("*"))
    done = export(release, computed / "small.yaml", "--results", computed / "results", "--run")
    assert isinstance(done.exception, UserError)
    assert str(done.exception) == f"{release} is there already; name a new folder for the release"
    assert sorted(release.rglob("*")) == before


def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(computed: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = export(tmp_path / "file" / "release", computed / "small.yaml", "--results", tmp_path / "none", "--run")
    assert str(done.exception) == f"{tmp_path}/file/release cannot be made: {tmp_path}/file is a file"
    done = export(tmp_path / "r", computed / "small.yaml", "no-study", "--results", tmp_path / "none", "--run")
    assert str(done.exception).startswith("unknown study 'no-study'")
    assert not (tmp_path / "none").exists()


def test_two_networks_of_one_name_are_refused_and_nothing_is_written(computed: Path, tmp_path: Path) -> None:
    other = STUDY.replace("name: small", "name: other").replace("epochs: 1", "epochs: 2")
    (tmp_path / "other.yaml").write_text(other, encoding="utf-8")
    run = replace(DENSE, recipe=replace(DENSE.recipe, epochs=2))
    shutil.copytree(computed / "results", tmp_path / "results")
    assert attempt(run, "other", Settings(results=tmp_path / "results")).outcome == "done"
    done = export(
        tmp_path / "release", computed / "small.yaml", tmp_path / "other.yaml", "--results", tmp_path / "results"
    )
    assert isinstance(done.exception, UserError)
    assert str(done.exception) == (
        f"two networks would have the name '{BASE}/dense/0/3': 'Dense' of small ({DENSE.id}) and 'Dense' of other "
        f"({run.id}); write them to two folders"
    )
    assert not (tmp_path / "release").exists()


def test_run_computes_what_is_missing_and_what_kept_no_weights(computed: Path, tmp_path: Path) -> None:
    shutil.copytree(computed / "results", tmp_path / "results")
    folder = Store(tmp_path / "results").folder("small", PRUNED)
    result = folder.read_result()
    assert result is not None
    del result["files"]["model.safetensors"]
    folder.result_path.write_text(json.dumps(result), encoding="utf-8")
    folder.model_path.unlink()
    arguments = (computed / "small.yaml", "--results", tmp_path / "results")
    done = export(tmp_path / "first", *arguments, "--strict")
    assert done.exit_code == 3
    assert "left out: 1 results without weights here (1 of Global MP); --run computes them again" in done.stderr
    done = export(tmp_path / "second", *arguments, "--run", "--jobs", "1", "--strict")
    assert done.exit_code == 0, done.output
    index = json.loads((tmp_path / "second" / "index.json").read_text(encoding="utf-8"))
    names = [each["name"] for each in index["networks"]]
    assert names == [f"{BASE}/dense/0/3", f"{BASE}/global-mp-per-layer/90/3", NAME]
    assert prunebench.load_pruned(names[1], release=tmp_path / "second").result["run"]["method_options"] == {
        "scope": "layerwise"
    }


def test_damaged_weights_are_named_and_nothing_is_written(computed: Path, tmp_path: Path) -> None:
    shutil.copytree(computed / "results", tmp_path / "results")
    weights = Store(tmp_path / "results").folder("small", PRUNED).model_path
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    done = export(tmp_path / "release", computed / "small.yaml", "--results", tmp_path / "results")
    assert isinstance(done.exception, Damaged)
    assert str(done.exception) == f"{weights} is damaged: its SHA-256 is not the one in its result"
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_a_study_without_results_says_so(computed: Path, tmp_path: Path) -> None:
    done = export(tmp_path / "release", computed / "small.yaml", "--results", tmp_path / "none")
    assert isinstance(done.exception, UserError)
    assert "nothing to write: no run of small is stored with its weights" in str(done.exception)


def test_the_command_of_the_page_gives_at_least_thirty_pruned_networks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    command = next(line for line in page.splitlines() if line.startswith("prunebench export-zoo"))
    words = command.split()
    assert words[:5] == ["prunebench", "export-zoo", "networks", "zoo", "--run"]
    study = load_study("zoo", only=[words[place + 1] for place, word in enumerate(words) if word == "--only"])
    assert sum(not run.is_dense for run in study.runs) >= 30
    names = [name_of(row.run, row.label) for row in study.rows if row.run is not None]
    assert len(set(names)) == len(names)
