"""How to compute the results of a report again: commit, packages, data and commands, as the results record them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..analysis.plain_text import one_line

Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The study and options as the user gave them, for the commands that reproduce it."""

    study: str
    assignments: Sequence[str] = ()
    only: Sequence[str] = ()
    plugins: Sequence[str] = ()

    def command(self, verb: str) -> str:
        """`prunebench VERB STUDY` with all that changes what it means, quoted for a shell."""
        words = ["prunebench", verb, self.study]
        for option, values in (("--set", self.assignments), ("--only", self.only), ("--plugin", self.plugins)):
            words += [word for value in values for word in (option, value)]
        return shlex.join(words)


def steps(asked: Asked, results: Results) -> list[tuple[str, list[str]]]:
    """(What it does, lines of a shell) from a checkout to the report; comments say what is not known exactly."""
    return [
        ("Check out the code, in a clone of the repository", _checkout(results)),
        ("Install", ["make install", ". .venv/bin/activate", *_packages(results)]),
        ("Fetch the data, once", [shlex.join(["prunebench", "prepare", asked.study])]),
        ("Compute and show", [asked.command(verb) for verb in ("run", "table", "plot", "report")]),
    ]


def _checkout(results: Results) -> list[str]:
    """The commit of most results; other commits, and changes that no commit holds, are named."""
    found = Counter(result["provenance"]["revision"] for result in results.values())
    commits = Counter[str]()
    for revision, count in found.items():
        if revision is not None:
            commits[revision.partition("+")[0]] += count
    if not commits:
        where = "nothing is stored" if not found else "the results were not computed from a checkout"
        return [f"# no commit is known: {where}; this is prunebench {__version__}"]
    usual, *others = [commit for commit, _ in commits.most_common()]
    lines = [shlex.join(["git", "checkout", usual])]
    lines += [f"# {commits[other]} of {len(results)} results are of {one_line(other)}" for other in others]
    changed = sum(count for revision, count in found.items() if revision and "+" in revision)
    if changed:
        lines.append(f"# {changed} of {len(results)} results are of code with changes that are in no commit")
    if found[None]:
        lines.append(f"# {found[None]} of {len(results)} results do not name a commit")
    return lines


def _packages(results: Results) -> list[str]:
    """The versions of most results. Builds for other devices (`+cu130`) have the same number in a package index."""
    found = Counter(tuple(result["provenance"]["packages"].items()) for result in results.values())
    if not found:
        return []
    (usual, count), *_ = found.most_common()
    wanted = [f"{name}=={version.partition('+')[0]}" for name, version in usual]
    others = [f"# {len(results) - count} of {len(results)} results are of other versions"] if len(found) > 1 else []
    return [shlex.join(["python", "-m", "pip", "install", *wanted]), *others]


def facts(results: Results) -> list[tuple[str, str]]:
    """Versions, revisions, devices and hosts of the stored results, with the number of runs if they differ."""
    found: dict[str, Counter[str]] = {}
    for result in results.values():
        for name, value in _facts(result).items():
            found.setdefault(name, Counter())[value] += 1
    return [(name, _spelled(values)) for name, values in found.items()]


def _facts(result: Mapping[str, Any]) -> dict[str, str]:
    provenance = result["provenance"]
    return {
        "prunebench": provenance["prunebench"],
        "revision": provenance["revision"] or "not from a checkout",
        "python": provenance["python"],
        **provenance["packages"],
        "data, by fingerprint": result["data"]["fingerprint"],
        "device": provenance["device_name"],
        "host": provenance["host"],
        "platform": provenance["platform"],
        "threads": str(provenance["threads"]),
        "deterministic algorithms": "yes" if provenance["deterministic"] else "no",
        **{f"plug-in {name}": f"SHA-256 {digest}" for name, digest in provenance["plugins"].items()},
    }


def _spelled(values: Counter[str]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return ", ".join(f"{value} ({count} runs)" for value, count in values.most_common())
