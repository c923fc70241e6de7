"""One run to one result: dense weights or initialisation -> prune -> train or fine-tune -> evaluate.

The same function computes every run, here or on a cluster, whatever the method. Launchers import from this module.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from ..runs.run import Run
from ..runs.settings import Settings
from . import distributed
from .measure import check_finite_state, check_masks
from .own_process import leave_if_forked, take_process
from .result import make_result, store_result
from .run_data import check_start as check_start
from .run_data import read_data as read_data
from .session import Session
from .setup import choose_device as choose_device
from .setup import own_device, prepare
from .watch import Interrupted as Interrupted
from .watch import Watch as Watch


def execute(run: Run, study: str, settings: Settings, watch: Watch) -> dict[str, Any]:
    """Compute a run and store its result; resumes from its checkpoint if there is one.

    Raises Interrupted after a stop, Diverged, UserError, or whatever a method raises; nothing is half-written.
    With several processes, the leader tells the others what to compute, and only it writes.
    """
    distributed.announce(run)
    take_process()
    # Its first call imports a part of torch that keeps the frames of its callers: those of no network yet.
    torch.use_deterministic_algorithms(settings.deterministic)
    try:
        device = own_device(settings)
        # of no other GPU: to read the state of its generator would create a context there
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            return _compute(run, study, settings, watch, device)
    finally:
        leave_if_forked()


def _compute(run: Run, study: str, settings: Settings, watch: Watch, device: torch.device) -> dict[str, Any]:
    begin = time.perf_counter()
    setup = prepare(run, study, settings, device)
    session = Session(setup, watch, begin)
    session.train()
    setup.pruner.detach()
    leave_if_forked()
    check_masks(setup.pruner, at_end=True)
    check_finite_state(setup.model)
    result = make_result(setup, session)
    if distributed.is_leader():
        watch.check()
        store_result(setup, session, result)
    return result
