"""Compute a plan on this machine: warm worker processes, each doing one run after another.

The parent process never loads torch. A worker that dies takes one run with it, not the study.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from .attempt import Ending, attempt
from .errors import UserError
from .plan import Job
from .run import Run, from_dict, to_dict
from .settings import Settings
from .store import Store, now

BUSY_POLL_SECONDS = 1.0


@dataclass(kw_only=True)
class Listener:
    """What the command line wants to hear; `on_start`: that the data are there and runs begin.

    `on_busy`: that another process holds a run; said again as long as it does.
    """

    on_start: Callable[[], None] = lambda: None
    on_epoch: Callable[[Run, dict[str, Any]], None] = lambda run, record: None
    on_end: Callable[[Run, Ending], None] = lambda run, ending: None
    on_busy: Callable[[Run], None] = lambda run: None


@dataclass(frozen=True)
class ReadData:
    """Asks a worker to read the data of a run before it is to compute it. The answer: None, or why it cannot."""

    run: dict[str, Any]


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    run: Run | None = None


@dataclass
class _Queue:
    """Runs that wait: for a worker, for their parent, or for another process that holds them."""

    ready: list[Run] = field(default_factory=list)
    blocked: dict[str, list[Run]] = field(default_factory=dict)
    busy: list[tuple[float, Run]] = field(default_factory=list)

    def take(self) -> Run | None:
        current = time.monotonic()
        for entry in list(self.busy):
            if entry[0] <= current:
                self.busy.remove(entry)
                return entry[1]
        return self.ready.pop(0) if self.ready else None

    def release(self, runs: Sequence[Run]) -> None:
        """Runs that may start: behind those that others wait for, and long ones first, lest one be alone at the end."""
        self.ready = sorted([*self.ready, *runs], key=lambda run: (run.id not in self.blocked, -run.recipe.epochs))

    def is_empty(self) -> bool:
        return not (self.ready or self.busy or self.blocked)


def run_local(
    jobs: Sequence[Job], study: str, settings: Settings, num_workers: int, listener: Listener
) -> list[Ending]:
    """Compute all jobs and return how each ended; long ones first, runs that need a dense training after it.

    Raises UserError, before any run is attempted, if the first one's data cannot be read: all runs of a study share
    them. On KeyboardInterrupt every worker stops after its epoch with a checkpoint, then the interrupt goes on up.
    """
    queue = _make_queue(jobs)
    endings: list[Ending] = []
    store = Store(settings.results)
    with _worker_environment(settings):
        workers = [_start(study, settings, index) for index in range(max(1, min(num_workers, len(jobs))))]

    def finish(run: Run, ending: Ending) -> None:
        if ending.outcome == "busy":
            listener.on_busy(run)
            queue.busy.append((time.monotonic() + BUSY_POLL_SECONDS, run))
            return
        endings.append(ending)
        listener.on_end(run, ending)
        children = queue.blocked.pop(run.id, [])
        if ending.outcome == "done":
            queue.release(children)
        else:
            for child in children:
                finish(child, Ending("failed", f"its dense training {run.id} did not finish: {ending.reason}", True))

    try:
        _read_data(workers[0], jobs[0].run)
        listener.on_start()
        while not queue.is_empty() or any(worker.run for worker in workers):
            for worker in workers:
                if worker.run is None and (run := queue.take()) is not None:
                    worker.run = run
                    worker.pipe.send(to_dict(run))
            for pipe in wait([worker.pipe for worker in workers], timeout=BUSY_POLL_SECONDS):
                worker = next(worker for worker in workers if worker.pipe is pipe)
                run, message = worker.run, _receive(worker, store, study)
                if run is None:
                    continue
                if isinstance(message, Ending):
                    worker.run = None
                    finish(run, message)
                    if not worker.process.is_alive():
                        index = workers.index(worker)
                        with _worker_environment(settings):
                            workers[index] = _start(study, settings, index)
                else:
                    listener.on_epoch(run, message)
    finally:
        _shut_down(workers)
    return endings


def _read_data(worker: _Worker, run: Run) -> None:
    """In a worker, which needs the data and torch anyway: here they would take as long again, before anything starts.

    A worker that dies of it leaves the reason to the run's own record.
    """
    with contextlib.suppress(EOFError, OSError):
        worker.pipe.send(ReadData(to_dict(run)))
        if (problem := worker.pipe.recv()) is not None:
            raise problem


def _make_queue(jobs: Sequence[Job]) -> _Queue:
    """Parents and long runs first: what others wait for, or what would be alone at the end, must not start last."""
    open_ids = {job.run.id for job in jobs}
    ordered = sorted(jobs, key=lambda job: (-job.wanted_by, -job.run.recipe.epochs))
    queue = _Queue()
    for job in ordered:
        parent = job.run.parent
        if parent is not None and parent.id in open_ids:
            queue.blocked.setdefault(parent.id, []).append(job.run)
        else:
            queue.ready.append(job.run)
    return queue


def _start(study: str, settings: Settings, index: int) -> _Worker:
    """Not a daemon: those may have no children, and ImageNet's loader has. A worker ends when its pipe is closed."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there, study, settings, index))
    process.start()
    there.close()
    return _Worker(process, here)


