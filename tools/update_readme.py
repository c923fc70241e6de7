"""Renew what is generated: parts of README.md, CONTRIBUTING.md and slurm/README.md, and docs/options.md.

    python tools/update_readme.py            rewrite the files
    python tools/update_readme.py --check    exit 1 if the tables of methods, speed, rooms or options are old

The demo's part comes from results/demo (after `make demo`), whose accuracy plot is copied to docs/; that of speed from
docs/race.md (after `python -m prunebench.benchmark.perf.race --write docs/race.md`). The sentence about a room is the
first line of its `__init__.py`.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from pathlib import Path

from options_page import keys_table, page
from prunebench.methods.registry import describe, method_names
from prunebench.slurm.cluster_profile import Profile
from prunebench.slurm.container import Container

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
SLURM = ROOT / "slurm" / "README.md"
OPTIONS = ROOT / "docs" / "options.md"
FOLDERS = ("api", "benchmark", "methods", "datasets", "slurm")
DEMO = ROOT / "results" / "demo"
RACE = ROOT / "docs" / "race.md"


def methods_table() -> str:
    """One row a method, grouped by family, from the attributes of the classes; ? where something is uncertain."""
    infos = sorted((describe(name) for name in method_names()), key=lambda info: (info.family, info.name))
    lines = ["| name | label | family | starts from | needs | source |", "|---|---|---|---|---|---|"]
    starts = {"trained": "trained weights", "init": "initialisation"}
    lines += [
        f"| `{i.name}`{' ?' * bool(i.uncertain)} | {i.label} | {i.family} | {starts[i.start]} | {i.needs} | {i.paper} |"
        for i in infos
    ]
    if any(i.uncertain for i in infos):
        lines += ["", "? something of it could not be checked; `prunebench show NAME` says what."]
    return "\n".join(lines)


def rooms_table() -> str:
    """One row a package, with the first sentence of its docstring."""
    lines = ["| room | what is in it |", "|---|---|"]
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("__init__.py")):
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            lines.append(f"| `{path.parent.relative_to(ROOT)}/` | {said.splitlines()[0]} |")
    return "\n".join(lines)


def demo_part() -> str:
    tables = DEMO / "tables"
    return "\n\n".join((tables / name).read_text(encoding="utf-8").strip() for name in ("accuracy.md", "macs.md"))


def put(text: str, part: str, content: str) -> str:
    """Replace the text between the two marks of a part."""
    pattern = rf"(<!-- {part} -->\n).*?(<!-- /{part} -->)"
    replaced, count = re.subn(pattern, lambda match: f"{match[1]}{content}\n{match[2]}", text, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"there must be exactly one part {part!r}, not {count}")
    return replaced


def is_new(path: Path, made: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == made


def main() -> None:
    text, contributing = README.read_text(encoding="utf-8"), CONTRIBUTING.read_text(encoding="utf-8")
    renewed = put(text, "methods", methods_table())
    renewed = put(renewed, "race", RACE.read_text(encoding="utf-8").strip())
    others = {
        CONTRIBUTING: put(contributing, "rooms", rooms_table()),
        SLURM: put(
            put(SLURM.read_text(encoding="utf-8"), "profile", "\n".join(keys_table(Profile))),
            "container",
            "\n".join(keys_table(Container)),
        ),
        OPTIONS: page(),
    }
    if "--check" in sys.argv:
        old = [path for path, made in {README: renewed, **others}.items() if not is_new(path, made)]
        sys.exit(f"{old[0].relative_to(ROOT)} is old; run tools/update_readme.py" if old else 0)
    if (DEMO / "tables").exists():
        renewed = put(renewed, "demo", demo_part())
        shutil.copy(DEMO / "plots" / "accuracy.png", ROOT / "docs" / "demo-accuracy.png")
    README.write_text(renewed, encoding="utf-8")
    for path, made in others.items():
        path.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
