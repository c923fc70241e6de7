"""The other commands that present results, and what all of them share: streams, files, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import accuracy, run
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.store import Store
from synthetic_results import STUDY, fill, store_failure, write_study


def test_a_critical_difference_of_too_few_settings_is_refused_in_one_line(filled: Path) -> None:
    with pytest.raises(
        UserError, match=r"needs 7 settings \(data set with network\) for 3 methods, not 1: .*"
    ) as caught:
        run("plot", "study.yaml", "--kind", "critical")
    assert "\n" not in str(caught.value)
    assert not (filled / "results/small/plots").exists()


def test_plot_prints_the_paths_it_wrote(filled: Path) -> None:
    done = run("plot", "study.yaml", "--kind", "accuracy")
    assert done.stdout.splitlines() == ["results/small/plots/accuracy.png", "results/small/plots/accuracy.pdf"]
    assert all((filled / path).stat().st_size > 1000 for path in done.stdout.splitlines())
    paths = json.loads(run("plot", "study.yaml", "--kind", "pareto", "--output", "here", "--json").stdout)["paths"]
    assert paths == ["here/pareto.png", "here/pareto.pdf"]
    former = run("plot", "study.yaml", "--kind", "macs", "--output", "here")
    assert former.stdout.splitlines() == paths


def test_plot_of_nothing_says_so(place: Path) -> None:
    done = run("plot", "study.yaml")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "nothing is stored yet, so nothing is drawn" in done.stderr
    with pytest.raises(UserError, match="unknown kind of plot 'nosuch'"):
        run("plot", "study.yaml", "--kind", "nosuch")


def test_report_prints_its_path_and_names_the_command_as_given(filled: Path) -> None:
    done = run("report", "study.yaml", "--set", "finetune.lr=0.2")
    assert done.stdout == "results/small/report.html\n"
    text = (filled / "results/small/report.html").read_text(encoding="utf-8")
    assert "prunebench run study.yaml --set finetune.lr=0.2" in text


@pytest.mark.parametrize(
    ("arguments", "begin"),
    [(["report", "study.yaml"], "<!doctype html>"), (["table", "study.yaml", "--kind", "cost"], "**"),
     (["export", "study.yaml"], "schema,study")],
)  # fmt: skip
def test_a_dash_is_stdout(filled: Path, arguments: list[str], begin: str) -> None:
    done = run(*arguments, "-o", "-")
    assert done.exit_code == 0
    assert done.stdout.lower().startswith(begin)
    assert "wrote" not in done.stderr
    assert not (filled / "-").exists()


def test_export_goes_to_stdout_and_says_what_columns_mean(filled: Path) -> None:
    done = run("export", "study.yaml")
    assert len(done.stdout.splitlines()) == 22
    assert done.stdout.startswith("schema,study,id,label")
    assert run("export", "study.yaml", "--columns").stdout.startswith("schema\tinteger\tversion of these columns, 8\n")


def test_compare_prints_a_table_and_what_it_does_not_show(filled: Path) -> None:
    fill(Store(filled / "other"), write_study(filled), lambda run: accuracy(run) + 0.01)
    done = run("compare", "results", "other")
    assert done.exit_code == 0
    assert "different" in done.stdout
    assert "21 pairs, 21 of them the same run by id; 21 differ in accuracy." in done.stdout
    assert json.loads(run("compare", "results", "other", "--json").stdout)["schema"] == 1


@pytest.mark.parametrize("command", ["table", "plot --kind ranks", "report", "export"])
def test_strict_leaves_with_3_only_where_runs_are_missing(filled: Path, command: str) -> None:
    assert run(*command.split(), "study.yaml", "--strict").exit_code == 0
    study = write_study(filled, STUDY.replace("[0, 1, 2]", "[0, 1, 2, 3]"))
    store_failure(Store(filled / "results"), study.name, study.runs[-1], "Diverged: nan")
    assert run(*command.split(), "study.yaml", "--strict").exit_code == 3
    assert run(*command.split(), "study.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table", "study.yaml", "--kind", "acc"], "unknown kind of table 'acc'"),
        (["table", "study.yaml", "--format", "doc"], "unknown format 'doc'"),
        (["table", "study.yaml", "--against", "published"], "names no published table"),
        (["plot", "study.yaml", "--kind", "pie"], "unknown kind of plot 'pie'"),
        (["plot", "study.yaml", "--kind", "published"], "names no published table"),
        (["report", "study.yaml", "--accuracy", "first"], "unknown accuracy 'first'"),
        (["report", "study.yaml", "--output", "study.yaml/x"], "cannot write study.yaml/x"),
        (["export", "study.yaml", "--format", "parquet"], "parquet"),
        (["compare", "results", "absent"], "no results folder absent"),
    ],
)
def test_bad_input_is_one_line_that_names_it(filled: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


def test_broken_results_are_all_named_in_one_message_and_the_rest_is_shown(filled: Path) -> None:
    study = write_study(filled)
    paths = [Store(filled / "results").folder(study.name, run).result_path for run in study.runs[-3:]]
    for path, content in zip(paths, ("{half", "[]", '{"schema": 1, "id": "another"}'), strict=True):
        path.write_text(content, encoding="utf-8")
    done = run("table", "study.yaml")
    assert "3 damaged files, left out here" in done.stderr
    assert all(str(path.relative_to(filled)) in done.stderr for path in paths)
    assert f"{len(study.runs) - 3} of {len(study.runs)} runs are stored" in done.stderr
    assert "3 damaged" in done.stdout
    assert run("table", "study.yaml", "--strict").exit_code == 3


@pytest.mark.parametrize("command", ["table", "export", "report"])
def test_output_goes_into_a_pipe_or_a_device_and_leaves_it_in_its_place(filled: Path, command: str) -> None:
    os.mkfifo(filled / "pipe")
    with subprocess.Popen(["cat", "pipe"], cwd=filled, stdout=subprocess.PIPE) as reader:
        assert run(command, "study.yaml", "-o", "pipe").exit_code == 0
        assert reader.stdout is not None
        assert b"SNIP" in reader.stdout.read()
    assert (filled / "pipe").is_fifo()


@pytest.mark.parametrize("command", ["table", "export"])
def test_presenting_results_loads_no_torch_and_no_plotting(filled: Path, command: str) -> None:
    script = (
        "import sys\n"
        "from prunebench.benchmark.cli import app\n"
        f"app([{command!r}, 'study.yaml'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'torchvision', 'matplotlib', 'seaborn') if name in sys.modules],"
        " file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=filled)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["plot --kind ranks", "report"])
def test_drawing_loads_no_torch(filled: Path, command: str) -> None:
    script = (
        "import sys\n"
        "from prunebench.benchmark.cli import app\n"
        f"app([*{command.split()!r}, 'study.yaml'], standalone_mode=False)\n"
        "print('torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=filled)
    assert done.stderr.splitlines()[-1] == "False"