@contextlib.contextmanager
def _worker_environment(settings: Settings) -> Any:
    """Numerical libraries read their thread counts when they load, so the environment must say it before."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    saved = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(settings.threads)))
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _receive(worker: _Worker, store: Store, study: str) -> Ending | dict[str, Any]:
    """The worker's next message; if it died without one, the attempt is closed on its behalf."""
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
    code = worker.process.exitcode
    reason = f"worker killed by {signal.Signals(-code).name}" if code and code < 0 else f"worker exited with {code}"
    if worker.run is not None:
        folder = store.folder(study, worker.run)
        attempts = folder.attempts()
        if attempts and attempts[-1].get("outcome") is None:
            ended = {"end": now(), "outcome": "failed", "reason": reason, "retryable": True}
            folder.write_attempt(len(attempts), {**attempts[-1], **ended})
    return Ending("failed", reason, retryable=True)


def _shut_down(workers: Sequence[_Worker]) -> None:
    """Ask every worker to stop after its epoch, and wait; a second interrupt ends them at once."""
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.pipe.send(None)
    try:
        for worker in workers:
            worker.process.join()
    except KeyboardInterrupt:
        for worker in workers:
            worker.process.terminate()
        raise


def own_gpu(settings: Settings, index: int, num_gpus: int) -> Settings:
    """Workers take the GPUs of the machine in turn, unless the settings name one of them."""
    if settings.device in ("auto", "cuda") and num_gpus > 1:
        return replace(settings, device=f"cuda:{index % num_gpus}")
    return settings


def work(pipe: Connection, study: str, settings: Settings, index: int) -> None:
    """The life of a worker: runs come in as plain data, epochs and endings go out. Ends with its parent.

    `index` counts the workers that run at once.
    """
    # Ctrl-C reaches the whole process group; the parent decides, so that the checkpoint is written first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    from ..methods.registry import add_plugin
    from .harness import Watch

    settings = own_gpu(settings, index, torch.cuda.device_count())
    for path in settings.plugins:
        add_plugin(path)

    def send(message: object) -> None:
        # A parent that was killed listens no more: the run stops at its next epoch, and has not failed by itself.
        with contextlib.suppress(BrokenPipeError):
            pipe.send(message)

    with contextlib.suppress(EOFError, ConnectionResetError):
        while (task := pipe.recv()) is not None:
            if isinstance(task, ReadData):
                send(_why_unreadable(from_dict(task.run), settings))
                continue
            watch = Watch(on_epoch=send, stop=pipe.poll)
            try:
                ending = attempt(from_dict(task), study, settings, watch)
            except OSError as error:
                ending = Ending("failed", f"{type(error).__name__}: {error}", retryable=True)
            send(ending)
            if ending.outcome == "interrupted":
                break
    # At its end Python would look for cycles among half a million objects of torch, which takes a second.
    gc.freeze()


def _why_unreadable(run: Run, settings: Settings) -> UserError | None:
    """What a user can mend about the data; None where there is nothing, or something that is the run's to fail with."""
    from .harness import read_data

    try:
        read_data(run, settings)
    except UserError as error:
        return error
    except Exception:
        return None
    return None
