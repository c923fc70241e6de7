"""The check of a GPU, tried without one: every part runs, and says nothing that only a GPU could say."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from prunebench.benchmark.perf.gpu_check import fast, right
from prunebench.benchmark.perf.gpu_check.__main__ import PARTS, ending
from prunebench.benchmark.perf.gpu_check.part import Part, Row, read_rows
from prunebench.benchmark.training import cuda_graph, loop
from prunebench.benchmark.training.step import Step
from prunebench.methods.checks import checks
from torch import Tensor

CPU = torch.device("cpu")


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path / "part.jsonl", CPU, is_tiny=True)


def test_the_command_prints_and_writes_a_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prunebench.benchmark.perf.gpu_check", "--device", "cpu", "--tiny"]
    command += ["--only", "methods,select", "--output", str(tmp_path / "gpu.md")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "gpu.md").read_text(encoding="utf-8") == done.stdout
    rows = dict(re.findall(r"^\| (.*?) \| (.*) \|$", done.stdout, re.MULTILINE))
    assert rows["method dnw"].startswith("kept 583 of 2912; resumed from 4 of 4 checkpoints with the same bits")
    assert rows["method dnw"].endswith("| yes")
    assert rows["selection, values found"] == "1 | 1: all ways agree | yes"
    assert rows["waits in a step, methods 0"].startswith("not measured: needs a GPU")
    assert f"torch {torch.__version__}. Tried without a GPU: it says nothing of one." in done.stdout
    assert done.stdout.endswith("3 yes, 0 no, 4 not measured.\n")


@pytest.mark.parametrize("name", ["card", "nccl", "resnet-32", "fastgrnn", "compiled"])
def test_a_part_finds_no_fault_and_claims_nothing_of_a_gpu(name: str, part: Part) -> None:
    PARTS[name](part)
    rows = read_rows(part.path)
    assert rows
    assert not any(row.fails or (row.is_right and not row.is_hard) for row in rows), rows
    assert all("not measured" in row.found for row in rows if row.wanted)


@pytest.mark.parametrize(
    ("code", "row"),
    [
        ("", None),
        ("raise ValueError('no kernel')", Row("part x", "exit code 1: ValueError: no kernel", "ends", False, True)),
        ("import time; time.sleep(60)", Row("part x", "not measured to the end: its time is over", "ends")),
    ],
)
def test_a_part_that_does_not_end_costs_one_row(code: str, row: Row | None, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code], stderr=log, start_new_session=True)
    seconds = 1 if "sleep" in code else 30
    assert ending("part x", process, tmp_path / "log", time.monotonic() + seconds) == ([] if row is None else [row])
    assert process.poll() is not None


def test_rows_survive_the_part_that_dies(part: Part) -> None:
    part.row("one", "1")
    with part.path.open("a", encoding="utf-8") as file:
        file.write('{"what": "two", "fou')
    assert read_rows(part.path) == [Row("one", "1")]


def test_only_hard_rows_fail() -> None:
    assert Row("a", "0.8", "> 0.9", False).cells[-1] == "no"
    assert not Row("a", "0.8", "> 0.9", False).fails
    assert Row("a", "5", "0", False, is_hard=True).cells[-1] == "NO"
    assert Row("a", "5", "0", False, is_hard=True).fails


def test_a_method_that_is_not_exact_is_a_no(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    def inexact(subject: object) -> str:
        raise AssertionError("12 of 30 weights are kept, not 11")

    monkeypatch.setattr(checks, "check_target", inexact)
    right.methods(part, 0)
    found = [row for row in read_rows(part.path) if row.fails]
    assert [row.what for row in found] == ["method ac_dc", "method dnw"]
    assert found[0].found == "AssertionError: 12 of 30 weights are kept, not 11"


def test_other_bits_of_a_graph_are_seen(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(cuda_graph.GraphedStep):
        """Calls hooks with the index of the next step; AC/DC counts steps, DNW does not."""

        def backward(self, inputs: Tensor, targets: Tensor, num_all: int | None = None) -> Tensor:
            return Step.backward(self, inputs, targets, num_all)

        def update(self, index: int) -> None:
            super().update(index + 1)

    monkeypatch.setattr(cuda_graph, "refusal", lambda device, compile: "")
    monkeypatch.setattr(cuda_graph, "CudaRecorder", lambda device: None)
    monkeypatch.setattr(loop, "GraphedStep", Late)
    right.methods(part, 0)
    row = read_rows(part.path)[-1]
    assert row.found == "OTHER BITS: 1; not captured: no more than 3 whole batches in a round: 1; wrong: ac_dc"
    assert row.fails


def test_noise_of_seeds() -> None:
    same = [(0.9, 0.91), (0.92, 0.9), (0.91, 0.92)]
    assert abs(right._noise(same)) < right.NOISE
    assert right._noise([(one, other - 0.1) for one, other in same]) > right.NOISE
    assert right._noise(same[:1]) == 0


def test_the_share_of_the_peak_is_that_of_six_operations_a_multiply_add(part: Part) -> None:
    (part.path.with_name("ceilings.json")).write_text('{"bfloat16": 0.001}', encoding="utf-8")
    speed = fast.Speed(part, fast.RESNET_20)
    assert speed.macs == 40_551_040
    # four images in two seconds: 2 * 6 * 40.6 million of 1e9 operations a second
    assert speed.note("ours", fast.Way("bfloat16"), 2.0) == 2.0
    assert read_rows(part.path)[0].found.startswith("2 images/s, 49% of the card's product")
