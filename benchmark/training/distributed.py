"""Several processes that train one network, each on its share of every batch (DistributedDataParallel).

Every process computes the same run with the same seeds. Gradients, scores and counts are summed over all processes, so
weights and masks stay equal. Only the leader (rank 0) talks to the launcher and writes files. With one process the
functions here do nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from ..api.errors import UserError
from ..api.masks import Masks
from ..runs.run import Run, from_dict, to_dict

TIMEOUT = timedelta(minutes=30)
"""A process that waits longer for another one fails. Evaluating or scoring on one process takes less."""

_SYNCS_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)
"""torch 2.13 gave the argument another name and warns of the old one. Buffers are equal when a training begins, so that
it does not matter that the new one sends them once."""


def is_active() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    return dist.get_rank() if is_active() else 0


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if is_active() else 1


def is_leader() -> bool:
    return rank() == 0


@contextlib.contextmanager
def joined(device_name: str) -> Iterator[None]:
    """Join the processes that RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT name; nothing for one process.

    `device_name`: as in the settings.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device_name == "cpu" or not torch.cuda.is_available():
        dist.init_process_group("gloo", timeout=TIMEOUT)
    else:
        # NCCL is told its GPU: it would guess by the rank, and take GPU 0 in every process that guesses alike.
        device = _local_gpu()
        torch.cuda.set_device(device)
        # Orders and stop flags are small CPU tensors even if the network is on a GPU.
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=TIMEOUT, device_id=device)
    try:
        yield
    finally:
        dist.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """The GPU of this process among those of its node; a device that is named with its number is kept."""
    if not is_active() or device.type != "cuda" or device.index is not None:
        return device
    return _local_gpu()


def _local_gpu() -> torch.device:
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def announce(run: Run | None) -> None:
    """The leader tells the others which run to compute next; None tells them to exit."""
    if is_active() and is_leader():
        _broadcast_text("" if run is None else json.dumps(to_dict(run)))


def next_run() -> Run | None:
    """The run that a follower computes next; waits for the leader."""
    text = _broadcast_text("")
    return from_dict(json.loads(text)) if text else None


def _broadcast_text(text: str) -> str:
    data = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8) if text else torch.empty(0, dtype=torch.uint8)
    length = torch.tensor(len(data))
    dist.broadcast(length, 0)
    if not is_leader():
        data = torch.empty(int(length), dtype=torch.uint8)
    if int(length):
        dist.broadcast(data, 0)
    return bytes(data.tolist()).decode()


def total(tensor: Tensor) -> Tensor:
    """Sum over all processes, in place."""
    if is_active():
        dist.all_reduce(tensor)
    return tensor


def agreed(value: bool) -> bool:
    """The leader's value, in every process."""
    if not is_active():
        return value
    shared = torch.tensor(int(value))
    dist.broadcast(shared, 0)
    return bool(shared)


def check_shares(num_samples: int, batch_size: int) -> None:
    """Refuse batches that leave a process with fewer than two samples, which batch norm cannot take."""
    rest = num_samples % batch_size
    smallest = min(batch_size, rest if rest > 1 else batch_size) // world()
    if is_active() and smallest < 2:
        raise UserError(
            f"{world()} processes cannot share the last batch of {rest} of {num_samples} training samples; "
            f"choose a batch_size other than {batch_size} or fewer processes"
        )


def weighted(loss: Tensor, num_own: int, num_all: int) -> Tensor:
    """The mean loss of this share, weighted so that the mean over processes is the mean over the whole batch."""
    return loss * (num_own * world() / num_all)


def parallel(model: nn.Module) -> nn.Module:
    """The network whose backward pass averages gradients over the processes."""
    if not is_active():
        return model
    # Statistics of batch norm are averaged once an epoch, in `average_statistics`.
    options: dict[str, Any] = {_SYNCS_BUFFERS: False}
    return DistributedDataParallel(model, **options)


@torch.no_grad()
def average_statistics(model: nn.Module) -> None:
    """Set the running statistics of batch norm to their mean over the processes (equal already if synchronised)."""
    if not is_active():
        return
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            for statistic in (module.running_mean, module.running_var):
                total(statistic).div_(world())


def check_same(masks: Masks | None) -> None:
    """Raise RuntimeError if a process has other masks than the leader."""
    if not is_active() or masks is None:
        return
    found = hashlib.sha256()
    for name, mask in masks.items():
        found.update(name.encode())
        found.update(np.packbits(mask.cpu().numpy()).tobytes())
    if differing := _num_differing(found.digest()):
        raise RuntimeError(f"masks of {differing} of {world()} processes differ from the leader's")


def check_same_data(fingerprint: str) -> None:
    """Raise UserError if a process has read other data than the leader: nodes may have their own data roots."""
    if is_active() and (differing := _num_differing(hashlib.sha256(fingerprint.encode()).digest())):
        raise UserError(
            f"{differing} of {world()} processes have read other data than the first one; check their roots"
        )


def _num_differing(digest: bytes) -> int:
    """The number of processes with another digest than the leader."""
    own = torch.tensor(int.from_bytes(digest[:8], "big", signed=True))
    leaders = own.clone()
    dist.broadcast(leaders, 0)
    return int(total((own != leaders).long()))
