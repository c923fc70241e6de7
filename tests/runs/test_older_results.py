"""Results of older code: reported by every command, never averaged with others, computed again without losing any."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark import __version__
from prunebench.benchmark.launch.attempt import attempt
from prunebench.benchmark.runs.artifacts import load_checkpoint, save_checkpoint
from prunebench.benchmark.runs.files import write_json
from prunebench.benchmark.runs.recompute import ask, is_done
from prunebench.benchmark.runs.run import Recipe, Run, frozen_options
from prunebench.benchmark.runs.run_code import CodeReader, differences
from prunebench.benchmark.runs.run_folder import RunFolder
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.age import Ages, age_lines, older_runs
from prunebench.benchmark.training.harness import Watch

PLUGIN = '''\
from dataclasses import dataclass
from typing import ClassVar, Literal

from prunebench.methods.bases.mask_pruner import MaskPruner
from torch import Tensor

METHODS = {"mine": "Mine"}


@dataclass(kw_only=True)
class Mine(MaskPruner):
    """Keep what is large."""

    label: ClassVar[str] = "Mine"
    version: ClassVar[int] = 1
    start: Literal["trained", "init"] = "init"

    def score(self, name: str, weight: Tensor) -> Tensor:
        return weight.abs()  # large is kept
'''

STUDY = """\
name: s
dataset: {name: digits, options: {limit: 100}}
model: convnet-small
seeds: [0]
train: {epochs: 1, batch_size: 50}
runs:
  - {method: mine, sparsity: 0.9}
