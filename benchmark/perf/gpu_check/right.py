"""Is what the suite computes on this device right?"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import nn

from ....methods.checks import checks
from ....methods.checks.run_checks import fit, quick_options
from ....methods.checks.subject import Subject
from ....methods.checks.trial import Trial
from ....methods.registry import describe, method_names
from ...training.step import Step
from ...training.waits import noted_waits
from .. import packing
from ..side_by_side import CPU
from .part import Part

SHARDS = 4
CAPTURED, OTHER_BITS = "captured", "OTHER BITS"
NOISE = 2.78
"""Student's t of four degrees of freedom: beyond it is one in twenty of the cells with three seeds."""
KILLED = """
name: killed
title: Killed
question: Does a run that was killed end with the bits of one that was not?
dataset: digits
model: convnet-small
seeds: [0]
train: {{epochs: {epochs}, batch_size: 16, lr: 0.05, momentum: 0.9, weight_decay: 5e-4, nesterov: true}}
runs:
  - {{method: rigl, sparsity: 90%, options: {{every: 10}}}}
"""


@dataclass(frozen=True)
class OnDevice(Subject):
    """A method that is tested on a device."""

    device: torch.device = CPU

    def network(self) -> nn.Module:
        return super().network().to(self.device)


def methods(part: Part, shard: int) -> None:
    """Every method on the contract's toy network: exact, resumed with the same bits, no waits, the same as a graph."""
    torch.use_deterministic_algorithms(True)
    names = _moving()[:2] if part.is_tiny else list(method_names())[shard::SHARDS]
    waits: dict[str, list[int]] = {}
    graphs: dict[str, str] = {}
    if shard == 0 and part.device.type == "cuda":
        with noted_waits() as lines:
            torch.ones(1, device=part.device).item()
        part.row("waits of the host are seen", f"{len(lines)} in item()", "1", len(lines) == 1, is_hard=True)
    for name in names:
        with part.guarded(f"method {name}"):
            subject = _subject(name, part.device)
            found = f"{_kept(subject)}; resumed from {checks.check_resume(subject)} with the same bits"
            part.row(f"method {name}", found, "exact, resumed", True, is_hard=True)
            with _counted_steps(part.device) as counts:
                eager = subject.start().train()
            waits[name] = counts
            graphs[name] = _same_as_graph(subject, eager)
    _note_waits(part, shard, waits)
    _note_graphs(part, shard, graphs)


def _kept(subject: OnDevice) -> str:
    """How much is kept; of a method that has no target, or no mask, what it says of that."""
    try:
        return checks.check_target(subject)
    except checks.Skipped as reason:
        return str(reason)


def _note_waits(part: Part, shard: int, waits: Mapping[str, list[int]]) -> None:
    waiting = [f"{name} {statistics.median(n):g} (at most {max(n)})" for name, n in waits.items() if any(n)]
    found = "; ".join(waiting) or f"none in {len(waits)} methods"
    part.gpu_row(f"waits in a step, methods {shard}", found, "none", bool(waits) and not waiting)


def _note_graphs(part: Part, shard: int, graphs: Mapping[str, str]) -> None:
    what, wrong = f"steps as a CUDA graph, methods {shard}", [name for name in graphs if graphs[name] == OTHER_BITS]
    found = "; ".join(f"{said}: {count}" for said, count in Counter(graphs.values()).items())
    if wrong or CAPTURED in graphs.values():
        part.row(what, f"{found}; wrong: {', '.join(wrong) or 'none'}", "the same bits", not wrong, is_hard=True)
    else:
        part.row(what, f"not measured: {found or 'no method came so far'}", "the same bits")


def _moving() -> list[str]:
    """Methods whose masks move while they train."""
    return [name for name in method_names() if describe(name).family == "dynamic"]


def _subject(name: str, device: torch.device) -> OnDevice:
    info = describe(name)
    return OnDevice(**vars(fit(info, quick_options(info))), device=device)


@contextlib.contextmanager
def _counted_steps(device: torch.device) -> Iterator[list[int]]:
    """How often the host waits in each training step of the block."""
    counts: list[int] = []
    take = Step.__call__

    def counted(self: Step, *arguments: Any) -> torch.Tensor:
        with noted_waits() as lines:
            loss = take(self, *arguments)
        counts.append(len(lines))
        return loss

    with patch.object(Step, "__call__", counted) if device.type == "cuda" else contextlib.nullcontext():
        yield counts


def _same_as_graph(subject: Subject, eager: Trial) -> str:
    trial = subject.start()
    trial._training.graph.setting = "auto"
    trial.train()
    ours, theirs = trial.model.state_dict(), eager.model.state_dict()
    is_same = all(torch.equal(ours[name], theirs[name]) for name in theirs)
    return str(trial._training.graph) if is_same else OTHER_BITS


