"""Networks and data sets of the user's own: registered from files and packages, in ids, digests, workers and jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from installed_package import install, printed_with
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.models import registry as models
from prunebench.benchmark.models.template import MODEL
from prunebench.benchmark.runs.plugins import add_plugin, plugin_sources
from prunebench.benchmark.runs.run_code import CodeReader, differences
from prunebench.benchmark.studies.load import load_study
from prunebench.datasets import registry as datasets
from prunebench.datasets.parts.template import DATASET
from prunebench.methods import registry as methods

STUDY = """\
name: own
plugins: [own_net.py, own_data.py]
dataset: {name: own_data, options: {noise: 20, limit: 100}}
model: {name: own_net, options: {width: 4}}
seeds: [0]
train: {epochs: 1, batch_size: 50}
runs:
  - method: [dense, global_mp]
    sparsity: [50%]
"""


@pytest.fixture(autouse=True)
def _only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (methods, models, datasets):
        monkeypatch.setattr(registry.OFFERS, "plugins", {})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a network, a data set and a study of them."""
    names = {"name": "own_net", "class_name": "OwnNet", "title": "Own net"}
    (tmp_path / "own_net.py").write_text(MODEL.substitute(names), encoding="utf-8")
    names = {"name": "own_data", "class_name": "OwnData", "title": "Own data"}
    (tmp_path / "own_data.py").write_text(DATASET.substitute(names), encoding="utf-8")
    (tmp_path / "own.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def prunebench(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)


def test_a_file_may_hold_all_three(tmp_path: Path) -> None:
    code = "METHODS = {'all_three_m': 'M'}\nMODELS = {'all_three_net': 'net'}\nDATASETS = {'all_three_data': 'D'}\n"
    code += "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom prunebench.api import MaskPruner\n"
    code += "@dataclass(kw_only=True)\nclass M(MaskPruner):\n    label: ClassVar[str] = 'All three'\n"
    code += "class D:\n    pass\ndef net(*, num_classes, input_shape, depth: int = 2): ...\n"
    (tmp_path / "all_three.py").write_text(code, encoding="utf-8")
    add_plugin(tmp_path / "all_three.py")
    add_plugin(tmp_path / "all_three.py")
    assert methods.describe("all_three_m").label == "All three"
    assert "all_three_net" in models.model_names()
    assert "all_three_data" in datasets.dataset_names()
    assert list(plugin_sources()) == [str((tmp_path / "all_three.py").resolve())]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1", "needs a literal table such as METHODS = {"),
        ("MODELS = dict(a='b')", "needs a literal table such as METHODS = {"),
        ("MODELS = {'net_a': 'build'}", "model 'net_a': there is no function 'build'"),
        ("MODELS = {'net_a': 'build'}\ndef build(num_classes, input_shape): ...", "bad.py:2: model 'net_a': build must "
         "take keywords only: (*, num_classes, input_shape, and its options)"),
        ("MODELS = {'net_a': 'build'}\ndef build(*, num_classes): ...", "must take keywords only"),
        ("MODELS = {'net_a': 'build'}\ndef build(*, num_classes, input_shape, width=3): ...", "option 'width' needs a "
         "type and a default"),
        ("MODELS = {'net_a': 'build'}\ndef build(*, num_classes, input_shape, width: int): ...", "'width' needs"),
        ("MODELS = {'resnet-20': 'build'}\ndef build(*, num_classes, input_shape): ...", "model 'resnet-20' exists "
         "already, in "),
        ("MODELS = {'snip': 'build'}\ndef build(*, num_classes, input_shape): ...", "method 'snip' exists already"),
        ("DATASETS = {'data_a': 'Data'}", "data set 'data_a': there is no class 'Data'"),
        ("DATASETS = {'digits': 'Data'}\nclass Data: ...", "data set 'digits' exists already, in "),
        ("MODELS = {'a_b': 'c'}\nDATASETS = {'a_b': 'C'}", "'a_b' stands in two tables"),
        ("MODELS = {'net_a': ", "bad.py:1 is not valid Python"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_in_one_line(code: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(code, encoding="utf-8")
    with pytest.raises(UserError) as error:
        add_plugin(tmp_path / "bad.py")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert plugin_sources() == {}


def test_errors_of_code_that_runs_name_it(tmp_path: Path) -> None:
    code = "MODELS = {'late_net': 'net'}\nDATASETS = {'late_data': 'Data'}\n"
    code += "def net(*, num_classes, input_shape):\n    raise ValueError('too small')\nclass Data: ...\n"
    (tmp_path / "late.py").write_text(code, encoding="utf-8")
    add_plugin(tmp_path / "late.py")
    with pytest.raises(UserError, match=r"^model 'late_net': too small$"):
        models.create_model("late_net", num_classes=2, input_shape=(1, 8, 8))
    with pytest.raises(UserError, match=r"data set 'late_data': .* must be a dataclass, whose fields are its options"):
        datasets.describe("late_data")
    (tmp_path / "broken.py").write_text(
        "MODELS = {'broken_net': 'net'}\nimport no_such\ndef net(*, num_classes, input_shape): ...\n", encoding="utf-8"
    )
    add_plugin(tmp_path / "broken.py")
    with pytest.raises(UserError, match=r"plug-in .*broken.py:2 does not load: ModuleNotFoundError"):
        models.create_model("broken_net", num_classes=2, input_shape=(1, 8, 8))


def test_the_id_has_the_options_that_are_not_defaults(place: Path) -> None:
    study = load_study(str(place / "own.yaml"))
    dense = study.runs[0]
    assert (dense.dataset, dense.dataset_options) == ("own_data", (("limit", 100), ("noise", 20)))
    assert (dense.model, dense.model_options) == ("own_net", (("width", 4),))
    usual = load_study(str(place / "own.yaml"), ["dataset.options.noise=90.0"]).runs[0]
    assert usual.dataset_options == (("limit", 100),)
    for assignment, message in (
        ("model.options.width=0", "model 'own_net': width is 0; it must be an integer >= 1"),
        ("model.options.norm=layer", "norm is 'layer'; it must be one of batch, none"),
        ("model.options.wide=1", "unknown option of model 'own_net' 'wide'; did you mean 'width'?"),
        ("dataset.options.noise=loud", "data set 'own_data': noise is 'loud'; it must be a finite number >= 0"),
        ("model=own_nett", "unknown model 'own_nett'; did you mean 'own_net'?"),
        ("dataset=own_dat", "unknown data set 'own_dat'; did you mean 'own_data'?"),
    ):
        with pytest.raises(UserError) as error:
            load_study(str(place / "own.yaml"), [assignment])
        assert message in str(error.value)


def test_digests_follow_the_code(place: Path) -> None:
    run = load_study(str(place / "own.yaml")).runs[0]
    before = CodeReader().read(run)
    assert before.keys() == {"scheme", "method", "network", "dataset"}
    net, data = place / "own_net.py", place / "own_data.py"
    net.write_text(net.read_text() + "\n# a comment\n")
    assert CodeReader().read(run) == before
    net.write_text(net.read_text().replace("stride=2", "stride=1"))
    assert differences(before, CodeReader().read(run)) == ("network",)
    data.write_text(data.read_text().replace("default_rng(0)", "default_rng(1)"))
    assert differences(before, CodeReader().read(run)) == ("network", "dataset")
    # a result of the suite's own data records none
    assert "dataset" not in CodeReader().read(load_study("demo").runs[0])


def test_a_study_of_both_runs_and_its_results_know_their_code(place: Path) -> None:
    done = prunebench(place, "run", "own.yaml", "--jobs", "2", "--results", "r")
    assert done.returncode == 0, done.stderr
    result = json.loads(next((place / "r" / "own" / "runs").glob("*/result.json")).read_text())
    assert result["data"]["train"] == 100
    code = result["provenance"]["code"]
    assert {"network", "dataset", "method"} <= code.keys()
    assert {Path(path).name for path in result["provenance"]["plugins"]} == {"own_net.py", "own_data.py"}
    table = prunebench(place, "table", "own.yaml", "--results", "r")
    assert "own_net on Own data" in table.stdout
    (place / "own_data.py").write_text((place / "own_data.py").read_text().replace("64 +", "65 +"))
    again = prunebench(place, "status", "own.yaml", "--results", "r")
    assert "code of the data set: 2" in again.stdout


def test_installed_packages_offer_both_by_entry_points(place: Path) -> None:
    modules = {}
    for name, table in (("own_net", "MODELS"), ("own_data", "DATASETS")):
        lines = (place / f"{name}.py").read_text().splitlines(keepends=True)
        modules[name] = "".join(line for line in lines if not line.startswith(f"{table} ="))
    entry_points = (
        "[prunebench.models]\nown_net = own_net:own_net\n[prunebench.datasets]\nown_data = own_data:OwnData\n"
    )
    package = install(place, modules, entry_points)
    script = (
        "from prunebench.benchmark.studies.load import load_study\n"
        "from prunebench.benchmark.models.registry import model_names\n"
        "from prunebench.benchmark.runs.run_code import CodeReader\n"
        "assert 'own_net' in model_names() and 'torch' not in sys.modules\n"
        "run = load_study('demo', ['model={name: own_net, options: {width: 3}}', 'dataset=own_data']).runs[0]\n"
        "code = CodeReader().read(run)\n"
        "assert code['network'].endswith(' my-package 1.0') and code['dataset'].endswith(' my-package 1.0'), code\n"
        "from prunebench.datasets.registry import load\n"
        "from prunebench.benchmark.models.registry import create_model\n"
        "print(create_model('own_net', num_classes=4, input_shape=load('own_data').input_shape, width=3).classifier)\n"
    )
    assert "Linear(in_features=6, out_features=4, bias=True)" in printed_with(package, script)
