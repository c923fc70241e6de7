"""The gallery: figures of results/reference, each study with the first sentences of its README."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import normpath

LINK = re.compile(r"\]\(([^):#]+)\)")

FIGURES = {
    "accuracy": "Accuracy against sparsity",
    "differences-gradual": "Differences to gradual Global MP",
    "differences-one-shot": "Differences to one-shot Global MP",
    "layers": "Density of each layer",
    "pareto": "Accuracy against multiply-adds",
    "protocols": "The same trainings, read by three protocols",
    "published": "Beside the paper's numbers",
    "regimes": "Regimes of pruning",
    "training": "Training curves",
}


def gallery_page(root: Path) -> str:
    """The whole page as Markdown; links are those of results/reference/README.md."""
    parts = [
        "# Gallery of results",
        "Every figure that is committed under `results/reference`, study by study. Numbers in the text of each study "
        "are computed from its runs by a test; [the evidence](../../docs/evidence.md) says what follows from them, and "
        "what does not.",
    ]
    for readme in sorted((root / "results" / "reference").glob("*/README.md")):
        folder = readme.parent
        title, said = title_and_lead(readme.read_text(encoding="utf-8"), folder.name)
        parts += [f"## {title}", said, f"[{folder.name}]({folder.name}/README.md) has tables, runs and commands."]
        parts += [_figure(path) for path in sorted(folder.glob("*.png"))]
    return "\n\n".join(parts) + "\n"


def title_and_lead(text: str, folder: str) -> tuple[str, str]:
    """The heading of a README and its first paragraph, with links as from the folder above its own."""
    title, rest = text.removeprefix("# ").split("\n", 1)
    lead = re.sub(r"^<!-- study: .*? -->\s*", "", rest.strip()).split("\n\n")[0]
    return title, LINK.sub(lambda link: f"]({normpath(f'{folder}/{link[1]}')})", lead)


def _figure(path: Path) -> str:
    """A figure without words of its own has the name of its file."""
    words = FIGURES.get(path.stem, path.stem.replace("-", " ").capitalize())
    return f"**{words}**\n\n![{words}]({path.parent.name}/{path.name})"
