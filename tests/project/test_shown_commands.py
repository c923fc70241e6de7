"""Every command that a document shows works: it is run, or at least every name and option in it exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rooms import ROOT
from shown_commands import Shown, run_all, sandbox, shown_in

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "methods/*.md", "slurm/*.md", "results/*/*.md", "results/reference/*/*.md")
    for path in ROOT.glob(pattern)
    if shown_in(path.read_text(encoding="utf-8"))
)
NO_LATENCY = "needs measured latencies; tests/latency makes both from some"
EXEMPT = {
    ("docs/latency.md", "prunebench table STUDY --kind latency"): NO_LATENCY,
    ("docs/latency.md", "prunebench plot STUDY --kind latency"): NO_LATENCY,
    ("docs/three-regime.md", "prunebench export STUDY --pairs"): "needs pairs of retrainings; tests/exchange has some",
}
"""By document and command: why it is not run."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_works(document: Path, tmp_path: Path) -> None:
    name = str(document.relative_to(ROOT))
    commands = shown_in(document.read_text(encoding="utf-8"))
    commands = [each for each in commands if (name, each.text) not in EXEMPT]
    sandbox(tmp_path, document)
    answers = run_all(tmp_path, commands)
    failed = [
        f"line {each.line}: {each.text}: {answer['code']}\n{answer['said']}"
        for each, answer in zip(commands, answers, strict=True)
        if answer["code"]
    ]
    assert not failed, "\n".join(failed)


def test_exempt_commands_are_still_shown() -> None:
    shown = {
        (str(path.relative_to(ROOT)), each.text)
        for path in DOCUMENTS
        for each in shown_in(path.read_text(encoding="utf-8"))
    }
    assert set(EXEMPT) <= shown


def test_all_calls_of_a_line_are_found_and_nothing_else() -> None:
    text = (
        "```\nprunebench run zoo && prunebench table zoo --kind cost   # and the network's `prunebench plot`\n"
        "for s in a; do prunebench run $s; nice -n -2 prunebench latency $s; done\ngit clone URL prunebench\n```\n"
        "```yaml\nimage: prunebench run\n```\n"
    )
    assert shown_in(text) == [
        Shown(2, ("run", "zoo")),
        Shown(2, ("table", "zoo", "--kind", "cost")),
        Shown(3, ("run", "$s")),
        Shown(3, ("latency", "$s")),
    ]


def test_wrong_commands_are_found(tmp_path: Path) -> None:
    wrong = [
        "runn demo", "run dmeo", "run demo --jops 2", "run demo --only method=snipp", "run demo --set train.epoch=1",
        "table demo --kind acuracy", "submit demo --profile gone.yaml", "prepare cifar", "show snipp",
        "check gone --plugin gone.py", "claim demo 'snip >> grasp'", "doctor --profile gone.yaml",
    ]  # fmt: skip
    sandbox(tmp_path, ROOT / "LICENSE")
    answers = run_all(tmp_path, [Shown(0, tuple(each.split())) for each in wrong])
    assert [each for each, answer in zip(wrong, answers, strict=True) if not answer["code"]] == []


def test_make_targets_and_scripts_that_documents_call_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("results/reference/*/README.md")):
        text = document.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets, document
        for script in re.findall(r"python (tools/[\w/]+\.py|tests/[\w/]+\.py)", text):
            assert (ROOT / script).exists(), f"{document}: {script}"
