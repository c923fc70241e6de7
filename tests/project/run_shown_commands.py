"""Run commands, given as JSON on stdin, one after the other in this folder; their codes and messages go to stdout.

What reads results, or writes files to start from, is run as it stands; results are made up for studies without any.
For what computes, the study is shown with the same changes and selection, so that all names in it have to exist. The
rest is parsed, and its names are looked up.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1]))

from prunebench.benchmark.cli import main
from prunebench.benchmark.cli.commands import app
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study, study_names
from prunebench.datasets.registry import all_names
from prunebench.slurm.cluster_profile import load_profile
from synthetic_results import fill

READ = {"list", "plan", "show", "status", "table", "plot", "report", "claim", "export", "record", "merge", "logs"}
WRITE = {"new-method", "new-model", "new-dataset"}
STUDIES = {"status", "table", "plot", "report", "claim", "export", "record"}
"""The commands that read the results of a study."""

ANSWERS = {"claim": {0, 1, 3}}
"""Exit codes that answer a question."""

RUN = "RUN"
WORDS = {
    "STUDY": "demo", "$study": "latency", "P": "my-cluster.yaml", "METHOD": "snip",
    "/mnt/a/results": "results/reference/table6", "/mnt/b/results": "results/reference/collapse-mobilenet",
}  # fmt: skip
"""What stands for a word of the reader's."""


def run(arguments: list[str]) -> tuple[int, str]:
    """Exit code and messages of one command."""
    words = [WORDS.get(word, word) for word in arguments]
    name = words[0]
    if name not in app.commands:
        return 2, f"no command {name}"
    try:
        context = app.commands[name].make_context(name, list(words[1:]))
    except click.UsageError as error:
        return 2, error.format_message()
    if name in STUDIES:
        for study in context.params.get("studies") or [context.params["study"]]:
            make_results(study)
    if name in READ | WRITE:
        code, said = called(with_run(words))
        return (0 if code in ANSWERS.get(name, {0}) else code or 1), said
    return LOOKED_UP[name](words, context)


def with_run(words: list[str]) -> list[str]:
    """With the id of a stored run."""
    if RUN not in words:
        return words
    make_results("demo")
    stored = next(Path("results/demo/runs").iterdir()).name
    return [stored if word == RUN else word for word in words]


def make_results(study: str) -> None:
    """Results of one seed, for a study that has none here."""
    loaded, store = load_study(study), Store(Path("results"))
    if not (Path("results") / loaded.name).exists():
        fill(store, loaded, lambda run: 0.6 + len(run.method) / 1000 if run.seed == loaded.runs[0].seed else None)


def called(words: list[str]) -> tuple[int, str]:
    """main() with these words."""
    out, sys.argv = io.StringIO(), ["prunebench", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), out.getvalue()


def shown(words: list[str], context: click.Context) -> tuple[int, str]:
    """The study with the same selection and changes."""
    options = {"--set": "assignments", "--only": "only", "--plugin": "plugins"}
    chosen = [word for name, key in options.items() for each in context.params[key] for word in (name, str(each))]
    return called(["show", context.params["study"], *chosen])


def submitted(words: list[str], context: click.Context) -> tuple[int, str]:
    return called([*words, *(["--dry-run"] if "--dry-run" not in words else [])])


def is_study(words: list[str], context: click.Context) -> tuple[int, str]:
    load_study(context.params["study"])
    return 0, ""


def is_data(words: list[str], context: click.Context) -> tuple[int, str]:
    known = words[1] in (*all_names(), *study_names())
    return (0, "") if known else (2, f"nothing is called {words[1]}")


def is_plugin(words: list[str], context: click.Context) -> tuple[int, str]:
    """The file offers the name."""
    code, said = called(["show", words[1], "--plugin", words[words.index("--plugin") + 1]])
    return code, said


def is_profile(words: list[str], context: click.Context) -> tuple[int, str]:
    load_profile(words[words.index("--profile") + 1])
    return 0, ""


def is_parsed(words: list[str], context: click.Context) -> tuple[int, str]:
    return 0, ""


LOOKED_UP = {
    "run": shown, "submit": submitted, "latency": is_study, "measure": is_study, "cancel": is_study,
    "clean": is_study, "prepare": is_data, "check": is_plugin, "doctor": is_profile, "retry": is_parsed,
    "shrink": is_parsed, "publish": is_parsed, "submit-result": is_parsed, "export-zoo": is_parsed,
}  # fmt: skip
"""Commands that compute, change a queue or need a network. Of those that are only parsed the options are looked at:
they need a failed run, stored weights or whole studies, and tests of their own have these."""


if __name__ == "__main__":
    answers = []
    for each in json.load(sys.stdin):
        try:
            code, said = run(each["arguments"])
        except Exception:  # reported for this command; the others go on
            code, said = 70, traceback.format_exc()
        answers.append({"code": code, "said": said})
    print(json.dumps(answers))
