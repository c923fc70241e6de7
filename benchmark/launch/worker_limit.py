"""How many workers may run at once: fewer after workers failed to start, or failed by the fault of their machine."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from .attempt import Ending
from .worker_process import Worker, smallest_free

FAILED_STARTS = 3
"""No worker is started any more after so many in a row died before they were ready."""

MACHINE_FAILURES = 3
"""A worker takes no more runs after so many in a row failed by the fault of the machine."""


class NoWorker(Exception):
    """Runs are left, but no worker can be started or takes another run; the message says why."""


@dataclass(kw_only=True)
class WorkerLimit:
    """The limit for one pool. `can_replace`: whether a dead worker may be replaced. `say(line)`: tells the user."""

    number: int
    can_replace: bool
    say: Callable[[str], None]
    _failed_starts: int = 0
    _reason: str = ""
    _machine_failures: dict[int, int] = field(default_factory=dict)
    _retired: set[int] = field(default_factory=set)

    def may_start(self, workers: Sequence[Worker]) -> bool:
        """Whether one more may be started beside these. Raises NoWorker where none is left and none may be started."""
        if len(workers) < self.number and self._failed_starts < FAILED_STARTS:
            return True
        if not workers:
            raise NoWorker(self._reason)
        return False

    def next_index(self, workers: Iterable[Worker]) -> int:
        """The index of a new worker, which chooses among several GPUs; a retired worker's is not used again."""
        return smallest_free([*(worker.index for worker in workers), *self._retired])

    def note_ready(self) -> None:
        self._failed_starts = 0

    def note_failed_start(self, cause: str, workers: Sequence[Worker]) -> None:
        """A worker died before it was ready. `workers`: those that are left, with which the pool may go on."""
        self._failed_starts += 1
        self._reason = f"no worker process can be started on {socket.gethostname()}: {cause}"
        if not self.can_replace:
            self.number = 0
        if self._failed_starts == FAILED_STARTS and any(worker.is_ready for worker in workers):
            self.number, self._failed_starts = len(workers), 0
            self.say(f"{self._reason}; going on with {len(workers)}")

    def note_death(self, cause: str) -> None:
        """A worker died after it was ready."""
        if not self.can_replace:
            self.number, self._reason = 0, f"the worker {cause}"

    def is_to_retire(self, worker: Worker, ending: Ending) -> bool:
        """Whether the worker should take no more runs: one that only fails would use up all of them."""
        number = self._machine_failures.get(worker.index, 0) + 1 if ending.is_machine else 0
        self._machine_failures[worker.index] = number
        if number < MACHINE_FAILURES:
            return False
        self._reason = f"{number} runs in a row failed by the fault of the machine: {ending.reason}"
        self._retired.add(worker.index)
        self.number -= 1
        self.say(f"a worker on {socket.gethostname()} takes no more runs: {self._reason}")
        return True
