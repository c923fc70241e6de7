"""Renew the parts of README.md that are made: the table of methods, and the demo's tables as last computed.

    python tools/update_readme.py            rewrite README.md
    python tools/update_readme.py --check    exit 1 if the tables of methods and of the race are old

The demo's part comes from results/demo (after `make demo`), whose accuracy plot is copied to docs/; the race's from
docs/race.md (after `python -m prunebench.benchmark.perf.race --write docs/race.md`).
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from prunebench.methods.registry import describe, method_names

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DEMO = ROOT / "results" / "demo"
RACE = ROOT / "docs" / "race.md"


def methods_table() -> str:
    """One row a method, grouped by family, from the attributes of the classes."""
    infos = sorted((describe(name) for name in method_names()), key=lambda info: (info.family, info.name))
    lines = ["| name | label | family | starts from | needs | source |", "|---|---|---|---|---|---|"]
    starts = {"trained": "trained weights", "init": "initialisation"}
    lines += [f"| `{i.name}` | {i.label} | {i.family} | {starts[i.start]} | {i.needs} | {i.paper} |" for i in infos]
    return "\n".join(lines)


def demo_part() -> str:
    tables = DEMO / "tables"
    return "\n\n".join((tables / name).read_text(encoding="utf-8").strip() for name in ("accuracy.md", "macs.md"))


def put(text: str, part: str, content: str) -> str:
    """Replace what stands between the two marks of a part."""
    pattern = rf"(<!-- {part} -->\n).*?(<!-- /{part} -->)"
    replaced, count = re.subn(pattern, lambda match: f"{match[1]}{content}\n{match[2]}", text, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"README.md needs exactly one part {part!r}, it has {count}")
    return replaced


def main() -> None:
    text = README.read_text(encoding="utf-8")
    renewed = put(text, "methods", methods_table())
    renewed = put(renewed, "race", RACE.read_text(encoding="utf-8").strip())
    if "--check" in sys.argv:
        sys.exit(0 if renewed == text else "README.md: a table is old; run tools/update_readme.py")
    if (DEMO / "tables").exists():
        renewed = put(renewed, "demo", demo_part())
        shutil.copy(DEMO / "plots" / "accuracy.png", ROOT / "docs" / "demo-accuracy.png")
    README.write_text(renewed, encoding="utf-8")


if __name__ == "__main__":
    main()
