"""The life of a method, as the page draws and writes it, is the order in which the harness calls its hooks."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rooms import ROOT
from torch.optim import optimizer as optimizers

sys.path.insert(0, str(ROOT / "tools"))

from life_drawing import EVALUATION, FORWARD, LIFE, STEP, Hook, Loop, Part, drawing, order
from prunebench.benchmark.preflight.rehearsal import rehearse
from prunebench.benchmark.runs.run import Recipe, Run
from prunebench.benchmark.runs.settings import Settings
from prunebench.benchmark.training.harness import Watch, execute
from prunebench.benchmark.training.loop import Training
from prunebench.benchmark.training.step import Step
from prunebench.methods.registry import method_class

RUN = Run(
    dataset="digits", dataset_options=(("limit", 100),), model="convnet-small", method="imp", sparsity=0.5, seed=0,
    method_options=(("prune_fraction", 0.0), ("prune_rounds", 1)), recipe=Recipe(epochs=2, batch_size=50),
)  # fmt: skip


def hooks(parts: tuple[Part, ...] = LIFE) -> list[str]:
    found = list[str]()
    for part in parts:
        found += hooks(part.parts) if isinstance(part, Loop) else [part.name] if isinstance(part, Hook) else []
    return found


def record(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, said: str, calls: list[str]) -> None:
    original = getattr(owner, name)

    def recorded(*arguments: Any, **named: Any) -> Any:
        calls.append(said)
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, recorded)


def test_a_run_of_two_rounds_calls_them_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[str]()
    for name in hooks():
        record(monkeypatch, method_class("imp"), name, name, calls)
    record(monkeypatch, Step, "backward", FORWARD, calls)
    record(monkeypatch, Training, "_evaluate_epoch", EVALUATION, calls)
    hook = optimizers.register_optimizer_step_post_hook(lambda *_: calls.append(STEP))
    try:
        rehearse([RUN])
        result = execute(RUN, "s", Settings(results=tmp_path, checkpoint_every=1), Watch())
    finally:
        hook.remove()
    steps = calls.count("on_weights") // 4
    assert steps == -(-result["data"]["train"] // 50)
    assert calls == list(order({"round": 2, "epoch": 2, "step": steps}))


def test_the_page_writes_what_is_drawn() -> None:
    page = (ROOT / "docs" / "life.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- order -->\n```\n(.*?)```", page, re.DOTALL)
    assert block is not None
    assert block[1].splitlines() == written(LIFE, "")
    shown = drawing()
    assert [shown.index(f">{name}<") for name in hooks()] == sorted(shown.index(f">{name}<") for name in hooks())


def written(parts: tuple[Part, ...], indent: str) -> list[str]:
    lines = list[str]()
    for part in parts:
        if isinstance(part, Loop):
            lines += [f"{indent}each {part.each}:", *written(part.parts, indent + "    ")]
        else:
            lines.append(indent + (part.name if isinstance(part, Hook) else part.does))
    return lines
