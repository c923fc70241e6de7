"""`prunebench check` on networks and data sets: the templates pass, and each check fails for what it is there for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.models import registry as models
from prunebench.benchmark.preflight.check_dataset import check_dataset
from prunebench.benchmark.preflight.check_model import check_model
from prunebench.benchmark.runs.plugins import add_plugin
from prunebench.datasets import registry as datasets
from prunebench.datasets.parts.template import DATASET

HEAD = """\
import torch
from torch import nn
from prunebench.api import UserError
MODELS = {"NAME": "build"}
"""
NET = """\
class Net(nn.Module):
    def __init__(self, size, num_classes):
        super().__init__()
        self.first, self.last = nn.Linear(size, 6), nn.Linear(6, num_classes)
        INIT
    def forward(self, inputs):
        hidden = self.first(inputs.flatten(1)).relu()
        return self.last(hidden)EXTRA
def build(*, num_classes, input_shape):
    SETUP
    return Net(input_shape[0] * input_shape[1] * input_shape[2], num_classes)
"""


def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: str) -> dict[str, str]:
    """The checks that fail, with their reasons."""
    monkeypatch.setattr(models.OFFERS, "plugins", {})
    code = NET
    for word, text in {"INIT": "", "EXTRA": "", "SETUP": "", **changes}.items():
        code = code.replace(word, text)
    name = f"net_{abs(hash((str(tmp_path), code)))}"
    (tmp_path / f"{name}.py").write_text(HEAD.replace("NAME", name) + code, encoding="utf-8")
    add_plugin(tmp_path / f"{name}.py")
    state = torch.get_rng_state()
    findings = check_model(name, "digits")
    assert torch.equal(state, torch.get_rng_state())
    return {finding.name: finding.detail for finding in findings if not finding.passed}


BROKEN_NETWORKS = {
    "shape": ({"EXTRA": "[:, :3]"}, "a batch gives finite logits", "4 inputs and 10 classes have the shape (4, 3)"),
    "type": ({"EXTRA": ".double()"}, "a batch gives finite logits", "logits are torch.float64, not float32"),
    "nan": ({"EXTRA": " / 0"}, "a batch gives finite logits", "logits of a new network are not finite"),
    "unused": ({"INIT": "self.more = nn.Linear(2, 2)"}, "finite gradients reach every parameter",
               "no gradient reaches more.weight"),
    "uncounted": ({"INIT": "self.more = nn.Linear(2, 2)"}, "multiply-adds are counted",
                  "never called the layer of 'more.weight'"),
    "detached": ({"EXTRA": ".detach()"}, "finite gradients reach every parameter", "does not require grad"),
    "seeded": ({"SETUP": "torch.manual_seed(0)"}, "same seed, same network", "another seed gives the same"),
    "random": ({"SETUP": "torch.seed()"}, "same seed, same network", "differs between two networks of one seed"),
    "state": ({"INIT": "self.shift = torch.rand(1)", "EXTRA": " + self.shift"}, "a state dict holds all state",
              "the outputs differ"),
    "noise": ({"EXTRA": " + torch.rand(1)"}, "eval mode changes nothing", "two forward passes in eval mode differ"),
    "batch": ({"EXTRA": " + inputs.mean()"}, "eval mode changes nothing", "an output depends on the other samples"),
    "inputs": ({"EXTRA": " + inputs.add_(1).sum() * 0"}, "eval mode changes nothing", "pass changes its inputs"),
    "counter": ({"INIT": "self.register_buffer('calls', torch.zeros(()))", "EXTRA": " + 0 * self.calls.add_(1)"},
                "eval mode changes nothing", "a forward pass in eval mode changes calls"),
}  # fmt: skip


def test_a_sound_network_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert network(tmp_path, monkeypatch) == {}


@pytest.mark.parametrize("kind", BROKEN_NETWORKS)
def test_a_broken_network_fails_where_it_is_broken(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, check, reason = BROKEN_NETWORKS[kind]
    failed = network(tmp_path, monkeypatch, **changes)
    assert reason in failed[check], failed


def test_the_inputs_that_a_network_takes_are_found_or_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "HAR" in next(iter(check_model("fastgrnn"))).detail
    with pytest.raises(UserError, match=r"model 'fastgrnn' takes the inputs of none of digits; name one by --dataset"):
        check_model("fastgrnn", "digits")


def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> dict[str, str]:
    monkeypatch.setattr(datasets.OFFERS, "plugins", {})
    code = DATASET.template
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    name = f"data_{abs(hash((str(tmp_path), code)))}"
    (tmp_path / f"{name}.py").write_text(
        code.replace("$name", name).replace("$class_name", "Mine").replace("$title", "Mine"), encoding="utf-8"
    )
    add_plugin(tmp_path / f"{name}.py")
    state = torch.get_rng_state()
    findings = check_dataset(name, tmp_path)
    assert torch.equal(state, torch.get_rng_state())
    return {finding.name: finding.detail for finding in findings if not finding.passed}


OVERRIDE = "    def normalisation(self)"
LOADED = """\
    def load(self, root: Path, validation: float):
        from dataclasses import replace
        data = super().load(root, validation)
        return replace(data, BODY)

