"""What is wrong with the command line of a script is said in one line, with exit code 2."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch

SCRIPTS = ("fastgrnn", "mask_upkeep", "packing", "race", "score_methods", "selection", "gpu_check.__main__")


@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        *((script, "--device cuda", "device 'cuda' asked for, but torch sees no GPU") for script in SCRIPTS),
        *((script, "--repeats 0", "--repeats: '0' is no whole number of at least 1") for script in SCRIPTS[:4]),
        ("mask_upkeep", "--only resnet-33", "--only: 'resnet-33' is not known; one of resnet-32, wrn-28-8, resnet-50"),
        ("mask_upkeep", "--methods --only rigl,snop", "--only: 'snop' is not known; one of ac_dc, alps, "),
        ("packing", "--study dem", "unknown study 'dem'; did you mean 'demo'?"),
        ("packing", "--only seed=77", "--only 'seed=77' matches no run"),
        ("packing", "--jobs 1,two", "argument --jobs: 'two' is no whole number of at least 1"),
        ("race", "--only alexnet", "argument --only: 'alexnet' is part of no network's name; they are lenet-300-100"),
        ("race", "--precision tf32", "precision 'tf32' needs a GPU, the device is cpu"),
        ("score_methods", "--only snip,snop", "argument --only: 'snop' is not known; one of ac_dc, alps, "),
        ("score_methods", "--model alexnet", "argument --model: invalid choice: 'alexnet'"),
        ("selection", "--sparsity 1", "argument --sparsity: '1' is no number of at least 0 and less than 1"),
        ("gpu_check.__main__", "--device cpu --only cards", "--only: 'cards' is not known; one of methods, card"),
    ],
)  # fmt: skip
def test_bad_options_are_refused_in_a_line(
    script: str, options: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"prunebench.benchmark.perf.{script}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", [script, *options.split()])
    with pytest.raises(SystemExit) as ending:
        module.main()
    assert ending.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("script", "table", "options"),
    [
        ("mask_upkeep", "method_row", "--methods --only snip"),
        ("mask_upkeep", "network_row", "--only resnet-50"),
        ("score_methods", "_cells", "--only snip"),
        ("fastgrnn", "row", ""),
    ],
)
def test_scripts_name_their_precision(
    script: str, table: str, options: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"prunebench.benchmark.perf.{script}")
    monkeypatch.setattr(module, table, lambda *_: ["measured"])
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # torch's default
    monkeypatch.setattr(sys, "argv", [script, *options.split()])
    module.main()
    assert "float32" in capsys.readouterr().out.splitlines()[0]


def test_scripts_compute_in_the_precision_that_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunebench.benchmark.perf import fastgrnn, mask_upkeep, score_methods

    def is_rounded() -> bool:
        return torch.backends.cudnn.allow_tf32

    monkeypatch.setattr(mask_upkeep, "network_row", lambda *_: [str(is_rounded())])
    rounded = []
    for compute in (
        lambda: fastgrnn.Steps("operation", "evaluation", 8, torch.device("cpu"), 1, 1)(),
        lambda: score_methods.measure("layerwise_mp", "lenet-5", 32, 2, few_rounds=True),
        mask_upkeep.main,
    ):
        monkeypatch.setattr(sys, "argv", ["mask_upkeep", "--only", "resnet-50"])
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # torch's default
        compute()
        rounded.append(is_rounded())
    assert rounded == [False, False, False]