def demo(part: Part) -> None:
    """The demo on both devices, from the same dense weights: accuracies differ by no more than seeds do."""
    with TemporaryDirectory() as name:
        cpu, device = Path(name, "cpu"), Path(name, "device")
        short = [text for stage in ("train", "finetune", "scratch") for text in ("--set", f"{stage}.epochs=1")]
        options = [*short, "--only", "seed=0"] if part.is_tiny else []
        _finish(_run("demo", cpu, "cpu", 1 if part.is_tiny else 3, *options, "--only", "method=dense"))
        shutil.copytree(cpu, device)
        jobs = 1 if part.is_tiny else 4
        options += ["--only", "method=snip" if part.is_tiny else "sparsity=90%,98%"]
        _finish(_run("demo", cpu, "cpu", jobs, *options), _run("demo", device, part.device.type, jobs, *options))
        cells: dict[str, list[tuple[float, float]]] = {}
        for path in sorted(cpu.glob("demo/runs/*/result.json")):
            one, other = (json.loads(p.read_text("utf-8")) for p in (path, device / path.relative_to(cpu)))
            if one["run"]["method"] == "dense":  # trained once, on the CPU
                continue
            cell = f"{one['run']['method']} {one['run']['sparsity']:.0%}"
            cells.setdefault(cell, []).append((one["accuracy"]["last"], other["accuracy"]["last"]))
    beyond = {cell: t for cell, pairs in cells.items() if abs(t := _noise(pairs)) > NOISE}
    found = f"{len(beyond)} of {len(cells)} cells beyond seed noise {', '.join(beyond)}".strip()
    allowed = max(1, round(0.1 * len(cells)))
    is_right = bool(cells) and len(beyond) <= allowed
    part.gpu_row("demo on the GPU and on the CPU", found, f"at most {allowed}", is_right)


def _noise(pairs: list[tuple[float, float]]) -> float:
    """Welch's t of the accuracies of a cell on two devices; 0 for a single seed."""
    ours, theirs = zip(*pairs, strict=True)
    if len(pairs) < 2:
        return 0.0
    # one image of the 450 of the test split is the least that can be seen
    error = math.sqrt((statistics.variance(ours) + statistics.variance(theirs)) / len(pairs)) + 1 / 450
    return (statistics.mean(ours) - statistics.mean(theirs)) / error


def _run(
    study: str, results: Path, device: str, jobs: int, *options: str, in_own_group: bool = False
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        packing.command(study, results, device, jobs, *options),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=in_own_group,
    )  # fmt: skip


def _finish(*processes: subprocess.Popen[str]) -> None:
    texts = [process.communicate()[0] for process in processes]
    for process, text in zip(processes, texts, strict=True):
        if process.returncode:
            raise RuntimeError(f"exit {process.returncode}: {' / '.join(text.strip().splitlines()[-3:])}")


def killed(part: Part) -> None:
    """SIGKILL after a checkpoint, then the same command again, beside a run that nothing disturbs."""
    with TemporaryDirectory() as name:
        study, folders = Path(name, "killed.yaml"), (Path(name, "whole"), Path(name, "killed"))
        study.write_text(KILLED.format(epochs=8 if part.is_tiny else 20), encoding="utf-8")
        options = ("--checkpoint-every", "1", "--keep-weights", "--deterministic")
        whole = _run(str(study), folders[0], part.device.type, 1, *options)
        victim = _run(str(study), folders[1], part.device.type, 1, *options, in_own_group=True)
        while not list(folders[1].rglob("*checkpoint*")) and victim.poll() is None:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        was_done = bool(list(folders[1].rglob("result.json")))
        _finish(whole, _run(str(study), folders[1], part.device.type, 1, *options))
        one, other = (next(folder.rglob("model.safetensors")).read_bytes() for folder in folders)
        found = "had ended before it was killed" if was_done else "same bits" if one == other else "other bits"
        part.row("killed, and the same command again", found, "same bits", found == "same bits", is_hard=True)


def nccl(part: Part) -> None:
    """DistributedDataParallel in a world of one: all collectives are called, none crosses a card."""
    torch.use_deterministic_algorithms(True)
    subjects = [_subject(name, part.device) for name in _moving()[: 2 if part.is_tiny else None]]
    alone = [subject.start().train().model.state_dict() for subject in subjects]
    backend = "cpu:gloo,cuda:nccl" if part.device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        many = [subject.start().train().model.state_dict() for subject in subjects]
    finally:
        dist.destroy_process_group()
    pairs = [(one[name], two[name]) for one, two in zip(alone, many, strict=True) for name in one]
    greatest = max(float((one - two).abs().max()) for one, two in pairs)
    found = f"weights of {len(subjects)} methods differ by {greatest:.1e} at most"
    part.gpu_row("NCCL, a world of one", found, "< 1e-5", greatest < 1e-5)