"""

DENSE = Run(
    dataset="digits",
    dataset_options=frozen_options({"limit": 100}),
    model="convnet-small",
    method="dense",
    seed=0,
    recipe=Recipe(epochs=2, batch_size=50),
)
PRUNED = replace(DENSE, method="global_mp", sparsity=0.9, parent=DENSE)


def prunebench(*arguments: str, cwd: Path) -> str:
    """Stdout and stderr of a command on the study, which must succeed."""
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *arguments, "--plugin", "mine.py"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_an_edited_plugin_is_reported_and_computed_again(tmp_path: Path) -> None:
    plugin, line = tmp_path / "mine.py", "1 stored result is of older code or weights (code of the method: 1)"
    plugin.write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    prunebench("run", "s.yaml", "--device", "cpu", cwd=tmp_path)
    masks = next(tmp_path.glob("results/s/runs/*/masks.safetensors"))
    first = masks.read_bytes()

    plugin.write_text(PLUGIN.replace("# large is kept", "# or so"), encoding="utf-8")
    told = [prunebench(command, "s.yaml", cwd=tmp_path) for command in ("run", "status", "table")]
    assert not any("older code" in text for text in told)

    plugin.write_text(PLUGIN.replace("weight.abs()", "-weight.abs()"), encoding="utf-8")
    for command in ("run", "status", "table", "export"):
        text = prunebench(command, "s.yaml", cwd=tmp_path)
        assert text.count(line) == 1, command
    text = prunebench("table", "s.yaml", cwd=tmp_path)
    assert "⊖ of older code or weights than the present, so not compared for best: Mine at 90 % (code of the" in text
    assert masks.read_bytes() == first

    text = prunebench("run", "s.yaml", "--recompute", "--device", "cpu", cwd=tmp_path)
    assert "s: 1 stored result is of older code or weights, to be computed anew (code of the method: 1)" in text
    assert "s: 1 computed, 0 failed" in text
    assert masks.read_bytes() != first
    assert "older" not in prunebench("status", "s.yaml", cwd=tmp_path)

    plugin.write_text(plugin.read_text(encoding="utf-8").replace("= 1\n", "= 2\n"), encoding="utf-8")
    assert "s: 1 runs: 1 missing" in prunebench("status", "s.yaml", cwd=tmp_path)


def folder(run: Run, results: Path) -> RunFolder:
    return Store(results).folder("s", run)


def result_of(run: Run, results: Path) -> dict[str, Any]:
    result = folder(run, results).read_result()
    assert result is not None
    return result


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    for run in (DENSE, PRUNED):
        assert attempt(run, "s", Settings(results=results)).outcome == "done"
    return results


@pytest.fixture
def results(computed: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    import shutil

    return Path(shutil.copytree(computed, tmp_path / "results"))


def change(run: Run, results: Path, **code: Any) -> None:
    """Change a stored result so that it was computed with other code."""
    result = result_of(run, results)
    result["provenance"]["code"] |= code
    write_json(folder(run, results).result_path, result)


def older(results: Path) -> dict[str, tuple[str, ...]]:
    return older_runs("s", [PRUNED], Store(results))


def test_a_result_knows_its_code_and_its_start(results: Path) -> None:
    dense, pruned = result_of(DENSE, results)["provenance"], result_of(PRUNED, results)["provenance"]
    assert dense["code"].keys() == {"scheme", "method", "network"}
    assert dense["code"]["network"] == pruned["code"]["network"]
    assert dense["code"]["method"] != pruned["code"]["method"]
    assert pruned["weights"] == {"start": dense["weights"]["stored"], "stored": None}
    assert older(results) == {}


def test_a_change_of_the_network_makes_what_starts_from_it_older_too(results: Path) -> None:
    change(DENSE, results, network="another")
    assert older(results) == {DENSE.id: ("network",), PRUNED.id: ("start",)}
    assert age_lines("s", older(results).values()) == [
        "s: 2 stored results are of older code or weights (code of the network: 1, dense training: 1); "
        "run --recompute computes them anew"
    ]


def test_a_result_of_another_version_of_the_suite_is_not_older(results: Path) -> None:
    """A release alone changes neither ids nor the age of what is stored: digests of code decide."""
    for run in (DENSE, PRUNED):
        result = result_of(run, results)
        assert result["provenance"]["prunebench"] == __version__
        result["provenance"]["prunebench"] = "0.0.1"
        write_json(folder(run, results).result_path, result)
    assert older(results) == {}
    assert all(is_done(folder(run, results)) for run in (DENSE, PRUNED))


def test_an_old_result_without_code_is_not_called_older(results: Path) -> None:
    for run in (DENSE, PRUNED):
        result = result_of(run, results)
        del result["provenance"]["code"], result["provenance"]["weights"]
        write_json(folder(run, results).result_path, result)
    assert older(results) == {}


def test_the_same_dense_weights_again_leave_what_started_from_them(results: Path) -> None:
    ask(folder(DENSE, results))
    assert attempt(DENSE, "s", Settings(results=results)).outcome == "done"
    assert older(results) == {}
    result = result_of(DENSE, results)
    result["provenance"]["weights"]["stored"] = "others"
    write_json(folder(DENSE, results).result_path, result)
    assert older(results) == {PRUNED.id: ("start",)}


def test_an_interrupted_recomputation_leaves_the_old_result(results: Path) -> None:
    place, settings = folder(PRUNED, results), Settings(results=results)
    change(PRUNED, results, method="another")
    before, history = place.result_path.read_bytes(), place.history()
    ask(place)
    assert not is_done(place)
    assert place.status().state == "missing"
    epochs: list[Any] = []
    ending = attempt(PRUNED, "s", settings, Watch(on_epoch=epochs.append, stop=lambda: True))
    assert (ending.outcome, len(epochs)) == ("interrupted", 1)
    assert (place.result_path.read_bytes(), place.history()) == (before, history)
    assert place.status().state == "interrupted"
    assert older(results) == {PRUNED.id: ("method",)}
    assert attempt(PRUNED, "s", settings).outcome == "done"
    assert place.status().state == "done"
    assert (result_of(PRUNED, results)["cost"]["resumed"], place.history()) == (1, history)
    assert older(results) == {}
    assert {path.name for path in place.path.iterdir()} == {
        "run.json", "attempts", "history.jsonl", "masks.safetensors", "result.json"
    }  # fmt: skip


def test_a_wish_ends_with_the_result_that_it_is_about(results: Path) -> None:
    place = folder(PRUNED, results)
    ask(place)
    wish = json.loads((place.path / "recompute.json").read_text(encoding="utf-8"))
    write_json(place.path / "recompute.json", {**wish, "finished": wish["finished"] - 1})
    assert is_done(place)


def test_a_run_whose_code_changed_halfway_stays_marked(tmp_path: Path) -> None:
    settings, place = Settings(results=tmp_path), folder(DENSE, tmp_path)
    assert attempt(DENSE, "s", settings, Watch(stop=lambda: True)).outcome == "interrupted"
    state = load_checkpoint(place.checkpoint_path, DENSE.id)
    state["code"]["network"] = "another"
    save_checkpoint(place.checkpoint_path, DENSE.id, state)
    assert attempt(DENSE, "s", settings).outcome == "done"
    assert older_runs("s", [DENSE], Store(tmp_path)) == {DENSE.id: ("changed",)}


def test_a_weights_file_counts_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    path.write_bytes(b"one")
    run = replace(DENSE, model_options=frozen_options({"weights": str(path)}))
    first = CodeReader().read(run)
    path.write_bytes(b"two")
    assert differences(first, CodeReader().read(run)) == ("weights",)
    path.rename(tmp_path / "moved.safetensors")
    moved = replace(DENSE, model_options=frozen_options({"weights": str(tmp_path / "moved.safetensors")}))
    assert CodeReader().read(moved) != first
    (tmp_path / "moved.safetensors").write_bytes(b"one")
    assert CodeReader().read(moved) == first
    assert differences(first, CodeReader().read(run)) == (), "not there, so not known"


def test_the_code_of_a_control_is_also_that_of_the_method_inside() -> None:
    def method(name: str, **options: Any) -> str:
        run = replace(DENSE, method=name, sparsity=0.9, method_options=frozen_options(options))
        return CodeReader().read(run)["method"]

    assert method("shuffled", of="snip").split("+")[1] == method("snip")
    assert method("shuffled") == method("shuffled", of="snip") != method("shuffled", of="grasp")
    assert method("global_mp") == method("layerwise_mp") != method("snip")


def test_another_version_of_a_package_is_other_code() -> None:
    code = {"scheme": 1, "method": "m", "network": "n", "packages": {"mine": "1.0"}}
    assert differences(code, code) == ()
    assert differences({**code, "packages": {"mine": "0.9"}}, code) == ("method",)
    assert differences({**code, "scheme": 0, "method": "x"}, code) == ()


def test_ages_are_read_once_for_a_dense_training(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counting(store: Store, study: str, run: Run) -> dict[str, Any] | None:
        read.append(run.id)
        return store.folder(study, run).read_result()

    monkeypatch.setattr(Store, "result", counting)
    ages = Ages("s", Store(results))
    for _ in range(3):
        assert ages.of(PRUNED, result_of(PRUNED, results)) == ()
    assert read == [DENSE.id]
