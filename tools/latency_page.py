"""Renew the tables of docs/latency.md from measured results.

    prunebench run latency --keep-weights && prunebench latency latency
    prunebench run latency-linear --keep-weights && prunebench latency latency-linear
    python tools/latency_page.py --results RESULTS

A table stands between the marks `<!-- latency: STUDY -->` and `<!-- /latency -->`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.tables.formats.to_markdown import to_markdown
from prunebench.benchmark.tables.kinds import make_table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "latency.md"
PART = re.compile(r"(<!-- latency: (\S+) -->\n).*?(<!-- /latency -->)", flags=re.DOTALL)


def renewed(text: str, store: Store) -> str:
    """The page with the tables of the store. Raises UserError for a study that is not measured there."""

    def table(part: re.Match[str]) -> str:
        return part[1] + to_markdown(make_table("latency", load_study(part[2]), store)) + part[3]

    return PART.sub(table, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), Store(arguments.results)), encoding="utf-8")


if __name__ == "__main__":
    main()
