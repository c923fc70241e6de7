"""The commands that the documents show, and a process that runs them in order in a folder of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rooms import ROOT

BLOCK = re.compile(r"^(?: *)```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"<!-- file: ([\w.-]+) -->\n```\w+\n(.*?)```", re.DOTALL)
SHELL = ("", "bash", "sh", "console")
OPERATORS = {"&&", "||", ";", "|", "&"}


@dataclass(frozen=True)
class Shown:
    """One command of a document, as it stands there."""

    line: int
    arguments: tuple[str, ...]

    @property
    def text(self) -> str:
        return shlex.join(("prunebench", *self.arguments))


def shown_in(text: str) -> list[Shown]:
    """Every call of prunebench in the blocks that a reader would paste into a shell."""
    found = list[Shown]()
    for block in BLOCK.finditer(text):
        if block[1] not in SHELL:
            continue
        first = text.count("\n", 0, block.start(2)) + 1
        for number, line in enumerate(block[2].splitlines(), first):
            found += [Shown(number, tuple(call)) for call in _calls(line)]
    return found


def _calls(line: str) -> Iterator[list[str]]:
    if not re.search(r"(^|[\s;&|])prunebench\s", line):
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    words, call = ["&&", *lexer, "&&"], list[str]()
    for word in words:
        if word not in OPERATORS:
            call.append(word)
            continue
        while call and call[0] in ("do", "nice", "-n", "-2"):
            call.pop(0)
        if call and call[0] == "prunebench":
            yield call[1:]
        call = []


def files_in(text: str) -> dict[str, str]:
    """The files that a document shows under their names."""
    return dict(FILE.findall(text))


def sandbox(folder: Path, document: Path) -> None:
    """What the commands of a document find: the repository's profiles, some records of each study, and its files."""
    (folder / "slurm").symlink_to(ROOT / "slurm")
    shutil.copy(ROOT / "slurm" / "profiles" / "gpu.yaml", folder / "my-cluster.yaml")
    for records in (ROOT / "results" / "reference").glob("*/runs"):
        copied = folder / "results" / "reference" / records.parent.name / "runs"
        copied.mkdir(parents=True)
        for record in sorted(records.glob("*.json"))[:6]:
            shutil.copy(record, copied)
    for path in (ROOT / "README.md", document):  # every document may speak of README's study
        for name, text in files_in(path.read_text(encoding="utf-8")).items():
            (folder / name).write_text(text, encoding="utf-8")


def run_all(folder: Path, commands: list[Shown]) -> list[dict[str, object]]:
    """Code and messages of each command; all are run by one process, since each start would take a second."""
    worker = Path(__file__).with_name("run_shown_commands.py")
    environment = {**os.environ, "PRUNEBENCH_DATA": str(folder / "no-data"), "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, str(worker)], cwd=folder, env=environment, capture_output=True, text=True, check=False,
        input=json.dumps([asdict(each) for each in commands]),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
