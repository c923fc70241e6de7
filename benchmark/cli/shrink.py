"""The command that makes the network of a run physically smaller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..api.errors import UserError
from ..runs.run_folder import RunFolder
from .browse import describe_run, find_one
from .options import json_option, print_json, results_option, say

if TYPE_CHECKING:
    from ..shrink.shrink_run import ShrunkRun


@click.command("shrink")
@click.argument("run", metavar="RUN")
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="DIR",
              help="Write here; else to shrunk/RUN in the folder of the study.")  # fmt: skip
@click.option("--onnx", "with_onnx", is_flag=True, help="Write the network as ONNX, too.")
@json_option
@results_option
def shrink_command(run: str, output: Path | None, with_onnx: bool, as_json: bool, results: Path) -> None:
    """Remove what is zero from the network of a run, with all that depends on it.

    RUN is a run's id or its beginning, STUDY/ID, or the run's folder; the run must have kept its weights. The outputs
    stay the same within rounding. Weights and sizes of layers go to a folder that prunebench.benchmark.shrink.load
    reads. If nothing can be removed, as with single weights that are zero, nothing is written and the exit code is 2.
    """
    from ..shrink.shrink_run import shrink_run

    folder = RunFolder(Path(run).resolve()) if (Path(run) / "run.json").exists() else find_one(results, run)
    output = output or _usual_place(folder)
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file, not a folder")
    shrunk = shrink_run(folder, output, with_onnx=with_onnx)
    if as_json:
        print_json({"folder": str(output), **shrunk.facts()})
        return
    print("\n".join(_lines(shrunk)))
    say(f"wrote {output}")
    if shrunk.onnx_batch is not None:
        say(f"network.onnx takes {shrunk.onnx_batch} input at a time: the network's code fixes the batch")


def _usual_place(folder: RunFolder) -> Path:
    study = folder.path.parent if folder.study == "dense" else folder.path.parent.parent
    return study / "shrunk" / folder.path.name


def _lines(shrunk: ShrunkRun) -> list[str]:
    lines = [describe_run(shrunk.run)]
    for name, before in shrunk.before.items():
        after = shrunk.after[name]
        lines.append(f"{name.replace('_', '-'):14} {before:>14,} -> {after:>14,}  ({100 * after / before:.1f} %)")
    removed = shrunk.done.removed
    lines.append(f"removed        {sum(removed.values()):,} channels, heads or ranks of {len(removed)} layers")
    for path, (count, reason) in shrunk.done.left.items():
        lines.append(f"left in        {count} without weights of {path}: {reason}")
    lines.append(f"outputs        differ by at most {shrunk.done.difference:.1g} in float64")
    return lines


COMMANDS = (shrink_command,)
