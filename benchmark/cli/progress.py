"""What is printed while runs are computed: a progress bar on a terminal, a line for each finished run elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..analysis.plain_text import one_line
from ..launch.local import Listener, run_local
from ..launch.time_limit import TimeLimit
from ..runs.claim import describe, holder, how_to_end
from ..runs.run import Run
from ..runs.settings import Settings
from ..runs.store import Store
from ..studies.plan import Plan
from ..studies.run_cost import planned_epochs
from .browse import describe_run
from .options import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

ShownAccuracy = Literal["test", "validation"]


def compute(
    made: Plan,
    settings: Settings,
    num_workers: int,
    limit: TimeLimit | None = None,
    unchecked: Collection[str] = (),
    shown_accuracy: ShownAccuracy = "test",
    labels: Mapping[str, str] | None = None,
) -> list[Any]:
    """Compute what the plan has to do, and say how it goes. Returns how each run ended.

    `unchecked`: ids of runs that may be refused when they begin. `shown_accuracy`: which one is said of a finished run;
    nobody is to choose trials by that of the test set. `labels`: of rows, by the ids of their runs.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("epochs", total=sum(planned_epochs(job.run) for job in made.to_do))
        shown = _Shown(made, settings, console, progress, task, shown_accuracy, labels)
        listener = Listener(
            on_start=shown.start,
            on_epoch=shown.epoch,
            on_end=shown.end,
            on_busy=shown.busy,
            on_line=say,
            on_stop=shown.stop,
        )
        return run_local(made.to_do, made.study, settings, num_workers, listener, limit, unchecked)


@dataclass
class _Shown:
    """The progress of a plan, and what was said of it."""

    made: Plan
    settings: Settings
    console: Console
    progress: Progress
    task: TaskID
    accuracy: ShownAccuracy = "test"
    labels: Mapping[str, str] | None = None
    seen: dict[str, int] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    num_finished: int = 0

    def start(self) -> None:
        say(f"{self.made.study}: {len(self.made.to_do)} runs to compute, {self.made.count('done')} are stored")

    def epoch(self, run: Run, record: dict[str, Any]) -> None:
        # every round counts its epochs from the beginning, or from the one that it rewinds to
        if self.seen.get(run.id, 0) < planned_epochs(run):
            self.seen[run.id] = self.seen.get(run.id, 0) + 1
            self.progress.advance(self.task)

    def end(self, run: Run, ending: Any) -> None:
        self.num_finished += 1
        self.progress.advance(self.task, planned_epochs(run) - self.seen.get(run.id, 0))
        if ending.outcome != "done":
            self._print(one_line(f"{ending.outcome}: {describe_run(run, self.labels)}: {ending.reason}"))
        elif not self.console.is_terminal:
            say(f"[{self.num_finished}/{len(self.made.to_do)}] {describe_run(run, self.labels)}: {self._accuracy(run)}")

    def _accuracy(self, run: Run) -> str:
        result = Store(self.settings.results).result(self.made.study, run)
        if result is None:
            return "its result cannot be read"
        value = result["accuracy"]["last" if self.accuracy == "test" else "selected_validation"]
        return f"no {self.accuracy} accuracy" if value is None else f"{self.accuracy} accuracy {value:.2%}"

    def busy(self, run: Run) -> None:
        """A process that hangs keeps its run for ever, so the user is told once which one it is."""
        held = holder(Store(self.settings.results).folder(self.made.study, run).path)
        if not held:
            return
        what = f"waiting: {describe_run(run, self.labels)} is computed by {describe(held)}"
        text = f"{what}; if that hangs, end it: {how_to_end(held)}"
        if text not in self.said:
            self.said.add(text)
            self._print(text)

    def stop(self, reason: str, num_left: int) -> None:
        say(f"{self.made.study}: stopped, {num_left} runs are left: {reason}")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
