"""The pages of the methods: what `prunebench show METHOD` prints, as Markdown."""

from __future__ import annotations

from typing import Any

from options_page import options_table
from prunebench.benchmark.cli.method_facts import method_facts
from prunebench.methods.registry import describe, method_names

STARTS = {"trained": "trained weights", "init": "initialisation"}


def methods_by_family() -> dict[str, list[str]]:
    """Names of methods, both in the order of the alphabet."""
    infos = sorted((describe(name) for name in method_names()), key=lambda info: (info.family, info.name))
    families: dict[str, list[str]] = {}
    for info in infos:
        families.setdefault(info.family.capitalize(), []).append(info.name)
    return families


def method_page(name: str) -> str:
    """The page of one method."""
    facts = method_facts(name)
    parts = [
        f"# {facts['label']}",
        facts["summary"],
        _table(name, facts),
        *(["## Defaults, and differences to the authors' code", facts["description"]] if facts["description"] else []),
        *([f"**Uncertain:** {facts['uncertain']}"] if facts["uncertain"] else []),
        "## In a study",
        f"```yaml\nruns:\n  {facts['example']}\n```",
        *([f"```\n{facts['run']}\n```"] if facts["run"] else []),
        "## Cost",
        "\n".join(f"* {cost}" for cost in facts["costs"])
        or "Not measured: the tables in `benchmark/perf` do not have this method.",
        "## Options",
        "\n".join(options_table(facts["options"])),
        f"`prunebench show {name}` prints this page, `prunebench check {name}` tries the method.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(name: str, facts: dict[str, Any]) -> str:
    rows = {
        "name in studies": f"`{name}`",
        "source": facts["paper"] or "–",
        "year": facts["year"] or "–",
        "family": facts["family"],
        "starts from": STARTS[facts["start"]],
        "needs": facts["needs"],
        "version": facts["version"],
        "file": f"`methods/{facts['file'].rsplit('/', 1)[1]}`",
    }
    first, *others = (f"| {key} | {value} |" for key, value in rows.items())
    return "\n".join([first, "|---|---|", *others])