"""
BROKEN_DATASETS = {
    "name": (('name="$name"', 'name="other"'), "what is described is what is loaded", "describe() calls it 'other'"),
    "classes": ((OVERRIDE, LOADED.replace("BODY", "num_classes=9") + OVERRIDE), "what is described is what is loaded",
                "loaded: 9 classes, described: 4"),
    "nan": (("mean=(0.5,)", "mean=(float('nan'),)"), "samples have the shape and type", "inputs are not finite"),
    "leak": ((OVERRIDE, LOADED.replace("BODY", "test=data.train") + OVERRIDE), "splits are disjoint",
             "720 of 720 test samples are training samples too"),
    "held out": ((OVERRIDE, LOADED.replace("BODY", "validation=data.train if validation else data.validation")
                  + OVERRIDE), "splits are disjoint", "validation samples are training samples too"),
    "clock": (("default_rng(0)", "default_rng()"), "loaded again, the data are the same", "fingerprint is another"),
    "fingerprint": ((OVERRIDE, LOADED.replace("BODY", "fingerprint='x'") + OVERRIDE),
                    "loaded again, the data are the same", "does not depend on the split for validation"),
}  # fmt: skip


def test_the_template_of_a_data_set_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dataset(tmp_path, monkeypatch) == {}


@pytest.mark.parametrize("kind", BROKEN_DATASETS)
def test_a_broken_data_set_fails_where_it_is_broken(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change, check, reason = BROKEN_DATASETS[kind]
    failed = dataset(tmp_path, monkeypatch, change)
    assert reason in failed[check], failed


def prunebench(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prunebench.benchmark.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)


def test_new_files_are_written_and_pass(tmp_path: Path) -> None:
    for kind, name in (("model", "my_net"), ("dataset", "my_data")):
        made = prunebench(tmp_path, f"new-{kind}", name)
        assert made.stdout.split() == [f"{name}.py", f"try-{name}.yaml"], made.stderr
        checked = prunebench(tmp_path, "check", name, "--plugin", f"{name}.py", "--json")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        found = json.loads(checked.stdout)
        assert found[kind] == name
        assert {each["passed"] for each in found["checks"]} == {True}
        listed = prunebench(tmp_path, "list", f"{kind}s", "--plugin", f"{name}.py")
        assert name in listed.stdout
        shown = prunebench(tmp_path, "show", name, "--plugin", f"{name}.py")
        option = {"my_net": "  width = 16    # an integer >= 1", "my_data": "  noise = 90.0    # a finite number >= 0"}
        assert option[name] in shown.stdout.splitlines()
        planned = prunebench(tmp_path, "plan", f"try-{name}.yaml")
        assert planned.returncode == 0, planned.stderr
        again = prunebench(tmp_path, f"new-{kind}", name)
        assert again.returncode == 2
        assert again.stderr == f"prunebench: {name}.py exists already\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new-model", "my-net"), "model name 'my-net' must be at most 60 lower case letters, digits and underscores"),
        (("new-model", "snip"), "method 'snip' exists already; choose another name"),
        (("new-dataset", "digits"), "data set 'digits' exists already; choose another name"),
        (("new-dataset", "json"), "data set name 'json' is that of a Python module"),
        (("check", "digitss"), "unknown name 'digitss'; did you mean 'digits'?"),
        (("check", "snip", "--dataset", "digits"), "--dataset chooses the inputs of a model, and 'snip' is a method"),
    ],
)
def test_bad_names(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = prunebench(tmp_path, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
