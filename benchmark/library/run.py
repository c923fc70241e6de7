"""Compute a study, as the command line does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis.frame_type import Frame
from ..api.errors import DataMissing, UserError
from ..runs.settings import Compile, CudaGraph, Log, MemoryFormat
from .load_results import assignments, load_results

INTERRUPTED = 130
ERRORS = {2: UserError, 4: DataMissing}
"""Exit codes of a command that computed nothing."""


def run(
    study: str | Path,
    *,
    set: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    results: str | Path = "results",
    data_root: str | Path | None = None,
    jobs: int = 0,
    threads: int = 1,
    device: str = "auto",
    checkpoint_every: int = 5,
    keep_weights: bool = False,
    deterministic: bool = False,
    memory_format: MemoryFormat = "auto",
    compile: Compile = "none",
    cuda_graph: CudaGraph = "off",
    log: Log = "none",
    time_limit: str | None = None,
    retry_failed: bool = False,
    recompute: bool = False,
    quiet: bool = False,
) -> Frame:
    """Compute the runs of a study that are missing, and return the results of all of them, as `load_results` does.

    This is the command `prunebench run` in a process of its own, so it works in notebooks and in scripts without a
    main guard. What it says appears on stderr. Runs that failed, or that `time_limit` left, are in the frame: see its
    columns `state` and `reason`.

    Args:
        study: the name of a study of the suite, or the path of a study file.
        set: values to change in the study file, by key: {"train.epochs": 3}.
        only: only these runs, such as ["method=snip", "sparsity=90%"].
        plugins: files with methods, models or data sets of one's own.
        results: the results folder; runs that it has are not computed again.
        data_root: where data sets are.
        jobs: runs at once; 0: one a core, or one a GPU.
        threads: CPU threads of one run.
        device: "auto", "cpu", "cuda" or "cuda:N".
        checkpoint_every: epochs between checkpoints.
        keep_weights: store the weights of pruned networks, for `load_pruned`.
        deterministic: deterministic algorithms on a GPU.
        memory_format, compile, cuda_graph, log: as the options of the command.
        time_limit: start and continue runs for at most this time, such as "2h30m".
        retry_failed: also runs that failed before.
        recompute: also stored runs of older code, weights or dense trainings.
        quiet: print nothing.

    Raises:
        UserError: a study, a value or data that the command refuses, with its message. Nothing was computed.
        KeyboardInterrupt: the command was stopped; the same call goes on where it ended.
    """
    given = dict(locals())
    command = [sys.executable, "-m", "prunebench.benchmark.cli", "run", *_arguments(given)]
    code, last = _execute(command, quiet)
    if code == INTERRUPTED or code < 0:
        raise KeyboardInterrupt("the command was stopped")
    if code in ERRORS:
        raise ERRORS[code](last.removeprefix("prunebench: "))
    return load_results(study, results=results, data_root=data_root, set=set, only=only, plugins=plugins)


def _execute(command: Sequence[str], quiet: bool) -> tuple[int, str]:
    """The exit code and the last line on stderr, whose lines are printed as they come."""
    last = ""
    # A session of its own: Ctrl-C then reaches it once, from here, and it stops its workers with checkpoints.
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, errors="replace", env=_environment(), start_new_session=True
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                last = line.rstrip("\n")
                if not quiet:
                    print(last, file=sys.stderr, flush=True)
            return process.wait(), last
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise


def _environment() -> dict[str, str]:
    """This process may have found the package by a change of sys.path."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _arguments(given: Mapping[str, Any]) -> Iterator[str]:
    """The arguments of the call as those of the command."""
    yield str(given["study"])
    for text in assignments(given["set"]):
        yield f"--set={text}"
    yield from (f"--only={text}" for text in given["only"])
    yield from (f"--plugin={path}" for path in given["plugins"])
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if name in ("study", "set", "only", "plugins", "quiet") or value is None or value is False:
            continue
        yield option if value is True else f"{option}={value}"
