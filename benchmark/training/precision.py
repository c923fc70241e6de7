"""What `precision: auto` comes to: bfloat16 autocast where the hardware gains by it, float32 elsewhere.

On a CPU a few steps of the network itself are timed: the same processor family gains up to twofold on plain
convolutions, loses a third on depthwise ones, and loses tenfold where it has no bfloat16 instructions. The choice
changes results, so it is remembered for the machine and the network (the same run gives the same bits again) and it
is recorded with the result.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ..runs.files import write_json
from ..runs.provenance import device_facts
from . import distributed

ROUNDS, SECONDS = 3, 0.5
"""Steps that are timed in each precision: this many, and more of them while they have not taken so long together."""
WORTH = 1.1
"""bfloat16 must be this much faster: less than that is noise, and not worth other rounding."""


@dataclass(frozen=True)
class Precision:
    """The precision of a run; `speedup` is that of bfloat16 as measured, None where nothing was."""

    name: str
    speedup: float | None = None


def choose_precision(
    asked: str, model: nn.Module, batch_size: int, input_shape: tuple[int, ...], num_classes: int, device: torch.device
) -> Precision:
    """`float32` and `bfloat16` are taken as they are; of several processes, all take the leader's choice."""
    if asked != "auto":
        return Precision(asked)
    if device.type == "cuda":
        return Precision("bfloat16" if distributed.agreed(torch.cuda.is_bf16_supported()) else "float32")
    path = _memory_path(model, batch_size, input_shape, device)
    speedup = _remembered(path)
    if speedup is None:
        speedup = _measure(model, batch_size, input_shape, num_classes, device)
        _remember(path, speedup)
    return Precision("bfloat16" if distributed.agreed(speedup >= WORTH) else "float32", round(speedup, 3))


def _measure(
    model: nn.Module, batch_size: int, input_shape: tuple[int, ...], num_classes: int, device: torch.device
) -> float:
    """Time of a step in float32 over that in bfloat16: medians of interleaved steps. The network is left as it was."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    was_training = model.training
    model.train()
    inputs = torch.zeros(batch_size, *input_shape, device=device)
    targets = torch.arange(batch_size, device=device) % num_classes
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with torch.random.fork_rng(devices=[]):
        for index in itertools.count():
            if index > ROUNDS and sum(map(sum, seconds.values())) > SECONDS:
                break
            for is_low in (False, True):
                begin = time.perf_counter()
                with torch.autocast(device.type, torch.bfloat16, enabled=is_low):
                    logits = model(inputs)
                cross_entropy(logits.float(), targets).backward()
                if index > 0:  # the first compiles and allocates
                    seconds[is_low].append(time.perf_counter() - begin)
    model.zero_grad(set_to_none=True)
    model.load_state_dict(state)
    model.train(was_training)
    return statistics.median(seconds[False]) / statistics.median(seconds[True])


def _memory_path(model: nn.Module, batch_size: int, input_shape: tuple[int, ...], device: torch.device) -> Path:
    """One file for a machine and a network: what the choice depends on is hashed into its name.

    A user without a home folder has it among the temporary files.
    """
    shapes = [(name, list(tensor.shape)) for name, tensor in model.state_dict().items()]
    facts = {**device_facts(device), "torch": torch.__version__, "batch": batch_size, "input": input_shape}
    facts |= {"class": type(model).__name__, "shapes": shapes}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    base = os.environ.get("XDG_CACHE_HOME") or _cache()
    return Path(base) / "prunebench" / "precision" / f"{digest}.json"


def _cache() -> Path:
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"cache-{os.getuid()}"


def _remembered(path: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads(path.read_text(encoding="utf-8"))["speedup"])
    return None


def _remember(path: Path, speedup: float) -> None:
    content: dict[str, Any] = {"speedup": round(speedup, 3)}
    with contextlib.suppress(OSError):
        write_json(path, content)
