"""What the page of a method says, in a terminal and on the site: its class, measured costs, an entry of a study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .option_facts import method_options

_MEASURED = Path(__file__).parents[1] / "perf"


def method_facts(name: str) -> dict[str, Any]:
    """All of it, as plain values; `costs` is empty for a method that was not measured.

    `example` is its first entry in a study of the suite, and `run` the command that computes it; a method that is
    in none gets an entry of its own, and no command.
    """
    from ...methods.registry import describe

    info = describe(name)
    study, entry = _example(name)
    return {
        "summary": info.summary, "label": info.label, "family": info.family, "paper": info.paper, "year": info.year,
        "needs": info.needs, "start": info.start, "version": info.version, "file": info.origin,
        "uncertain": info.uncertain, "description": _certain(info.description),
        "costs": list(_costs(info.label)), "example": entry,
        "run": f"prunebench run {study} --only method={name}" if study else "", "options": method_options(name),
    }  # fmt: skip


def _certain(description: str) -> str:
    """Without the paragraphs that are said as `uncertain`."""
    return "\n\n".join(part for part in description.split("\n\n") if not part.startswith("Uncertain:"))


def _costs(label: str) -> Iterator[str]:
    row = _row("score_methods.md", label)
    if row:
        before, before_steps, update, update_steps, memory = row
        yield (
            f"ResNet-50 on two cores: {before} s before training ({before_steps} training steps), {update} s the "
            f"costliest update of masks ({update_steps} steps), and memory of {memory} times the network beyond a "
            "dense training (benchmark/perf/score_methods.md)."
        )
    row = _row("mask_upkeep.md", label)
    if row and len(row) == 3 and row[1]:
        yield (
            f"ConvNet-small on one core: {row[0]} ms in its hooks in each training step, {row[1]} of the step "
            "(benchmark/perf/mask_upkeep.md)."
        )


def _row(table: str, label: str) -> list[str]:
    """The cells after the method's label; a mark after the label is not part of it."""
    for line in (_MEASURED / table).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0].removesuffix(" *") == label:
            return cells[1:]
    return []


def _example(name: str) -> tuple[str, str]:
    """The first study with the method, `zoo` before all others, and its entry as a study file writes it."""
    from ..studies.load import study_names, study_source

    for study in ("zoo", *study_names()):
        for entry in study_source(study).data.get("runs", []):
            methods = entry["method"]
            if name == methods or (isinstance(methods, list) and name in methods):
                return study, f"- {_flow({**entry, 'method': name})}"
    return "", f"- {_flow({'method': name, 'sparsity': '90%'})}"


def _flow(value: Any) -> str:
    """A value in YAML's flow style, on one line."""
    import yaml

    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).removesuffix("\n...\n").strip()
